"""The probability of backtest overfitting, by combinatorially symmetric cross-validation.

Bailey, Borwein, Lopez de Prado and Zhu (2017), The Probability of Backtest Overfitting. The bars
are cut into an even number S of blocks of equal length; bars left over at the end are dropped. Each
of the C(S, S/2) choices of half the blocks is once the sample in which the best trial is selected,
and its complement the sample in which the selected one is ranked among all.

Trials without skill that are independent give 0.5. Trials whose Sharpe ratios over all bars are
equal give 1: what one half gains the other half lacks.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

__all__ = ["Overfitting", "backtest_overfitting"]

FloatArray = npt.NDArray[np.float64]

_MOST_BLOCKS = 20  # C(20, 10) is 184,756 splits
_SPLITS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Overfitting:
    """How well the best trial of one half of the bars did in the other half.

    Attributes:
        probability: PBO: share of splits whose selected trial is in the worse half out of sample,
            which is a logit of zero or less.
        probability_of_loss: Share of splits whose selected trial has a Sharpe ratio below zero out
            of sample.
        degradation: Slope of the line of out-of-sample on in-sample Sharpe ratios of the selected
            trials, by least squares; None when the in-sample ratios are all equal.
        intercept: Where that line meets the axis.
        logits: ln(w / (1 - w)) of each split, w the rank out of sample over N + 1, in the order of
            `itertools.combinations` of the blocks.
        selected: Column that was best in sample, for each split.
        in_sample: Its Sharpe ratio per bar there.
        out_of_sample: Its Sharpe ratio per bar in the other half.
        blocks: S.
        bars_dropped: Bars at the end that fill no block.
    """

    probability: float
    probability_of_loss: float
    degradation: float | None
    intercept: float | None
    logits: FloatArray
    selected: npt.NDArray[np.int64]
    in_sample: FloatArray
    out_of_sample: FloatArray
    blocks: int
    bars_dropped: int


def backtest_overfitting(returns: npt.ArrayLike, *, blocks: int = 16) -> Overfitting:
    """Return the probability that selecting the best trial in sample selects noise.

    Trials are judged by their Sharpe ratio per bar (ddof 1); one without variance has the ratio
    zero. The first of several best trials is selected, and trials that tie out of sample share
    their mean rank.

    Args:
        returns: Returns per bar of every trial, shape (bars, trials), two trials or more.
        blocks: S, even, from 2 to 20.

    Raises:
        ValueError: If the shape or the number of blocks does not fit, or a return is not finite.
    """
    matrix = _checked(returns, blocks)
    length = len(matrix) // blocks
    dropped = len(matrix) - length * blocks
    parts = matrix[: length * blocks].reshape(blocks, length, -1)
    # Means and squares about the column's mean, so that a small variance survives the difference.
    centers = parts.mean(axis=(0, 1))
    sums = (parts - centers).sum(axis=1)
    squares = ((parts - centers) ** 2).sum(axis=1)
    floor = 1e-28 * np.max(np.abs(matrix), axis=0) ** 2  # below it, rounding alone is left
    half = length * blocks // 2
    chosen = list(combinations(range(blocks), blocks // 2))
    found = [
        _rank(
            _mask(chosen[start : start + _SPLITS_AT_ONCE], blocks),
            (sums, squares, centers, floor),
            half,
        )
        for start in range(0, len(chosen), _SPLITS_AT_ONCE)
    ]
    selected, inside, outside, ranks = map(np.concatenate, zip(*found, strict=True))
    share = ranks / (matrix.shape[1] + 1)
    logits = np.log(share / (1.0 - share))
    slope, intercept = _line(inside, outside)
    return Overfitting(
        float(np.mean(logits <= 0.0)),
        float(np.mean(outside < 0.0)),
        slope,
        intercept,
        logits,
        selected,
        inside,
        outside,
        blocks,
        dropped,
    )


def _checked(returns: npt.ArrayLike, blocks: int) -> FloatArray:
    matrix = np.asarray(returns, dtype=np.float64)
    if blocks % 2 or not 2 <= blocks <= _MOST_BLOCKS:
        raise ValueError(f"blocks is {blocks}; pass an even number from 2 to {_MOST_BLOCKS}")
    if matrix.ndim != 2 or matrix.shape[1] < 2:
        raise ValueError(
            f"returns has shape {matrix.shape}; pass bars x trials, two trials or more"
        )
    if len(matrix) < 2 * blocks:
        raise ValueError(
            f"{len(matrix)} bars are too few for {blocks} blocks of two bars; pass fewer blocks"
        )
    if not np.isfinite(matrix).all():
        bar, trial = np.argwhere(~np.isfinite(matrix))[0]
        raise ValueError(
            f"the return of trial {trial} at bar {bar} is {matrix[bar, trial]}; pass finite numbers"
        )
    return matrix


def _mask(chosen: list[tuple[int, ...]], blocks: int) -> FloatArray:
    mask = np.zeros((len(chosen), blocks))
    np.put_along_axis(mask, np.array(chosen), 1.0, axis=1)
    return mask


def _rank(
    mask: FloatArray, blocks: tuple[FloatArray, FloatArray, FloatArray, FloatArray], half: int
) -> tuple[npt.NDArray[np.int64], FloatArray, FloatArray, FloatArray]:
    sums, squares, centers, floor = blocks
    inside = _sharpe(mask @ sums, mask @ squares, centers, floor, half)
    others = 1.0 - mask
    outside = _sharpe(others @ sums, others @ squares, centers, floor, half)
    selected = inside.argmax(axis=1)
    rows = np.arange(len(mask))
    own = outside[rows, selected][:, np.newaxis]
    ranks = (outside < own).sum(axis=1) + 0.5 * ((outside == own).sum(axis=1) + 1.0)
    return selected, inside[rows, selected], own[:, 0], ranks


def _sharpe(
    sums: FloatArray, squares: FloatArray, centers: FloatArray, floor: FloatArray, count: int
) -> FloatArray:
    variance = (squares - sums**2 / count) / (count - 1)
    moved = variance > floor
    deviation = np.sqrt(np.where(moved, variance, 1.0))
    return np.where(moved, (centers + sums / count) / deviation, 0.0)


def _line(x: FloatArray, y: FloatArray) -> tuple[float | None, float | None]:
    centered = x - x.mean()
    spread = float(centered @ centered)
    if not spread > 0.0:
        return None, None
    slope = float(centered @ (y - y.mean())) / spread
    return slope, float(y.mean() - slope * x.mean())
