"""Whether the best of many trials beats a benchmark, the search itself taken into account.

White (2000), A Reality Check for Data Snooping, and Hansen (2005), A Test for Superior Predictive
Ability, with the stationary bootstrap. The null hypothesis is that no trial is better than the
benchmark. Hansen's statistic is studentized: a steady small gain counts for more than a large noisy
one, so a crowd of noisy trials hides it less.

Both tests need of a trial only what it adds to the largest statistic of each resampled history, so
trials may be measured in parts. The sums over a history are made of whole numbers: returns are
rounded to 2^-40 of the trial's largest one or so, as finely as lets every sum be exact. No order of
adding, and no number of processors, can then change a digit.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.validation.block_moments import checked_returns
from backtrail.validation.resampling import count_bars, draw_positions

__all__ = ["BootstrapMaxima", "SuperiorityTest", "reality_check", "superior_ability"]

FloatArray = npt.NDArray[np.float64]
Counts = Iterable[npt.NDArray[np.uint16]]

_LEAST_BARS = 10
_EXACT_BITS = 53  # whole numbers up to 2^53 are exact in a double
_ROWS_AT_ONCE = 512  # histories
# White's, and Hansen's with three ways of centering.
_KINDS: Final = ("white", "lower", "consistent", "upper")
_NONE: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class SuperiorityTest:
    """A test of the best trial against a benchmark.

    Attributes:
        statistic: The largest (studentized) mean difference, times the root of the bars.
        best: Number of the trial with the largest one.
        p_lower: P-value with the null centered as if every worse trial were at its own mean.
        p_value: The p-value to use: Hansen's consistent one; White's for the reality check.
        p_upper: P-value with every trial at the benchmark, which is the least favorable case.
        samples: Number of resampled histories.
        block: Their mean block length in bars.
    """

    statistic: float
    best: int
    p_lower: float
    p_value: float
    p_upper: float
    samples: int
    block: float


@dataclass(frozen=True, slots=True)
class BootstrapMaxima:
    """What some trials add to both tests; parts merge by the larger value.

    Attributes:
        scores: Largest statistic of White and of Hansen, shape (2,); minus infinity without one.
        best: Numbers of the trials that have them, shape (2,).
        maxima: Largest statistic in each resampled history, shape (4, samples): White's, and
            Hansen's by the lower, the consistent and the upper centering.
        block: Mean block length in bars.
    """

    scores: FloatArray
    best: npt.NDArray[np.int64]
    maxima: FloatArray
    block: float

    @classmethod
    def of(
        cls,
        differences: npt.ArrayLike,
        counts: Counts,
        *,
        block: float,
        numbers: npt.ArrayLike | None = None,
    ) -> "BootstrapMaxima":
        """Measure trials.

        Args:
            differences: Return of each trial less that of the benchmark per bar, one row per
                trial, shape (m, bars); m may be 0.
            counts: How often each bar stands in the resampled histories; see
                `ResampledHistories`. The same for all parts.
            block: Mean length of a block in bars.
            numbers: Numbers of the trials, ascending; 0 to m - 1 when None.

        Raises:
            ValueError: If the shape does not fit or a value is not finite.
        """
        matrix, named = checked_returns(differences, numbers)
        trials, bars = matrix.shape
        if bars < _LEAST_BARS:
            raise ValueError(
                f"differences have shape {(bars, trials)}; pass bars x trials with ten bars or more"
            )
        whole, units = _as_whole_numbers(matrix)
        root = math.sqrt(bars)
        means = whole.sum(axis=1) * units / bars
        deviations = _long_run_deviations(matrix, block)
        moved = deviations > 0.0
        scale = root / np.where(moved, deviations, 1.0)
        studentized = np.where(moved, means * scale, -np.inf)
        threshold = -math.sqrt(2.0 * math.log(math.log(bars)))
        kept = np.where(studentized >= threshold, means, 0.0)
        centers = (np.maximum(means, 0.0), kept, means)
        found = []
        for some in counts:
            for first in range(0, len(some), _ROWS_AT_ONCE):
                drawn = some[first : first + _ROWS_AT_ONCE].astype(np.float64) @ whole.T
                drawn *= units / bars
                white = root * np.max(drawn - means, axis=1, initial=-np.inf)
                rest = [
                    np.max((drawn - center) * scale, axis=1, where=moved, initial=-np.inf)
                    for center in centers
                ]
                found.append(np.array([white, *rest]))
        scores, best = zip(_largest(root * means, named), _largest(studentized, named), strict=True)
        return cls(np.array(scores), np.array(best), np.concatenate(found, axis=1), block)

    @classmethod
    def merge(cls, parts: Sequence["BootstrapMaxima"]) -> "BootstrapMaxima":
        """Return what the trials of all parts add together."""
        scores, best = parts[0].scores.copy(), parts[0].best.copy()
        maxima = parts[0].maxima.copy()
        for part in parts[1:]:
            if part.maxima.shape != maxima.shape or part.block != parts[0].block:
                raise ValueError("parts of different resampled histories do not belong together")
            taken = (part.scores > scores) | ((part.scores == scores) & (part.best < best))
            scores = np.where(taken, part.scores, scores)
            best = np.where(taken, part.best, best)
            np.maximum(maxima, part.maxima, out=maxima)
        return cls(scores, best, maxima, parts[0].block)

    def superior_ability(self) -> SuperiorityTest:
        """Return Hansen's test; see the function of that name.

        Raises:
            ValueError: If no trial differs from the benchmark.
        """
        if not self.scores[1] > -np.inf:
            raise ValueError("no trial ever differs from the benchmark; there is nothing to test")
        statistic = max(float(self.scores[1]), 0.0)
        drawn = np.maximum(self.maxima[1:], 0.0)
        lower, consistent, upper = (self._p_value(row, statistic) for row in drawn)
        return SuperiorityTest(
            statistic, int(self.best[1]), lower, consistent, upper, drawn.shape[1], self.block
        )

    def reality_check(self) -> SuperiorityTest:
        """Return White's test; see the function of that name.

        Raises:
            ValueError: If there is no trial.
        """
        if not self.scores[0] > -np.inf:
            raise ValueError("there is no trial to test")
        statistic = float(self.scores[0])
        p_value = self._p_value(self.maxima[0], statistic)
        samples = self.maxima.shape[1]
        return SuperiorityTest(
            statistic, int(self.best[0]), p_value, p_value, p_value, samples, self.block
        )

    @staticmethod
    def _p_value(drawn: FloatArray, statistic: float) -> float:
        return (1 + int(np.count_nonzero(drawn >= statistic))) / (1 + len(drawn))


def superior_ability(
    differences: npt.ArrayLike,
    *,
    block: float,
    samples: int,
    generator: np.random.Generator,
) -> SuperiorityTest:
    """Return Hansen's test for superior predictive ability.

    T = max(max_k sqrt(n) d_k / w_k, 0) beside its bootstrap with d*_k - g(d_k) in place of d_k; w_k
    is the long-run deviation by the kernel of the stationary bootstrap. g leaves out of the
    centering trials so bad that they cannot matter: max(d, 0) (lower), d 1{sqrt(n) d / w >=
    -sqrt(2 ln ln n)} (consistent), d (upper).

    Args:
        differences: Return of each trial less that of the benchmark per bar, shape (bars, trials).
            A trial that never differs from the benchmark is left out.
        block: Mean length of a block in bars.
        samples: Number of resampled histories.
        generator: Source of the draws.

    Raises:
        ValueError: If the shape does not fit, a value is not finite, or no trial differs.
    """
    return _maxima(differences, block, samples, generator).superior_ability()


def reality_check(
    differences: npt.ArrayLike,
    *,
    block: float,
    samples: int,
    generator: np.random.Generator,
) -> SuperiorityTest:
    """Return White's reality check: V = max_k sqrt(n) d_k beside max_k sqrt(n) (d*_k - d_k).

    Not studentized. The three p-values are one and the same.

    Args:
        differences: As for `superior_ability`.
        block: Mean length of a block in bars.
        samples: Number of resampled histories.
        generator: Source of the draws.
    """
    return _maxima(differences, block, samples, generator).reality_check()


def _maxima(
    differences: npt.ArrayLike, block: float, samples: int, generator: np.random.Generator
) -> BootstrapMaxima:
    matrix = np.asarray(differences, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] < 1:
        raise ValueError(
            f"differences have shape {matrix.shape}; pass bars x trials with ten bars or more"
        )
    positions = draw_positions(len(matrix), block, samples, generator)
    return BootstrapMaxima.of(matrix.T, map(count_bars, positions), block=block)


def _as_whole_numbers(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return whole numbers, and what one of them is worth in each row, a power of two.

    Counts over a history add up to its bars, so no sum of counted numbers passes 2^53.
    """
    bits = _EXACT_BITS - math.ceil(math.log2(matrix.shape[1]))
    largest = np.max(np.abs(matrix), axis=1, initial=0.0)
    units: FloatArray = np.ldexp(1.0, np.frexp(largest)[1] - bits)
    return np.rint(matrix / units[:, np.newaxis]), units


