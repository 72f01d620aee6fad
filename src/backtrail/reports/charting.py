"""What the main chart of a page draws: prices, trades, equity, drawdown, recorded values."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtrail.reports.rundata import PRICE_COLUMNS, RunRecord, read_prices
from backtrail.reports.series import PriceArrays, TimeGrid, pack_floats, price_plan

__all__ = [
    "MAX_INDICATORS",
    "MAX_TRADES",
    "benchmark_equity",
    "chart_data",
    "chart_ranges",
    "floats",
    "recorded_series",
    "starting_equity",
]

MAX_TRADES = 3_000
MAX_INDICATORS = 8
_TRADE_NUMBERS = ("entry_price", "exit_price", "quantity", "pnl", "return", "bars_held")
_DAY_US = 86_400_000_000
# Range buttons: label and days; those that are clearly shorter than the run are offered.
_RANGES = (("1D", 1), ("1W", 7), ("1M", 31), ("3M", 92), ("1Y", 366), ("3Y", 1096), ("5Y", 1827))


def floats(column: pl.Series) -> NDArray[np.float64]:
    """Return a column as float64 with NaN for null."""
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def chart_ranges(moments: NDArray[np.int64]) -> list[tuple[str, int]]:
    """Return the buttons of ranges, label and days, for a run's bars."""
    days = float(moments[-1] - moments[0]) / _DAY_US if moments.size else 0.0
    return [(label, length) for label, length in _RANGES if length * 1.2 < days][-3:]


def starting_equity(results: pl.DataFrame) -> float:
    """Return what the account began with, before the fills of its first close.

    Args:
        results: The artifact `backtest_results`, with a row at least.
    """
    first, fall = float(results["portfolio_value"][0]), results["drawdown"][0]
    return first / (1.0 + fall) if fall is not None and -1.0 < fall < 0.0 else first


def benchmark_equity(results: pl.DataFrame) -> NDArray[np.float64] | None:
    """Return what the starting equity would be in the benchmark; None without a benchmark."""
    if results["benchmark_returns"].null_count() == results.height:
        return None
    growth = (1 + results["benchmark_returns"].fill_null(0.0)).cum_prod()
    return np.asarray((growth * starting_equity(results)).to_numpy())


def chart_data(
    run: RunRecord,
    bundles_dir: Path,
    results: pl.DataFrame,
    trades: pl.DataFrame,
    grid: TimeGrid,
) -> dict[str, Any]:
    """Return the data of the main chart and of the trades table.

    Args:
        run: The run.
        bundles_dir: The central bundle storage.
        results: The artifact `backtest_results`.
        trades: The artifact `trades`.
        grid: The time axis.
    """
    symbols = [str(symbol) for symbol in run.identity["symbols"]]
    plan = price_plan(symbols, Counter(trades["symbol"].to_list()), grid.moments.size)
    columns = PRICE_COLUMNS if plan.candles else ("close",)
    frames = read_prices(run, bundles_dir, plan.symbols, columns)
    end = int(results["timestamp"].to_physical()[-1]) if results.height else 0
    benchmark = benchmark_equity(results)
    prices = {
        symbol: _price_arrays(frame, columns).packed(grid, end) for symbol, frame in frames.items()
    }
    return {
        "id": run.backtest_id,
        "times": grid.times(),
        "curves": _curves(results, benchmark, grid),
        "prices": prices,
        "indicators": [],
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


def _curves(
    results: pl.DataFrame, benchmark: NDArray[np.float64] | None, grid: TimeGrid
) -> dict[str, str]:
    equity = results["portfolio_value"].to_numpy()
    curves = {
        "equity": pack_floats(grid.last(equity)),
        "drawdown": pack_floats(grid.lowest(floats(results["drawdown"]))),
    }
    if grid.step is not None:
        curves["equity_low"] = pack_floats(grid.lowest(equity))
        curves["equity_high"] = pack_floats(grid.highest(equity))
    if benchmark is not None:
        curves["benchmark"] = pack_floats(grid.last(benchmark))
    return curves


def _price_arrays(frame: pl.DataFrame, columns: tuple[str, ...]) -> PriceArrays:
    return PriceArrays(
        moments=frame["timestamp"].to_physical().to_numpy(),
        columns={name: frame[name].to_numpy() for name in columns},
    )


def recorded_series(
    recorded: pl.DataFrame,
    results: pl.DataFrame,
    closes: NDArray[np.float64] | None,
    grid: TimeGrid,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the series that a strategy recorded, and the names of those left out.

    A series is drawn over the price where all of it lies within half the lowest and twice the
    highest price of the run's one symbol; any other gets a pane of its own.

    Args:
        recorded: The artifact `recorded`.
        results: The artifact `backtest_results`, for the bars.
        closes: Closes of the run's symbol; None when it has several.
        grid: The time axis.
    """
    names = recorded["name"].unique(maintain_order=True).to_list()
    rows = results["timestamp"].to_physical().to_numpy()
    series = []
    for name in names[:MAX_INDICATORS]:
        part = recorded.filter(pl.col("name") == name)
        values = np.full(rows.size, np.nan)
        values[np.searchsorted(rows, part["timestamp"].to_physical().to_numpy())] = floats(
            part["value"]
        )
        over = closes is not None and _lies_within(values, closes)
        series.append({"name": name, "price": over, "values": pack_floats(grid.last(values))})
    return series, names[MAX_INDICATORS:]


def _lies_within(values: NDArray[np.float64], closes: NDArray[np.float64]) -> bool:
    known, price = values[np.isfinite(values)], closes[np.isfinite(closes)]
    if not known.size or not price.size:
        return False
    return bool(known.min() >= price.min() / 2 and known.max() <= price.max() * 2)


def _trade_columns(trades: pl.DataFrame, grid: TimeGrid) -> Mapping[str, list[Any]]:
    """Return the trades as plain columns: all of them, or those that moved the most money."""
    if trades.height > MAX_TRADES:
        largest = trades.with_row_index().sort(
            pl.col("pnl").cast(pl.Float64).abs(), descending=True, maintain_order=True
        )
        trades = largest.head(MAX_TRADES).sort("index").drop("index")
    numbers = trades.select(
        pl.col(*_TRADE_NUMBERS, "commission", "mae", "mfe").cast(pl.Float64).round_sig_figs(10)
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
