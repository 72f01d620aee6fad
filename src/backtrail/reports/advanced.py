"""The advanced report of a run: everything that its files can tell, on one page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtrail.canonical import pretty_json
from backtrail.data.calendars import SessionYear, dataset_periods, is_daily
from backtrail.metrics import risk_free_of
from backtrail.reports import charting, tables, trading
from backtrail.reports.contents import RunContents, read_contents
from backtrail.reports.formatting import metric_tone
from backtrail.reports.looks import NO_LOOKS, HoldoutLooks
from backtrail.reports.pages import write_page
from backtrail.reports.rolling import RollingWindow, rolling_windows
from backtrail.reports.rundata import read_prices, session_days
from backtrail.reports.series import pack_counts, pack_floats, pack_moments
from backtrail.reports.settings import ReportConfig
from backtrail.reports.sources import captured_code
from backtrail.reports.validation import read_validation
from backtrail.wording import risk_free_words

__all__ = ["render_advanced_report"]

_TITLES = {
    "chart": "Chart",
    "validation": "Validation",
    "returns": "Returns",
    "rolling": "Rolling",
    "exposure": "Exposure",
    "trades": "Trades",
    "costs": "Costs",
    "attribution": "Attribution",
    "metrics": "Metrics",
    "code": "Code",
}
_CENT = 0.005


def render_advanced_report(
    run_dir: Path,
    *,
    bundles_dir: Path,
    out: Path,
    grade: str | None = None,
    trials: str | None = None,
    looks: HoldoutLooks = NO_LOOKS,
    config: ReportConfig | None = None,
) -> Path:
    """Write the advanced report of a finished run.

    The same run, dataset and arguments give the same bytes. Metric values are those of the
    `summary` artifact; what is computed here is only shown here.

    Args:
        run_dir: The run directory.
        bundles_dir: The central bundle storage with the run's dataset.
        out: The HTML file to write.
        grade: Provenance grade to show when it was raised after the run was sealed.
        trials: How much was tried on the dataset, in words; None when it was not counted.
        looks: Looks at the holdout of its dataset by its strategy file.
        config: Theme, parts and templates of one's own.

    Returns:
        `out`.

    Raises:
        ArtifactManagerError: If an artifact is missing or not of its declared schema.
        DatasetError: If the run's dataset is not in `bundles_dir`.
        ReportTemplateError: If a template of the user's own cannot be rendered.
    """
    settings = config or ReportConfig()
    contents = read_contents(run_dir, bundles_dir)
    fills = contents.run.table("fills")
    windows = _windows(contents)
    indicators, unshown = _indicators(contents)
    validation = read_validation(run_dir) if "validation" in settings.sections else None
    return write_page(
        out,
        "advanced.html.j2",
        data={
            **contents.data,
            "indicators": indicators,
            "rolling": [_packed(window) for window in windows],
            "whole": _whole_run(contents),
            "exposure": _exposure(contents, fills),
        },
        scripts=("report.js", "advanced.js"),
        config=settings,
        **{**contents.values(grade=grade, trials=trials, looks=looks), "unshown": unshown},
        parts=[
            (name, _TITLES[name])
            for name in ("chart", *settings.sections)
            if name != "validation" or validation is not None
        ],
        validation=validation,
        windows=windows,
        **_window_words(contents),
        year_rows=_year_rows(contents),
        **_trade_values(contents),
        **_money_values(contents, fills),
        code=captured_code(contents.run) if "code" in settings.sections else [],
        run_spec=pretty_json(contents.run.spec),
        raw=_raw,
        tone=lambda value: metric_tone("total_return", value),
    )


def _raw(value: float | None) -> str:
    """Return a number with its full digits, for the CSV files of a page."""
    return "" if value is None else repr(value)


def _windows(contents: RunContents) -> list[RollingWindow]:
    dataset = contents.run.identity["dataset"]
    year = dataset.get("session_year")
    return rolling_windows(
        contents.moments,
        contents.equity,
        charting.benchmark_equity(contents.results),
        calendar=dataset["calendar"],
        timeframe=dataset["timeframe"],
        year=None if year is None else SessionYear(**year),
        days=session_days(contents.run, contents.bundles_dir, contents.moments),
        start=charting.starting_equity(contents.results),
        risk_free=risk_free_of(contents.run.identity),
    )


def _window_words(contents: RunContents) -> dict[str, Any]:
    dataset = contents.run.identity["dataset"]
    joined = not is_daily(dataset["timeframe"])
    timeframe = "1d" if joined else dataset["timeframe"]
    return {
        "joined": joined,
        "risk_free": risk_free_words(contents.run.identity) or "0",
        "window_unit": {"1d": "days", "1w": "weeks"}.get(timeframe, "bars"),
        "window_periods": dataset_periods({**dataset, "timeframe": timeframe}),
    }


def _packed(window: RollingWindow) -> dict[str, Any]:
    return {
        "times": pack_moments(window.moments),
        "sharpe": pack_floats(window.sharpe),
        "volatility": pack_floats(window.volatility),
        "beta": None if window.beta is None else pack_floats(window.beta),
    }


def _whole_run(contents: RunContents) -> dict[str, float | None]:
    """Return the run's own figures beside the rolling ones; intraday ones are not comparable."""
    rows = {row["metric"]: row["value"] for row in contents.summary}
    names = {"sharpe": "sharpe_ratio", "volatility": "annual_volatility", "beta": "beta"}
    return {short: rows.get(name) for short, name in names.items()}


