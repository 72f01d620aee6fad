"""The basic report of a run: one page with its numbers, its assumptions, its chart and trades."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtrail.reports import formatting, tables
from backtrail.reports.header import header_of
from backtrail.reports.pages import write_page
from backtrail.reports.rundata import (
    PRICE_COLUMNS,
    RunRecord,
    read_dataset_manifest,
    read_prices,
    read_run,
)
from backtrail.reports.series import (
    PriceArrays,
    TimeGrid,
    pack_floats,
    point_limit,
    price_plan,
    time_grid,
)

__all__ = ["MAX_TRADES", "render_basic_report"]

MAX_TRADES = 3_000
_TRADE_NUMBERS = ("entry_price", "exit_price", "quantity", "pnl", "return", "bars_held")
_DAY_US = 86_400_000_000
# Range buttons: label and days; those that are clearly shorter than the run are offered.
_RANGES = (("1D", 1), ("1W", 7), ("1M", 31), ("3M", 92), ("1Y", 366), ("3Y", 1096), ("5Y", 1827))


def render_basic_report(
    run_dir: Path, *, bundles_dir: Path, out: Path, grade: str | None = None
) -> Path:
    """Write the basic report of a finished run.

    The same run and dataset give the same bytes. Metric values are those of the `summary` artifact.

    Args:
        run_dir: The run directory.
        bundles_dir: The central bundle storage with the run's dataset.
        out: The HTML file to write.
        grade: Provenance grade to show when it was raised after the run was sealed.

    Returns:
        `out`.

    Raises:
        ArtifactManagerError: If an artifact is missing or not of its declared schema.
        DatasetError: If the run's dataset is not in `bundles_dir`.
    """
    run = read_run(run_dir)
    dataset = read_dataset_manifest(run, bundles_dir)
    results, trades = run.table("backtest_results"), run.table("trades")
    summary = run.table("summary").to_dicts()
    moments = results["timestamp"].to_physical().to_numpy()
    grid = time_grid(moments, point_limit(moments.size, len(run.identity["symbols"])))
    equity = results["portfolio_value"].to_numpy()
    value_at_risk = next(
        (row["value"] for row in summary if row["metric"].startswith("value_at_risk")), None
    )
    data = _chart_data(run, bundles_dir, results, trades, grid)
    return write_page(
        out,
        "basic.html.j2",
        data=data,
        scripts=("report.js",),
        failed=False,
        header=header_of(
            run, dataset=dataset, bars=results.height, grade=grade, costs=_stated(summary)
        ),
        cards=_cards(summary),
        summary=summary,
        years=tables.monthly_returns(moments, equity),
        heat=_heat,
        episodes=tables.drawdown_episodes(moments, results["drawdown"].fill_null(0.0).to_numpy()),
        histogram=tables.return_histogram(_floats(results["returns"]), value_at_risk),
        timeframe=run.identity["dataset"]["timeframe"],
        chart=data["chart"],
        trade_count=trades.height,
        trade_limit=MAX_TRADES,
        ranges=_ranges(moments),
    )


def _floats(column: pl.Series) -> NDArray[np.float64]:
    """Return a column as float64 with NaN for null."""
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _cards(summary: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = {row["metric"]: row for row in summary}
    chosen = [rows[name] for name in formatting.CARDS if name in rows]
    return chosen or summary[:18]


def _heat(value: float | None) -> int:
    """Return the strength of a month's cell color in percent; ten percent is full."""
    return 0 if value is None else min(round(abs(value) * 1000), 100) * 7 // 10


def _ranges(moments: NDArray[np.int64]) -> list[tuple[str, int]]:
    days = float(moments[-1] - moments[0]) / _DAY_US if moments.size else 0.0
    return [(label, length) for label, length in _RANGES if length * 1.2 < days][-3:]


def _benchmark_equity(results: pl.DataFrame) -> NDArray[np.float64] | None:
    """Return what the starting equity would be in the benchmark; None without a benchmark."""
    if results["benchmark_returns"].null_count() == results.height:
        return None
    growth = (1 + results["benchmark_returns"].fill_null(0.0)).cum_prod()
    return np.asarray((growth * results["portfolio_value"][0]).to_numpy())


