"""Growth and the distribution of returns.

`returns` are simple returns per bar, oldest first, shape (n,); 0.01 is one percent. Every function
raises EmptySeriesError when there is none and ValueError when one is not finite. None means that
the metric is undefined for the series; the docstring says when.
"""

from datetime import timedelta

import numpy as np
import numpy.typing as npt

from backtrail.metrics._series import FloatArray, checked, quantile

__all__ = [
    "annual_mean_return",
    "best_return",
    "cagr",
    "cagr_calendar",
    "equity_returns",
    "gain_loss_ratio",
    "omega_ratio",
    "positive_share",
    "positive_share_nonzero",
    "stability",
    "tail_ratio",
    "total_return",
    "worst_return",
]

_YEAR_US = timedelta(days=365.25) // timedelta(microseconds=1)


def equity_returns(equity: npt.ArrayLike, capital_base: float | None = None) -> FloatArray | None:
    """Return the simple returns per bar of an account, shape (n - 1,).

    Wealth begins with the capital, before the fills of the first close. Fills at the close of the
    first bar (`fill: same_close`) have cost something by then: there is no bar before it that a
    return could lead from, so what they cost is part of the first return, as what is paid at any
    later close is part of the return that ends there. So the number of returns, and with it every
    annual figure, does not depend on whether something was bought at the first bar, and the
    returns compound to what became of the capital.

    Args:
        equity: Portfolio value per bar, shape (n,).
        capital_base: Cash at the start; None where wealth begins with the first value.

    Returns:
        None where there is a single bar, or equity fell to zero or below before the last.
    """
    curve = np.asarray(equity, dtype=np.float64)
    if len(curve) < 2 or not (curve[:-1] > 0.0).all():
        return None
    series: FloatArray = curve[1:] / curve[:-1] - 1.0
    if capital_base is not None and capital_base != curve[0]:
        series[0] = curve[1] / capital_base - 1.0
    return series


def total_return(returns: npt.ArrayLike) -> float:
    """Return prod(1 + r) - 1.

    Source: as empyrical and quantstats.
    """
    return float(np.prod(1.0 + checked(returns)) - 1.0)


def cagr(returns: npt.ArrayLike, periods_per_year: float) -> float | None:
    """Return the compound annual growth rate by count of bars.

    (prod(1 + r))^(periods_per_year / n) - 1, n = number of returns.

    Source: as empyrical and quantstats.

    None when more than everything was lost, or the time is so short that a year of it is no float.
    """
    series = checked(returns)
    return _grown(total_return(series), len(series) / periods_per_year)


def cagr_calendar(returns: npt.ArrayLike, first_us: int, last_us: int) -> float | None:
    """Return the compound annual growth rate by the calendar.

    (P_T / P_0)^(1 / years) - 1, years of 365.25 days.

    Source: as ffn.

    Args:
        returns: Returns between the two moments.
        first_us: Microseconds of the first price, before the first return.
        last_us: Microseconds of the last price.

    Returns:
        As `cagr`; None also when no time has passed.
    """
    years = (last_us - first_us) / _YEAR_US
    return _grown(total_return(returns), years) if years > 0 else None


def annual_mean_return(returns: npt.ArrayLike, periods_per_year: float) -> float:
    """Return mean(r) * periods_per_year, the arithmetic mean of a year.

    Source: as ffn and skfolio.
    """
    return float(np.mean(checked(returns)) * periods_per_year)


def best_return(returns: npt.ArrayLike) -> float:
    """Return max(r), the largest return of a bar.

    Source: as empyrical and quantstats.
    """
    return float(np.max(checked(returns)))


def worst_return(returns: npt.ArrayLike) -> float:
    """Return min(r), the smallest return of a bar.

    Source: as empyrical and quantstats.
    """
    return float(np.min(checked(returns)))


def positive_share(returns: npt.ArrayLike) -> float:
    """Return the share of bars with r > 0 among all bars.

    Source: own; `positive_share_nonzero` is the one of quantstats.
    """
    return float(np.mean(checked(returns) > 0.0))


def positive_share_nonzero(returns: npt.ArrayLike) -> float | None:
    """Return the share of bars with r > 0 among bars with r != 0 (as quantstats); None if none."""
    series = checked(returns)
    moved = int(np.count_nonzero(series))
    return int(np.count_nonzero(series > 0.0)) / moved if moved else None


def gain_loss_ratio(returns: npt.ArrayLike) -> float | None:
    """Return the sum of gains over minus the sum of losses, per bar; None without a loss.

    Libraries call this the profit factor of days; the profit factor of this library is of trades.
    """
    return omega_ratio(returns)


def omega_ratio(returns: npt.ArrayLike, threshold: float = 0.0) -> float | None:
    """Return sum(max(r - t, 0)) / sum(max(t - r, 0)); None when no return is below t.

    Source: Keating and Shadwick (2002), A Universal Performance Measure.

    Args:
        returns: Returns per bar.
        threshold: The return t per bar that divides gains from losses.
    """
    excess = checked(returns) - threshold
    losses = -float(np.sum(excess[excess < 0.0]))
    return float(np.sum(excess[excess > 0.0])) / losses if losses else None


def tail_ratio(returns: npt.ArrayLike) -> float | None:
    """Return |95th percentile| / |5th percentile|, linear interpolation; None when that is 0.

    Source: as empyrical and quantstats.
    """
    series = checked(returns)
    low, high = quantile(series, 0.05), quantile(series, 0.95)
    return abs(high) / abs(low) if low else None


def stability(returns: npt.ArrayLike) -> float | None:
    """Return R squared of a straight line through the cumulative log returns.

    Source: as empyrical.

    None with fewer than three returns, a constant curve, or a loss of everything.
    """
    series = checked(returns)
    if len(series) < 3 or float(np.min(series)) <= -1.0:
        return None
    curve = np.cumsum(np.log1p(series))
    if float(np.ptp(curve)) == 0.0:
        return None
    return float(np.corrcoef(np.arange(len(curve)), curve)[0, 1] ** 2)


def _grown(total: float, years: float) -> float | None:
    wealth = 1.0 + total
    if wealth < 0.0:
        return None
    try:
        growth: float = wealth ** (1.0 / years) - 1.0
    except OverflowError:
        return None
    return growth
