"""From the record of a finished account to the tables of its result."""

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np

from backtrail.engine.bars import Bars
from backtrail.engine.curve import curve_table
from backtrail.engine.journal import Finished, Record
from backtrail.engine.ledger import LOT, MONEY_QUANTUM, Numbers, listed
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
    bars, exactly = record.market.bars, record.amounts.exactly
    orders = record.orders()
    return {
        "order_id": _counted(orders["row"]),
        "created_at": _moments(bars, orders["row"]),
        "symbol": _names(bars, orders["column"]),
        "style": listed(orders["style"]),
        "sizing": listed(orders["sizing"]),
        "amount": listed(orders["amount"]),
        "limit_price": listed(orders["limit"]),
        "stop_price": listed(orders["stop"]),
        "quantity": exactly(orders["quantity"], LOT),
        "filled_quantity": exactly(orders["filled"], LOT),
        "status": listed(orders["status"]),
        "reason": listed(orders["reason"]),
        "filled_at": _moments(bars, orders["filled_row"]),
    }


def _fill_table(record: Record) -> Table:
    bars, amounts = record.market.bars, record.amounts
    fills, exactly = record.fills(), amounts.exactly
    return {
        "fill_id": _counted(fills["row"]),
        "order_id": listed(fills["order_id"]),
        "timestamp": _moments(bars, fills["row"]),
        "symbol": _names(bars, fills["column"]),
        "quantity": exactly(fills["quantity"], LOT),
        "price": exactly(amounts.numbers(fills["price"]), MONEY_QUANTUM),
        "value": exactly(fills["value"], MONEY_QUANTUM),
        "commission": exactly(fills["commission"], MONEY_QUANTUM),
        "slippage": exactly(fills["slippage"], MONEY_QUANTUM),
        "cash_after": exactly(fills["cash_after"], MONEY_QUANTUM),
        "reason": listed(fills["reason"]),
    }


def _position_table(record: Record) -> Table:
    bars, amounts = record.market.bars, record.amounts
    found, exactly = record.positions(), amounts.exactly
    held = zip(listed(found["average_cost"]), listed(found["quantity"]), strict=True)
    prices = record.market.marked(found["row"], found["column"])
    return {
        "timestamp": _moments(bars, found["row"]),
        "symbol": _names(bars, found["column"]),
        "quantity": exactly(found["quantity"], LOT),
        "average_cost": exactly([cost if shares else None for cost, shares in held], MONEY_QUANTUM),
        "last_price": exactly(amounts.numbers(prices), MONEY_QUANTUM),
    }


def _action_table(record: Record) -> Table:
    bars, exactly = record.market.bars, record.amounts.exactly
    actions = record.actions()
    return {
        "timestamp": _moments(bars, actions["row"]),
        "symbol": _names(bars, actions["column"]),
        "kind": listed(actions["kind"]),
        "quantity_before": exactly(actions["before"], LOT),
        "quantity_after": exactly(actions["after"], LOT),
        "cash": exactly(actions["cash"], MONEY_QUANTUM),
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


def _counted(entries: Numbers) -> list[int]:
    return list(range(1, len(entries) + 1))


def _names(bars: Bars, columns: Numbers) -> list[str]:
    symbols = bars.symbols
    if len(symbols) == 1:
        return list(symbols) * len(columns)
    return [symbols[column] for column in listed(columns)]


def _moments(bars: Bars, rows: Numbers) -> list[int | None]:
    """Return times of bars; None stays."""
    if isinstance(rows, np.ndarray):
        return listed(bars.timestamps.take(rows))
    at = bars.timestamps.item
    return [None if row is None else at(row) for row in rows]
