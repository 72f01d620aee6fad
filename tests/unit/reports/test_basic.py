import json
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from backtrail.errors import ArtifactManagerError, DatasetError
from backtrail.reports import charting
from backtrail.reports.basic import render_basic_report

from . import runs


def render(store: runs.Store, **options: Any) -> str:
    out = store.root / "out" / "basic_report.html"
    render_basic_report(store.run_dir, bundles_dir=store.bundles_dir, out=out, **options)
    return out.read_text(encoding="utf-8")


def data_of(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found[1])


def visible(page: str) -> str:
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def cards(page: str) -> dict[str, str]:
    found: Iterator[tuple[str, str]] = iter(
        re.findall(r'<b class="[a-z]*" data-metric="(\w+)">([^<]*)</b>', page)
    )
    return dict(found)


def test_cards_show_the_values_of_the_summary_and_nothing_recomputed(tmp_path):
    values = {"total_return": 9.99, "sharpe_ratio": -3.5, "profit_factor": None, "total_trades": 7}
    page = render(runs.write_small_run(tmp_path, summary=runs.summary_of(**values)))
    assert cards(page) == {
        "total_return": "999.0%",
        "sharpe_ratio": "-3.50",
        "profit_factor": "–",
        "total_trades": "7",
    }
    assert "sharpe_ratio: 252 periods per year, simple returns" in visible(page)


def test_a_real_run_has_its_header_months_drawdowns_and_trades(sma_report: Path):
    page = sma_report.read_text(encoding="utf-8")
    text = visible(page)
    for words in ("next open", "0.0005 per dollar traded", "Provenance grade B", "5,031 bars"):
        assert words in text
    assert "1999-05-13 2003-03-31 2009-10-14" in text
    assert re.search(r"2008 -3\.6 ", text)
    data = data_of(page)
    assert data["chart"]["points"] == 5031
    assert data["chart"]["benchmark"] == "SPX"
    assert len(data["trades"]["id"]) == 88
    assert data["trades"]["entry_bar"][0] == 37
    assert len(page.encode()) < 800_000


def test_the_same_run_gives_the_same_bytes(sma_store: runs.Store, sma_report: Path):
    again = sma_store.root / "elsewhere.html"
    render_basic_report(sma_store.run_dir, bundles_dir=sma_store.bundles_dir, out=again)
    assert again.read_bytes() == sma_report.read_bytes()


def test_the_page_forbids_every_request_and_names_the_chart_library(sma_report: Path):
    page = sma_report.read_text(encoding="utf-8")
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert found is not None
    policy = unescape(found[1])
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split("style-src")[0]
    assert not re.search(r"<(link|img|iframe|script|source)[^>]*(src|href)=\"(?!data:)", page)
    assert "TradingView Lightweight Charts" in visible(page)
    assert 'href="https://www.tradingview.com/"' in page
    scripts = "".join(re.findall(r"<script>.*?</script>", page, re.S)[1:])
    assert "localStorage" not in scripts
    assert "Date.now" not in scripts


def test_a_run_without_trades_says_so(tmp_path):
    page = render(runs.write_small_run(tmp_path))
    assert "The run made no trade." in visible(page)
    assert data_of(page)["trades"]["id"] == []
    assert 'id="trades"' not in page


def test_one_bar_is_enough_for_a_page(tmp_path):
    page = render(runs.write_small_run(tmp_path, count=1, equity=np.array([1000.0])))
    text = visible(page)
    assert "Fewer than two different returns" in text
    assert "Equity never fell below its peak." in text
    assert data_of(page)["chart"]["points"] == 1


def test_negative_equity_is_shown_and_its_months_have_no_return(tmp_path):
    equity = np.concatenate((np.full(20, 100.0), np.full(20, -50.0), np.full(20, -60.0)))
    text = visible(render(runs.write_small_run(tmp_path, equity=equity)))
    assert "2020 -150.0 -160.0" in text
    assert "-160.0%" in text


def test_names_full_of_markup_are_text(tmp_path):
    evil = "</script><script>alert(1)</script>\"'&😀 \u202eabc"
    late = runs.moments(60)
    trades = runs.trade_table([runs.trade(1, evil, late[3], late[9])])
    store = runs.write_small_run(
        tmp_path,
        names=[evil, evil + "2"],
        symbols=[evil],
        params={evil: evil},
        trades=trades,
        benchmark=None,
    )
    store.write_dataset(runs.bars_of(evil, late, np.linspace(1, 2, 60)))
    page = render(store)
    assert "<script>alert" not in page
    assert visible(page).count("alert(1)") >= 5
    data = data_of(page)
    assert data["chart"]["symbols"] == [evil]
    assert data["trades"]["symbol"] == [evil]


