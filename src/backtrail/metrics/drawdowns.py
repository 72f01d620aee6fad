"""Drawdowns: the fall of wealth from its running peak.

`returns` are simple returns per bar, oldest first, shape (n,). Wealth before the first bar is 1 and
counts as a peak, so a loss on the first bar is a drawdown. Every function raises EmptySeriesError
when there is no return and ValueError when one is not finite.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backtrail.metrics._series import FloatArray, checked
from backtrail.metrics.returns import cagr, cagr_calendar

__all__ = [
    "Drawdown",
    "calmar_ratio",
    "calmar_ratio_calendar",
    "deepest_drawdown",
    "drawdown_series",
    "max_drawdown",
    "ulcer_index",
    "ulcer_index_sample",
]


@dataclass(frozen=True, slots=True)
class Drawdown:
    """One fall from a peak, in positions of the price series (0 = before the first return).

    Attributes:
        depth: Zero or negative fraction of the peak.
        peak: Last position at the peak before the fall.
        valley: First position of the lowest wealth.
        recovery: First position after the valley at or above the peak; None if there is none.
    """

    depth: float
    peak: int
    valley: int
    recovery: int | None


def drawdown_series(returns: npt.ArrayLike) -> FloatArray:
    """Return W / cummax(W) - 1 after each bar, shape (n,), zero or negative."""
    return _drawdowns(checked(returns))[1:]


def max_drawdown(returns: npt.ArrayLike) -> float:
    """Return min(W / cummax(W) - 1), the largest fall of wealth W from its running peak.

    Source: as empyrical, quantstats, ffn, skfolio and backtesting.py.

    Returns:
        Zero or negative; -0.2 is a fall of twenty percent.
    """
    return float(np.min(_drawdowns(checked(returns))))


def deepest_drawdown(returns: npt.ArrayLike) -> Drawdown | None:
    """Return where the largest fall began, was deepest and ended; None if wealth never fell."""
    wealth = _wealth(checked(returns))
    falls = wealth / np.maximum.accumulate(wealth) - 1.0
    valley = int(np.argmin(falls))
    if falls[valley] == 0.0:
        return None
    peak = int(np.flatnonzero(falls[:valley] == 0.0)[-1])
    after = np.flatnonzero(wealth[valley:] >= wealth[peak])
    recovery = valley + int(after[0]) if len(after) else None
    return Drawdown(float(falls[valley]), peak, valley, recovery)


def calmar_ratio(returns: npt.ArrayLike, periods_per_year: float) -> float | None:
    """Return cagr / |max_drawdown|; None without a drawdown or a growth rate.

    Source: Young (1991).
    """
    series = checked(returns)
    return _over_drawdown(cagr(series, periods_per_year), series)


def calmar_ratio_calendar(returns: npt.ArrayLike, first_us: int, last_us: int) -> float | None:
    """Return `cagr_calendar` / |max_drawdown|; None without a drawdown or a growth rate."""
    series = checked(returns)
    return _over_drawdown(cagr_calendar(series, first_us, last_us), series)


def ulcer_index(returns: npt.ArrayLike) -> float:
    """Return sqrt(mean(drawdown^2)) over the n bars.

    Source: Martin and McCann (1989).
    """
    return math.sqrt(float(np.mean(drawdown_series(returns) ** 2)))


def ulcer_index_sample(returns: npt.ArrayLike) -> float | None:
    """Return sqrt(sum(drawdown^2) / (n - 1)) as quantstats; None with a single return."""
    falls = drawdown_series(returns)
    return math.sqrt(float(np.sum(falls**2)) / (len(falls) - 1)) if len(falls) > 1 else None


def _wealth(series: FloatArray) -> FloatArray:
    return np.concatenate(([1.0], np.cumprod(1.0 + series)))


def _drawdowns(series: FloatArray) -> FloatArray:
    wealth = _wealth(series)
    return wealth / np.maximum.accumulate(wealth) - 1.0


def _over_drawdown(growth: float | None, series: FloatArray) -> float | None:
    depth = max_drawdown(series)
    return growth / abs(depth) if growth is not None and depth else None
