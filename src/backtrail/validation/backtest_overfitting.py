"""The probability of backtest overfitting, by combinatorially symmetric cross-validation.

Bailey, Borwein, Lopez de Prado and Zhu (2017), The Probability of Backtest Overfitting. The bars
are cut into an even number S of blocks of equal length; bars left over at the end are dropped. Each
of the C(S, S/2) choices of half the blocks is once the sample in which the best trial is selected,
and its complement the sample in which the selected one is ranked among all.

Trials without skill that are independent give 0.5. Trials whose Sharpe ratios over all bars are
equal give 1: what one half gains the other half lacks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from backtrail.validation.block_moments import BlockMoments

__all__ = ["Overfitting", "backtest_overfitting", "overfitting_of"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_SETS_AT_ONCE = 128
_VALUES_AT_ONCE = 1 << 15  # 256 KB: what is worked on stays near the processor


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
        selected: Number of the trial that was best in sample, for each split.
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
    selected: IntArray
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
    matrix = np.asarray(returns, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] < 2:
        raise ValueError(
            f"returns has shape {matrix.shape}; pass bars x trials, two trials or more"
        )
    return overfitting_of([BlockMoments.of(matrix.T, blocks=blocks)])


def overfitting_of(parts: Sequence[BlockMoments]) -> Overfitting:
    """Return the same from the moments of the trials, which may come in parts.

    Every byte of the answer is the same however the trials are divided, and whatever the order.

    Args:
        parts: Of one search, no trial in two of them. They are gone through twice, one part in
            memory at a time if the sequence loads what it is asked for.

    Raises:
        ValueError: If there are fewer than two trials, or the parts are not of the same blocks.
    """
    trials = _checked(parts)
    splits = _Splits(parts[0].blocks)
    found = _Selection(len(splits.low))
    for numbers, rows, mirrored, ratios, others in _half_pairs(parts, splits):
        found.take_best(rows, numbers, ratios, others)
        found.take_best(mirrored, numbers, others, ratios)
    for _, rows, mirrored, ratios, others in _half_pairs(parts, splits):
        found.take_ranks(rows, others)
        found.take_ranks(mirrored, ratios)
    share = (0.5 * (found.below + found.not_above + 1)) / (trials + 1)
    logits = np.log(share / (1.0 - share))
    slope, intercept = _line(found.inside, found.outside)
    return Overfitting(
        float(np.mean(logits <= 0.0)),
        float(np.mean(found.outside < 0.0)),
        slope,
        intercept,
        logits,
        found.selected,
        found.inside,
        found.outside,
        parts[0].blocks,
        parts[0].bars_dropped,
    )


def _checked(parts: Sequence[BlockMoments]) -> int:
    kinds = {(part.blocks, part.block_bars, part.bars_dropped) for part in parts}
    trials = sum(len(part.numbers) for part in parts)
    if len(kinds) > 1:
        raise ValueError(f"parts of different blocks do not belong to one search: {sorted(kinds)}")
    if trials < 2:
        raise ValueError(f"there are {trials} trials; overfitting needs two or more")
    return trials


class _Splits:
    """Which blocks each half has, as two binary numbers: of the earlier blocks, of the later."""

    def __init__(self, blocks: int) -> None:
        chosen = np.array(list(combinations(range(blocks), blocks // 2)))
        bits = (1 << chosen).sum(axis=1)
        self.width = blocks // 2
        self.low: IntArray = bits & ((1 << self.width) - 1)
        self.high: IntArray = bits >> self.width


class _Ratios:
    """Sharpe ratios of some trials in any half of the blocks.

    The sums over half the blocks are one entry of a table over the earlier blocks plus one of a
    table over the later: two additions in place of S, always in the same order.
    """

    def __init__(self, part: BlockMoments, trials: slice, splits: _Splits) -> None:
        count = part.block_bars * splits.width
        self._splits = splits
        self._factor = count / (count - 1)
        self._sums = _subset_sums(part.sums[trials].T / count)
        self._squares = _subset_sums(part.squares[trials].T / (count - 1))
        self._centers = part.centers[trials]
        self._floors = part.floors[trials]
        inner = np.sort(part.squares[trials] - part.sums[trials] ** 2 / part.block_bars, axis=1)
        least = inner[:, : splits.width].sum(axis=1) / (count - 1)
        # The variance within blocks is a part of that of any half.
        self._all_move = bool((least > 2.0 * self._floors).all())

    def of(self, rows: IntArray) -> FloatArray:
        """Return the ratios, shape (splits, trials)."""
        low, high = self._splits.low[rows], self._splits.high[rows]
        mean = self._sums[0][low]
        mean += self._sums[1][high]
        variance = self._squares[0][low]
        variance += self._squares[1][high]
        drift = mean * mean
        drift *= self._factor
        variance -= drift
        mean += self._centers
        if self._all_move:
            np.sqrt(variance, out=variance)
            mean /= variance
            return mean
        moved = variance > self._floors
        deviation = np.sqrt(np.where(moved, variance, 1.0))
        return np.where(moved, mean / deviation, 0.0)


def _subset_sums(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return sums over every subset of the first half of the rows, and of the second."""
    width = len(values) // 2
    tables = []
    for half in (values[:width], values[width:]):
        table = np.zeros((1 << width, values.shape[1]))
        for bit, row in enumerate(half):
            table[1 << bit : 2 << bit] = table[: 1 << bit] + row
        tables.append(table)
    return tables[0], tables[1]