def test_synthetic_prices_are_labeled(tmp_path):
    made_up = visible(render(runs.write_small_run(tmp_path / "made", synthetic=True)))
    assert "These prices were generated, not observed" in made_up
    real = visible(render(runs.write_small_run(tmp_path / "real")))
    assert "generated" not in real
    assert "Synthetic" not in real


def test_open_and_short_trades_have_their_places_on_the_chart(tmp_path):
    late = runs.moments(60)
    rows = [
        runs.trade(1, "SPX", late[3], late[9], side="short", pnl=Decimal("-5.5")),
        runs.trade(2, "SPX", late[50], None, mae=None),
    ]
    trades = data_of(render(runs.write_small_run(tmp_path, trades=runs.trade_table(rows))))[
        "trades"
    ]
    assert trades["entry_bar"] == [3, 50]
    assert trades["exit_bar"] == [9, None]
    assert trades["exit"] == [int(late[9].timestamp()), None]
    assert trades["pnl"] == [-5.5, 10.0]
    assert trades["mae"] == [-0.01, None]


def test_too_many_trades_are_cut_to_those_that_moved_most_and_the_page_says_so(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(charting, "MAX_TRADES", 2)
    late = runs.moments(60)
    gains = [Decimal(5), Decimal(-90), Decimal(1), Decimal(40)]
    rows = [
        runs.trade(number, "SPX", late[number], late[number + 5], pnl=gain)
        for number, gain in enumerate(gains, 1)
    ]
    page = render(runs.write_small_run(tmp_path, trades=runs.trade_table(rows)))
    assert data_of(page)["trades"]["id"] == [2, 4]
    assert "The run has 4 trades; this page holds the 2 that won or lost most" in visible(page)


def test_fifty_symbols_keep_the_page_small_and_the_most_traded_come_first(tmp_path):
    symbols = [f"S{number:02d}" for number in range(50)]
    count = 2000
    late = runs.moments(count)
    rows = [runs.trade(number, "S42", late[number], late[number + 1]) for number in range(1, 9)]
    store = runs.write_small_run(
        tmp_path, count=count, symbols=symbols, trades=runs.trade_table(rows), benchmark=None
    )
    close = np.linspace(10, 20, count)
    store.write_dataset(pl.concat([runs.bars_of(symbol, late, close) for symbol in symbols]))
    page = render(store)
    chart = data_of(page)["chart"]
    assert chart["symbols"][0] == "S42"
    assert len(chart["symbols"]) == 24
    assert len(chart["left_out"]) == 26
    assert "prices of 26 less traded symbols are left out" in visible(page)
    assert '<select id="symbol">' in page
    assert len(page.encode()) < 800_000


def test_a_long_minute_run_is_aggregated_and_the_page_says_how(tmp_path):
    count = 20_000
    late = runs.moments(count, step=timedelta(minutes=1))
    store = runs.write_small_run(tmp_path, dataset={"timeframe": "1m", "calendar": "24/7"})
    equity = np.full(count, 1000.0)
    equity[12_345] = 400.0
    store.write_table("backtest_results", runs.results_of(late, equity))
    store.write_dataset(runs.bars_of("SPX", late, np.linspace(10, 20, count)))
    page = render(store)
    chart = data_of(page)["chart"]
    assert (chart["step"], chart["points"], chart["intraday"]) == ("5 min", 4000, True)
    text = visible(page)
    assert "Chart at 5 min per point." in text
    assert "first open, highest high, lowest low, last close; equity with" in text
    assert "Metrics and tables use every bar." in text
    assert "Distribution of returns per bar (1m)" in text
    assert "-60.0%" in text


def test_a_missing_dataset_or_artifact_makes_no_page(tmp_path):
    store = runs.write_small_run(tmp_path)
    (store.dataset_dir / "bars.parquet").unlink()
    with pytest.raises(DatasetError, match=r"bars\.parquet is missing"):
        render(store)
    (store.run_dir / "results" / "summary.parquet").unlink()
    with pytest.raises(ArtifactManagerError, match=r"summary\.parquet is missing"):
        render(store)
    assert not (store.root / "out").exists()


def test_a_raised_grade_is_shown(tmp_path):
    assert "Provenance grade A" in visible(render(runs.write_small_run(tmp_path), grade="A"))
