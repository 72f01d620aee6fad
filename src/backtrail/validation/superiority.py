"""Whether the best of many trials beats a benchmark, the search itself taken into account.

White (2000), A Reality Check for Data Snooping, and Hansen (2005), A Test for Superior Predictive
Ability, with the stationary bootstrap. The null hypothesis is that no trial is better than the
benchmark. Hansen's statistic is studentized: a steady small gain counts for more than a large noisy
one, so a crowd of noisy trials hides it less.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backtrail.validation.resampling import draw_positions

__all__ = ["SuperiorityTest", "reality_check", "superior_ability"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SuperiorityTest:
    """A test of the best trial against a benchmark.

    Attributes:
        statistic: The largest (studentized) mean difference, times the root of the bars.
        best: Column of the trial with the largest one.
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
    matrix = _checked(differences)
    bars = len(matrix)
    means = matrix.mean(axis=0)
    deviations = _long_run_deviations(matrix - means, block)
    moved = deviations > 0.0
    if not moved.any():
        raise ValueError("no trial ever differs from the benchmark; there is nothing to test")
    root = math.sqrt(bars)
    scores = np.where(moved, root * means / np.where(moved, deviations, 1.0), -np.inf)
    statistic = max(float(scores.max()), 0.0)
    threshold = -math.sqrt(2.0 * math.log(math.log(bars)))
    centers = (np.maximum(means, 0.0), np.where(scores >= threshold, means, 0.0), means)
    exceeded = np.zeros(3)
    scale = root / deviations[moved]
    for resampled in _resampled_means(matrix[:, moved], block, samples, generator):
        for kind, center in enumerate(centers):
            drawn = ((resampled - center[moved]) * scale).max(axis=1)
            exceeded[kind] += np.count_nonzero(np.maximum(drawn, 0.0) >= statistic)
    lower, consistent, upper = (float(p) for p in (1.0 + exceeded) / (1.0 + samples))
    best = int(scores.argmax())
    return SuperiorityTest(statistic, best, lower, consistent, upper, samples, block)


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
    matrix = _checked(differences)
    root = math.sqrt(len(matrix))
    means = matrix.mean(axis=0)
    statistic = float(root * means.max())
    exceeded = 0
    for resampled in _resampled_means(matrix, block, samples, generator):
        exceeded += int(np.count_nonzero(root * (resampled - means).max(axis=1) >= statistic))
    p_value = (1 + exceeded) / (1 + samples)
    best = int(means.argmax())
    return SuperiorityTest(statistic, best, p_value, p_value, p_value, samples, block)


def _checked(differences: npt.ArrayLike) -> FloatArray:
    matrix = np.asarray(differences, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] < 1 or matrix.shape[0] < 10:
        raise ValueError(
            f"differences has shape {matrix.shape}; pass bars x trials with ten bars or more"
        )
    if not np.isfinite(matrix).all():
        bar, trial = np.argwhere(~np.isfinite(matrix))[0]
        raise ValueError(
            f"the difference of trial {trial} at bar {bar} is {matrix[bar, trial]}; pass finite "
            "numbers"
        )
    return matrix


def _long_run_deviations(centered: FloatArray, block: float) -> FloatArray:
    """Return the root of g_0 + 2 sum k_i g_i, k_i = (n-i)/n (1-q)^i + i/n (1-q)^(n-i), q = 1/block.

    Politis and Romano (1994): the variance that the stationary bootstrap itself gives a mean. The
    autocovariances come from a Fourier transform, so every lag counts at little cost.
    """
    bars = len(centered)
    size = 1 << (2 * bars - 1).bit_length()
    lags = np.arange(1, bars)
    keep = 1.0 - 1.0 / block
    kernel = (bars - lags) / bars * keep**lags + lags / bars * keep ** (bars - lags)
    weights = np.concatenate([[1.0], 2.0 * kernel])
    variances = np.empty(centered.shape[1])
    for column in range(centered.shape[1]):
        spectrum = np.abs(np.fft.rfft(centered[:, column], size)) ** 2
        variances[column] = weights @ (np.fft.irfft(spectrum, size)[:bars] / bars)
    # Rounding leaves a trace where nothing moved.
    floor = 1e-28 * np.max(np.abs(centered), axis=0) ** 2
    return np.sqrt(np.where(variances > floor, variances, 0.0))


def _resampled_means(
    matrix: FloatArray, block: float, samples: int, generator: np.random.Generator
) -> "list[FloatArray]":
    """Return the means of every trial in resampled histories, the same histories for all trials."""
    bars = len(matrix)
    found = []
    for positions in draw_positions(bars, block, samples, generator):
        rows = np.arange(len(positions))[:, np.newaxis] * bars
        counts = np.bincount((positions + rows).ravel(), minlength=len(positions) * bars)
        found.append(counts.reshape(len(positions), bars).astype(np.float64) @ matrix / bars)
    return found
