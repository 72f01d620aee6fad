"""The page of a search in a real browser: one filter for every picture, and honest numbers."""

import json

import polars as pl
import pytest

from backtrail.reports.search import render_search_report
from backtrail.reports.settings import ReportConfig

from . import runs

ROWS = "[...document.querySelectorAll('#sets tbody tr')]"
COUNT = "document.getElementById('count').textContent"
CELLS = "[...document.querySelectorAll('#heat .cell')]"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return runs.search_run(tmp_path_factory.mktemp("search"))


@pytest.fixture(scope="module")
def results(store):
    return pl.read_parquet(store.run_dir / "results/optimization_results.parquet")


@pytest.fixture(scope="module")
def search_page(store):
    out = store.root / "search_report.html"
    return render_search_report(store.run_dir, bundles_dir=store.bundles_dir, out=out)


def ask(browser, condition: str) -> str:
    browser.run(
        "(() => { const f = document.getElementById('search');"
        f"f.value = {json.dumps(condition)}; f.dispatchEvent(new Event('input')); }})()"
    )
    return str(browser.run(COUNT))


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("dark", [False, True])
def test_every_picture_paints_and_asks_for_nothing(browser, search_page, width, dark):
    browser.open(search_page, width=width, dark=dark)
    assert browser.requests() == [search_page.as_uri()]
    assert browser.complaints() == []
    assert browser.run(f"{CELLS}.length") == 72
    assert browser.run("document.querySelectorAll('#front .mark').length") == 66
    assert browser.run("document.querySelectorAll('#parallel .hit').length") == 7
    assert browser.run(f"{ROWS}.length") == 72
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")


def test_the_head_says_how_much_was_tried_before_any_number_of_the_best_set(browser, search_page):
    browser.open(search_page)
    shown = browser.run(
        "Object.fromEntries([...document.querySelectorAll('#luck li')]"
        ".map(c => [c.querySelector('span').textContent, c.querySelector('b').textContent]))"
    )
    assert shown == {
        "Sets in this search": "72",
        "Trials ever counted": "90",
        "Effective trials": "6.2",
        "Best Sharpe without skill": "0.61",
        "PSR": "0.98",
        "DSR": "0.31",
        "PBO": "0.58",
        "SPA p-value": "0.62",
        "Reality check p-value": "0.71",
    }
    assert "no edge is left" in browser.run("document.getElementById('verdict').textContent")
    assert "6 failed" in browser.run("document.getElementById('selection').textContent")


def test_the_table_equals_the_artifact_in_the_order_of_ranks(browser, search_page, results):
    browser.open(search_page)
    shown = browser.run(f"{ROWS}.map(r => [...r.cells].map(c => c.textContent))")
    expected = results.sort("rank", nulls_last=True, maintain_order=True)
    assert [row[1] for row in shown] == [str(number) for number in expected["set"]]
    for cells, row in zip(shown, expected.iter_rows(named=True), strict=True):
        assert cells[3:6] == [str(row["params.fast"]), str(row["params.slow"]), row["params.mode"]]
        if row["error"] is None:
            assert float(cells[7].rstrip("%")) / 100 == pytest.approx(row["cagr"], abs=6e-4)
            assert float(cells[8]) == pytest.approx(row["sharpe_ratio"], abs=0.006)
        else:
            assert cells[7:12] == ["–"] * 5
            assert cells[12] == "ValueError: <b>no window</b>", "text, not markup"
    assert shown[0][12] == "selected"
    assert [cells[11] for cells in shown if cells[1] == "3"] == ["∞"], "a search without a loss"


