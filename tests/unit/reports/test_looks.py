"""How often a holdout was looked at is on every kind of page that is made later, from data."""

import re

import pytest

from backtrail.reports.advanced import render_advanced_report
from backtrail.reports.basic import render_basic_report
from backtrail.reports.contents import read_contents
from backtrail.reports.failed import render_failed_page
from backtrail.reports.looks import HoldoutLooks
from backtrail.reports.pdf import paper_data, render_pdf_report
from backtrail.reports.search import render_search_report

from . import runs
from .test_index import made, row

TWICE = HoldoutLooks(2, contaminated=True)
PAGES = {
    "basic": render_basic_report,
    "advanced": render_advanced_report,
    "search": render_search_report,
    "failed": render_failed_page,
}


@pytest.fixture
def store(tmp_path):
    holdout = {"start": "2018-01-02", "warm_up": 20}
    return runs.search_run(tmp_path, validate={"holdout": holdout})


def shown(store, kind: str, looks: HoldoutLooks) -> str:
    out = store.root / "page.html"
    PAGES[kind](store.run_dir, bundles_dir=store.bundles_dir, out=out, looks=looks)
    return out.read_text(encoding="utf-8")


def test_looks_are_counted_and_a_second_one_at_the_same_dates_contaminates():
    assert HoldoutLooks.of([]).words == "not looked at"
    first = {"look": 1, "start": "2018-01-02", "end": "2018-12-31"}
    assert HoldoutLooks.of([first]) == HoldoutLooks(1, contaminated=False)
    assert HoldoutLooks.of([first]).words == "1 look"
    later = {"look": 1, "start": "2019-01-02", "end": "2019-12-31"}
    assert HoldoutLooks.of([later, first]).words == "2 looks", "at different dates"
    assert HoldoutLooks.of([{**first, "look": 2}, first]) == TWICE
    # Each was the first of its dataset, by a count that kept datasets apart.
    across = {"look": 1, "start": "2018-12-31", "end": "2019-06-28"}
    assert HoldoutLooks.of([first, across]) == TWICE
    assert TWICE.words == "2 looks, contaminated"
    assert HoldoutLooks.of([], seen=1).words == "not opened, but seen in 1 run, contaminated"
    assert HoldoutLooks.of([first], seen=2).words == "1 look, seen in 2 runs, contaminated"
    assert HoldoutLooks.of([first], seen=2).state == "1 look, seen in other runs, contaminated"


@pytest.mark.parametrize("kind", PAGES)
def test_every_page_has_the_count_and_from_the_second_look_on_the_mark(store, kind):
    before = shown(store, kind, HoldoutLooks())
    assert "data-looks" not in before
    assert "ontaminated" not in before
    assert "2018-01-02 to 2018-12-31" in before
    assert "not looked at" in before
    first = shown(store, kind, HoldoutLooks(1))
    assert re.search(r'data-looks="1" data-contaminated="no">Holdout: 1 look<', first)
    assert "not looked at" not in first
    assert "Contaminated:" not in first
    second = shown(store, kind, TWICE)
    mark = r'data-looks="2" data-contaminated="yes">Holdout: 2 looks, contaminated<'
    assert re.search(mark, second)
    assert "Contaminated: strategies/sma_cross.py has had 2 looks" in second


def test_a_plain_run_of_the_same_dataset_has_them_too(tmp_path):
    store = runs.write_small_run(tmp_path)
    assert "Holdout" not in shown(store, "basic", HoldoutLooks())
    page = shown(store, "basic", TWICE)
    assert "Holdout of the dataset" in page
    assert "2 looks, contaminated" in page


def test_every_page_of_a_search_says_how_many_runs_had_shown_its_holdout_before(store):
    page = shown(store, "search", HoldoutLooks(0, contaminated=True, seen=3, before=3))
    assert "and all of them began before this search" in page
    page = shown(store, "basic", HoldoutLooks(0, contaminated=True, seen=3, before=2))
    assert "and 2 of them began before this search" in page
    page = shown(store, "basic", HoldoutLooks(0, contaminated=True, seen=1, before=1))
    assert "that is no look shows dates of this holdout, and it began before" in page
    page = shown(store, "advanced", HoldoutLooks(1, contaminated=True, seen=1))
    assert "since this search began, 1 run of strategies/sma_cross.py showed dates" in page
    assert "has had" not in page, "one look is no second one"
    page = shown(store, "basic", HoldoutLooks(2, contaminated=True, seen=1))
    assert "has had 2 looks at held-out dates" in page


def test_the_paper_has_them(store):
    contents = read_contents(store.run_dir, store.bundles_dir)
    facts = dict(paper_data(contents, looks=TWICE)["facts"])
    assert facts["Holdout"] == "2018-01-02 to 2018-12-31, withheld; 2 looks, contaminated"
    assert any(
        note.startswith("Contaminated:") for note in paper_data(contents, looks=TWICE)["notes"]
    )
    assert dict(paper_data(contents)["facts"])["Holdout"].endswith("withheld; not looked at")
    pages = [
        render_pdf_report(
            store.run_dir, bundles_dir=store.bundles_dir, out=store.root / "a.pdf", looks=looks
        ).read_bytes()
        for looks in (HoldoutLooks(), TWICE)
    ]
    assert pages[0] != pages[1]


def test_a_look_that_says_itself_which_it_was_is_not_marked_twice(tmp_path):
    store = runs.write_small_run(
        tmp_path, holdout={"start": "2018-01-02", "end": "2018-12-31"}, run_type="holdout"
    )
    spec = runs.spec(holdout={"start": "2018-01-02", "end": "2018-12-31"}, run_type="holdout")
    store.write_spec({**spec, "look": 2, "parent": {"backtest_id": "a search"}})
    page = shown(store, "basic", TWICE)
    assert "it was look 2: these dates are contaminated." in page
    assert "Contaminated:" not in page
    assert 'data-looks="2"' in page


def test_the_index_counts_them_by_run_and_marks_the_store(browser, tmp_path):
    seen = [HoldoutLooks.of([], seen=2), HoldoutLooks(1, contaminated=True, seen=1)]
    rows = [row(1, looks=TWICE), row(2), row(3, looks=HoldoutLooks(1))]
    rows += [row(number, looks=looks) for number, looks in enumerate(seen, 4)]
    browser.open(made(rows, tmp_path / "index.html"))
    heads = browser.run("[...document.querySelectorAll('#runs th')].map(cell => cell.textContent)")
    place = heads.index("Holdout looks")
    cells = browser.run(
        "[...document.querySelectorAll('#runs tbody tr')].filter(r => r.children.length > 1)"
        f".map(r => r.children[{place}].textContent)"
    )
    told = ["1, seen in 1 run, contaminated", "not opened, but seen in 2 runs, contaminated"]
    assert cells == [*told, "1", "–", "2, contaminated"]
    assert "3 of these runs" in browser.run("document.getElementById('contaminated').textContent")
    browser.open(made([row(2)], tmp_path / "other.html"))
    assert browser.run("document.getElementById('contaminated')") is None
    heads = browser.run("[...document.querySelectorAll('#runs th')].map(cell => cell.textContent)")
    assert "Holdout looks" not in heads
