"""Metrics of round trips and of trading.

`pnl` are the profits of closed trades, net of commission, in money, in any order, shape (m,). None
means undefined; that includes every average over no trade. Empty arrays are meaningful here: a run
may well have no trade.
"""

import numpy as np
import numpy.typing as npt

__all__ = [
    "average_bars_held",
    "average_loss",
    "average_win",
    "expectancy",
    "exposure",
    "profit_factor",
    "total_trades",
    "turnover",
    "win_rate",
]


def total_trades(pnl: npt.ArrayLike) -> int:
    """Return the number of closed trades.

    Source: own.
    """
    return len(_floats(pnl))


def win_rate(pnl: npt.ArrayLike) -> float | None:
    """Return the share of closed trades with pnl > 0; None without a trade.

    Source: as backtesting.py.
    """
    values = _floats(pnl)
    return float(np.mean(values > 0.0)) if len(values) else None


def profit_factor(pnl: npt.ArrayLike) -> float | None:
    """Return sum of wins / -sum of losses, in money; None without a losing trade.

    Source: as backtesting.py, in money instead of percent.
    """
    values = _floats(pnl)
    losses = -float(np.sum(values[values < 0.0]))
    return float(np.sum(values[values > 0.0])) / losses if losses else None


def expectancy(pnl: npt.ArrayLike) -> float | None:
    """Return the mean pnl of a closed trade, in money; None without a trade.

    Source: own.
    """
    values = _floats(pnl)
    return float(np.mean(values)) if len(values) else None


def average_win(pnl: npt.ArrayLike) -> float | None:
    """Return the mean pnl of winning trades; None without one.

    Source: own.
    """
    values = _floats(pnl)
    return expectancy(values[values > 0.0])


def average_loss(pnl: npt.ArrayLike) -> float | None:
    """Return the mean pnl of losing trades, negative; None without one.

    Source: own.
    """
    values = _floats(pnl)
    return expectancy(values[values < 0.0])


def average_bars_held(bars_held: npt.ArrayLike) -> float | None:
    """Return the mean number of bars from entry to exit of closed trades; None without one.

    Source: own.
    """
    values = _floats(bars_held)
    return float(np.mean(values)) if len(values) else None


def exposure(gross_exposure: npt.ArrayLike) -> float | None:
    """Return the share of bars with a holding: gross exposure above zero; None without a bar.

    Source: as the exposure time of backtesting.py.
    """
    values = _floats(gross_exposure)
    return float(np.mean(values > 0.0)) if len(values) else None


def turnover(
    fill_values: npt.ArrayLike, equity: npt.ArrayLike, periods_per_year: float
) -> float | None:
    """Return sum(|value|) / mean(equity) * periods_per_year / (number of bars - 1).

    Money bought and sold per year over the mean equity. None with fewer than two bars or a mean
    equity not above zero.

    Source: own; a purchase and its sale both count.

    Args:
        fill_values: Quantity times price of every fill, signed or not.
        equity: Portfolio value per bar.
        periods_per_year: Bars per year.
    """
    values, curve = np.abs(_floats(fill_values)), _floats(equity)
    if len(curve) < 2 or float(np.mean(curve)) <= 0.0:
        return None
    return float(np.sum(values) / np.mean(curve) * periods_per_year / (len(curve) - 1))


def _floats(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