@pytest.mark.parametrize(
    ("condition", "test"),
    [
        ("sharpe > 0.5 and max_drawdown > -0.3", lambda r: r.sharpe > 0.5 and r.fall > -0.3),
        ("fast = 10 or slow >= 150", lambda r: r.fast == 10 or r.slow >= 150),
        ("not (cagr < 5% or fast < 20)", lambda r: not (r.cagr < 0.05 or r.fast < 20)),
        ("slow / fast > 4 and slow - 2 * fast < 50", lambda r: r.slow / r.fast > 4
         and r.slow - 2 * r.fast < 50),
        ("0.2 < sharpe_ratio < 0.6", lambda r: 0.2 < r.sharpe < 0.6),
        ("-max_drawdown < 25%", lambda r: -r.fall < 0.25),
        ("mode = 'even' and (fast + slow) > 100", lambda r: r.mode == "even"
         and r.fast + r.slow > 100),
        ("params.fast != 5", lambda r: r.fast != 5),
    ],
)  # fmt: skip
def test_a_condition_keeps_the_sets_that_meet_it(browser, search_page, results, condition, test):
    browser.open(search_page)

    class Row:
        def __init__(self, row):
            nan = float("nan")  # an undefined metric meets no condition
            self.sharpe, self.fall, self.cagr = (
                nan if row[name] is None else row[name]
                for name in ("sharpe_ratio", "max_drawdown", "cagr")
            )
            self.fast, self.slow, self.mode = (
                row[f"params.{name}"] for name in ("fast", "slow", "mode")
            )

    wanted = {row["set"] for row in results.iter_rows(named=True) if test(Row(row))}
    assert 0 < len(wanted) < 72
    assert ask(browser, condition) == f"{len(wanted)} of 72 sets"
    assert set(browser.run(f"{ROWS}.map(r => Number(r.cells[1].textContent))")) == wanted
    marks = browser.run(
        "[...document.querySelectorAll('#front .mark')].map(m => Number(m.dataset.set))"
    )
    made = set(results.filter(pl.col("error").is_null())["set"])
    assert set(marks) == wanted & made


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("sharpe >", "it ends where a name or a number should stand"),
        ("nonsense > 1", "no metric or parameter is called “nonsense”"),
        ("sharpe > 1 fast", "“fast” stands where “and” or “or” should"),
        ("(sharpe > 1", "it ends where a closing bracket should stand"),
        ("alert(1)", "no metric or parameter is called “alert”"),
        ("sharpe > 1; fast", "not understood from “; fast” on"),
        ("fast", "it ends where a comparison should stand"),
    ],
)
def test_a_condition_that_is_none_is_explained_and_not_used(browser, search_page, condition, said):
    browser.open(search_page)
    assert ask(browser, condition) == "72 of 72 sets"
    complaint = browser.run("document.getElementById('complaint').textContent")
    assert said in complaint
    assert "fast, slow, mode, cagr" in complaint
    assert ask(browser, "") == "72 of 72 sets"
    assert browser.run("document.getElementById('complaint').hidden")


def brush(browser, axis: str, low: float, high: float) -> None:
    """Drag along an axis between two shares of its length, 0 below and 1 above."""
    browser.run(
        f"(() => {{ const hit = document.querySelector('[data-axis={axis}]');"
        "const box = hit.getBoundingClientRect();"
        f"const y = (share) => box.bottom - 4 - share * (box.height - 8);"
        "const send = (target, kind, share) => target.dispatchEvent(new PointerEvent(kind,"
        "{ clientX: box.x + 14, clientY: y(share), bubbles: true }));"
        f"send(hit, 'pointerdown', {low}); send(window, 'pointerup', {high}); }})()"
    )


def test_brushes_of_several_axes_keep_the_sets_within_all_of_them(browser, search_page, results):
    browser.open(search_page)
    brush(browser, "slow", -0.02, 0.51)  # 50 to 106
    wanted = results.filter(pl.col("params.slow") <= 106)
    assert browser.run(COUNT) == f"{wanted.height} of 72 sets"
    brush(browser, "fast", 1.02, 0.4)  # 19 to 40
    wanted = wanted.filter(pl.col("params.fast") >= 19)
    assert browser.run(COUNT) == f"{wanted.height} of 72 sets"
    assert browser.run(f"{CELLS}.length") == wanted.height
    brush(browser, "slow", 0.5, 0.5)  # a click clears one
    assert browser.run(COUNT) == f"{results.filter(pl.col('params.fast') >= 19).height} of 72 sets"
    browser.run("document.getElementById('clear-brushes').click()")
    assert browser.run(COUNT) == "72 of 72 sets"
    assert browser.run("document.getElementById('clear-brushes').hidden")


