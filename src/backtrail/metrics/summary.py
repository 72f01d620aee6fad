"""The summary of a run: one row per metric, its value, unit and assumption."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from backtrail.errors import EmptySeriesError
from backtrail.metrics._rows import (
    MetricRow,
    Year,
    benchmark_rows,
    cost_rows,
    growth_rows,
    risk_rows,
    trading_rows,
)
from backtrail.metrics._series import FloatArray
from backtrail.metrics.own import OwnMetric, RunMaterial, own_rows
from backtrail.metrics.returns import equity_returns

__all__ = ["MetricRow", "metric_names", "summarize", "summarize_tables", "tables_since"]


def summarize(
    equity: npt.ArrayLike,
    timestamps_us: npt.ArrayLike,
    *,
    periods_per_year: float,
    benchmark_returns: Sequence[float | None] | FloatArray | None = None,
    trade_columns: Mapping[str, Sequence[Any]] | None = None,
    gross_exposure: Sequence[float | None] | FloatArray | None = None,
    fills: Mapping[str, Sequence[Any]] | None = None,
    risk_free: float = 0.0,
    costs: Mapping[str, str] | None = None,
    capital_base: float | None = None,
) -> list[MetricRow]:
    """Return the metrics of a run in a fixed order.

    Args:
        equity: Portfolio value per bar, shape (n,), n > 0.
        timestamps_us: Microseconds UTC of the bars.
        periods_per_year: Bars per year.
        benchmark_returns: Per bar, None or NaN where unknown; None without a benchmark.
        trade_columns: `pnl`, `bars_held`, `is_open` of the round trips.
        gross_exposure: Per bar, likewise.
        fills: `value`, `commission` and `slippage` of every fill.
        risk_free: Annual rate, compounded per bar.
        costs: What `commission`, `slippage` and `benchmark` rest on, in words.
        capital_base: Cash at the start, with which wealth begins: growth, profit and drawdown count
            from it, and `equity_returns` says in which return the fills of the first close are.
            None for a part of a run, where wealth begins with the first value.

    Returns:
        Rows; undefined metrics have the value None and say why.

    Raises:
        EmptySeriesError: If there is no bar.
        ValueError: If equity is not finite, or lengths differ.
    """
    curve = np.asarray(equity, dtype=np.float64)
    times = np.asarray(timestamps_us, dtype=np.int64)
    if not len(curve):
        raise EmptySeriesError("equity has no value; a run has at least one bar")
    if curve.shape != times.shape or not np.isfinite(curve).all():
        raise ValueError("equity and timestamps differ in length, or equity is not finite")
    start = float(curve[0]) if capital_base is None else capital_base
    series = equity_returns(curve, start)
    missing = "a single bar" if len(curve) == 1 else "equity fell to zero or below"
    year = Year(periods_per_year, risk_free)
    return [
        *growth_rows(series, times, year, missing),
        *risk_rows(series, year, missing, first_fall=min(float(curve[0]) / start - 1.0, 0.0)),
        *benchmark_rows(series, benchmark_returns, year, missing, (costs or {}).get("benchmark")),
        *trading_rows(trade_columns or {}, gross_exposure, fills, curve, year),
        *cost_rows(fills, float(curve[-1]) - start, costs or {}),
    ]


def summarize_tables(
    tables: Mapping[str, Mapping[str, Any]],
    *,
    periods_per_year: float,
    risk_free: float = 0.0,
    costs: Mapping[str, str] | None = None,
    own: Sequence[OwnMetric] = (),
    capital_base: float | None = None,
) -> list[MetricRow]:
    """Return `summarize` of the tables of a run's result, then the strategy's own metrics.

    Raises:
        StrategyError: If an own metric raises, or returns something else than a number or None.
    """
    curve = tables["backtest_results"]
    rows = summarize(
        curve["portfolio_value"],
        curve["timestamp"],
        periods_per_year=periods_per_year,
        benchmark_returns=curve["benchmark_returns"],
        trade_columns=tables["trades"],
        gross_exposure=curve["gross_exposure"],
        fills=tables["fills"],
        risk_free=risk_free,
        costs=costs,
        capital_base=capital_base,
    )
    if not own:
        return rows
    run = RunMaterial(
        curve["portfolio_value"],
        curve["timestamp"],
        periods_per_year,
        tables["trades"],
        curve["benchmark_returns"],
        capital_base=capital_base,
        risk_free=risk_free,
    )
    return rows + own_rows(own, run)


@cache
def metric_names() -> tuple[str, ...]:
    """Return the names of the metrics that every run has, in their order."""
    return tuple(row.metric for row in summarize([1.0], [0], periods_per_year=1.0))


def tables_since(
    tables: Mapping[str, Mapping[str, Any]], first: int, begins_at: int
) -> dict[str, Mapping[str, Any]]:
    """Return what the metrics need of a run, from a row of its curve on.

    Args:
        tables: Of the whole run; times in microseconds.
        first: The row.
        begins_at: Fills before it are left out, and round trips that were entered before it.
    """
    curve = tables["backtest_results"]
    cut: dict[str, Mapping[str, Any]] = {
        "backtest_results": {name: values[first:] for name, values in curve.items()}
    }
    for name, moment in (("trades", "entry_at"), ("fills", "timestamp")):
        kept = [row for row, at in enumerate(tables[name][moment]) if at >= begins_at]
        cut[name] = {
            column: [values[row] for row in kept] for column, values in tables[name].items()
        }
    return cut
