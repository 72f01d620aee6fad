"""Numbers on the pages are those of `summary.parquet`, read back by a browser, for odd runs."""

import math
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from backtrail.metrics.summary import summarize
from backtrail.reports.advanced import render_advanced_report
from backtrail.reports.basic import render_basic_report

from . import runs

EVIL = "</script><script>window.hit=1</script>\"'&😀 \u202eabc שלום"
CARDS = (
    "Object.fromEntries([...document.querySelectorAll('[data-metric]')]"
    ".map(b => [b.dataset.metric, b.textContent]))"
)
TABLE = (
    "Object.fromEntries([...document.querySelectorAll('#metric-table tbody tr')]"
    ".map(r => [r.cells[0].textContent, r.cells[1].dataset.v]))"
)
MINUTES = 1_000_000
CRASH, SPIKE = 543_210, 700_001


def with_summary(store: runs.Store) -> runs.Store:
    """Replace the summary of a run by what the library measures on its tables."""
    folder = store.run_dir / "results"
    results, trades = (
        pl.read_parquet(folder / f"{name}.parquet") for name in ("backtest_results", "trades")
    )
    rows = summarize(
        results["portfolio_value"].to_numpy(),
        results["timestamp"].to_physical().to_numpy(),
        periods_per_year=252.0,
        trade_columns=trades.to_dict(as_series=False),
        gross_exposure=results["gross_exposure"].to_list(),
    )
    columns = {
        name: [asdict(row)[name] for row in rows]
        for name in ("metric", "value", "unit", "assumption")
    }
    store.write_table("summary", columns)
    return store


def trading(root: Path, gains: list[str], **changes: Any) -> runs.Store:
    late = runs.moments(60)
    symbol = changes.get("symbols", ["SPX"])[0]
    rows = [
        runs.trade(n, symbol, late[n], late[n + 5], pnl=Decimal(gain))
        for n, gain in enumerate(gains, 1)
    ]
    return runs.write_small_run(root, trades=runs.trade_table(rows), **changes)


def fifty_symbols(root: Path) -> runs.Store:
    symbols = [f"S{number:02d}" for number in range(50)]
    store = trading(root, ["5", "-2", "7.5"], symbols=symbols, benchmark=None)
    late, close = runs.moments(60), np.linspace(10, 20, 60)
    store.write_dataset(pl.concat([runs.bars_of(symbol, late, close) for symbol in symbols]))
    return store


def odd_names(root: Path) -> runs.Store:
    changes: dict[str, Any] = {"names": [EVIL], "symbols": [EVIL], "params": {EVIL: EVIL}}
    store = trading(root, ["3", "-1"], benchmark=None, **changes)
    store.write_dataset(runs.bars_of(EVIL, runs.moments(60), np.linspace(1, 2, 60)))
    return store


def minutes(root: Path) -> runs.Store:
    late = runs.moments(MINUTES, step=timedelta(minutes=1))
    store = runs.write_small_run(root, dataset={"timeframe": "1m", "calendar": "24/7"})
    equity = 1000 + 50 * np.sin(np.arange(MINUTES) / 90_000)
    equity[CRASH] = 400.0
    store.write_table("backtest_results", runs.results_of(late, equity))
    bars = runs.bars_of("SPX", late, np.linspace(10, 20, MINUTES), spread=0.0)
    spike = pl.when(pl.int_range(pl.len()) == SPIKE).then(99.0).otherwise(pl.col("high"))
    store.write_dataset(bars.with_columns(spike.alias("high")))
    return store


RUNS: dict[str, Callable[[Path], runs.Store]] = {
    "winning": lambda root: trading(root, ["12", "-4", "8", "-1"],
                                    equity=1000 * np.exp(np.arange(60) / 300
                                                         + np.sin(np.arange(60)) / 50)),
    "no trades": runs.write_small_run,
    "no losing trade": lambda root: trading(root, ["1", "2", "3"]),
    "one bar": lambda root: runs.write_small_run(root, count=1, equity=np.array([1000.0])),
    "negative equity": lambda root: trading(
        root, ["-90", "-60"], equity=np.concatenate((np.full(20, 100.0), np.full(40, -50.0)))
    ),
    "fifty symbols": fifty_symbols,
    "odd names": odd_names,
    "a million minutes": minutes,
}  # fmt: skip


def shown_number(text: str) -> float | None:
    """Return a number as a reader reads it."""
    if text in ("–", "∞", "-∞"):
        return {"–": None, "∞": math.inf, "-∞": -math.inf}[text]
    plain = text.replace(",", "").lstrip("<>")
    return float(plain.rstrip("%")) / (100 if plain.endswith("%") else 1)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "a million minutes" else ())
        for name in RUNS
    ],
)
def test_every_page_shows_the_figures_of_the_summary(browser, tmp_path, name):
    store = with_summary(RUNS[name](tmp_path))
    table = pl.read_parquet(store.run_dir / "results/summary.parquet")
    summary = dict(table.select("metric", "value").iter_rows())
    for render in (render_basic_report, render_advanced_report):
        out = tmp_path / "page.html"
        browser.open(render(store.run_dir, bundles_dir=store.bundles_dir, out=out))
        assert browser.complaints() == []
        assert browser.run("window.hit === undefined")
        full = browser.run(TABLE)
        assert {key: float(text) if text else None for key, text in full.items()} == summary
        cards = browser.run(CARDS)
        assert len(cards) >= 15
        for metric, text in cards.items():
            value, seen = summary[metric], shown_number(text)
            if value is None or math.isinf(value):
                assert seen == value, (metric, text)
            else:
                assert seen == pytest.approx(value, rel=0.006, abs=5.1e-4), (metric, text)
    if name == "no losing trade":
        assert (cards["win_rate"], cards["profit_factor"]) == ("100.0%", "–")
    if name == "no trades":
        assert cards["total_trades"] == "0"
    if name == "one bar":
        assert (cards["sharpe_ratio"], cards["cagr"]) == ("–", "–")
    if name == "odd names":
        assert browser.run("document.querySelector('h1').textContent") == EVIL


@pytest.mark.slow
def test_a_million_minutes_keep_their_extremes_on_the_chart(browser, tmp_path):
    store = with_summary(minutes(tmp_path))
    out = tmp_path / "page.html"
    browser.open(render_advanced_report(store.run_dir, bundles_dir=store.bundles_dir, out=out))
    assert browser.run("page.data.chart.points") <= 6000

    def extreme(which: str, packed: str) -> float:
        script = f"page.floats({packed}).reduce((a, b) => Number.isNaN(b) ? a : Math.{which}(a, b))"
        return float(browser.run(script))

    assert extreme("min", "page.data.curves.equity_low") == 400.0
    assert extreme("max", "page.data.curves.equity_high") == pytest.approx(1050.0, rel=1e-6)
    assert extreme("max", "page.data.prices.SPX.high") == 99.0
    deepest = pl.read_parquet(store.run_dir / "results/backtest_results.parquet")["drawdown"].min()
    assert extreme("min", "page.data.curves.drawdown") == pytest.approx(deepest, rel=1e-6)
    assert "per point" in browser.run("document.getElementById('downsampled').textContent")
    assert out.stat().st_size < 800_000
