"""From the journal of a finished simulation to the tables of its result."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import Bars
from backtrail.engine.journal import Action, Fill
from backtrail.engine.ledger import LOT, MONEY_QUANTUM
from backtrail.engine.market import Market
from backtrail.engine.result import Column, RunResult, Table
from backtrail.engine.simulation import Simulation
from backtrail.engine.trades import trade_table
from backtrail.errors import ConfigError, Problem

__all__ = ["benchmark_returns", "build_result", "check_benchmark"]

FloatArray = npt.NDArray[np.float64]
Recorded = Sequence[tuple[int, str, float | None]]

_ORDER_COLUMNS: Final = (
    "order_id",
    "created_at",
    "symbol",
    "style",
    "sizing",
    "amount",
    "limit_price",
    "stop_price",
    "quantity",
    "filled_quantity",
    "status",
    "reason",
    "filled_at",
)
_FILL_COLUMNS: Final = (
    "fill_id",
    "order_id",
    "timestamp",
    "symbol",
    "quantity",
    "price",
    "value",
    "commission",
    "slippage",
    "cash_after",
    "reason",
)
_POSITION_COLUMNS: Final = ("timestamp", "symbol", "quantity", "average_cost", "last_price")
_VIOLATION_COLUMNS: Final = (
    "timestamp",
    "rule",
    "symbol",
    "order_id",
    "action",
    "limit",
    "found",
    "message",
)
_ACTION_COLUMNS: Final = (
    "timestamp",
    "symbol",
    "kind",
    "quantity_before",
    "quantity_after",
    "cash",
)


def check_benchmark(benchmark: str | None, bars: Bars, benchmark_bars: Bars | None) -> None:
    """Refuse a benchmark that has no bars.

    Raises:
        ConfigError: If `benchmark` is in neither set of bars.
    """
    source = bars if benchmark_bars is None else benchmark_bars
    if benchmark is not None and benchmark not in source.symbols:
        known = ", ".join(source.symbols[:10])
        raise ConfigError([Problem("benchmark", repr(benchmark), f"one of {known}, or none")])


def build_result(
    simulation: Simulation,
    recorded: Recorded,
    benchmark: str | None,
    benchmark_bars: Bars | None,
) -> RunResult:
    """Return the tables of a finished simulation."""
    return RunResult(
        {
            "backtest_results": _curve_table(simulation, benchmark, benchmark_bars),
            "orders": _order_table(simulation),
            "fills": _fill_table(simulation),
            "positions": _position_table(simulation),
            "trades": trade_table(simulation),
            "corporate_actions": _action_table(simulation),
            "recorded": _recorded_table(simulation, recorded),
            "risk_violations": _violation_table(simulation),
        },
        simulation.commission,
        simulation.slippage,
    )


def _curve_table(
    simulation: Simulation, benchmark: str | None, benchmark_bars: Bars | None
) -> Table:
    market = simulation.market
    timestamps = market.bars.timestamps
    n = len(timestamps)
    cash = _steps([(row, float(value)) for row, value in simulation.cash_changes], n)
    net, gross = np.zeros(n), np.zeros(n)
    changes: dict[int, list[tuple[int, float]]] = {}
    for holding in simulation.holdings:
        change = (holding.row, float(holding.quantity))
        changes.setdefault(holding.column, [(0, 0.0)]).append(change)
    for column in sorted(changes, key=market.bars.symbols.__getitem__):
        quantity = _steps(changes[column], n)
        value = np.zeros(n)
        np.multiply(quantity, market.mark_column(column), out=value, where=quantity != 0.0)
        net += value
        gross += np.abs(value)
    total = cash + net
    solvent = total > 0.0
    exposure, net_exposure = np.full(n, np.nan), np.full(n, np.nan)
    np.divide(gross, total, out=exposure, where=solvent)
    np.divide(net, total, out=net_exposure, where=solvent)
    returns = np.full(n, np.nan)
    np.divide(total[1:], total[:-1], out=returns[1:], where=solvent[:-1])
    returns[1:] -= 1.0
    compared: Column = [None] * n
    if benchmark is not None:
        source = market if benchmark_bars is None else Market(benchmark_bars)
        compared = _nullable(benchmark_returns(source, benchmark, timestamps))
    return {
        "timestamp": timestamps,
        "portfolio_value": total,
        "cash": cash,
        "positions_value": net,
        "gross_exposure": _nullable(exposure),
        "net_exposure": _nullable(net_exposure),
        "returns": _nullable(returns),
        "drawdown": total / np.maximum.accumulate(total) - 1.0,
        "benchmark_returns": compared,
    }


def _steps(changes: list[tuple[int, float]], n: int) -> FloatArray:
    last = dict(changes)  # the last change of a row counts; rows come in order
    rows = np.fromiter(last.keys(), dtype=np.int64, count=len(last))
    values = np.fromiter(last.values(), dtype=np.float64, count=len(last))
    return np.repeat(values, np.diff(rows, append=n))


def _nullable(values: FloatArray) -> Column:
    missing = np.flatnonzero(np.isnan(values)).tolist()
    if not missing:
        return values
    items: list[float | None] = values.tolist()
    for row in missing:
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


def _order_table(simulation: Simulation) -> Table:
    at, symbol = _axes(simulation)
    shares, zero = simulation.ledger.exactly(LOT), simulation.ledger.zero
    rows = [
        (
            order.order_id,
            at(order.row),
            symbol(order.column),
            order.style.name,
            order.sizing,
            order.amount,
            order.style.limit,
            order.style.stop,
            None if order.quantity is None else shares(order.quantity),
            shares(order.filled or zero),
            order.status,
            order.reason,
            None if order.filled_row is None else at(order.filled_row),
        )
        for order in simulation.book.orders
    ]
    return _columns(_ORDER_COLUMNS, rows)


def _fill_table(simulation: Simulation) -> Table:
    at, symbol = _axes(simulation)
    shares, money = simulation.ledger.exactly(LOT), simulation.ledger.exactly(MONEY_QUANTUM)
    fills = [entry for entry in simulation.journal if isinstance(entry, Fill)]
    rows = [
        (
            number,
            fill.order_id,
            at(fill.row),
            symbol(fill.column),
            shares(fill.quantity),
            money(simulation.ledger.number(fill.price)),
            money(fill.value),
            money(fill.commission),
            money(fill.slippage),
            money(fill.cash_after),
            fill.reason,
        )
        for number, fill in enumerate(fills, start=1)
    ]
    return _columns(_FILL_COLUMNS, rows)


def _position_table(simulation: Simulation) -> Table:
    at, symbol = _axes(simulation)
    shares, money = simulation.ledger.exactly(LOT), simulation.ledger.exactly(MONEY_QUANTUM)
    market = simulation.market
    last = {(holding.row, holding.column): holding for holding in simulation.holdings}
    ordered = sorted(last.values(), key=lambda h: (h.row, symbol(h.column)))
    rows = [
        (
            at(holding.row),
            symbol(holding.column),
            shares(holding.quantity),
            money(holding.average_cost) if holding.quantity else None,
            money(simulation.ledger.number(market.marks[holding.column][holding.row])),
        )
        for holding in ordered
    ]
    return _columns(_POSITION_COLUMNS, rows)


def _action_table(simulation: Simulation) -> Table:
    at, symbol = _axes(simulation)
    shares, money = simulation.ledger.exactly(LOT), simulation.ledger.exactly(MONEY_QUANTUM)
    rows = [
        (
            at(action.row),
            symbol(action.column),
            action.kind,
            shares(action.before),
            shares(action.after),
            money(action.cash),
        )
        for action in simulation.journal
        if isinstance(action, Action)
    ]
    return _columns(_ACTION_COLUMNS, rows)


def _violation_table(simulation: Simulation) -> Table:
    at, _ = _axes(simulation)
    rows = [
        (at(row), *(getattr(violation, name) for name in _VIOLATION_COLUMNS[1:]))
        for row, violation in simulation.guard.violations
    ]
    return _columns(_VIOLATION_COLUMNS, rows)


def _recorded_table(simulation: Simulation, recorded: Recorded) -> Table:
    at, _ = _axes(simulation)
    last = {(row, name): value for row, name, value in recorded}
    rows = [(at(row), name, value) for (row, name), value in last.items()]
    return _columns(("timestamp", "name", "value"), rows)


def _axes(simulation: Simulation) -> tuple[Callable[[int], int], Callable[[int], str]]:
    bars = simulation.market.bars
    return bars.timestamps.item, bars.symbols.__getitem__


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Table:
    if not rows:
        return {name: [] for name in names}
    return {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