def _long_run_deviations(matrix: FloatArray, block: float) -> FloatArray:
    """Return the root of the sum of k_i c_i, c_i the circular autocovariances at lag i, per row.

    Politis and Romano (1994), the variance that the stationary bootstrap itself gives a mean, whose
    blocks run around the end: k_0 = 1 and k_i = (n-i)/n (1-q)^i + i/n (1-q)^(n-i), q = 1/block. The
    sum over all lags is taken as one over frequencies, of histories filled up with zeros where
    their length has a large factor: those of such a length take several times as long.
    """
    bars = matrix.shape[1]
    lags = np.arange(bars)
    keep = 1.0 - 1.0 / block
    kernel = (bars - lags) / bars * keep**lags
    kernel[1:] += lags[1:] / bars * keep ** (bars - lags[1:])
    length = bars
    if not _is_smooth(bars):
        length = next(n for n in itertools.count(2 * bars - 1) if _is_smooth(n))
        kernel = np.concatenate([kernel, np.zeros(length - 2 * bars + 1), kernel[:0:-1]])
    weights = np.fft.rfft(kernel).real / (bars * length)
    weights[1 : (length + 1) // 2] *= 2.0  # the other half of the frequencies mirrors these
    deviations = np.zeros(len(matrix))
    for number, row in enumerate(matrix):  # one by one, so that no row depends on its neighbors
        centered = row - row.mean()
        spectrum = np.fft.rfft(centered, length)
        variance = float(((spectrum.real**2 + spectrum.imag**2) * weights).sum())
        # Rounding leaves a trace where nothing moved.
        if variance > 1e-28 * float(np.max(np.abs(centered))) ** 2:
            deviations[number] = math.sqrt(variance)
    return deviations


def _is_smooth(number: int) -> bool:
    """Say whether a number has no prime factor above 7."""
    for factor in (2, 3, 5, 7):
        while number % factor == 0:
            number //= factor
    return number == 1


def _largest(values: FloatArray, numbers: npt.NDArray[np.int64]) -> tuple[float, int]:
    if not len(values):
        return -math.inf, _NONE
    place = int(values.argmax())
    return float(values[place]), int(numbers[place])