def choose(browser, name: str, value: str) -> None:
    browser.run(
        f"(() => {{ const s = document.getElementById('{name}'); s.value = '{value}';"
        "s.dispatchEvent(new Event('change')); })()"
    )


def test_the_heat_map_shows_any_two_parameters_and_says_what_a_cell_is(
    browser, search_page, results
):
    browser.open(search_page)
    cells = browser.run(f"{CELLS}.map(c => [c.dataset.x, c.dataset.y, c.dataset.v])")
    expected = {
        (str(row["params.fast"]), str(row["params.slow"])): row["sharpe_ratio"]
        for row in results.iter_rows(named=True)
    }
    assert {(x, y): None if v == "" else float(v) for x, y, v in cells} == {
        key: None if value is None else pytest.approx(value, rel=1e-6)
        for key, value in expected.items()
    }
    choose(browser, "heat-x", "mode")
    choose(browser, "heat-y", "fast")
    choose(browser, "heat-metric", "cagr")
    choose(browser, "heat-of", "mean")
    cells = browser.run(f"{CELLS}.map(c => [c.dataset.x, c.dataset.y, Number(c.dataset.v)])")
    means = results.group_by("params.mode", "params.fast").agg(pl.col("cagr").mean())
    assert {(x, y): v for x, y, v in cells} == {
        (row["params.mode"], str(row["params.fast"])): pytest.approx(row["cagr"], rel=1e-5)
        for row in means.iter_rows(named=True)
    }
    label = browser.run("document.querySelector('#heat svg').getAttribute('aria-label')")
    assert label.startswith("CAGR by mode and fast, from ")


def test_ticked_sets_show_their_equity_and_those_without_a_curve_say_so(browser, search_page):
    browser.open(search_page)
    assert browser.run("document.getElementById('overlay').hidden")
    browser.run(f"{ROWS}[0].querySelector('input').click()")
    browser.run(f"{ROWS}[20].querySelector('input').click()")
    browser.settle()
    assert browser.run("document.querySelectorAll('#chart canvas').length") > 0
    words = browser.run("document.getElementById('lines').textContent")
    assert "set 5 fast=5 slow=100 mode=odd </script>" in words
    assert "No curve was kept of set" in words
    assert browser.complaints() == []


def test_the_sets_shown_are_saved_as_csv(browser, search_page, results, tmp_path):
    browser.open(search_page)
    browser.downloads_to(tmp_path)
    ask(browser, "fast = 5")
    browser.run("document.getElementById('sets-csv').click()")
    text = browser.wait_for(tmp_path / f"{runs.BACKTEST_ID}-sets.csv")
    saved = pl.read_csv(text.encode())
    wanted = results.filter(pl.col("params.fast") == 5).sort("rank", nulls_last=True)
    assert saved["set"].to_list() == wanted["set"].to_list()
    assert saved["cagr"].null_count() == wanted["cagr"].null_count() == 1
    assert saved["cagr"].drop_nulls().to_list() == pytest.approx(
        wanted["cagr"].drop_nulls().to_list(), rel=1e-6
    )


@pytest.mark.slow
def test_the_condition_and_the_theme_work_on_a_search_of_many_sets(browser, tmp_path):
    store = runs.search_run(
        tmp_path, fast=tuple(range(5, 155)), slow=tuple(range(200, 360)), luck=None, curves=0
    )
    out = tmp_path / "search_report.html"
    render_search_report(
        store.run_dir, bundles_dir=store.bundles_dir, out=out, config=ReportConfig(theme="dark")
    )
    browser.open(out)
    assert browser.complaints() == []
    said = browser.run("document.getElementById('selection').textContent")
    assert "24,000 sets" in said
    held = browser.run("page.data.sets.length")
    assert 14_000 < held <= 20_000
    assert f"This page holds {held:,} of them" in said
    assert browser.run("document.documentElement.dataset.theme") == "dark"
    assert browser.run(f"{ROWS}.length") == 100
    assert browser.run(f"{CELLS}.length") <= 3600
    assert browser.run("page.data.rank.filter(r => r !== null && r <= 10000).length") == 10_000
