"""Statistics over a moving window, for showing how steady a run was."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from backtrail.data.calendars import SessionYear, is_daily, periods_per_year
from backtrail.metrics import risk_free_per_period

__all__ = ["RollingWindow", "rolling_windows"]

_MAX_POINTS = 1_300
_US_PER_DAY = 86_400_000_000
_SHARES = (("quarter", 4), ("half a year", 2), ("year", 1))

_Floats = NDArray[np.float64]
_Moments = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RollingWindow:
    """Statistics of the returns inside a window that ends at each moment.

    Attributes:
        label: Length of the window in words.
        size: How many returns it holds.
        step: Every how many returns a value is kept; the last one always is.
        moments: Where the windows end, microseconds since 1970.
        sharpe: Annual Sharpe ratio over the risk-free rate; NaN where the returns do not vary.
        volatility: Annual volatility as a fraction, ddof 1.
        beta: Beta to the benchmark; None without one.
    """

    label: str
    size: int
    step: int
    moments: _Moments
    sharpe: _Floats
    volatility: _Floats
    beta: _Floats | None


def rolling_windows(
    moments: _Moments,
    equity: _Floats,
    benchmark: _Floats | None,
    *,
    calendar: str,
    timeframe: str,
    year: SessionYear | None = None,
    days: _Moments | None = None,
    start: float | None = None,
    risk_free: float = 0.0,
) -> list[RollingWindow]:
    """Return the windows that fit into a run at least twice, the shortest first.

    Bars shorter than a day are first joined to days: noise within a session is no risk that a year
    of windows could show.

    Args:
        moments: Microseconds since 1970 of the bars, ascending.
        equity: Account value after each bar.
        benchmark: Value of the benchmark after each bar, on any scale.
        calendar: Calendar of the dataset.
        timeframe: Timeframe of the dataset.
        year: What a year of the calendar has, where it does not come with this package.
        days: Session date of each bar, days since 1970; None where it is the UTC date.
        start: What the account began with; None where that is the first value of equity.
        risk_free: Annual risk-free rate.
    """
    if not is_daily(timeframe):
        days = moments // _US_PER_DAY if days is None else days
        last = np.append(np.flatnonzero(np.diff(days)), moments.size - 1)
        moments, equity = moments[last], equity[last]
        benchmark = None if benchmark is None else benchmark[last]
        timeframe, start = "1d", None  # what came before the first day's end is in no return
    periods = periods_per_year(calendar, timeframe, year)
    returns = _returns(equity, start)
    other = None if benchmark is None else _returns(benchmark)
    riskless = risk_free_per_period(risk_free, periods)
    windows = []
    for label, share in _SHARES:
        size = round(periods / share)
        if size > 2 and returns.size >= 2 * size:
            words, ends = f"{label}, {size}", moments[1:]
            windows.append(_window(words, size, ends, returns, other, periods, riskless))
    return windows


def _returns(values: _Floats, start: float | None = None) -> _Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        change = values[1:] / values[:-1] - 1
    if start is not None and change.size:
        change[0] = values[1] / start - 1
    return np.where(values[:-1] > 0, change, np.nan)


def _window(
    label: str,
    size: int,
    moments: _Moments,
    returns: _Floats,
    other: _Floats | None,
    periods: float,
    riskless: float,
) -> RollingWindow:
    count = returns.size - size + 1
    step = -(-count // _MAX_POINTS)
    kept = np.arange(count - 1, -1, -step)[::-1]
    inside = sliding_window_view(returns, size)[kept]
    mean, deviation = inside.mean(axis=1), inside.std(axis=1, ddof=1)
    varies = np.ptp(inside, axis=1) > 0
    sharpe = np.full(kept.size, np.nan)
    np.divide(mean - riskless, deviation, out=sharpe, where=varies)
    return RollingWindow(
        label=label,
        size=size,
        step=step,
        moments=moments[kept + size - 1],
        sharpe=sharpe * np.sqrt(periods),
        volatility=deviation * np.sqrt(periods),
        beta=None if other is None else _beta(inside, sliding_window_view(other, size)[kept]),
    )


def _beta(left: _Floats, right: _Floats) -> _Floats:
    centered = right - right.mean(axis=1, keepdims=True)
    variance = (centered**2).sum(axis=1)
    beta = np.full(variance.size, np.nan)
    above = (left * centered).sum(axis=1)
    np.divide(above, variance, out=beta, where=np.ptp(right, axis=1) > 0)
    return beta
