"""From the record of a finished account to the tables of its result."""

from collections.abc import Sequence
from functools import cache
from typing import Final

from backtrail.engine.bars import Bars
from backtrail.engine.curve import curve_table
from backtrail.engine.journal import Action, Fill, Finished, Placed, Record
from backtrail.engine.ledger import LOT, MONEY_QUANTUM
from backtrail.engine.market import Market
from backtrail.engine.result import RunResult, Table, Tables
from backtrail.engine.trades import trade_table
from backtrail.errors import ConfigError, Problem

__all__ = ["build_result", "check_benchmark"]

Recorded = Sequence[tuple[int, str, float | None]]

_VIOLATION_COLUMNS: Final = ("rule", "symbol", "order_id", "action", "limit", "found", "message")


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
    account: Finished,
    recorded: Recorded,
    benchmark: str | None,
    benchmark_bars: Bars | None,
    capital_base: float,
) -> RunResult:
    """Return the result of a finished account; each table is made when it is first looked at."""
    record = cache(account.record)
    return RunResult(
        Tables(
            {
                "backtest_results": lambda: curve_table(
                    account.market,
                    *account.steps(),
                    benchmark,
                    benchmark_bars,
                    capital_base=capital_base,
                ),
                "orders": lambda: _order_table(record()),
                "fills": lambda: _fill_table(record()),
                "positions": lambda: _position_table(record()),
                "trades": lambda: trade_table(record()),
                "corporate_actions": lambda: _action_table(record()),
                "recorded": lambda: _recorded_table(account.market, recorded),
                "risk_violations": lambda: _violation_table(record()),
            }
        ),
        account.commission,
        account.slippage,
    )


def _order_table(record: Record) -> Table:
    at = record.market.bars.timestamps.item
    symbols, exactly = record.market.bars.symbols, record.amounts.exactly
    columns = list(zip(*record.orders, strict=True)) or [()] * len(Placed._fields)
    orders = dict(zip(Placed._fields, columns, strict=True))
    return {
        "order_id": list(range(1, len(record.orders) + 1)),
        "created_at": [at(row) for row in orders["row"]],
        "symbol": [symbols[column] for column in orders["column"]],
        "style": list(orders["style"]),
        "sizing": list(orders["sizing"]),
        "amount": list(orders["amount"]),
        "limit_price": list(orders["limit"]),
        "stop_price": list(orders["stop"]),
        "quantity": exactly(orders["quantity"], LOT),
        "filled_quantity": exactly(orders["filled"], LOT),
        "status": list(orders["status"]),
        "reason": list(orders["reason"]),
        "filled_at": [None if row is None else at(row) for row in orders["filled_row"]],
    }


def _fill_table(record: Record) -> Table:
    at = record.market.bars.timestamps.item
    symbols, amounts = record.market.bars.symbols, record.amounts
    fills = [entry for entry in record.journal if isinstance(entry, Fill)]
    exactly = amounts.exactly
    return {
        "fill_id": list(range(1, len(fills) + 1)),
        "order_id": [fill.order_id for fill in fills],
        "timestamp": [at(fill.row) for fill in fills],
        "symbol": [symbols[fill.column] for fill in fills],
        "quantity": exactly([fill.quantity for fill in fills], LOT),
        "price": exactly([amounts.number(fill.price) for fill in fills], MONEY_QUANTUM),
        "value": exactly([fill.value for fill in fills], MONEY_QUANTUM),
        "commission": exactly([fill.commission for fill in fills], MONEY_QUANTUM),
        "slippage": exactly([fill.slippage for fill in fills], MONEY_QUANTUM),
        "cash_after": exactly([fill.cash_after for fill in fills], MONEY_QUANTUM),
        "reason": [fill.reason for fill in fills],
    }


def _position_table(record: Record) -> Table:
    market, amounts = record.market, record.amounts
    at, symbols, exactly = market.bars.timestamps.item, market.bars.symbols, amounts.exactly
    last = {(holding.row, symbols[holding.column]): holding for holding in record.holdings}
    ordered = [last[key] for key in sorted(last)]
    costs = [one.average_cost if one.quantity else None for one in ordered]
    prices = [amounts.number(market.marks[one.column][one.row]) for one in ordered]
    return {
        "timestamp": [at(one.row) for one in ordered],
        "symbol": [symbols[one.column] for one in ordered],
        "quantity": exactly([one.quantity for one in ordered], LOT),
        "average_cost": exactly(costs, MONEY_QUANTUM),
        "last_price": exactly(prices, MONEY_QUANTUM),
    }


def _action_table(record: Record) -> Table:
    at, symbols = record.market.bars.timestamps.item, record.market.bars.symbols
    actions = [entry for entry in record.journal if isinstance(entry, Action)]
    exactly = record.amounts.exactly
    return {
        "timestamp": [at(action.row) for action in actions],
        "symbol": [symbols[action.column] for action in actions],
        "kind": [action.kind for action in actions],
        "quantity_before": exactly([action.before for action in actions], LOT),
        "quantity_after": exactly([action.after for action in actions], LOT),
        "cash": exactly([action.cash for action in actions], MONEY_QUANTUM),
    }


def _violation_table(record: Record) -> Table:
    at = record.market.bars.timestamps.item
    table: Table = {"timestamp": [at(row) for row, _ in record.violations]}
    for name in _VIOLATION_COLUMNS:
        table[name] = [getattr(violation, name) for _, violation in record.violations]
    return table


def _recorded_table(market: Market, recorded: Recorded) -> Table:
    at = market.bars.timestamps.item
    last = {(row, name): value for row, name, value in recorded}
    return {
        "timestamp": [at(row) for row, _ in last],
        "name": [name for _, name in last],
        "value": list(last.values()),
    }
