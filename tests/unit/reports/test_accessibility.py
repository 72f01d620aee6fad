"""Every page as axe-core sees it in a real browser: no serious fault, in light, dark and narrow."""

import importlib.util
from pathlib import Path

import pytest

from backtrail.reports.advanced import render_advanced_report
from backtrail.reports.search import render_search_report

from . import runs
from .test_failed import failed_page
from .test_index import Code, failed, made, row

ROOT = Path(__file__).resolve().parents[3]


def axe_script() -> Path:
    spec = importlib.util.spec_from_file_location("fetch_axe", ROOT / "tools/fetch_axe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SCRIPT


AXE = axe_script()
needs_axe = pytest.mark.skipif(
    not AXE.is_file(), reason="no axe-core; tools/fetch_axe.py brings it, with npm"
)
DRAWN = """
["rolling", "exposure", "scatter"].reduce((done, id) => done.then(() => {
  document.getElementById(id).scrollIntoView();
  return new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(() => r(1))));
}), Promise.resolve())
"""
WIDTHS = [(1280, False), (1280, True), (360, False)]
LOOKS = [WIDTHS[0], *(pytest.param(*look, marks=pytest.mark.slow) for look in WIDTHS[1:])]


def faults(browser, page, width, dark, before="1"):
    """Return the serious and critical faults: rule, and the first elements that break it."""
    browser.open(page, width=width, dark=dark)
    browser.run(before)
    for _ in range(3):
        browser.settle()
    browser.run(AXE.read_text(encoding="utf-8") + "; 1")
    found = browser.run(
        "axe.run(document, { resultTypes: ['violations'] }).then(r => r.violations"
        ".filter(v => ['serious', 'critical'].includes(v.impact))"
        ".map(v => [v.id, v.nodes.length, ...v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) +"
        " ' ' + (n.any[0]?.message ?? n.all[0]?.message ?? ''))]))"
    )
    return {item[0]: item[1:] for item in found}


@needs_axe
@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_the_advanced_report_has_no_serious_fault(browser, advanced_report, width, dark):
    assert faults(browser, advanced_report, width, dark, before=DRAWN) == {}


@needs_axe
@pytest.mark.slow  # what it is made of stands on the advanced report, too
@pytest.mark.parametrize(("width", "dark"), WIDTHS)
def test_the_basic_report_has_no_serious_fault(browser, sma_report, width, dark):
    assert faults(browser, sma_report, width, dark) == {}


@needs_axe
@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_the_page_of_a_store_has_no_serious_fault(browser, tmp_path, width, dark):
    code = Code(_031={"s.py": b"a = 1\n" * 20 + b"b = 1\n"}, _032={"s.py": b"a = 1\n" * 20})
    code.harm["20260301_091500_031"] = {"s.py": "altered"}
    rows = [*(row(number, tags=["paper"]) for number in range(1, 30)), failed(30), *code.rows()]
    page = made(rows, tmp_path / "index.html", code=code)
    ticks = "[...document.querySelectorAll('#runs tbody input')].slice(0, 2)"
    assert faults(browser, page, width, dark) == {}
    assert faults(browser, page, width, dark, before=f"{ticks}.map(b => b.click())") == {}
    assert browser.run("document.querySelectorAll('#code .removed, #code .added').length") == 1


@needs_axe
@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_the_page_of_a_failed_run_has_no_serious_fault(browser, tmp_path, width, dark):
    error = {"exception": "ZeroDivisionError", "message": "no", "traceback": "line 42", "log": []}
    store, _ = failed_page(tmp_path, status="failed", attempt=1, error=error)
    assert faults(browser, store.root / "failed.html", width, dark) == {}


@needs_axe
def test_a_fault_would_be_found(browser, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text("<html><body><input><img src='x.png'></body></html>", encoding="utf-8")
    assert {"html-has-lang", "image-alt", "label"} <= set(faults(browser, page, 800, False))


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    store = runs.search_run(tmp_path_factory.mktemp("searched"))
    runs.write_validation(store)
    return store


@needs_axe
@pytest.mark.parametrize("dark", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_search_has_no_serious_fault(browser, searched, tmp_path, dark):
    page = tmp_path / "search.html"
    render_search_report(searched.run_dir, bundles_dir=searched.bundles_dir, out=page)
    ticked = "document.querySelector('#sets tbody input').click()"
    assert faults(browser, page, 1280, dark, before=ticked) == {}


@needs_axe
@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_a_validation_has_no_serious_fault(browser, searched, tmp_path, dark):
    page = tmp_path / "advanced.html"
    render_advanced_report(searched.run_dir, bundles_dir=searched.bundles_dir, out=page)
    assert faults(browser, page, 1280, dark) == {}
