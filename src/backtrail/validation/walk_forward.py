"""Walk-forward: what would have been chosen then, and how it did afterwards.

Each fold selects the best trial on its in-sample bars and judges it on the out-of-sample bars that
follow. A trial is run once over all bars and its returns are cut: a strategy sees no bar after the
one it decides at, so what it did in a window owes nothing to later bars.

Between the two windows of a fold lie `purge` bars at the end of the in-sample window, whose
positions may still be open when the other begins, and `embargo` bars before the other begins, which
still resemble those before them. Neither window has them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backtrail.errors import WindowOverlapError
from backtrail.metrics import sharpe_ratio

__all__ = ["Fold", "WalkForward", "Window", "make_folds", "require_disjoint", "walk_forward"]

FloatArray = npt.NDArray[np.float64]
Objective = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class Window:
    """Positions of bars, `stop` not included."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def overlaps(self, other: "Window") -> bool:
        """Whether a bar is in both."""
        return self.start < other.stop and other.start < self.stop


@dataclass(frozen=True, slots=True)
class Fold:
    """One choice and its test.

    Attributes:
        in_sample: Bars on which the trial is chosen.
        out_of_sample: Later bars, on which the chosen one is judged.
    """

    in_sample: Window
    out_of_sample: Window


def make_folds(
    bars: int,
    *,
    in_sample: int,
    out_of_sample: int,
    step: int | None = None,
    purge: int = 0,
    embargo: int = 0,
    warm_up: int = 0,
    anchored: bool = False,
) -> tuple[Fold, ...]:
    """Return the folds that fit into a history, oldest first; no two are tested on the same bar.

    Args:
        bars: Length of the history.
        in_sample: Bars of the first in-sample window, purged ones included; of every one when the
            windows roll.
        out_of_sample: Bars of each out-of-sample window; a shorter rest at the end is not used.
        step: Bars from one fold to the next; `out_of_sample` when None, and never fewer.
        purge: Bars taken off the end of each in-sample window.
        embargo: Bars left out between the in-sample window and the other.
        warm_up: Bars at the beginning in no window: indicators fill there.
        anchored: Every in-sample window begins after the warm-up and grows, instead of rolling.

    Raises:
        ValueError: If a number is out of its range, or not one fold fits.
    """
    stride = out_of_sample if step is None else step
    _check_lengths(in_sample, out_of_sample, stride, purge, embargo, warm_up)
    folds = []
    begin = warm_up + in_sample + embargo
    while begin + out_of_sample <= bars:
        chosen_until = begin - embargo
        start = warm_up if anchored else chosen_until - in_sample
        folds.append(
            Fold(Window(start, chosen_until - purge), Window(begin, begin + out_of_sample))
        )
        begin += stride
    if not folds:
        needed = warm_up + in_sample + embargo + out_of_sample
        raise ValueError(
            f"not one fold fits into {bars} bars: warm-up, in-sample window, embargo and "
            f"out-of-sample window take {needed}"
        )
    return tuple(folds)


def _check_lengths(
    in_sample: int, out_of_sample: int, stride: int, purge: int, embargo: int, warm_up: int
) -> None:
    if out_of_sample < 1 or in_sample - purge < 2:
        raise ValueError(
            f"in_sample {in_sample} less purge {purge} leaves {in_sample - purge} bars, "
            f"out_of_sample is {out_of_sample}; at least 2 and 1 are needed"
        )
    if min(purge, embargo, warm_up) < 0:
        raise ValueError(f"purge {purge}, embargo {embargo}, warm_up {warm_up}; none is negative")
    if stride < out_of_sample:
        raise ValueError(
            f"step is {stride}, out_of_sample {out_of_sample}: bars would be tested twice; the "
            "step is at least as long"
        )


def require_disjoint(folds: Sequence[Fold]) -> None:
    """Check that no fold chooses on a bar it is judged on or a later one, nor two test the same.

    Args:
        folds: As planned, or with the windows that were really read.

    Raises:
        WindowOverlapError: With the folds and the bars.
    """
    for number, fold in enumerate(folds):
        chosen, tested = fold.in_sample, fold.out_of_sample
        if chosen.stop > tested.start:
            raise WindowOverlapError(
                f"fold {number} chose on bars {chosen.start} to {chosen.stop - 1} and was judged "
                f"from bar {tested.start} on: it knew what it was judged by"
            )
        if number and folds[number - 1].out_of_sample.overlaps(tested):
            raise WindowOverlapError(
                f"folds {number - 1} and {number} are judged on the same bars: "
                f"{folds[number - 1].out_of_sample} and {tested}"
            )


