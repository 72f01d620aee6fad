"""Statistics of a search too large to keep the returns of every parameter set.

Sets are measured in chunks, in any division and any order; a chunk leaves some hundred bytes per
set and a few thousand per resampled history. Put together they give the probability of overfitting,
the reality check, the test for superior predictive ability and the number of trials the sets are
worth, byte for byte as from the whole matrix.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.validation.backtest_overfitting import Overfitting, overfitting_of
from backtrail.validation.block_moments import BlockMoments, checked_returns
from backtrail.validation.resampling import ResampledHistories
from backtrail.validation.superiority import BootstrapMaxima, SuperiorityTest
from backtrail.validation.trials import trials_worth

__all__ = ["Likeness", "SearchPart", "SearchStatistics"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_DIRECTION_BITS: Final = 40  # the sum of four million unit vectors stays within 63 bits


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike the returns of some sets are, as the sum of their unit vectors.

    Attributes:
        sets: How many there are.
        moved: How many ever moved; the others have no direction.
        directions: Sum over sets of their centered returns over their length, in units of 2^-40;
            whole numbers, whose sum no order changes. Shape (bars,).
    """

    sets: int
    moved: int
    directions: IntArray

    @classmethod
    def of(cls, returns: npt.ArrayLike) -> "Likeness":
        """Measure sets, one row of returns each, shape (m, bars)."""
        matrix, _ = checked_returns(returns)
        centered = matrix - matrix.mean(axis=1)[:, np.newaxis]
        lengths = np.sqrt((centered**2).sum(axis=1))
        largest = np.max(np.abs(matrix), axis=1, initial=0.0)
        moved = lengths > 1e-14 * largest * math.sqrt(matrix.shape[1])
        units = centered[moved] / lengths[moved, np.newaxis]
        whole = np.rint(units * 2.0**_DIRECTION_BITS).astype(np.int64)
        return cls(len(matrix), int(np.count_nonzero(moved)), whole.sum(axis=0))

    @classmethod
    def merge(cls, parts: Sequence["Likeness"]) -> "Likeness":
        """Return the likeness of all sets."""
        directions = np.sum([part.directions for part in parts], axis=0)
        return cls(sum(part.sets for part in parts), sum(part.moved for part in parts), directions)

    def effective_trials(self) -> float:
        """Return how many independent trials the sets are worth; see the function of that name."""
        total = self.directions * 2.0**-_DIRECTION_BITS
        return trials_worth(float((total**2).sum()) - self.moved, self.sets)


@dataclass(frozen=True, slots=True)
class SearchPart:
    """What some sets of a search leave behind.

    Attributes:
        moments: For the probability of overfitting.
        maxima: For the tests against the benchmark.
        likeness: For the number of independent trials.
    """

    moments: BlockMoments
    maxima: BootstrapMaxima
    likeness: Likeness

    @classmethod
    def merge(cls, parts: Sequence["SearchPart"]) -> "SearchPart":
        """Return what all sets leave behind, whatever the order of the parts.

        Raises:
            ValueError: If a set is in two parts, or they were measured in different ways.
        """
        return cls(
            BlockMoments.merge([part.moments for part in parts]),
            BootstrapMaxima.merge([part.maxima for part in parts]),
            Likeness.merge([part.likeness for part in parts]),
        )

    def overfitting(self) -> Overfitting:
        """Return the probability of backtest overfitting."""
        return overfitting_of([self.moments])

    def superior_ability(self) -> SuperiorityTest:
        """Return Hansen's test against the benchmark of the search."""
        return self.maxima.superior_ability()

    def reality_check(self) -> SuperiorityTest:
        """Return White's test against the benchmark of the search."""
        return self.maxima.reality_check()

    def effective_trials(self) -> float:
        """Return how many independent trials the sets are worth, by their mean correlation."""
        return self.likeness.effective_trials()

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything as arrays, for a file; `from_arrays` takes them back."""
        moments, maxima, likeness = self.moments, self.maxima, self.likeness
        return {
            "numbers": moments.numbers,
            "sums": moments.sums,
            "squares": moments.squares,
            "centers": moments.centers,
            "floors": moments.floors,
            "block_bars": np.array([moments.block_bars, moments.bars_dropped]),
            "scores": maxima.scores,
            "best": maxima.best,
            "maxima": maxima.maxima,
            "block": np.array([maxima.block]),
            "sets": np.array([likeness.sets, likeness.moved]),
            "directions": likeness.directions,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "SearchPart":
        """Return the part that gave these arrays."""
        moments = BlockMoments(
            arrays["numbers"],
            arrays["sums"],
            arrays["squares"],
            arrays["centers"],
            arrays["floors"],
            *(int(value) for value in arrays["block_bars"]),
        )
        maxima = BootstrapMaxima(
            arrays["scores"], arrays["best"], arrays["maxima"], float(arrays["block"][0])
        )
        sets, moved = (int(value) for value in arrays["sets"])
        return cls(moments, maxima, Likeness(sets, moved, arrays["directions"]))


class SearchStatistics:
    """Measures chunks of the sets of one search, all in the same way.

    Args:
        benchmark: Return of the benchmark per bar, shape (bars,); zeros are cash.
        blocks: Blocks of the probability of overfitting: even, from 2 to 20.
        block: Mean length in bars of the blocks of a resampled history.
        samples: Number of resampled histories.
        seed: Decides them; the same for every chunk of a search.
    """

    def __init__(
        self, benchmark: npt.ArrayLike, *, blocks: int, block: float, samples: int, seed: int
    ) -> None:
        self._benchmark = checked_returns(np.asarray(benchmark)[np.newaxis])[0][0]
        self._blocks = blocks
        self._histories = ResampledHistories(
            len(self._benchmark), block=block, samples=samples, seed=seed
        )

    def measure(self, returns: npt.ArrayLike, numbers: npt.ArrayLike | None = None) -> SearchPart:
        """Measure some sets; the time goes into samples x bars x sets multiplications.

        Args:
            returns: Returns per bar, one row per set, shape (m, bars); m may be 0. Sets that failed
                are left out; after ruin an account has returns of zero.
            numbers: Positions of the sets in the space, ascending; 0 to m - 1 when None.

        Raises:
            ValueError: If the shape does not fit or a return is not finite.
        """
        matrix, named = checked_returns(returns, numbers)
        if matrix.shape[1] != len(self._benchmark):
            raise ValueError(
                f"the sets have {matrix.shape[1]} bars and the benchmark {len(self._benchmark)}"
            )
        maxima = BootstrapMaxima.of(
            matrix - self._benchmark,
            self._histories.counts(),
            block=self._histories.block,
            numbers=named,
        )
        moments = BlockMoments.of(matrix, blocks=self._blocks, numbers=named)
        return SearchPart(moments, maxima, Likeness.of(matrix))
