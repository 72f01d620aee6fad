"""Columns of artifacts: bars, results, trades, fills and figures."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from backtrail.artifacts.schemas import ARTIFACT_SCHEMAS, TIMESTAMP


def moments(count: int, *, start: datetime | None = None, step: timedelta | None = None) -> Any:
    first = start or datetime(2020, 1, 1, tzinfo=UTC)
    gap = step or timedelta(days=1)
    return [first + index * gap for index in range(count)]


def bars_of(symbol: str, times: Any, close: np.ndarray, spread: float = 0.01) -> pl.DataFrame:
    opens = np.concatenate((close[:1], close[:-1]))
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(close),
            "timestamp": times,
            "open": opens,
            "high": np.maximum(opens, close) * (1 + spread),
            "low": np.minimum(opens, close) * (1 - spread),
            "close": close,
            "volume": np.full(len(close), 1000.0),
        },
        schema_overrides={"timestamp": TIMESTAMP},
    )


def results_of(times: Any, equity: np.ndarray, benchmark: np.ndarray | None = None) -> Any:
    peak = np.maximum.accumulate(equity)
    returns = [None, *(equity[1:] / equity[:-1] - 1).tolist()]
    return {
        "timestamp": times,
        "portfolio_value": equity,
        "cash": equity,
        "positions_value": np.zeros(len(equity)),
        "gross_exposure": np.zeros(len(equity)),
        "net_exposure": np.zeros(len(equity)),
        "returns": returns,
        "drawdown": np.where(peak > 0, equity / peak - 1, 0.0),
        "benchmark_returns": [None] * len(equity)
        if benchmark is None
        else [None, *(benchmark[1:] / benchmark[:-1] - 1).tolist()],
    }


def summary_of(**values: float | None) -> dict[str, list[Any]]:
    fractions = {
        "total_return",
        "cagr",
        "max_drawdown",
        "annual_volatility",
        "win_rate",
        "exposure",
        "value_at_risk",
        "conditional_value_at_risk",
        "alpha",
        "expectancy",
    }
    counts = {"total_trades"}
    return {
        "metric": list(values),
        "value": list(values.values()),
        "unit": [
            "fraction" if name in fractions else "count" if name in counts else "ratio"
            for name in values
        ],
        "assumption": [f"{name}: 252 periods per year, simple returns" for name in values],
    }


def trade(number: int, symbol: str, entry: datetime, leave: datetime | None, **changes: Any) -> Any:
    row = {
        "trade_id": number,
        "symbol": symbol,
        "side": "long",
        "entry_at": entry,
        "exit_at": leave,
        "entry_price": Decimal("100"),
        "exit_price": None if leave is None else Decimal("101"),
        "quantity": Decimal("10"),
        "pnl": Decimal("10"),
        "commission": Decimal("0"),
        "slippage": Decimal("0"),
        "return": 0.01,
        "bars_held": 3,
        "mae": -0.01,
        "mfe": 0.02,
        "is_open": leave is None,
    }
    return {**row, **changes}


def table(artifact: str, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in ARTIFACT_SCHEMAS[artifact]}


def trade_table(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return table("trades", rows)


def fill(
    number: int, symbol: str, moment: datetime, quantity: float, price: float, cost: float
) -> dict[str, Any]:
    value = Decimal(f"{quantity * price:.6f}")
    return {
        "fill_id": number,
        "order_id": number,
        "timestamp": moment,
        "symbol": symbol,
        "quantity": Decimal(f"{quantity:.6f}"),
        "price": Decimal(f"{price:.6f}"),
        "value": value,
        "commission": abs(value) * Decimal(repr(cost)),
        "slippage": Decimal(0),
        "cash_after": Decimal(0),
        "reason": "order",
    }
