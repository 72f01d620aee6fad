"""Sums over blocks of bars: all that the probability of overfitting needs to know of a trial."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["BlockMoments", "checked_returns"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_MOST_BLOCKS = 20  # C(20, 10) is 184,756 splits


@dataclass(frozen=True, slots=True)
class BlockMoments:
    """Sums and sums of squares of the returns of some trials over each block of bars.

    Attributes:
        numbers: Numbers of the trials, shape (m,), ascending.
        sums: Sums of the returns less the trial's mean, shape (m, blocks).
        squares: Sums of their squares; taken about the mean, so that a small variance survives.
        centers: The means, over the bars of all blocks, shape (m,).
        floors: Variance per trial below which rounding alone is left.
        block_bars: Bars of a block.
        bars_dropped: Bars at the end that fill no block.
    """

    numbers: IntArray
    sums: FloatArray
    squares: FloatArray
    centers: FloatArray
    floors: FloatArray
    block_bars: int
    bars_dropped: int

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return int(self.sums.shape[1])

    def sharpe_ratios(self) -> FloatArray:
        """Return the Sharpe ratio per bar of each trial over all blocks; 0 without variance."""
        count = self.blocks * self.block_bars
        variance = (self.squares.sum(axis=1) - self.sums.sum(axis=1) ** 2 / count) / (count - 1)
        moved = variance > self.floors
        return np.where(moved, self.centers / np.sqrt(np.where(moved, variance, 1.0)), 0.0)

    @classmethod
    def of(
        cls, returns: npt.ArrayLike, *, blocks: int, numbers: npt.ArrayLike | None = None
    ) -> "BlockMoments":
        """Measure trials.

        Args:
            returns: Returns per bar, one row per trial, shape (m, bars); m may be 0.
            blocks: Even, from 2 to 20.
            numbers: Numbers of the trials, ascending; 0 to m - 1 when None.

        Raises:
            ValueError: If the shape or the number of blocks does not fit, or a return is not
                finite.
        """
        if blocks % 2 or not 2 <= blocks <= _MOST_BLOCKS:
            raise ValueError(f"blocks is {blocks}; pass an even number from 2 to {_MOST_BLOCKS}")
        matrix, named = checked_returns(returns, numbers)
        trials, bars = matrix.shape
        if bars < 2 * blocks:
            raise ValueError(
                f"{bars} bars are too few for {blocks} blocks of two bars; pass fewer blocks"
            )
        length = bars // blocks
        used = matrix[:, : length * blocks]
        centers = used.mean(axis=1)
        parts = (used - centers[:, np.newaxis]).reshape(trials, blocks, length)
        largest = np.max(np.abs(matrix), axis=1, initial=0.0)
        sums = parts.sum(axis=2)
        return cls(
            named,
            sums,
            np.square(parts, out=parts).sum(axis=2),
            centers,
            1e-28 * largest**2,
            length,
            bars - length * blocks,
        )

    @classmethod
    def merge(cls, parts: Sequence["BlockMoments"]) -> "BlockMoments":
        """Return the trials of all parts in the order of their numbers."""
        numbers = np.concatenate([part.numbers for part in parts])
        order = np.argsort(numbers, kind="stable")
        if (np.diff(numbers[order]) == 0).any():
            raise ValueError("a trial is in two parts; each is measured once")
        sums, squares, centers, floors = (
            np.concatenate([getattr(part, name) for part in parts])[order]
            for name in ("sums", "squares", "centers", "floors")
        )
        first = parts[0]
        return cls(
            numbers[order], sums, squares, centers, floors, first.block_bars, first.bars_dropped
        )


def checked_returns(
    returns: npt.ArrayLike, numbers: npt.ArrayLike | None = None
) -> tuple[FloatArray, IntArray]:
    """Return rows of returns without gaps in memory, and the numbers of their trials.

    Args:
        returns: One row per trial, shape (m, bars).
        numbers: Ascending; 0 to m - 1 when None.

    Raises:
        ValueError: If a shape does not fit, a return is not finite, or the numbers do not ascend.
    """
    # Sums along rows that lie in one piece do not depend on the other rows.
    matrix = np.ascontiguousarray(returns, dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"returns has shape {matrix.shape}; pass one row per trial")
    named = np.arange(len(matrix)) if numbers is None else np.asarray(numbers, dtype=np.int64)
    if named.shape != (len(matrix),) or (np.diff(named) <= 0).any():
        raise ValueError(f"{len(matrix)} trials need as many numbers, in ascending order")
    if not np.isfinite(matrix).all():
        row, bar = np.argwhere(~np.isfinite(matrix))[0]
        raise ValueError(
            f"the value of trial {named[row]} at bar {bar} is {matrix[row, bar]}; pass finite "
            "numbers"
        )
    return matrix, named
