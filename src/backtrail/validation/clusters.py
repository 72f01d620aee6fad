"""How many different ideas a search tried: trials in groups that move alike.

Lopez de Prado and Lewis (2019), Detection of False Investment Strategies Using Unsupervised
Learning Methods, count clusters of correlated trials in place of trials. Their clusters come from
k-means with random starts; here they come from average linkage (Sokal and Michener 1958), which has
no chance in it: the two groups with the highest mean correlation between their members become one,
until the highest is below a stated level.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.validation.block_moments import checked_returns

__all__ = ["Clusters", "cluster_trials", "spread_evenly"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_MOST_TRIALS: Final = 5_000  # their correlations take 200 MB


@dataclass(frozen=True, slots=True)
class Clusters:
    """Groups of trials.

    Attributes:
        labels: Group of each trial, shape (trials,); groups are numbered by their first trial. A
            trial that never moved is a group of its own.
        count: Number of groups: the effective number of trials.
        sharpe_variance: Variance (ddof 1) over the groups of the Sharpe ratio per bar of each
            group's mean return, members weighted by the inverse of their variance, as in the paper;
            0 with a single group.
        least_correlation: Mean correlation from which on groups are one.
    """

    labels: IntArray
    count: int
    sharpe_variance: float
    least_correlation: float


def cluster_trials(returns: npt.ArrayLike, *, least_correlation: float = 0.5) -> Clusters:
    """Return groups of trials whose returns are alike.

    Args:
        returns: Returns per bar, one row per trial, shape (trials, bars), at most 5,000 trials; of
            a larger search take `spread_evenly`.
        least_correlation: Groups are joined while the mean correlation between the members of two
            of them is this or more.

    Raises:
        ValueError: If the shape does not fit, a return is not finite, or there are too many trials.
    """
    matrix, _ = checked_returns(returns)
    if not 1 <= len(matrix) <= _MOST_TRIALS or matrix.shape[1] < 3:
        raise ValueError(
            f"returns has shape {matrix.shape}; pass 1 to {_MOST_TRIALS:,} trials of 3 bars or more"
        )
    if not 0.0 < least_correlation < 1.0:
        raise ValueError(f"least_correlation is {least_correlation}; it lies between 0 and 1")
    centered = matrix - matrix.mean(axis=1)[:, np.newaxis]
    lengths = np.sqrt((centered**2).sum(axis=1))
    moved = lengths > 1e-14 * np.abs(matrix).max(axis=1) * np.sqrt(matrix.shape[1])
    units = centered[moved] / lengths[moved, np.newaxis]
    roots = np.arange(len(matrix))
    roots[moved] = np.flatnonzero(moved)[_average_linkage(units @ units.T, least_correlation)]
    firsts, labels = np.unique(roots, return_inverse=True)
    ratios = [_group_sharpe(matrix[labels == group]) for group in range(len(firsts))]
    variance = float(np.var(ratios, ddof=1)) if len(ratios) > 1 else 0.0
    return Clusters(labels.astype(np.int64), len(firsts), variance, least_correlation)


def spread_evenly(trials: int, most: int) -> IntArray:
    """Return the numbers of at most so many trials, evenly spaced over a search, first and last in.

    Neighbors in a space of parameters are the most alike, so the groups of an even sample are few
    less than those of all trials.
    """
    if trials <= most:
        return np.arange(trials)
    return np.unique(np.rint(np.linspace(0, trials - 1, most)).astype(np.int64))


def _average_linkage(correlations: FloatArray, least: float) -> IntArray:
    """Return the first member of each one's group, by a chain of nearest neighbors.

    Mean correlations after a merger are the weighted means of those before, and two groups that
    are each other's nearest stay so whatever is merged elsewhere; the chain finds such pairs.
    """
    count = len(correlations)
    near = correlations.copy()
    np.fill_diagonal(near, -np.inf)
    sizes = np.ones(count)
    roots = np.arange(count)
    active = np.ones(count, dtype=bool)
    chain: list[int] = []
    while active.any():
        if not chain:
            chain.append(int(np.flatnonzero(active)[0]))
        last = chain[-1]
        nearest = int(near[last].argmax())
        # Of several nearest the one before in the chain, else the chain would go round.
        if len(chain) > 1 and near[last, chain[-2]] >= near[last, nearest]:
            nearest = chain[-2]
        if not near[last, nearest] >= least:
            # Nothing is near enough, now or later: means never pass the largest of their parts.
            active[last] = False
            near[last], near[:, last] = -np.inf, -np.inf
            chain.pop()
        elif len(chain) > 1 and nearest == chain[-2]:
            del chain[-2:]
            kept, gone = min(last, nearest), max(last, nearest)
            _merge(near, sizes, kept, gone)
            active[gone] = False
            roots[roots == gone] = kept
        else:
            chain.append(nearest)
    return roots


def _merge(near: FloatArray, sizes: FloatArray, kept: int, gone: int) -> None:
    total = sizes[kept] + sizes[gone]
    row = (sizes[kept] * near[kept] + sizes[gone] * near[gone]) / total
    row[kept] = -np.inf
    near[kept], near[:, kept] = row, row
    near[gone], near[:, gone] = -np.inf, -np.inf
    sizes[kept] = total


def _group_sharpe(members: FloatArray) -> float:
    variances = members.var(axis=1, ddof=1)
    if not (variances > 0.0).all():
        return 0.0
    weights = 1.0 / variances
    mean = (weights[:, np.newaxis] * members).sum(axis=0) / weights.sum()
    deviation = float(mean.std(ddof=1))
    return float(mean.mean()) / deviation if deviation > 0.0 else 0.0