@dataclass(frozen=True, slots=True)
class WalkForward:
    """What each fold chose, and what became of it.

    Attributes:
        folds: The folds.
        selected: Column of the trial that each fold chose.
        in_sample: Objective of the chosen trial on the bars it was chosen on.
        out_of_sample: Its objective on the bars that followed; NaN where it is undefined.
        returns: Returns per bar of the chosen trials out of sample, one fold after another.
        efficiency: Mean return per bar out of sample over that in sample, both averaged over the
            folds: Pardo (2008), The Evaluation and Optimization of Trading Strategies, whose
            annualized figures have the same ratio. None where the in-sample mean is not positive: a
            ratio of losses says nothing.
        degradation: 1 less mean objective out of sample over that in sample; 0 is none, 1 is
            everything lost, more is a loss. None as above.
        changes: Share of folds, the first not counted, that chose another trial than the one
            before; None with a single fold.
    """

    folds: tuple[Fold, ...]
    selected: npt.NDArray[np.int64]
    in_sample: FloatArray
    out_of_sample: FloatArray
    returns: FloatArray
    efficiency: float | None
    degradation: float | None
    changes: float | None


def walk_forward(
    returns: npt.ArrayLike, folds: Sequence[Fold], *, objective: Objective | None = None
) -> WalkForward:
    """Choose in each fold's in-sample bars, and judge the chosen trial in its out-of-sample bars.

    Args:
        returns: Returns per bar of every trial, shape (bars, trials).
        folds: From `make_folds`.
        objective: From returns, shape (bars, trials), the figure to maximize, shape (trials,);
            the Sharpe ratio per bar when None. NaN is never chosen; of equal figures the first is.

    Raises:
        WindowOverlapError: If a fold knows what it is judged by.
        ValueError: If the shape does not fit, a return is not finite, or no trial of a fold has an
            objective.
    """
    matrix = np.asarray(returns, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.shape[1] or not np.isfinite(matrix).all():
        raise ValueError(f"returns has shape {matrix.shape}; pass finite numbers, bars x trials")
    if not folds or folds[-1].out_of_sample.stop > len(matrix):
        raise ValueError(f"{len(matrix)} bars do not hold the {len(folds)} folds")
    require_disjoint(folds)
    measure = _sharpe_per_bar if objective is None else objective
    selected, inside, outside, stitched, means = [], [], [], [], []
    for number, fold in enumerate(folds):
        chosen = matrix[fold.in_sample.start : fold.in_sample.stop]
        tested = matrix[fold.out_of_sample.start : fold.out_of_sample.stop]
        figures = np.asarray(measure(chosen), dtype=np.float64)
        if np.isnan(figures).all():
            raise ValueError(f"no trial of fold {number} has an objective; take longer windows")
        best = int(np.nanargmax(figures))
        selected.append(best)
        inside.append(figures[best])
        outside.append(np.asarray(measure(tested[:, best : best + 1]), dtype=np.float64)[0])
        stitched.append(tested[:, best])
        means.append((chosen[:, best].mean(), tested[:, best].mean()))
    before, after = np.mean(means, axis=0)
    moved = np.not_equal(selected[1:], selected[:-1])
    return WalkForward(
        tuple(folds),
        np.array(selected),
        np.array(inside),
        np.array(outside),
        np.concatenate(stitched),
        float(after / before) if before > 0.0 else None,
        _degradation(np.array(inside), np.array(outside)),
        float(moved.mean()) if len(moved) else None,
    )


def _degradation(inside: FloatArray, outside: FloatArray) -> float | None:
    before = float(inside.mean())
    if not before > 0.0 or np.isnan(outside).all():
        return None
    return 1.0 - float(np.nanmean(outside)) / before


def _sharpe_per_bar(returns: FloatArray) -> FloatArray:
    found = (sharpe_ratio(column, 1.0) for column in returns.T)
    return np.array([np.nan if ratio is None else ratio for ratio in found])
