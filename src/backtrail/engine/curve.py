"""The equity curve: what an account was worth at every bar."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import Bars
from backtrail.engine.journal import Record
from backtrail.engine.ledger import Amount
from backtrail.engine.market import Market
from backtrail.engine.result import Column, Table

__all__ = ["curve_table"]

FloatArray = npt.NDArray[np.float64]


def curve_table(record: Record, benchmark: str | None, benchmark_bars: Bars | None) -> Table:
    """Return the table `backtest_results`."""
    market = record.market
    timestamps = market.bars.timestamps
    n = len(timestamps)
    cash = _steps(record.cash_changes, n)
    net, gross = _positions(record, n)
    total = cash + net
    solvent = None if total.min() > 0.0 else total > 0.0
    returns = np.full(n, np.nan)
    _divide(total[1:], total[:-1], returns[1:], None if solvent is None else solvent[:-1])
    returns[1:] -= 1.0
    exposure, net_exposure = np.full(n, np.nan), np.full(n, np.nan)
    _divide(gross, total, exposure, solvent)
    _divide(net, total, net_exposure, solvent)
    benchmark_returns: Column = [None] * n
    if benchmark is not None:
        source = market if benchmark_bars is None else Market(benchmark_bars)
        benchmark_returns = _nullable(_benchmark_returns(source, benchmark, timestamps))
    return {
        "timestamp": timestamps,
        "portfolio_value": total,
        "cash": cash,
        "positions_value": net,
        "gross_exposure": _nullable(exposure),
        "net_exposure": _nullable(net_exposure),
        "returns": _nullable(returns),
        "drawdown": total / np.maximum.accumulate(total) - 1.0,
        "benchmark_returns": benchmark_returns,
    }


def _positions(record: Record, n: int) -> tuple[FloatArray, FloatArray]:
    """Return net and gross value of what is held at every bar."""
    market = record.market
    net, gross = np.zeros(n), np.zeros(n)
    changes: dict[int, list[tuple[int, Amount]]] = {}
    for holding in record.holdings:
        change = (holding.row, holding.quantity)
        changes.setdefault(holding.column, [(0, 0.0)]).append(change)
    for column in sorted(changes, key=market.bars.symbols.__getitem__):
        value = _steps(changes[column], n)
        if market.counts[column] is None:
            value *= market.mark_column(column)
        else:  # without a price nothing is held
            np.multiply(value, market.mark_column(column), out=value, where=value != 0.0)
        net += value
        gross += np.abs(value)
    return net, gross


def _steps(changes: Sequence[tuple[int, Amount]], n: int) -> FloatArray:
    """Return what holds at every bar; of the changes of a row the last one counts."""
    rows = np.array([row for row, _ in changes])
    values = np.array([float(value) for _, value in changes])
    lengths = np.empty_like(rows)
    np.subtract(rows[1:], rows[:-1], out=lengths[:-1])
    lengths[-1] = n - rows[-1]
    return np.repeat(values, lengths)


def _divide(
    above: FloatArray, below: FloatArray, out: FloatArray, where: npt.NDArray[np.bool_] | None
) -> None:
    np.divide(above, below, out=out, where=True if where is None else where)


def _nullable(values: FloatArray) -> Column:
    missing = np.flatnonzero(np.isnan(values)).tolist()
    if not missing:
        return values
    items: list[float | None] = values.tolist()
    for row in missing:
        items[row] = None
    return items


def _benchmark_returns(
    market: Market, benchmark: str, timestamps: npt.NDArray[np.int64]
) -> FloatArray:
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
