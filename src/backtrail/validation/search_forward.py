"""Walk-forward with a search in every fold: nothing later than a fold's in-sample bars is at hand.

`walk_forward` cuts returns that are already there. Here each fold searches anew: an evaluator runs
the parameter sets on bars up to the end of the in-sample window, one is chosen, and that one is run
on the bars that follow. The evaluator says which bars it handed to the strategy; that the windows
are apart is concluded from these bars, not from the plan.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from backtrail.errors import WindowOverlapError
from backtrail.metrics import annual_mean_return
from backtrail.validation.walk_forward import Fold, Window, require_disjoint

__all__ = [
    "Evaluator",
    "SearchForward",
    "SearchedFold",
    "WindowResult",
    "first_best",
    "search_forward",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Choose = Callable[[FloatArray], int | None]


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What became of parameter sets on a window of bars.

    Attributes:
        figures: What is compared, of each set on the judged bars, shape (m,). Of several sets it
            is what the choice looks at, NaN where it is undefined, the set failed, or it breaks a
            constraint; of a single one the metric that folds are compared by.
        returns: Returns per bar on the judged bars, shape (m, len(judged)); None when they were not
            asked for.
        judged: Bars that figures and returns are of.
        read: Bars that were handed to the strategy, those that only fill indicators included.
    """

    figures: FloatArray
    returns: FloatArray | None
    judged: Window
    read: Window


class Evaluator(Protocol):
    """Runs parameter sets on a window."""

    def __call__(self, sets: IntArray, window: Window, *, keep_returns: bool) -> WindowResult:
        """Run sets, by their numbers, and judge them on the bars of a window.

        Bars before the window may fill indicators; none after it may be at hand.
        """
        ...


@dataclass(frozen=True, slots=True)
class SearchedFold:
    """What a fold chose, what became of it, and which bars were read for it.

    Attributes:
        fold: As planned.
        chosen: Number of the chosen set; None when no set had an objective, and the account stays
            in cash until the next fold.
        in_sample: Objective of the chosen set on the bars it was chosen on.
        out_of_sample: Its objective on the bars that followed; None where it is undefined.
        in_sample_annual: Its mean annual return in sample, by `annual_mean_return`.
        out_of_sample_annual: The same on the bars that followed.
        read_in_sample: Bars that were read to choose.
        read_out_of_sample: Bars that were read to judge; those before the out-of-sample window
            filled indicators.
    """

    fold: Fold
    chosen: int | None
    in_sample: float | None
    out_of_sample: float | None
    in_sample_annual: float | None
    out_of_sample_annual: float | None
    read_in_sample: Window
    read_out_of_sample: Window | None


@dataclass(frozen=True, slots=True)
class SearchForward:
    """A walk through the folds.

    Attributes:
        folds: Oldest first.
        bars: Positions of the bars out of sample, shape (n,).
        returns: Return per bar of the sets that were chosen, shape (n,); each fold begins in cash.
        efficiency: Mean annual return out of sample over that in sample, both averaged over the
            folds that chose: Pardo (2008), The Evaluation and Optimization of Trading Strategies.
            Negative when what was chosen lost afterwards; None where the in-sample mean is not
            positive, since a ratio of losses says nothing.
        degradation: 1 less mean objective out of sample over that in sample, over folds that have
            both; 0 is none, 1 is everything lost, more is a loss. None as above.
        changes: Share of folds, the first not counted, that chose another set than the one before;
            None with a single fold.
    """

    folds: tuple[SearchedFold, ...]
    bars: IntArray
    returns: FloatArray
    efficiency: float | None
    degradation: float | None
    changes: float | None


def first_best(figures: FloatArray) -> int | None:
    """Return the place of the highest figure, the first of equal ones; None if all are NaN."""
    return None if np.isnan(figures).all() else int(np.nanargmax(figures))


