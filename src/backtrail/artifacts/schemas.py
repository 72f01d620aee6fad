"""The declared schema of every Parquet artifact of a run: columns, dtypes, units.

Timestamps are UTC. Money columns of fills and trades are exact decimals with ten places, quantities
with nine; curves and ratios are float64. Missing is null, never 0.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

__all__ = [
    "ARTIFACT_SCHEMAS",
    "CURVES_SCHEMA",
    "MONEY",
    "PARAMETER_COLUMN",
    "QUANTITY",
    "SEARCH_SCHEMAS",
    "TIMESTAMP",
    "VALIDATION_SCHEMAS",
    "ArtifactSchema",
    "parameter_dtype",
    "search_schema",
]

TIMESTAMP = pl.Datetime("us", "UTC")
MONEY = pl.Decimal(38, 10)
QUANTITY = pl.Decimal(38, 9)

ArtifactSchema = dict[str, pl.DataType]

ARTIFACT_SCHEMAS: dict[str, ArtifactSchema] = {
    # One row per bar. Returns are fractions, null on the first bar. Wealth begins with the capital,
    # so what fills at the close of the first bar have cost is in the return of the second.
    "backtest_results": {
        "timestamp": TIMESTAMP,
        "portfolio_value": pl.Float64(),  # at the close, after the fills of the bar
        "cash": pl.Float64(),
        "positions_value": pl.Float64(),
        "gross_exposure": pl.Float64(),  # leverage: sum of |position value| over portfolio value
        "net_exposure": pl.Float64(),  # positions_value over portfolio value
        "returns": pl.Float64(),  # since the bar before; of the second bar since the capital
        "drawdown": pl.Float64(),  # zero or negative, from the running peak, capital included
        "benchmark_returns": pl.Float64(),  # null without a benchmark
    },
    # One row per order, in the order of placing.
    "orders": {
        "order_id": pl.Int64(),
        "created_at": TIMESTAMP,
        "symbol": pl.String(),
        "style": pl.String(),  # market, limit, stop, stop_limit
        "sizing": pl.String(),  # shares, value, percent, target, target_value, target_percent
        "amount": pl.Float64(),  # as asked, in the unit of `sizing`
        "limit_price": pl.Float64(),  # adjusted for splits since; null without a limit
        "stop_price": pl.Float64(),  # likewise
        "quantity": QUANTITY,  # signed shares to fill, after clipping; null when never sized
        "filled_quantity": QUANTITY,  # signed shares filled; 0 when none
        "status": pl.String(),  # filled, rejected, canceled, expired
        "reason": pl.String(),  # why not filled, or how it was changed; null when nothing to say
        "filled_at": TIMESTAMP,  # of the last fill; null without one
    },
    # One row per execution.
    "fills": {
        "fill_id": pl.Int64(),
        "order_id": pl.Int64(),  # null for a closing by delisting
        "timestamp": TIMESTAMP,
        "symbol": pl.String(),
        "quantity": QUANTITY,  # signed: buys are positive
        "price": MONEY,
        "value": MONEY,  # quantity times price, signed
        "commission": MONEY,  # zero or positive
        "slippage": MONEY,  # money lost against the bar's price, contained in `value`
        "cash_after": MONEY,
        "reason": pl.String(),  # order, delisted
    },
    # Holdings after every bar at which they changed.
    "positions": {
        "timestamp": TIMESTAMP,
        "symbol": pl.String(),
        "quantity": QUANTITY,
        "average_cost": MONEY,  # per share, without commission; null when flat
        "last_price": MONEY,
    },
    # One row per round trip from flat to flat, in the order of entry.
    "trades": {
        "trade_id": pl.Int64(),
        "symbol": pl.String(),
        "side": pl.String(),  # long, short
        "entry_at": TIMESTAMP,
        "exit_at": TIMESTAMP,  # null while open
        "entry_price": MONEY,  # average
        "exit_price": MONEY,  # average; null while open
        "quantity": QUANTITY,  # largest holding of the trip, positive
        "pnl": MONEY,  # net of commission; marked at the last close while open
        "commission": MONEY,
        "slippage": MONEY,  # contained in the prices
        "return": pl.Float64(),  # pnl over entry value
        "bars_held": pl.Int64(),
        "mae": pl.Float64(),  # worst excursion as a fraction of the entry price, zero or negative
        "mfe": pl.Float64(),  # best excursion as a fraction of the entry price, zero or positive
        "is_open": pl.Boolean(),
    },
    # Splits, dividends and delistings that met a holding.
    "corporate_actions": {
        "timestamp": TIMESTAMP,
        "symbol": pl.String(),
        "kind": pl.String(),  # split, dividend, delisting
        "quantity_before": QUANTITY,
        "quantity_after": QUANTITY,
        "cash": MONEY,  # paid into the account, signed
    },
    # Values a strategy recorded with `record`.
    "recorded": {
        "timestamp": TIMESTAMP,
        "name": pl.String(),
        "value": pl.Float64(),
    },
    # Limits that an order or the account touched, and what was done about it.
    "risk_violations": {
        "timestamp": TIMESTAMP,
        "rule": pl.String(),  # name of the control, risk_hook, maintenance_margin
        "symbol": pl.String(),  # null where it is about the account
        "order_id": pl.Int64(),  # null where it is about the account
        "action": pl.String(),  # rejected, shrunk, logged, liquidated
        "limit": pl.Float64(),  # null where it is no number
        "found": pl.Float64(),  # likewise
        "message": pl.String(),
    },
    # Profit and what trading took of it; the rows of each dimension add up to the total.
    "attribution": {
        "dimension": pl.String(),  # total, symbol, side, month
        "key": pl.String(),  # total; the symbol; long, short; a month of UTC as 2020-01
        "gross_pnl": pl.Float64(),  # net_pnl, commission and slippage added back
        "commission": pl.Float64(),
        "slippage": pl.Float64(),
        "net_pnl": pl.Float64(),
        "contribution": pl.Float64(),  # net_pnl over the starting capital
        "traded_value": pl.Float64(),  # money of all fills; null by side
        "break_even_cost": pl.Float64(),  # gross_pnl over traded_value; null without trading
        "trades": pl.Int64(),  # round trips; null by month
    },
    # One row per metric; `value` is null where a metric is undefined for the run.
    "summary": {
        "metric": pl.String(),
        "value": pl.Float64(),
        "unit": pl.String(),
        "assumption": pl.String(),
    },
    # Why a run failed; written for failed runs only.
    "errors": {
        "attempt": pl.Int64(),
        "stage": pl.String(),
        "kind": pl.String(),  # exception class, timeout, memory, signal
        "message": pl.String(),
        "traceback": pl.String(),
    },
}

PARAMETER_COLUMN = "params.{}"

# Tables of a search run. A column for each searched parameter, `params.<name>`, follows `set`, and
# one for each of the strategy's own metrics comes before `objective`.
SEARCH_SCHEMAS: dict[str, ArtifactSchema] = {
    # One row per evaluated parameter set, in the order of the space.
    "optimization_results": {
        "set": pl.Int64(),  # number of the combination in the space, from 0 on
        "total_return": pl.Float64(),  # a metric is null where it is undefined, or the set failed
        "cagr": pl.Float64(),
        "annual_volatility": pl.Float64(),
        "sharpe_ratio": pl.Float64(),
        "sortino_ratio": pl.Float64(),
        "calmar_ratio": pl.Float64(),
        "max_drawdown": pl.Float64(),  # zero or negative
        "total_trades": pl.Float64(),
        "win_rate": pl.Float64(),
        "profit_factor": pl.Float64(),
        "objective": pl.Float64(),  # what was maximized; null where it is undefined
        "admissible": pl.Boolean(),  # whether the set got through and meets every constraint
        "rank": pl.Int64(),  # 1 for the selected set; null where a set cannot be selected
        "error": pl.String(),  # why the set failed; null when it got through
    },
    # The Pareto front: sets that no admissible one beats in growth without a deeper drawdown.
    "frontier": {
        "set": pl.Int64(),
        "cagr": pl.Float64(),  # greatest first
        "max_drawdown": pl.Float64(),
        "sharpe_ratio": pl.Float64(),
    },
}

# Equity of the sets of the best ranks, each over the same bars.
CURVES_SCHEMA: ArtifactSchema = {
    "set": pl.Int64(),
    "timestamp": TIMESTAMP,
    "equity": pl.Float64(),  # growth of 1
}

# Tables of a validation, by their names below `results/validation/`.
VALIDATION_SCHEMAS: dict[str, ArtifactSchema] = {
    # The sets that each fold chose, on the bars that followed, one fold after another.
    "walk-forward/equity": {
        "timestamp": TIMESTAMP,
        "returns": pl.Float64(),  # per bar; each fold begins in cash
        "equity": pl.Float64(),  # growth of 1
    },
    # Growth of 1 in resampled histories, at up to 200 bars.
    "monte-carlo/paths": {
        "bars": pl.Int64(),  # since the start
        "observed": pl.Float64(),  # growth in the history that happened
        "quantile_05": pl.Float64(),
        "quantile_25": pl.Float64(),
        "quantile_50": pl.Float64(),
        "quantile_75": pl.Float64(),
        "quantile_95": pl.Float64(),
    },
    # The run at its own costs, then executed again at each pair of levels of commission and
    # slippage. Figures are null where a metric is undefined, or the strategy failed.
    "costs/grid": {
        "commission": pl.Float64(),  # level, in the unit of the JSON beside it; null at own costs
        "slippage": pl.Float64(),  # likewise
        "own": pl.Boolean(),  # whether it is the run itself, at its own costs
        "total_return": pl.Float64(),
        "cagr": pl.Float64(),
        "sharpe_ratio": pl.Float64(),
        "max_drawdown": pl.Float64(),  # zero or negative
        "total_commission": pl.Float64(),  # money paid
        "total_slippage": pl.Float64(),  # money lost against the bars' prices
        "total_trades": pl.Int64(),  # closed round trips
        "final_equity": pl.Float64(),  # at the last close
        "fills": pl.Int64(),
        "error": pl.String(),  # why the strategy failed at these costs; null when it got through
    },
}


def search_schema(
    name: str, params: Mapping[str, pl.DataType], metrics: Sequence[str] = ()
) -> ArtifactSchema:
    """Return the schema of a table of a search run.

    Args:
        name: Key of `SEARCH_SCHEMAS`.
        params: Dtype of every searched parameter.
        metrics: The strategy's own, of which only the table of all sets has columns.
    """
    declared = dict(SEARCH_SCHEMAS[name])
    columns = {PARAMETER_COLUMN.format(key): dtype for key, dtype in params.items()}
    schema: ArtifactSchema = {"set": declared.pop("set"), **columns}
    for column, dtype in declared.items():
        if column == "objective":
            schema |= {own: pl.Float64() for own in metrics}
        schema[column] = dtype
    return schema


def parameter_dtype(values: Sequence[Any]) -> pl.DataType:
    """Return the dtype of a parameter's column by the values that it may have; null is one of any.

    Whole numbers beside others are numbers; values of several kinds are text.
    """
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pl.Boolean()
    if kinds == {int}:
        return pl.Int64()
    return pl.Float64() if kinds and kinds <= {int, float} else pl.String()
