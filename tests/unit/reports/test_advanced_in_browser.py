"""The advanced report in a real browser: what a reader sees, does and saves."""

import csv
import io
import time
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from backtrail.reports.advanced import render_advanced_report
from backtrail.reports.settings import ReportConfig

from . import runs
from .test_in_browser import shown_range, silent

DARK = "rgb(19, 23, 34)"


def rendered(store: runs.Store, **options):
    out = store.root / "shown_in_browser.html"
    return render_advanced_report(store.run_dir, bundles_dir=store.bundles_dir, out=out, **options)


def see(browser, identity: str) -> None:
    """Scroll to an element, so that what is drawn when it comes near is drawn."""
    browser.run(f"document.getElementById('{identity}').scrollIntoView()")
    for _ in range(4):
        browser.settle()


def text_of(browser, identity: str) -> str:
    return str(browser.run(f"document.getElementById('{identity}').textContent"))


@pytest.mark.parametrize("width", [1280, 360])
def test_every_part_paints_and_asks_for_nothing(browser, advanced_report, width):
    browser.open(advanced_report, width=width, dark=width == 360)
    for name in ("chart", "rolling", "exposure"):
        see(browser, name)
        assert browser.run(f"document.querySelectorAll('#{name} canvas').length") >= 4
    see(browser, "scatter")
    assert browser.run("document.querySelectorAll('#scatter .mark').length") == 88
    assert browser.run("document.documentElement.scrollWidth") <= width
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (background == DARK) == (width == 360)
    assert silent(browser, advanced_report)


def test_charts_below_the_first_screen_are_drawn_when_they_come_near(browser, advanced_report):
    browser.open(advanced_report, height=500)
    assert browser.run("document.querySelectorAll('#exposure canvas').length") == 0
    see(browser, "exposure")
    assert browser.run("document.querySelectorAll('#exposure canvas').length") >= 4


def test_metrics_in_the_browser_equal_the_summary_to_the_last_digit(
    browser, sma_store, advanced_report
):
    summary = pl.read_parquet(sma_store.run_dir / "results" / "summary.parquet")
    browser.open(advanced_report)
    shown = browser.run(
        "Object.fromEntries([...document.querySelectorAll('#metric-table tbody tr')]"
        ".map(r => [r.cells[0].textContent, r.cells[1].dataset.v]))"
    )
    wanted = dict(summary.select("metric", "value").iter_rows())
    assert {name: float(text) if text else None for name, text in shown.items()} == wanted


def test_the_legend_names_recorded_values_and_the_window_can_be_chosen(browser, advanced_report):
    browser.open(advanced_report)
    assert "mean_slow 2," in shown_range(browser)
    see(browser, "rolling")
    year = text_of(browser, "rolling-legend")
    assert year.startswith("2018-12-31Sharpe ")
    browser.run("document.querySelector('button.window[data-window=\"0\"]').click()")
    assert text_of(browser, "rolling-legend") != year
    pressed = "document.querySelector('button.window[aria-pressed=true]').textContent"
    assert browser.run(pressed) == "quarter, 63 days"


def test_a_mark_of_the_excursions_jumps_to_its_trade(browser, advanced_report):
    browser.open(advanced_report)
    see(browser, "scatter")
    browser.run("document.querySelectorAll('#scatter .mark')[39].dispatchEvent(new Event('click'))")
    browser.settle()
    assert shown_range(browser).startswith("2007-07-12")
    assert browser.run("document.querySelector('#trades .picked').cells[0].textContent") == "40"
    before = browser.run("document.querySelector('#scatter .mark').outerHTML")
    browser.run("document.querySelector('button.excursion[data-key=mfe]').click()")
    assert browser.run("document.querySelector('#scatter .mark').outerHTML") != before


