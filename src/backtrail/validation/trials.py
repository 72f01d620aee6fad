"""What a search through many trials finds by luck alone.

`trials` is the number of parameter sets ever evaluated, deleted runs included; the trial ledger of
a run store counts them. Sharpe ratios are per bar unless a name says annual.
"""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from backtrail.metrics import SharpeConvention, SharpeEstimate

__all__ = [
    "deflated_sharpe_ratio",
    "effective_trials",
    "expected_maximum",
    "expected_maximum_sharpe",
    "least_years",
    "most_trials",
    "trials_worth",
]

_EULER = 0.57721566490153286
_MOST_SEARCHED = 10**15


def expected_maximum(trials: float, *, exact: bool = False) -> float:
    """Return the expected maximum of independent standard normal variables.

    (1 - gamma) Phi^-1(1 - 1/N) + gamma Phi^-1(1 - 1/(N e)): Bailey, Borwein, Lopez de Prado and Zhu
    (2014), Pseudo-Mathematics and Financial Charlatanism. Too high by 2 % at N = 10 and 1 % at 100.

    Args:
        trials: Number of variables, one or more; it may be a broken number when it is an effective
            one.
        exact: Integrate the distribution of the maximum instead of using the approximation.
    """
    if not trials >= 1.0:
        raise ValueError(f"trials is {trials}; at least one was made")
    if trials == 1.0:
        return 0.0
    normal = NormalDist()
    if exact:
        return _integrated_maximum(trials)
    low, high = normal.inv_cdf(1.0 - 1.0 / trials), normal.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return (1.0 - _EULER) * low + _EULER * high


def _integrated_maximum(trials: float) -> float:
    # E max = integral of 1 - F^N over x > 0 less that of F^N over x < 0; the tails end at 12.
    normal = NormalDist()
    grid = np.linspace(-12.0, 12.0, 24_001)
    logs = np.array([_log_cdf(normal, float(x)) for x in grid])
    powers = np.exp(trials * logs)
    above = grid >= 0.0
    positive = np.trapezoid(1.0 - powers[above], grid[above])
    below = grid <= 0.0
    return float(positive - np.trapezoid(powers[below], grid[below]))


def _log_cdf(normal: NormalDist, x: float) -> float:
    if x > 0.0:
        return math.log1p(-0.5 * math.erfc(x / math.sqrt(2.0)))
    return math.log(max(0.5 * math.erfc(-x / math.sqrt(2.0)), 1e-300))


def expected_maximum_sharpe(trials: float, variance: float) -> float:
    """Return SR0, the best ratio that trials without skill are expected to reach.

    sqrt(V) E[max_N]: Bailey and Lopez de Prado (2014), The Deflated Sharpe Ratio.

    Args:
        trials: Number of independent trials.
        variance: Variance of the Sharpe ratios over the trials, per bar.
    """
    if not variance >= 0.0:
        raise ValueError(f"variance is {variance}; it is zero or positive")
    return math.sqrt(variance) * expected_maximum(trials)


def deflated_sharpe_ratio(
    best: SharpeEstimate,
    *,
    trials: float,
    variance: float,
    convention: SharpeConvention = "bailey_2012",
) -> float | None:
    """Return the probability that the best of many trials has a true Sharpe ratio above luck.

    The probabilistic Sharpe ratio against SR0: Bailey and Lopez de Prado (2014).

    Args:
        best: The selected trial.
        trials: Number of independent trials; with the number of all trials it is on the safe side.
        variance: Variance of the Sharpe ratios over the trials, per bar.
        convention: See `SharpeEstimate`.

    Returns:
        Near 1 for skill; None where the moments allow no variance.
    """
    benchmark = expected_maximum_sharpe(trials, variance)
    return best.probability_above(benchmark, convention=convention)


def least_years(trials: float, annual_sharpe: float = 1.0) -> float:
    """Return the minimum backtest length.

    (E[max_N] / SR)^2: with fewer years, trials without skill are expected to show that annual ratio
    in sample. Bailey, Borwein, Lopez de Prado and Zhu (2014).
    """
    if not annual_sharpe > 0.0:
        raise ValueError(f"annual_sharpe is {annual_sharpe}; it must be positive")
    return (expected_maximum(trials) / annual_sharpe) ** 2


def most_trials(years: float, annual_sharpe: float = 1.0) -> int:
    """Return how many trials so many years can bear: the largest N with `least_years` <= years."""
    if not years > 0.0:
        raise ValueError(f"years is {years}; it must be positive")
    low, high = 1, 2
    while least_years(high, annual_sharpe) <= years:
        low, high = high, high * 2
        if high > _MOST_SEARCHED:
            return low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if least_years(middle, annual_sharpe) <= years else (low, middle)
    return low


def effective_trials(returns: npt.ArrayLike) -> float:
    """Return how many independent trials correlated ones are worth.

    r + (1 - r) N with r the mean correlation between trials, at least zero: Bailey and Lopez de
    Prado (2014), The Deflated Sharpe Ratio, appendix A.3. A figure beside the count, never instead
    of it.

    Args:
        returns: Returns per bar of every trial, shape (bars, trials). A trial that never moved has
            no correlation and counts as one of its own.
    """
    matrix = np.asarray(returns, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] < 2 or matrix.shape[1] < 1:
        raise ValueError(f"returns has shape {matrix.shape}; pass two bars or more of some trials")
    count = matrix.shape[1]
    centered = matrix - matrix.mean(axis=0)
    norms = np.sqrt((centered**2).sum(axis=0))
    moved = norms > 0.0
    total = centered[:, moved] / norms[moved]
    # The sum of a correlation matrix is the squared length of the sum of its unit vectors.
    pairs = float((total.sum(axis=1) ** 2).sum()) - int(moved.sum())
    return trials_worth(pairs, count)


def trials_worth(pairs: float, count: int) -> float:
    """Return `effective_trials` of so many trials from the sum of the correlations of all pairs.

    Args:
        pairs: Sum over ordered pairs of two different trials.
        count: Number of trials.
    """
    mean = pairs / (count * (count - 1)) if count > 1 else 0.0
    return 1.0 + (count - 1) * (1.0 - max(mean, 0.0))
