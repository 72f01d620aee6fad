"""The grid of costs on the pages: what its files say, and which cell is the run itself."""

import re

import polars as pl
import pytest

from backtrail.errors import ArtifactManagerError
from backtrail.reports.basic import render_basic_report
from backtrail.reports.contents import read_contents
from backtrail.reports.pdf import paper_data
from backtrail.reports.settings import ReportConfig

from . import runs
from .test_advanced import rows_of
from .test_basic import visible
from .test_validation import page_of

NOTE = "At other costs: the profit is gone above 3.5 <b>."


@pytest.fixture
def store(tmp_path):
    return runs.write_small_run(tmp_path)


def shown(page, table):
    """Return the cells of a table as a reader sees them."""
    body = re.search(rf'id="{table}"[^>]*>.*?<tbody>(.*?)</tbody>', page, re.DOTALL).group(1)
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [[visible(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def test_a_run_that_did_not_ask_for_costs_says_nothing_of_them(store):
    runs.write_validation(store)
    page = page_of(store)
    assert "At other costs" not in page
    assert "Executed again" not in page


def test_return_and_ratio_stand_by_commission_and_slippage(store):
    runs.write_costs(store)
    page = page_of(store)
    assert shown(page, "cost-total_return") == [
        ["0", "25.0%", "12.5%", "-6.25%"],
        ["1", "20.0%", "10.0%", "-8.00%"],
    ]
    assert shown(page, "cost-sharpe_ratio")[1] == ["1", "0.40", "0.20", "-0.16"]
    assert rows_of(page, "cost-cells")[0][:6] == ["own", "", "", "0.1", "0.01", "0.2"]
    assert rows_of(page, "cost-cells")[6] == [
        "other", "1.0", "4.0", "-0.08", "-0.008", "-0.16", "-0.3", "920.0", "100.0", "40.0",
        "7", "14",
    ]  # fmt: skip
    assert "The run itself: commission per_dollar cost 0.0001, slippage fixed_bps " in page
    assert "basis_points 1, commission set by the strategy." in page
    assert "Every cell is a run; levels are of each fill." in page


def test_color_follows_sign_and_size_and_a_frame_is_around_the_run_itself(store):
    runs.write_costs(store)
    page = page_of(store)
    cells = re.findall(r'<td class="(\w+)( own)?" style="--heat:(\d+)" data-v="([^"]*)"', page)
    returns = [(tone, bool(own), int(heat), float(value)) for tone, own, heat, value in cells[:6]]
    assert returns == [
        ("gain", False, 70, 0.25), ("gain", False, 35, 0.125), ("loss", False, 18, -0.0625),
        ("gain", False, 56, 0.2), ("gain", True, 28, 0.1), ("loss", False, 22, -0.08),
    ]  # fmt: skip
    assert sum(bool(own) for _, own, _, _ in cells) == 2, "once in each of the two maps"


def test_multiples_are_marked_as_such(store):
    runs.write_costs(store, unit="multiples")
    page = page_of(store)
    assert [row[0] for row in shown(page, "cost-total_return")] == ["0×", "1×"]
    assert "Levels are times the run&#39;s own;" in page


def test_where_the_strategy_failed_there_is_a_reason_in_place_of_figures(store):
    runs.write_costs(store, failed=True)
    page = page_of(store)
    assert shown(page, "cost-total_return")[1][3] == "–"
    assert shown(page, "cost-cells")[6][-1] == "ValueError: <b>no cash</b>"
    assert "<b>no cash" not in page


def test_the_break_even_cost_is_told_on_every_page(store):
    runs.write_costs(store)
    basic = store.root / "basic.html"
    render_basic_report(store.run_dir, bundles_dir=store.bundles_dir, out=basic)
    assert NOTE in visible(basic.read_text())
    page = page_of(store)
    assert NOTE in visible(page)
    assert '<a href="#break-even">Executed again at other costs</a>' in page
    assert NOTE in paper_data(read_contents(store.run_dir, store.bundles_dir))["notes"]
    assert 'href="#break-even"' not in page_of(store, config=ReportConfig(sections=("costs",)))


def test_a_missing_or_foreign_grid_is_named(store):
    runs.write_costs(store)
    path = store.run_dir / "results/validation/costs/grid.parquet"
    pl.DataFrame({"commission": [1.0]}).write_parquet(path)
    with pytest.raises(ArtifactManagerError, match=re.escape(f"{path} has the columns")):
        page_of(store)
    path.unlink()
    with pytest.raises(ArtifactManagerError, match=re.escape(f"{path} is missing")):
        page_of(store)
    path.with_name("cost-sensitivity.json").write_text("{")
    with pytest.raises(ArtifactManagerError, match=r"cost-sensitivity.json cannot be read"):
        page_of(store)


def test_the_grid_is_as_wide_as_its_page_and_its_tables_can_be_saved(browser, store, tmp_path):
    runs.write_costs(store)
    page_of(store)
    for width in (1440, 360):
        browser.open(store.root / "advanced.html", width=width, dark=width == 360)
        browser.settle()
        assert browser.run("document.documentElement.scrollWidth") <= width
        cell = "document.querySelector('#cost-total_return td.{}')"
        shade = f"getComputedStyle({cell}).backgroundColor"
        assert browser.run(shade.format("gain")) != browser.run(shade.format("loss"))
        lengths = "[...document.getElementById('cost-cells').rows].map(row => row.cells.length)"
        assert set(browser.run(lengths)) == {12}, "every row has every column, for CSV and Parquet"
    assert browser.complaints() == []