def test_tables_are_saved_as_csv_with_their_full_digits(
    browser, sma_store, advanced_report, tmp_path
):
    browser.downloads_to(tmp_path)
    browser.open(advanced_report)
    browser.run(
        "(() => { const f = document.getElementById('trade-filter'); f.value = '2008';"
        "f.dispatchEvent(new Event('input'));"
        "document.getElementById('trades-csv').click(); })()"
    )
    saved = browser.wait_for(tmp_path / f"{runs.BACKTEST_ID}-trades.csv")
    rows = list(csv.DictReader(io.StringIO(saved)))
    trades = pl.read_parquet(sma_store.run_dir / "results" / "trades.parquet")
    year = trades.filter(
        (pl.col("entry_at").dt.year() == 2008) | (pl.col("exit_at").dt.year() == 2008)
    )
    assert [int(row["trade_id"]) for row in rows] == year["trade_id"].to_list()
    assert [float(row["return"]) for row in rows] == pytest.approx(year["return"].to_list(), 1e-9)
    for button, name in (("#part-returns .csv", "monthly_returns"), ("#chart-csv", "chart-SPX")):
        browser.run(f"document.querySelector('{button}').click()")
        saved = browser.wait_for(tmp_path / f"{runs.BACKTEST_ID}-{name}.csv")
        lines = list(csv.reader(io.StringIO(saved)))
        assert len(lines) == {"monthly_returns": 21, "chart-SPX": 5032}[name]
        assert {len(line) for line in lines} == {len(lines[0])}
    assert lines[0][:5] == ["time", "close", "high", "low", "open"]
    assert float(lines[-1][1]) == pytest.approx(2506.85, rel=1e-6)


def press_until_saved(browser, press, folder, kind, count):
    """Press a button until there are so many files; Chromium drops a save amid another one."""
    for _ in range(10):
        browser.run(press)
        for _ in range(50):
            files = list(folder.glob(f"*.{kind}"))
            if len(files) == count and all(path.stat().st_size for path in files):
                return
            time.sleep(0.02)
    raise AssertionError(f"{press} saved nothing")


def saved_tables(browser, page, folder):
    """Save every table and chart of a page in both forms; return rows and frame by name."""
    browser.downloads_to(folder)
    browser.open(page)
    for name in ("rolling", "exposure"):  # drawn, and saved, once they were near
        if browser.run(f"document.getElementById('{name}') !== null"):
            see(browser, name)
    count = browser.run("document.querySelectorAll('button.csv').length")
    assert browser.run("document.querySelectorAll('button.parquet').length") == count
    for number in range(count):
        for kind in ("csv", "parquet"):
            press = f"document.querySelectorAll('button.{kind}')[{number}].click()"
            press_until_saved(browser, press, folder, kind, number + 1)
    found = {}
    for path in sorted(folder.glob("*.csv")):
        rows = list(csv.reader(io.StringIO(browser.wait_for(path), newline="")))
        found[path.stem.removeprefix(f"{runs.BACKTEST_ID}-")] = (
            rows,
            pl.read_parquet(browser.saved(path.with_suffix(".parquet"))),
        )
    assert len(found) == count
    return found


def test_every_table_is_saved_as_parquet_with_what_its_csv_says(browser, advanced_report, tmp_path):
    found = saved_tables(browser, advanced_report, tmp_path)
    assert {"trades", "metrics", "drawdowns", "monthly_returns", "years", "attribution", "costs",
            "rolling", "exposure", "round_trips_by_side",
            "chart-SPX"} <= set(found)  # fmt: skip
    for name, ((header, *rows), frame) in found.items():
        assert frame.height == len(rows), name
        assert len(set(frame.columns)) == len(header)
        for place, column in enumerate(frame.columns):
            texts = [row[place] for row in rows]
            values = frame[column].to_list()
            if frame[column].dtype == pl.String:
                assert [value or "" for value in values] == [
                    "" if text == "–" else text for text in texts
                ], (name, column)
            else:
                numbers = [
                    None if text in ("", "–") else float(text.replace(",", "")) for text in texts
                ]
                assert values == numbers, (name, column)
    trades = found["trades"][1]
    assert trades["return"].dtype == pl.Float64
    assert trades["symbol"].dtype == pl.String
    metrics = dict(found["metrics"][1].select(pl.nth(0), pl.nth(1)).iter_rows())
    assert metrics["total_trades"] == 88