def _half_pairs(
    parts: Sequence[BlockMoments], splits: _Splits
) -> Iterator[tuple[IntArray, IntArray, IntArray, FloatArray, FloatArray]]:
    """Yield trials, splits, the complements of these, and the ratios in both.

    In the order of `combinations` the complement of a choice is as far from the end as the choice
    is from the beginning.
    """
    count = len(splits.low)
    for part in parts:
        for first in range(0, len(part.numbers), _SETS_AT_ONCE):
            trials = slice(first, first + _SETS_AT_ONCE)
            ratios = _Ratios(part, trials, splits)
            numbers = part.numbers[trials]
            step = max(1, _VALUES_AT_ONCE // len(numbers))
            for start in range(0, count // 2, step):
                rows = np.arange(start, min(start + step, count // 2))
                mirrored = count - 1 - rows
                yield numbers, rows, mirrored, ratios.of(rows), ratios.of(mirrored)


class _Selection:
    """The trial that each split selects so far, and its rank in the other half."""

    def __init__(self, splits: int) -> None:
        self.inside = np.full(splits, -np.inf)
        self.outside = np.full(splits, np.nan)
        self.selected = np.full(splits, np.iinfo(np.int64).max)
        self.below = np.zeros(splits, dtype=np.int64)
        self.not_above = np.zeros(splits, dtype=np.int64)

    def take_best(
        self, splits: IntArray, numbers: IntArray, inside: FloatArray, outside: FloatArray
    ) -> None:
        best = inside.argmax(axis=1)
        places = np.arange(len(splits))
        ratios, number = inside[places, best], numbers[best]
        known = self.inside[splits]
        is_first = (ratios == known) & (number < self.selected[splits])
        taken = (ratios > known) | is_first
        where = splits[taken]
        self.inside[where] = ratios[taken]
        self.selected[where] = number[taken]
        self.outside[where] = outside[places, best][taken]

    def take_ranks(self, splits: IntArray, outside: FloatArray) -> None:
        own = self.outside[splits][:, np.newaxis]
        self.below[splits] += np.count_nonzero(outside < own, axis=1)
        self.not_above[splits] += np.count_nonzero(outside <= own, axis=1)


def _line(x: FloatArray, y: FloatArray) -> tuple[float | None, float | None]:
    centered = x - x.mean()
    spread = float((centered * centered).sum())
    if not spread > 0.0:
        return None, None
    slope = float((centered * (y - y.mean())).sum()) / spread
    return slope, float(y.mean() - slope * x.mean())
