import re
import shutil
import sys
import zlib
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from backtrail.errors import ConfigError, ReportTemplateError, SealError
from backtrail.reports import pdf, settings
from backtrail.reports.contents import read_contents
from backtrail.reports.paper_chart import paper_chart
from backtrail.reports.pdf import paper_data, render_pdf_report
from backtrail.reports.settings import ReportConfig

from . import runs

EVIL = '#panic() $x$ "*_`<tag> \\ // </svg>😀 \u202eabc é'


def rendered(store: runs.Store, name: str = "report.pdf", **options) -> bytes:
    out = store.root / name
    assert (
        render_pdf_report(store.run_dir, bundles_dir=store.bundles_dir, out=out, **options) == out
    )
    return out.read_bytes()


def objects(document: bytes) -> bytes:
    """Return a PDF's text with its compressed object streams opened."""
    opened = [document]
    for found in re.finditer(rb"stream\r?\n(.*?)endstream", document, re.S):
        try:
            opened.append(zlib.decompress(found[1]))
        except zlib.error:
            continue
    return b"\n".join(opened)


def test_a_pdf_is_the_same_bytes_each_time_and_holds_no_date(sma_store, tmp_path):
    first = rendered(sma_store)
    assert first.startswith(b"%PDF-")
    assert rendered(sma_store, "again.pdf") == first
    inside = objects(first)
    assert b"CreationDate" not in inside
    assert b"ModDate" not in inside
    assert b"DejaVuSans" in inside
    assert str(sma_store.root).encode() not in inside
    assert len(first) < 400_000


def test_numbers_on_paper_are_those_of_the_files(sma_store):
    data = paper_data(read_contents(sma_store.run_dir, sma_store.bundles_dir))
    folder = sma_store.run_dir / "results"
    summary = dict(
        pl.read_parquet(folder / "summary.parquet").select("metric", "value").iter_rows()
    )
    cards = {name: value for name, value, _ in data["cards"]}
    assert cards["Trades"] == "88"
    assert float(cards["Total return"].rstrip("%")) == pytest.approx(
        summary["total_return"] * 100, abs=0.051
    )
    assert [row[0] for row in data["metrics"]] == list(summary)
    results = pl.read_parquet(folder / "backtest_results.parquet")
    deepest = f"{results['drawdown'].min() * 100:.1f}%"
    assert data["episodes"][0] == ["1999-05-13", "2003-03-31", "2009-10-14", deepest, "3,807"]
    trades = pl.read_parquet(folder / "trades.parquet")
    largest = trades.with_columns(size=pl.col("pnl").abs()).top_k(40, by="size")
    assert data["trade_count"] == 88
    assert [int(row[0]) for row in data["trades"]] == sorted(largest["trade_id"].to_list())
    first = trades.row(int(data["trades"][0][0]) - 1, named=True)
    assert data["trades"][0][5] == f"{first['pnl']:,.2f}"
    year = next(row for row in data["years"] if row["year"] == "2008")
    ends = {
        number: results.filter(pl.col("timestamp").dt.year() == number)["portfolio_value"][-1]
        for number in (2007, 2008)
    }
    assert year["total"]["text"] == f"{(ends[2008] / ends[2007] - 1) * 100:.1f}"


def test_the_drawing_keeps_the_extremes_of_a_long_run(tmp_path):
    equity = np.full(60_000, 1000.0)
    equity[12_345], equity[54_321] = 500.0, 2000.0
    store = runs.write_small_run(tmp_path, count=60_000, equity=equity)
    drawing = paper_chart(read_contents(store.run_dir, store.bundles_dir).results)
    root = ElementTree.fromstring(drawing)
    lines = [node for node in root if node.tag.endswith("polyline")]
    points = [tuple(map(float, pair.split(","))) for pair in lines[-1].get("points").split()]
    assert len(points) < 1000
    heights = [y for _, y in points]
    assert (min(heights), max(heights)) == (8.0, 300.0)
    assert len(drawing) < 60_000


def test_names_full_of_markup_are_text(tmp_path):
    late = runs.moments(60)
    trades = runs.trade_table([runs.trade(1, EVIL, late[3], None, pnl=Decimal("-1234.5"))])
    store = runs.write_small_run(
        tmp_path, names=[EVIL], symbols=[EVIL], params={"a": EVIL}, trades=trades, synthetic=True
    )
    store.write_dataset(runs.bars_of(EVIL, late, np.linspace(1, 2, 60)), synthetic=True)
    data = paper_data(read_contents(store.run_dir, store.bundles_dir))
    assert (data["title"], data["trades"][0][1]) == (EVIL, EVIL)
    assert data["notes"][0].startswith("Synthetic data: these prices were generated")
    assert rendered(store).startswith(b"%PDF-")


def test_odd_runs_have_a_pdf(tmp_path):
    flat = np.concatenate((np.full(20, 100.0), np.full(40, -50.0)))
    stores = [
        runs.write_small_run(tmp_path / "a", count=1, equity=np.array([1000.0])),
        runs.write_small_run(tmp_path / "b", equity=flat),
        runs.write_small_run(tmp_path / "c", summary=runs.summary_of(sharpe_ratio=None)),
    ]
    for store in stores:
        assert rendered(store).startswith(b"%PDF-")


def test_a_template_of_the_users_own_is_set_and_a_broken_one_named(sma_store, tmp_path):
    (tmp_path / "basic.typ").write_text("#set document(date: none)\n#sys.inputs.data.len()")
    config = ReportConfig(templates=tmp_path)
    own = rendered(sma_store, config=config)
    assert own != rendered(sma_store)
    (tmp_path / "basic.typ").write_text("#nothing-of-the-kind")
    with pytest.raises(ReportTemplateError, match=r"basic\.typ cannot be set: .*unknown variable"):
        rendered(sma_store, config=config)


def test_an_altered_font_is_refused(sma_store, tmp_path, monkeypatch):
    fonts = Path(shutil.copytree(pdf._FONTS, tmp_path / "fonts"))
    monkeypatch.setattr(pdf, "_FONTS", fonts)
    with (fonts / "DejaVuSans.ttf").open("ab") as stream:
        stream.write(b"\n")
    with pytest.raises(SealError, match=r"DejaVuSans\.ttf is not the file that CHECKSUMS names"):
        rendered(sma_store)


def test_without_typst_a_pdf_is_refused_before_any_run_and_says_what_would_do(
    sma_store, monkeypatch
):
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(ReportTemplateError, match=r"pip install 'backtrail\[pdf\]'"):
        rendered(sma_store)
    monkeypatch.setattr(settings, "find_spec", lambda _: None)
    section = {"kinds": ["basic", "pdf"], "theme": "auto", "sections": [], "templates": None}
    with pytest.raises(ConfigError, match=r"reports\.kinds: a PDF is asked for, and the package"):
        ReportConfig.of(section)
    assert ReportConfig.of(section | {"kinds": ["basic"]}).files == ("basic_report.html",)
