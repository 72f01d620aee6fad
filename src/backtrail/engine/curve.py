"""The equity curve: what an account was worth at every bar."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import Bars
from backtrail.engine.journal import Steps
from backtrail.engine.market import Market
from backtrail.engine.result import Column, Table

__all__ = ["benchmark_returns", "curve_table"]

FloatArray = npt.NDArray[np.float64]


def curve_table(
    market: Market,
    cash_steps: Steps,
    held_steps: Mapping[int, Steps],
    benchmark: str | None,
    benchmark_bars: Bars | None,
) -> Table:
    """Return the table `backtest_results`.

    Args:
        market: Prices.
        cash_steps: Cash, from the first row on.
        held_steps: Shares of every column that was ever held, zero before its first row.
        benchmark: Symbol whose returns stand beside those of the account.
        benchmark_bars: Its bars, where it is not part of the market.
    """
    timestamps = market.bars.timestamps
    n = len(timestamps)
    cash = _stretched(*cash_steps, n)
    net, gross = _positions(market, held_steps, n)
    total = cash + net
    solvent = None if total.min() > 0.0 else total > 0.0
    before = None if solvent is None else solvent[:-1]
    returns = np.full(n, np.nan)
    np.subtract(_over(total[1:], total[:-1], before), 1.0, out=returns[1:])
    compared: Column = [None] * n
    if benchmark is not None:
        source = market if benchmark_bars is None else Market(benchmark_bars)
        compared = _nullable(benchmark_returns(source, benchmark, timestamps))
    return {
        "timestamp": timestamps,
        "portfolio_value": total,
        "cash": cash,
        "positions_value": net,
        "gross_exposure": _nullable(_over(gross, total, solvent)),
        "net_exposure": _nullable(_over(net, total, solvent)),
        "returns": _nullable(returns),
        "drawdown": total / np.maximum.accumulate(total) - 1.0,
        "benchmark_returns": compared,
    }


def _over(above: FloatArray, below: FloatArray, where: npt.NDArray[np.bool_] | None) -> FloatArray:
    """Divide; NaN where it is not wanted."""
    found = np.full(len(above), np.nan) if where is not None else np.empty(len(above))
    np.divide(above, below, out=found, where=True if where is None else where)
    return found


def _positions(
    market: Market, held_steps: Mapping[int, Steps], n: int
) -> tuple[FloatArray, FloatArray]:
    """Return net and gross value of what is held at every bar."""
    net, gross = np.zeros(n), np.zeros(n)
    for column in sorted(held_steps, key=market.bars.symbols.__getitem__):
        rows, shares = held_steps[column]
        value = _stretched((0, *rows), (0.0, *shares), n)
        if market.counts[column] is None:
            value *= market.mark_column(column)
        else:  # without a price nothing is held
            np.multiply(value, market.mark_column(column), out=value, where=value != 0.0)
        net += value
        gross += np.abs(value)
    return net, gross


def _stretched(rows: Sequence[int], values: Sequence[float], n: int) -> FloatArray:
    """Return steps as a value per bar."""
    return np.repeat(np.array(values), np.diff(np.array(rows), append=n))


def _nullable(values: FloatArray) -> Column:
    missing = np.isnan(values)
    if not missing.any():
        return values
    items: list[float | None] = values.tolist()
    for row in np.flatnonzero(missing).tolist():
        items[row] = None
    return items


def benchmark_returns(
    market: Market, benchmark: str, timestamps: npt.NDArray[np.int64]
) -> FloatArray:
    """Return what holding a symbol earned per bar, dividends reinvested.

    Args:
        market: Prices that have the symbol.
        benchmark: The symbol.
        timestamps: Bars that returns are wanted for; the last close up to each counts.

    Returns:
        NaN at the first bar, and before the symbol has a price.
    """
    column = market.index[benchmark]
    bars = market.bars
    factor = market.factors[column]
    # One share bought at the start, dividends reinvested at the close they are paid before.
    price = market.mark_column(column) * (1.0 if factor is None else factor)
    paid = bars.dividends[:, column] * (1.0 if factor is None else factor)
    growth = np.ones(len(price))
    known = ~np.isnan(price[:-1])
    np.divide(price[1:] + paid[1:], price[:-1], out=growth[1:], where=known)
    wealth = np.cumprod(growth)
    wealth[np.isnan(price)] = np.nan
    if timestamps is not bars.timestamps:
        at = np.searchsorted(bars.timestamps, timestamps, side="right") - 1
        wealth = np.where(at >= 0, wealth[np.maximum(at, 0)], np.nan)
    returns = np.full(len(timestamps), np.nan)
    returns[1:] = wealth[1:] / wealth[:-1] - 1.0
    return returns
