"""The head of a search's page says what was searched; that of a plain run what was run."""

import re

import pytest

from backtrail.reports.advanced import render_advanced_report
from backtrail.reports.search import render_search_report
from backtrail.reports.search_header import space_words

from . import runs
from .test_basic import visible

HOLDOUT = {"holdout": {"start": "2018-01-02", "warm_up": 20}}


def page_of(store, render=render_search_report):
    out = store.root / "page.html"
    render(store.run_dir, bundles_dir=store.bundles_dir, out=out)
    return out.read_text(encoding="utf-8")


def facts_of(page):
    found = re.findall(r"<dt>(.*?)</dt><dd[^>]*><bdi>(.*?)</bdi>", page)
    return dict(found)


def test_a_space_is_written_axis_by_axis():
    space = [
        {"name": "fast", "values": {"min": 5, "max": 30, "step": 5}},
        {"name": "mode", "values": ["even", True, 2.5]},
    ]
    assert space_words(space) == "fast 5 to 30 by 5; mode even, yes, 2.5"


def test_the_head_of_a_search_says_dates_space_sets_and_the_selected_one(tmp_path):
    page = page_of(runs.search_run(tmp_path, validate=HOLDOUT))
    lead = re.findall(r'<p class="lead"><bdi>(.*?)</bdi>', page)[0]
    assert lead == (
        "Search of 72 parameter sets on SPX, 1999-01-04 to 2018-01-01 in sample (2018-01-02 to "
        "2018-12-31 withheld): fast 5, 10, 15, 20, 30, 40; slow 50 to 160 by 10; mode even, odd "
        "&lt;/script&gt;, where fast &lt; slow. Selected set 5: fast=5, mode=even, slow=100."
    )
    facts = facts_of(page)
    assert facts["Searched in sample"] == "1999-01-04 to 2018-01-01"
    assert facts["Withheld as holdout"] == "2018-01-02 to 2018-12-31; not looked at"
    assert facts["Sets evaluated"] == "72 by grid"
    assert facts["Selected"] == "set 5: fast=5, mode=even, slow=100"
    assert {"Parameters", "Period", "Search", "Holdout"}.isdisjoint(facts)
    assert visible(page).count("Validation not passed.") == 1, "the verdict stands once"
    assert "72 sets are admissible, 6 failed" in visible(page)


def test_a_search_that_withheld_nothing_says_so(tmp_path):
    page = page_of(runs.search_run(tmp_path))
    assert facts_of(page)["Withheld as holdout"] == "none"
    assert "withheld)" not in page
    assert facts_of(page)["Searched in sample"] == "1999-01-04 to 2018-12-31"


@pytest.mark.parametrize("render", [render_search_report, render_advanced_report])
def test_a_search_that_was_not_validated_has_a_page_without_a_verdict(tmp_path, render):
    page = page_of(runs.search_run(tmp_path, luck=None, verdict=None), render)
    assert 'id="verdict"' not in page
    assert "were selected from 72 parameter sets on the same bars" in page


def test_other_pages_of_a_search_are_about_its_selected_set(tmp_path):
    facts = facts_of(page_of(runs.search_run(tmp_path, validate=HOLDOUT), render_advanced_report))
    assert facts["Parameters"] == "fast=5, mode=even, slow=100"
    assert facts["Period"] == "1999-01-04 to 2018-01-01, 60 bars"
    assert facts["Search"].startswith("best of 72 parameter sets by grid, 6 of which failed")
