"""A strategy beside a benchmark.

Both series are simple returns of the same bars, oldest first, shape (n,). Every function raises
EmptySeriesError when there is no return and ValueError when one is not finite or lengths differ.
"""

import math

import numpy as np
import numpy.typing as npt

from backtrail.metrics._series import FloatArray, checked_pair, spread

__all__ = [
    "alpha",
    "alpha_arithmetic",
    "beta",
    "information_ratio",
    "period_information_ratio",
    "r_squared",
    "tracking_error",
]


def beta(returns: npt.ArrayLike, benchmark: npt.ArrayLike) -> float | None:
    """Return cov(r, b) / var(b); None when the benchmark does not vary.

    Source: as empyrical and quantstats, of simple returns.
    """
    return _beta(*checked_pair(returns, benchmark))


def alpha(
    returns: npt.ArrayLike,
    benchmark: npt.ArrayLike,
    periods_per_year: float,
    risk_free_per_period: float = 0.0,
) -> float | None:
    """Return (1 + a)^periods_per_year - 1, a = mean(r) - beta mean(b) of excess returns per bar.

    Compounded over a year. None when beta is undefined, or a year of it is below -1 or no float.

    Source: Jensen (1968), as empyrical.
    """
    left, right = checked_pair(returns, benchmark)
    value = _period_alpha(left - risk_free_per_period, right - risk_free_per_period)
    if value is None or value <= -1.0:
        return None
    try:
        growth: float = (1.0 + value) ** periods_per_year - 1.0
    except OverflowError:
        return None
    return growth


def alpha_arithmetic(
    returns: npt.ArrayLike, benchmark: npt.ArrayLike, periods_per_year: float
) -> float | None:
    """Return (mean(r) - beta mean(b)) * periods_per_year; None when beta is undefined.

    Not compounded and without a risk-free rate, as quantstats; `alpha` is what summaries have.
    """
    left, right = checked_pair(returns, benchmark)
    value = _period_alpha(left, right)
    return None if value is None else value * periods_per_year


def r_squared(returns: npt.ArrayLike, benchmark: npt.ArrayLike) -> float | None:
    """Return corr(r, b)^2, the squared correlation; None when either series does not vary.

    Source: as quantstats.
    """
    left, right = checked_pair(returns, benchmark)
    if not spread(left) or not spread(right):
        return None
    return float(np.corrcoef(left, right)[0, 1] ** 2)


def tracking_error(
    returns: npt.ArrayLike, benchmark: npt.ArrayLike, periods_per_year: float
) -> float | None:
    """Return std(r - b, ddof=1) * sqrt(periods_per_year); None with a single return.

    Source: Grinold and Kahn (2000), Active Portfolio Management.
    """
    left, right = checked_pair(returns, benchmark)
    return spread(left - right) * math.sqrt(periods_per_year) if len(left) > 1 else None


def information_ratio(
    returns: npt.ArrayLike, benchmark: npt.ArrayLike, periods_per_year: float
) -> float | None:
    """Return mean(r - b) / std(r - b, ddof=1) * sqrt(periods_per_year).

    Annual; None when the difference is constant.

    Source: Goodwin (1998), The Information Ratio.
    """
    value = period_information_ratio(returns, benchmark)
    return None if value is None else value * math.sqrt(periods_per_year)


def period_information_ratio(returns: npt.ArrayLike, benchmark: npt.ArrayLike) -> float | None:
    """Return mean(r - b) / std(r - b, ddof=1) per bar, as empyrical, quantstats and ffn.

    None when the difference is constant. `information_ratio` is the annual one.
    """
    left, right = checked_pair(returns, benchmark)
    deviation = spread(left - right)
    return float(np.mean(left - right)) / deviation if deviation else None


def _beta(left: FloatArray, right: FloatArray) -> float | None:
    if not spread(right):
        return None
    covariance = np.cov(left, right, ddof=1)
    return float(covariance[0, 1] / covariance[1, 1])


def _period_alpha(left: FloatArray, right: FloatArray) -> float | None:
    slope = _beta(left, right)
    return None if slope is None else float(np.mean(left) - slope * np.mean(right))
