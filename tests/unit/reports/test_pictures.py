"""Pictures of every kind of page, wide and narrow, light and dark, kept where the CI asks."""

import os
import struct
import zlib
from pathlib import Path

import pytest

from backtrail.reports.advanced import render_advanced_report
from backtrail.reports.failed import render_failed_page
from backtrail.reports.search import render_search_report

from . import runs
from .test_index import Code, failed, made, row

DARK, LIGHT = (19, 23, 34), (255, 255, 255)


def first_pixel(picture: bytes) -> tuple[int, ...]:
    """Return the color of the upper left corner; no filter of PNG changes that one."""
    data, at = b"", 8
    while at < len(picture):
        length, kind = struct.unpack(">I4s", picture[at : at + 8])
        if kind == b"IDAT":
            data += picture[at + 8 : at + 8 + length]
        at += 12 + length
    return tuple(zlib.decompress(data)[1:4])


@pytest.fixture(scope="module")
def pages(tmp_path_factory, sma_report, sma_store):
    root = tmp_path_factory.mktemp("pictures")
    search, broken = runs.search_run(root / "search"), runs.write_small_run(root / "failed")
    broken.write_manifest(status="failed", error={"exception": "E", "message": "m"})
    rows = [*(row(number, tags=["paper", "x.1"][: number % 3]) for number in range(12)), failed(20)]
    code = Code(_021={"s.py": b"a = 1\nb = 2\n"}, _022={"s.py": b"a = 1\nb = 3\n# more\n"})
    advanced, found, page = (root / f"{name}.html" for name in ("advanced", "search", "broken"))
    return {
        "basic": sma_report,
        "advanced": render_advanced_report(
            sma_store.run_dir, bundles_dir=sma_store.bundles_dir, out=advanced
        ),
        "search": render_search_report(search.run_dir, bundles_dir=search.bundles_dir, out=found),
        "failed": render_failed_page(broken.run_dir, bundles_dir=broken.bundles_dir, out=page),
        "index": made([*rows, *code.rows()], root / "index.html", code=code),
    }


@pytest.mark.parametrize("name", ["basic", "advanced", "search", "failed", "index"])
@pytest.mark.parametrize(
    ("width", "dark"),
    [
        (1440, False),
        *(
            pytest.param(width, dark, marks=pytest.mark.slow)
            for width, dark in ((1440, True), (800, False), (800, True), (360, False), (360, True))
        ),
    ],
)
def test_a_page_is_photographed_whole_in_its_theme(browser, pages, tmp_path, name, width, dark):
    folder = Path(os.environ.get("BACKTRAIL_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    browser.open(pages[name], width=width, dark=dark)
    if name == "index":
        browser.run("[...document.querySelectorAll('#runs input')].slice(0, 2).map(b => b.click())")
        for _ in range(5):
            browser.settle()
    height = browser.run("document.documentElement.scrollHeight")
    for top in range(0, height, 800):  # what is drawn when it comes near is drawn
        browser.run(f"scrollTo(0, {top})")
        browser.settle()
    browser.run("scrollTo(0, 0)")
    browser.settle()
    out = folder / f"{name}-{width}-{'dark' if dark else 'light'}.png"
    browser.screenshot(out)
    picture = out.read_bytes()
    shown = struct.unpack(">II", picture[16:24])
    assert shown[0] <= width
    assert shown[1] >= browser.run("document.documentElement.scrollHeight")
    assert first_pixel(picture) == (DARK if dark else LIGHT)
    assert browser.complaints() == []