def _indicators(contents: RunContents) -> tuple[list[dict[str, Any]], list[str]]:
    recorded = contents.run.table("recorded")
    if not recorded.height:
        return [], []
    symbols = [str(symbol) for symbol in contents.run.identity["symbols"]]
    closes = None
    if len(symbols) == 1:
        frame = read_prices(contents.run, contents.bundles_dir, symbols, ("close",)).get(symbols[0])
        closes = None if frame is None else frame["close"].to_numpy()
    return charting.recorded_series(recorded, contents.results, closes, contents.grid)


def _exposure(contents: RunContents, fills: pl.DataFrame) -> dict[str, Any]:
    grid, results = contents.grid, contents.results
    months = trading.monthly_turnover(results, fills)
    held = None
    if len(contents.run.identity["symbols"]) > 1:
        counts = trading.held_symbols(results, contents.run.table("positions"))
        held = pack_floats(grid.last(counts))
    bars = grid.locate(np.array([moment for moment, _ in months], dtype=np.int64))
    turnover = np.array([np.nan if value is None else value for _, value in months])
    return {
        "gross": pack_floats(grid.highest(charting.floats(results["gross_exposure"]))),
        "held": held,
        "months": pack_counts(bars),
        "turnover": pack_floats(turnover),
    }


@dataclass(frozen=True, slots=True)
class _Year:
    year: int
    total: float | None
    benchmark: float | None
    difference: float | None
    drawdown: float | None
    trades: int


def _year_rows(contents: RunContents) -> list[_Year]:
    """Return each year beside the benchmark's; its deepest fall starts at the year's own peak."""
    moments, equity = contents.moments, contents.equity
    start = charting.starting_equity(contents.results)
    benchmark = charting.benchmark_equity(contents.results)
    other = {
        row.year: row.total
        for row in ([] if benchmark is None else tables.monthly_returns(moments, benchmark))
    }
    falls = tables.yearly_drawdowns(moments, equity, start)
    closed = contents.trades.filter(~pl.col("is_open"))["exit_at"].dt.year().value_counts()
    counts: dict[int, int] = dict(closed.iter_rows())
    rows = []
    for row in tables.monthly_returns(moments, equity, start):
        market = other.get(row.year)
        difference = None if market is None or row.total is None else row.total - market
        rows.append(
            _Year(
                year=row.year,
                total=row.total,
                benchmark=market,
                difference=difference,
                drawdown=falls[row.year],
                trades=counts.get(row.year, 0),
            )
        )
    return rows


def _trade_values(contents: RunContents) -> dict[str, Any]:
    closed = contents.trades.filter(~pl.col("is_open"))
    return {
        "sides": trading.side_rows(contents.trades),
        "trade_histogram": tables.return_histogram(
            charting.floats(closed["return"]), None, outermost=0.0
        ),
        "order_rows": trading.order_counts(contents.run.table("orders")),
    }


def _money_values(contents: RunContents, fills: pl.DataFrame) -> dict[str, Any]:
    costs = trading.costs_of(contents.results, fills, contents.run.table("corporate_actions"))
    symbols = trading.symbol_rows(contents.trades)
    attributed = sum(row.pnl for row in symbols)
    unexplained = costs.net - attributed
    rows = {row["metric"]: row["value"] for row in contents.summary}
    market = {name: rows.get(name) for name in ("beta", "alpha", "r_squared")}
    return {
        "costs": costs,
        "cost_rows": trading.cost_rows(costs),
        "symbols": symbols,
        "attributed": attributed,
        "unexplained": unexplained if abs(unexplained) > _CENT else None,
        "market": market if market["beta"] is not None else None,
    }