def search_forward(
    evaluate: Evaluator,
    sets: int,
    folds: Sequence[Fold],
    *,
    periods_per_year: float,
    choose: Choose = first_best,
) -> SearchForward:
    """Search in the in-sample bars of each fold, and judge what was chosen on the bars that follow.

    Args:
        evaluate: Runs sets on a window.
        sets: Number of parameter sets; they are numbered from 0.
        folds: From `make_folds`.
        periods_per_year: Bars per year.
        choose: From the figures of all sets, the place of the one to take; None takes none.

    Raises:
        WindowOverlapError: If bars were read that a fold must not know, or judged that are not its
            own.
        ValueError: If there is no set or no fold.
    """
    if sets < 1 or not folds:
        raise ValueError(f"{sets} parameter sets and {len(folds)} folds; there is nothing to walk")
    require_disjoint(folds)
    numbers = np.arange(sets)
    walked, stitched = [], []
    for number, fold in enumerate(folds):
        found, returns = _walk(evaluate, numbers, number, fold, periods_per_year, choose)
        walked.append(found)
        stitched.append(returns)
    require_disjoint(
        [Fold(item.read_in_sample, item.fold.out_of_sample) for item in walked],
    )
    windows = [fold.out_of_sample for fold in folds]
    chosen = [item.chosen for item in walked]
    changed = [one != other for one, other in zip(chosen[1:], chosen[:-1], strict=True)]
    return SearchForward(
        tuple(walked),
        np.concatenate([np.arange(window.start, window.stop) for window in windows]),
        np.concatenate(stitched),
        _ratio([(item.in_sample_annual, item.out_of_sample_annual) for item in walked]),
        _lost(_ratio([(item.in_sample, item.out_of_sample) for item in walked])),
        sum(changed) / len(changed) if changed else None,
    )


def _walk(
    evaluate: Evaluator,
    numbers: IntArray,
    number: int,
    fold: Fold,
    periods: float,
    choose: Choose,
) -> tuple[SearchedFold, FloatArray]:
    searched = _evaluate(evaluate, numbers, fold.in_sample, number, keep_returns=False)
    place = choose(searched.figures)
    if place is None:
        nothing = np.zeros(len(fold.out_of_sample))
        missing = (None, None, None, None, None)
        return SearchedFold(fold, *missing, searched.read, None), nothing
    chosen = numbers[place : place + 1]
    before = _evaluate(evaluate, chosen, fold.in_sample, number, keep_returns=True)
    after = _evaluate(evaluate, chosen, fold.out_of_sample, number, keep_returns=True)
    assert before.returns is not None
    assert after.returns is not None
    read = Window(
        min(searched.read.start, before.read.start), max(searched.read.stop, before.read.stop)
    )
    found = SearchedFold(
        fold,
        int(chosen[0]),
        _defined(before.figures[0]),
        _defined(after.figures[0]),
        annual_mean_return(before.returns[0], periods),
        annual_mean_return(after.returns[0], periods),
        read,
        after.read,
    )
    return found, after.returns[0]


def _evaluate(
    evaluate: Evaluator, sets: IntArray, window: Window, number: int, *, keep_returns: bool
) -> WindowResult:
    """Run sets, and check what was really read and judged."""
    found = evaluate(sets, window, keep_returns=keep_returns)
    if found.read.stop > window.stop:
        raise WindowOverlapError(
            f"fold {number} read bars {found.read.start} to {found.read.stop - 1} for the window "
            f"{_words(window)}: it had bars at hand that come after it"
        )
    if found.judged != window:
        raise WindowOverlapError(
            f"fold {number} was to be judged on bars {_words(window)} and was judged on "
            f"{_words(found.judged)}"
        )
    return found


def _words(window: Window) -> str:
    return f"{window.start} to {window.stop - 1}"


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _ratio(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    """Return the mean of the later figures over that of the earlier, where both are defined."""
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    if not known:
        return None
    before, after = np.mean(np.array(known), axis=0)
    return float(after / before) if before > 0.0 else None


def _lost(ratio: float | None) -> float | None:
    return None if ratio is None else 1.0 - ratio