def _chart_data(
    run: RunRecord,
    bundles_dir: Path,
    results: pl.DataFrame,
    trades: pl.DataFrame,
    grid: TimeGrid,
) -> dict[str, Any]:
    symbols = [str(symbol) for symbol in run.identity["symbols"]]
    plan = price_plan(symbols, Counter(trades["symbol"].to_list()), grid.moments.size)
    columns = PRICE_COLUMNS if plan.candles else ("close",)
    frames = read_prices(run, bundles_dir, plan.symbols, columns)
    end = int(results["timestamp"].to_physical()[-1]) if results.height else 0
    equity = results["portfolio_value"].to_numpy()
    benchmark = _benchmark_equity(results)
    curves = {
        "equity": pack_floats(grid.last(equity)),
        "drawdown": pack_floats(grid.lowest(_floats(results["drawdown"]))),
    }
    if grid.step is not None:
        curves["equity_low"] = pack_floats(grid.lowest(equity))
        curves["equity_high"] = pack_floats(grid.highest(equity))
    if benchmark is not None:
        curves["benchmark"] = pack_floats(grid.last(benchmark))
    prices = {
        symbol: _price_arrays(frame, columns).packed(grid, end) for symbol, frame in frames.items()
    }
    return {
        "times": grid.times(),
        "curves": curves,
        "prices": prices,
        "trades": _trade_columns(trades, grid),
        "chart": {
            "benchmark": None if benchmark is None else str(run.identity["benchmark"]),
            "candles": plan.candles,
            "intraday": run.intraday,
            "left_out": list(plan.left_out),
            "points": int(grid.moments.size),
            "step": grid.step,
            "symbols": [symbol for symbol in plan.symbols if symbol in prices],
        },
    }


def _price_arrays(frame: pl.DataFrame, columns: tuple[str, ...]) -> PriceArrays:
    return PriceArrays(
        moments=frame["timestamp"].to_physical().to_numpy(),
        columns={name: frame[name].to_numpy() for name in columns},
    )


def _trade_columns(trades: pl.DataFrame, grid: TimeGrid) -> Mapping[str, list[Any]]:
    """Return the trades as plain columns: all of them, or those that moved the most money."""
    if trades.height > MAX_TRADES:
        largest = trades.with_row_index().sort(
            pl.col("pnl").cast(pl.Float64).abs(), descending=True, maintain_order=True
        )
        trades = largest.head(MAX_TRADES).sort("index").drop("index")
    numbers = trades.select(
        pl.col(*_TRADE_NUMBERS, "mae", "mfe").cast(pl.Float64).round_sig_figs(10)
    )
    finite = numbers.with_columns(pl.when(pl.all().is_finite()).then(pl.all()))
    entry = trades["entry_at"].to_physical().to_numpy()
    exit_at = trades["exit_at"].to_physical()
    return {
        **{name: finite[name].to_list() for name in finite.columns},
        "id": trades["trade_id"].to_list(),
        "symbol": trades["symbol"].to_list(),
        "side": trades["side"].to_list(),
        "entry": (entry // 1_000_000).tolist(),
        "exit": (exit_at // 1_000_000).to_list(),
        "entry_bar": grid.locate(entry).tolist(),
        "exit_bar": [
            None if moment is None else bar
            for moment, bar in zip(
                exit_at, grid.locate(exit_at.fill_null(0).to_numpy()).tolist(), strict=True
            )
        ],
        "open": trades["is_open"].to_list(),
    }


_STATED = {
    "commission": "total_commission",
    "slippage": "total_slippage",
    "benchmark": "benchmark_total_return",
}


def _stated(summary: list[dict[str, Any]]) -> dict[str, str]:
    """Return the costs and the benchmark that the strategy set, from the figures they made."""
    said = {row["metric"]: str(row["assumption"]) for row in summary}
    return {
        name: ", ".join(said[metric].split(", ")[-2:])
        for name, metric in _STATED.items()
        if said.get(metric, "").endswith("set by the strategy")
    }
