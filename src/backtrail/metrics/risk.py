"""Risk and risk-adjusted return.

`returns` are simple returns per bar, oldest first, shape (n,). Every function raises
EmptySeriesError when there is none and ValueError when one is not finite. None means undefined.
"""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from backtrail.metrics._series import FloatArray, checked, quantile, spread
from backtrail.metrics.sharpe_estimate import SharpeEstimate

__all__ = [
    "annual_volatility",
    "conditional_value_at_risk",
    "downside_deviation",
    "excess_kurtosis",
    "excess_kurtosis_unbiased",
    "gaussian_value_at_risk",
    "probabilistic_sharpe_ratio",
    "risk_free_of",
    "risk_free_per_period",
    "sharpe_ratio",
    "skewness",
    "skewness_unbiased",
    "sortino_ratio",
    "value_at_risk",
]


def risk_free_of(identity: Mapping[str, Any]) -> float:
    """Return the annual risk-free rate of a run's identity; 0 where it states none."""
    return float(identity.get("risk_free_rate", 0))


def risk_free_per_period(annual_rate: float, periods_per_year: float) -> float:
    """Return the rate per bar that compounds to an annual rate: (1 + rf)^(1/periods) - 1."""
    rate: float = (1.0 + annual_rate) ** (1.0 / periods_per_year) - 1.0
    return rate


def annual_volatility(returns: npt.ArrayLike, periods_per_year: float) -> float | None:
    """Return std(r, ddof=1) * sqrt(periods_per_year); None with a single return.

    Source: as empyrical, quantstats, ffn and skfolio.
    """
    series = checked(returns)
    return spread(series) * math.sqrt(periods_per_year) if len(series) > 1 else None


def sharpe_ratio(
    returns: npt.ArrayLike, periods_per_year: float, risk_free_per_period: float = 0.0
) -> float | None:
    """Return mean(r - rf) / std(r - rf, ddof=1) * sqrt(periods_per_year).

    The mean is the arithmetic one; None without variance.

    Source: Sharpe (1994), The Sharpe Ratio.

    Args:
        returns: Returns per bar.
        periods_per_year: Bars per year.
        risk_free_per_period: Rate per bar; an annual rate is turned into it by
            `risk_free_per_period`.
    """
    ratio = _period_sharpe(checked(returns) - risk_free_per_period)
    return None if ratio is None else ratio * math.sqrt(periods_per_year)


def sortino_ratio(
    returns: npt.ArrayLike, periods_per_year: float, target_per_period: float = 0.0
) -> float | None:
    """Return mean(r - t) / sqrt(sum(min(r - t, 0)^2) / n) * sqrt(periods_per_year).

    n counts all returns, not only the negative ones. None when no return is below the target.

    Source: Sortino and Price (1994).

    Args:
        returns: Returns per bar.
        periods_per_year: Bars per year.
        target_per_period: Return t per bar below which a return counts as a loss.
    """
    excess = checked(returns) - target_per_period
    downside = _downside(excess)
    return float(np.mean(excess)) / downside * math.sqrt(periods_per_year) if downside else None


def downside_deviation(
    returns: npt.ArrayLike, periods_per_year: float, target_per_period: float = 0.0
) -> float:
    """Return sqrt(sum(min(r - t, 0)^2) / n) * sqrt(periods_per_year), n = all returns.

    Source: Sortino and Price (1994), as empyrical.
    """
    return _downside(checked(returns) - target_per_period) * math.sqrt(periods_per_year)


def skewness(returns: npt.ArrayLike) -> float | None:
    """Return m3 / m2^1.5, population moments; None without variance.

    Source: as skfolio; `skewness_unbiased` is the one of pandas.
    """
    return _standard_moment(checked(returns), 3)


def skewness_unbiased(returns: npt.ArrayLike) -> float | None:
    """Return the skewness times sqrt(n (n-1)) / (n-2), as pandas; None if n < 3 or constant."""
    series = checked(returns)
    n = len(series)
    value = _standard_moment(series, 3)
    return None if value is None or n < 3 else value * math.sqrt(n * (n - 1)) / (n - 2)


def excess_kurtosis(returns: npt.ArrayLike) -> float | None:
    """Return m4 / m2^2 - 3, population moments; None without variance.

    Source: as skfolio; `excess_kurtosis_unbiased` is the one of pandas.
    """
    value = _standard_moment(checked(returns), 4)
    return None if value is None else value - 3.0


def excess_kurtosis_unbiased(returns: npt.ArrayLike) -> float | None:
    """Return (n-1)/((n-2)(n-3)) ((n+1) g + 6), g = `excess_kurtosis`; None if n < 4 or constant."""
    series = checked(returns)
    n = len(series)
    value = excess_kurtosis(series)
    if value is None or n < 4:
        return None
    return (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * value + 6.0)


def value_at_risk(returns: npt.ArrayLike, level: float = 0.05) -> float:
    """Return the `level` quantile of the returns, linear interpolation; a loss is negative.

    Source: the historical estimate, as `numpy.percentile`.
    """
    return quantile(checked(returns), level)


def conditional_value_at_risk(returns: npt.ArrayLike, level: float = 0.05) -> float:
    """Return the mean of the returns at or below `value_at_risk`; a loss is negative.

    Source: the historical estimate, as empyrical and quantstats.
    """
    series = checked(returns)
    return float(np.mean(series[series <= value_at_risk(series, level)]))


def gaussian_value_at_risk(returns: npt.ArrayLike, level: float = 0.05) -> float | None:
    """Return the `level` quantile of a normal of their mean and std (ddof 1); None if constant."""
    series = checked(returns)
    deviation = spread(series)
    if not deviation:
        return None
    return NormalDist(float(np.mean(series)), deviation).inv_cdf(level)


def probabilistic_sharpe_ratio(
    returns: npt.ArrayLike, benchmark_sharpe: float = 0.0, risk_free_per_period: float = 0.0
) -> float | None:
    """Return the probability that the true Sharpe ratio exceeds a benchmark.

    Phi[(SR - SR*) sqrt(n-1) / sqrt(1 - g3 SR + (g4-1)/4 SR^2)] with SR per bar of r - rf (ddof 1)
    and population moments, g4 raw. None without variance.

    Source: Bailey and Lopez de Prado (2012), The Sharpe Ratio Efficient Frontier.

    Args:
        returns: Returns per bar.
        benchmark_sharpe: SR*, per bar, not annual.
        risk_free_per_period: Rate per bar, as `sharpe_ratio` takes it.
    """
    estimate = SharpeEstimate.of(returns, risk_free_per_period)
    return None if estimate is None else estimate.probability_above(benchmark_sharpe)


def _period_sharpe(excess: FloatArray) -> float | None:
    deviation = spread(excess)
    return float(np.mean(excess)) / deviation if deviation else None


def _downside(excess: FloatArray) -> float:
    return math.sqrt(float(np.sum(np.minimum(excess, 0.0) ** 2)) / len(excess))


def _standard_moment(series: FloatArray, order: int) -> float | None:
    if not spread(series):
        return None
    centered = series - np.mean(series)
    return float(np.mean(centered**order) / np.mean(centered**2) ** (order / 2.0))
