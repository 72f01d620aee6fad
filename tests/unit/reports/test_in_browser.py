"""The pages in a real browser: what a reader sees and does, and that nothing is asked for."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from backtrail.reports import index as store_index
from backtrail.reports.basic import render_basic_report
from backtrail.reports.failed import render_failed_page

from . import runs
from .test_index import failed, made, row

ROWS = "document.querySelectorAll('#trades tbody tr')"
CELLS = "[...document.querySelectorAll('#trades tbody tr')].map(r => r.children[{}].textContent)"


def rendered(store: runs.Store) -> Path:
    out = store.root / "basic_report.html"
    return render_basic_report(store.run_dir, bundles_dir=store.bundles_dir, out=out)


def silent(browser, page: Path) -> bool:
    """Say whether the page asked only for itself and raised nothing."""
    return browser.requests() == [page.as_uri()] and browser.complaints() == []


def shown_range(browser) -> str:
    return str(browser.run("document.getElementById('legend').textContent"))


def test_a_report_paints_its_chart_and_asks_for_nothing(browser, sma_report):
    browser.open(sma_report)
    assert silent(browser, sma_report)
    assert browser.run("document.querySelectorAll('#chart canvas').length") >= 6
    legend = shown_range(browser)
    assert legend.startswith("2018-12-31O 2,498.94H 2,509.24L 2,482.82C 2,506.85Equity 143,")
    assert browser.run("document.querySelector('#chart a[href*=tradingview]') !== null")


def test_metric_cards_in_the_browser_equal_the_summary(browser, sma_store, sma_report):
    path = sma_store.run_dir / "results" / "summary.parquet"
    summary = dict(pl.read_parquet(path).select("metric", "value").iter_rows())
    browser.open(sma_report)
    shown = browser.run(
        "Object.fromEntries([...document.querySelectorAll('[data-metric]')]"
        ".map(b => [b.dataset.metric, b.textContent]))"
    )
    assert float(shown["total_return"].rstrip("%")) == pytest.approx(
        summary["total_return"] * 100, abs=0.05
    )
    assert float(shown["sharpe_ratio"]) == pytest.approx(summary["sharpe_ratio"], abs=0.005)
    assert shown["total_trades"] == "88"
    assert shown["probabilistic_sharpe_ratio"] == "–"


def test_the_trades_table_filters_and_sorts(browser, sma_report):
    browser.open(sma_report)
    assert browser.run(f"{ROWS}.length") == 88
    browser.run(
        "(() => { const f = document.getElementById('trade-filter'); f.value = '2008';"
        "f.dispatchEvent(new Event('input')); })()"
    )
    assert browser.run("document.getElementById('trade-count').textContent") == "5 of 88"
    browser.run(
        "[...document.querySelectorAll('#trades th button')]"
        ".find(b => b.textContent === 'P&L').click()"
    )
    gains = [float(text.replace(",", "")) for text in browser.run(CELLS.format(7))]
    assert len(gains) == 5
    assert gains == sorted(gains, reverse=True)
    heading = "document.querySelector('#trades th[aria-sort=descending]').textContent"
    assert browser.run(heading) == "P&L ▼"


def test_a_row_moves_the_chart_to_its_trade(browser, sma_report):
    browser.open(sma_report)
    browser.run(f"{ROWS}[39].querySelector('button').click()")
    browser.settle()
    entry = browser.run(f"{ROWS}[39].children[2].textContent")
    assert entry == "2007-07-12"
    assert shown_range(browser).startswith("2007-07-12")
    assert browser.run("document.querySelectorAll('#trades .picked').length") == 1
    pressed = "document.querySelectorAll('button.range[aria-pressed=true]').length"
    assert browser.run(pressed) == 0


def test_buttons_of_range_scale_markers_and_theme_do_their_work(browser, sma_report):
    browser.open(sma_report)
    background = "getComputedStyle(document.body).backgroundColor"
    assert browser.run(background) == "rgb(255, 255, 255)"
    for button in ("theme", "log", "markers"):
        browser.run(f"document.getElementById('{button}').click()")
    browser.run("document.querySelector('button.range[data-days=\"366\"]').click()")
    browser.settle()
    assert browser.run(background) == "rgb(19, 23, 34)"
    pressed = "[...document.querySelectorAll('[aria-pressed=true]')].map(b => b.textContent)"
    assert browser.run(pressed) == ["1Y", "Log scale"]
    assert silent(browser, sma_report)


def test_a_reader_who_prefers_dark_gets_dark(browser, sma_report):
    browser.open(sma_report, dark=True)
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(19, 23, 34)"


def test_pages_fit_a_screen_of_360_pixels(browser, sma_report, tmp_path):
    page_of_all = made([row(n) for n in range(3)] + [failed(7)], tmp_path / "index.html")
    for page in (sma_report, page_of_all):
        browser.open(page, width=360, height=740)
        assert browser.run("document.documentElement.scrollWidth") <= 360


def test_odd_runs_paint_without_a_complaint(browser, tmp_path):
    flat = np.concatenate((np.full(20, 100.0), np.full(40, -50.0)))
    pages = {
        "no trades": runs.write_small_run(tmp_path / "a"),
        "one bar": runs.write_small_run(tmp_path / "b", count=1, equity=np.array([1000.0])),
        "negative": runs.write_small_run(tmp_path / "c", equity=flat),
        "null metrics": runs.write_small_run(
            tmp_path / "d", summary=runs.summary_of(sharpe_ratio=None, value_at_risk=None)
        ),
    }
    for name, store in pages.items():
        page = rendered(store)
        browser.open(page)
        browser.run("document.getElementById('log').click()")
        browser.settle()
        assert silent(browser, page), (name, browser.complaints())
        assert "Equity" in shown_range(browser)


def test_a_name_with_markup_runs_no_script(browser, tmp_path):
    evil = "</script><script>window.hit=1</script><img src=x onerror=window.hit=1>\"'😀"
    late = runs.moments(60)
    store = runs.write_small_run(
        tmp_path,
        names=[evil],
        symbols=[evil],
        trades=runs.trade_table([runs.trade(1, evil, late[3], late[9])]),
    )
    store.write_dataset(runs.bars_of(evil, late, np.linspace(1, 2, 60)))
    page = rendered(store)
    page_of_all = made([failed(1, name=evil, strategy=evil)], tmp_path / "index.html")
    for shown in (page, page_of_all):
        browser.open(shown)
        assert browser.run("window.hit === undefined")
        assert silent(browser, shown)
        assert browser.run("document.body.textContent.includes('<img src=x')")


def test_the_symbol_chooser_and_the_trades_change_the_price_shown(browser, tmp_path):
    late = runs.moments(60)
    rows = [
        runs.trade(1, "AAA", late[3], late[9]),
        runs.trade(2, "AAA", late[13], late[19]),
        runs.trade(3, "BBB", late[20], late[30], side="short"),
    ]
    store = runs.write_small_run(tmp_path, symbols=["AAA", "BBB"], trades=runs.trade_table(rows))
    frames = [runs.bars_of(name, late, np.full(60, price)) for name, price in
              (("AAA", 10.0), ("BBB", 77.0))]  # fmt: skip
    store.write_dataset(pl.concat(frames))
    page = rendered(store)
    browser.open(page)
    assert "AAAO 10.00" in shown_range(browser)
    browser.run(f"{ROWS}[2].click()")
    browser.settle()
    assert "BBBO 77.00" in shown_range(browser)
    assert browser.run("document.getElementById('symbol').selectedOptions[0].text") == "BBB"
    browser.run(
        "(() => { const s = document.getElementById('symbol'); s.value = '0';"
        "s.dispatchEvent(new Event('change')); })()"
    )
    assert "AAAO 10.00" in shown_range(browser)
    assert silent(browser, page)


def test_an_aggregated_minute_run_paints_with_the_range_of_equity(browser, tmp_path):
    count = 20_000
    late = runs.moments(count, step=timedelta(minutes=1))
    store = runs.write_small_run(tmp_path, dataset={"timeframe": "1m"})
    equity = 1000 + np.sin(np.arange(count) / 500) * 100
    store.write_table("backtest_results", runs.results_of(late, equity))
    store.write_dataset(runs.bars_of("SPX", late, np.linspace(10, 20, count)))
    page = rendered(store)
    browser.open(page)
    assert silent(browser, page)
    assert " to 1,0" in shown_range(browser)


def test_a_failed_run_has_a_quiet_page(browser, tmp_path):
    store = runs.Store(tmp_path)
    store.write_spec(runs.spec())
    store.write_manifest(status="failed", error={"exception": "E", "message": "m"})
    out = tmp_path / "failed.html"
    page = render_failed_page(store.run_dir, bundles_dir=store.bundles_dir, out=out)
    browser.open(page)
    browser.run("document.getElementById('theme').click()")
    assert silent(browser, page)
    assert "E: m" in browser.run("document.getElementById('reason').textContent")


def test_the_index_searches_filters_sorts_and_compares(browser, tmp_path):
    runs_made = [row(n) for n in range(12)] + [failed(20), row(21, bundle="other")]
    page = made(runs_made, tmp_path / "index.html")
    browser.open(page)
    count = "document.getElementById('count').textContent"
    assert browser.run(count) == "14 of 14"
    assert "division by zero" in browser.run("document.getElementById('runs').textContent")
    type_in = (
        "(() => {{ const s = document.getElementById('search'); s.value = '{}';"
        "s.dispatchEvent(new Event('input')); }})()"
    )
    browser.run(type_in.format("zerodivision"))
    assert browser.run(count) == "1 of 14"
    browser.run(type_in.format("return > 50% and fast != 11 run-1"))
    assert browser.run(count) == "1 of 14"
    browser.run(type_in.format("slow = 50 retrun > 1"))
    assert browser.run(count) == "14 of 14"
    assert "called retrun" in browser.run("document.getElementById('unknown').textContent")
    browser.run(type_in.format(""))
    browser.run(
        "(() => { const s = document.querySelector('select[data-key=bundle]');"
        "s.value = '=us-indices'; s.dispatchEvent(new Event('change')); })()"
    )
    assert browser.run(count) == "13 of 14"
    browser.run(
        "[...document.querySelectorAll('#runs th button')]"
        ".find(b => b.textContent === 'Total return').click()"
    )
    names = "[...document.querySelectorAll('#runs tbody tr')].map(r => r.children[1])"
    names += ".filter(Boolean).map(cell => cell.textContent)"
    assert browser.run(names)[:2] == ["run-11", "run-10"]
    assert browser.run(names)[-1] == "run-20"  # a failed run has no value and goes last
    link = "document.querySelector('#runs tbody a').getAttribute('href')"
    assert browser.run(link) == "20260301_091500_011/results/reports/basic_report.html"
    browser.run(
        "[...document.querySelectorAll('#runs tbody input')].slice(0, 2).map(b => b.click())"
    )
    browser.settle()
    rows = browser.run(
        "[...document.querySelectorAll('#compare tr')]"
        ".map(r => [...r.children].map(c => c.textContent))"
    )
    assert ["≠ parameter fast", "10", "11"] in [[r[0], *sorted(r[1:])] for r in rows]
    assert ["≠ Total return", "100.0%", "110.0%"] in [[r[0], *sorted(r[1:])] for r in rows]
    assert ["Sharpe", "0.12", "0.12"] in rows
    assert browser.run("document.querySelectorAll('#chart canvas').length") > 0
    assert browser.run("document.getElementById('caution').hidden")
    browser.run("document.getElementById('clear').click()")
    assert browser.run("document.getElementById('comparison').hidden")
    assert silent(browser, page)


def test_runs_over_different_bars_are_compared_with_a_caution(browser, tmp_path):
    rows = [row(1), row(2, end="2020-12-31", dataset_id="other")]
    page = made(rows, tmp_path / "index.html")
    browser.open(page)
    browser.run("[...document.querySelectorAll('#runs tbody input')].map(b => b.click())")
    assert browser.run("document.getElementById('caution').textContent").startswith(
        "These runs differ in dataset, end;"
    )


def test_runs_over_different_rates_are_compared_with_a_caution(browser, tmp_path):
    browser.open(made([row(1), row(2, risk_free="2% a year")], tmp_path / "index.html"))
    assert "Risk-free rate" in columns_shown(browser)
    browser.run("[...document.querySelectorAll('#runs tbody input')].map(b => b.click())")
    assert browser.run("document.getElementById('caution').textContent").startswith(
        "These runs have different risk-free rates; Sharpe, Sortino"
    )
    shown = browser.run(
        "[...document.querySelectorAll('#compare tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )
    (cells,) = [cells[1:] for cells in shown if cells[0] == "≠ Risk-free rate"]
    assert sorted(cells) == ["0", "2% a year"]


def columns_shown(browser) -> list[str]:
    return list(browser.run(
        "[...document.querySelectorAll('#runs th button')].map(b => b.textContent)"
    ))  # fmt: skip


def test_a_long_name_does_not_hide_that_its_data_are_synthetic(browser, tmp_path):
    browser.open(made([row(1, name="long " * 40, synthetic=True)], tmp_path / "index.html"))
    cell = "document.querySelector('#runs .badge.warn').closest('td').getBoundingClientRect()"
    badge = "document.querySelector('#runs .badge.warn').getBoundingClientRect()"
    assert browser.run(f"{badge}.right <= {cell}.right && {badge}.left >= {cell}.left")


def test_names_and_parameters_have_the_room_that_a_wide_window_leaves(browser, tmp_path):
    rows = [row(n, name="momentum/lookback=126,top=2", params={"lookback": 126}) for n in (1, 2)]
    page = made(rows, tmp_path / "index.html")
    cut = (
        "[...document.querySelectorAll('#runs tbody td:nth-child(2), #runs tbody td:nth-child(3)')]"
        ".map(cell => cell.scrollWidth > cell.clientWidth)"
    )
    browser.open(page, width=1500)
    assert browser.run(cut) == [False] * 4
    browser.open(page, width=700)
    assert True in browser.run(cut)
    assert browser.run("document.getElementById('runs').offsetWidth > 700")


def test_columns_of_the_index_can_be_chosen(browser, tmp_path):
    browser.open(made([row(1)], tmp_path / "index.html"))
    assert "Omega" not in columns_shown(browser)
    browser.run("document.querySelector('#columns input[data-key=omega]').click()")
    browser.run("document.querySelector('#columns input[data-key=params]').click()")
    assert "Omega" in columns_shown(browser)
    assert "Parameters" not in columns_shown(browser)


def test_ten_thousand_runs_keep_few_rows_in_the_document(browser, tmp_path):
    rows = [
        row(n, backtest_id=f"20260301_{n:06d}_000", metrics={"total_return": n / 10_000})
        for n in range(10_000)
    ]
    browser.downloads_to(tmp_path)
    page = made(rows, tmp_path / "index.html")
    browser.open(page)
    assert browser.complaints() == []
    assert {Path(name).suffix for name in browser.requests()} == {".html", ".js"}
    assert all(name.startswith(tmp_path.as_uri()) for name in browser.requests())
    count = "document.querySelectorAll('#runs tbody tr').length"
    assert 20 < browser.run(count) < 80
    assert browser.run("document.getElementById('runs').getAttribute('aria-rowcount')") == "10001"
    first = "document.querySelectorAll('#runs tbody tr')[20].children[1].textContent"
    assert browser.run(first) == "run-9980"
    browser.run("document.getElementById('runs-view').scrollTop = 32 * 5000")
    for _ in range(3):
        browser.settle()
    assert 20 < browser.run(count) < 80
    assert browser.run(
        "document.querySelectorAll('#runs tbody tr')[13].children[1].textContent"
    ) == ("run-4999")
    browser.run(
        "[...document.querySelectorAll('#runs tbody input')].slice(0, 2).map(b => b.click())"
    )
    for _ in range(20):
        browser.settle()
    assert browser.run("document.querySelectorAll('#chart canvas').length") > 0
    assert "no equity curve" not in browser.run("document.getElementById('lines').textContent")
    before = len(browser.requests())
    assert before == 1 + 10 + 1, "the page, its rows, and curves of the ticked runs alone"
    browser.run("document.getElementById('runs-csv').click()")
    saved = browser.wait_for(tmp_path / "runs.csv").splitlines()
    assert len(saved) == 10_001
    assert saved[1].startswith("20260301_009999_000,us-indices,c0de")


def test_a_file_of_curves_that_is_gone_leaves_the_table_at_work(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(store_index, "INLINE_RUNS", 1)
    page = made([row(1), row(2)], tmp_path / "index.html")
    (curves,) = (tmp_path / ".index").glob("curves-*.js")
    curves.unlink()
    browser.open(page)
    browser.run("[...document.querySelectorAll('#runs tbody input')].map(b => b.click())")
    for _ in range(20):
        browser.settle()
    lines = browser.run("document.getElementById('lines').textContent")
    assert lines == "no equity curve of run-2, run-1"
    assert "≠ parameter fast" in browser.run("document.getElementById('compare').textContent")