def test_parquet_of_the_page_is_read_by_other_libraries_and_keeps_odd_texts(browser, tmp_path):
    import pyarrow.parquet as pq

    odd = '007,"B"\n=1 😀'
    late = runs.moments(60)
    trades = runs.trade_table([runs.trade(1, odd, late[3], late[9])])
    store = runs.write_small_run(tmp_path, symbols=[odd], trades=trades)
    store.write_dataset(runs.bars_of(odd, late, np.linspace(1, 2, 60)))
    folder = tmp_path / "saved"
    folder.mkdir()
    found = saved_tables(browser, rendered(store), folder)
    table = pq.read_table(folder / f"{runs.BACKTEST_ID}-trades.parquet")
    assert table.column("symbol").to_pylist() == [odd]
    assert table.schema.field("symbol").type == "string"
    assert pl.from_arrow(table).equals(found["trades"][1])


def test_csv_cells_with_separators_are_quoted(browser, tmp_path):
    browser.downloads_to(tmp_path)
    odd = 'A,"B"\n=1'
    late = runs.moments(60)
    store = runs.write_small_run(
        tmp_path, symbols=[odd], trades=runs.trade_table([runs.trade(1, odd, late[3], late[9])])
    )
    store.write_dataset(runs.bars_of(odd, late, np.linspace(1, 2, 60)))
    browser.open(rendered(store))
    browser.run("document.getElementById('trades-csv').click()")
    saved = browser.wait_for(tmp_path / f"{runs.BACKTEST_ID}-trades.csv")
    (row,) = csv.DictReader(io.StringIO(saved, newline=""))
    assert row["symbol"] == odd


def test_theme_and_parts_follow_the_config(browser, sma_store):
    config = ReportConfig(theme="dark", sections=("costs",))
    page = rendered(sma_store, config=config)
    browser.open(page)
    assert browser.run("getComputedStyle(document.body).backgroundColor") == DARK
    links = "[...document.querySelectorAll('nav.sections a')].map(a => a.textContent)"
    assert browser.run(links) == ["Chart", "Costs"]
    assert silent(browser, page)


@pytest.mark.slow  # the basic report and the read-back figures have odd runs, too
def test_odd_runs_paint_without_a_complaint(browser, tmp_path):
    late = runs.moments(60)
    evil = "</script><script>window.hit=1</script><img src=x onerror=window.hit=1>\"'😀 \u202eabc"
    trades = runs.trade_table([
        runs.trade(1, evil, late[3], late[9], mae=None, pnl=Decimal("-3")),
        runs.trade(2, "B", late[9], None, side="short"),
    ])  # fmt: skip
    recorded = {"timestamp": [late[5]], "name": [evil], "value": [float("nan")]}
    flat = np.concatenate((np.full(20, 100.0), np.full(40, -50.0)))
    stores = [
        runs.write_small_run(tmp_path / "a", symbols=[evil, "B"], trades=trades, names=[evil],
                             recorded=recorded),
        runs.write_small_run(tmp_path / "b", count=1, equity=np.array([1000.0])),
        runs.write_small_run(tmp_path / "c", equity=flat),
        runs.write_small_run(tmp_path / "d", count=300, equity=np.full(300, 7.0)),
    ]  # fmt: skip
    runs.write_code(stores[0], {"s.py": f"x = {evil!r}\n"})
    for store in stores:
        page = rendered(store)
        browser.open(page)
        for name in ("part-exposure", "part-code"):
            see(browser, name)
        assert browser.run("window.hit === undefined")
        assert silent(browser, page), browser.complaints()


@pytest.mark.parametrize("width", [1280, 360])
def test_the_validation_panel_fits_and_its_tables_are_saved(browser, tmp_path, width):
    store = runs.write_small_run(tmp_path)
    runs.write_validation(store)
    out = tmp_path / "advanced.html"
    render_advanced_report(store.run_dir, bundles_dir=store.bundles_dir, out=out)
    browser.open(out, width=width)
    assert browser.requests() == [out.as_uri()]
    assert browser.complaints() == []
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert (
        browser.run(
            "document.querySelector('nav.sections a[href=\"#part-validation\"]').textContent"
        )
        == "Validation"
    )
    browser.downloads_to(tmp_path)
    browser.run("document.querySelector('button[data-name=gates]').click()")
    saved = browser.wait_for(tmp_path / f"{runs.BACKTEST_ID}-gates.csv").splitlines()
    assert saved[1] == "Probabilistic Sharpe ratio,✓ yes,surely above zero (PSR 0.99)"
