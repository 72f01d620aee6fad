import base64
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from backtrail.errors import ConfigError, ReportTemplateError
from backtrail.reports import charting
from backtrail.reports.advanced import render_advanced_report
from backtrail.reports.basic import render_basic_report
from backtrail.reports.settings import ADVANCED_SECTIONS, ReportConfig

from . import runs
from .test_basic import cards, data_of, visible


def render(store: runs.Store, **options: Any) -> str:
    out = store.root / "out" / "advanced_report.html"
    render_advanced_report(store.run_dir, bundles_dir=store.bundles_dir, out=out, **options)
    return out.read_text(encoding="utf-8")


def unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def rows_of(page: str, table: str) -> list[list[str]]:
    """Return the full-digit cells of a table, as its CSV file has them."""
    body = re.search(rf'<table id="{table}".*?<tbody>(.*?)</tbody>', page, re.S)
    assert body is not None
    found = []
    for row in re.findall(r"<tr>(.*?)</tr>", body[1], re.S):
        cells = re.findall(r"<t[hd]([^>]*)>(.*?)</t[hd]>", row, re.S)
        values = [(re.search(r'data-v="([^"]*)"', head), text) for head, text in cells]
        found.append([full[1] if full else visible(text) for full, text in values])
    return found


def test_the_page_of_a_real_run_holds_every_part_within_its_budget(advanced_report: Path):
    page = advanced_report.read_text(encoding="utf-8")
    assert re.findall(r'<section id="part-(\w+)"', page) == ["chart", *ADVANCED_SECTIONS[1:]]
    assert len(page.encode()) < 800_000
    text = visible(page)
    for words in ("Trials 72 runs", "Provenance grade B", "Captured code", "CVaR -1.80%"):
        assert words in text
    assert "validation" not in text.lower()


def test_the_same_run_gives_the_same_bytes(sma_store: runs.Store, advanced_report: Path):
    again = sma_store.root / "again.html"
    render_advanced_report(
        sma_store.run_dir, bundles_dir=sma_store.bundles_dir, out=again, trials="72 runs"
    )
    assert again.read_bytes() == advanced_report.read_bytes()


def test_cards_are_the_summary_and_those_of_the_basic_report(sma_report, advanced_report):
    shown = cards(advanced_report.read_text(encoding="utf-8"))
    assert shown == cards(sma_report.read_text(encoding="utf-8"))
    assert shown["total_trades"] == "88"


def test_costs_and_attribution_are_sums_over_the_files(sma_store, advanced_report):
    page = advanced_report.read_text(encoding="utf-8")
    folder = sma_store.run_dir / "results"
    fills = pl.read_parquet(folder / "fills.parquet")
    trades = pl.read_parquet(folder / "trades.parquet")
    equity = pl.read_parquet(folder / "backtest_results.parquet")["portfolio_value"]
    shown = {row[0]: float(row[1]) for row in rows_of(page, "costs")}
    assert shown["Commission"] == pytest.approx(float(fills["commission"].sum()))
    assert shown["Traded value"] == pytest.approx(float(fills["value"].abs().sum()))
    assert shown["Net profit"] == pytest.approx(equity[-1] - equity[0])
    assert shown["Paid per traded value"] == pytest.approx(5.0)
    ((symbol, _, pnl, before, commission, count, won),) = rows_of(page, "attribution")
    assert (symbol, count) == ("SPX", "88")
    assert float(pnl) == pytest.approx(float(trades["pnl"].sum()))
    assert float(before) - float(commission) == pytest.approx(float(pnl))
    assert float(won) == pytest.approx((trades["pnl"] > 0).mean())
    assert "belongs to no round trip" not in visible(page)


def test_a_profit_that_no_trade_explains_is_named(tmp_path):
    late = runs.moments(60)
    one = runs.trade_table([runs.trade(1, "SPX", late[3], late[9], pnl=Decimal(10))])
    store = runs.write_small_run(tmp_path, trades=one, equity=np.linspace(1000, 1025, 60))
    assert "15.00 belongs to no round trip" in visible(render(store))


def test_years_stand_beside_the_benchmark(sma_store, advanced_report):
    page = advanced_report.read_text(encoding="utf-8")
    results = pl.read_parquet(sma_store.run_dir / "results" / "backtest_results.parquet")
    year = results.filter(pl.col("timestamp").dt.year() == 2008)
    before = results.filter(pl.col("timestamp").dt.year() == 2007)["portfolio_value"][-1]
    rows = {row[0]: row for row in rows_of(page, "years")}
    assert len(rows) == 20
    _, total, market, difference, fall, closed = rows["2008"]
    assert float(total) == pytest.approx(year["portfolio_value"][-1] / before - 1)
    assert float(market) == pytest.approx((year["benchmark_returns"] + 1).product() - 1)
    assert float(difference) == pytest.approx(float(total) - float(market))
    curve = np.concatenate(([before], year["portfolio_value"].to_numpy()))
    assert float(fall) == pytest.approx((curve / np.maximum.accumulate(curve) - 1).min())
    trades = pl.read_parquet(sma_store.run_dir / "results" / "trades.parquet")
    assert closed == str(trades.filter(pl.col("exit_at").dt.year() == 2008).height) == "4"


def test_rolling_values_and_exposure_are_on_the_page(sma_store, advanced_report):
    data = data_of(advanced_report.read_text(encoding="utf-8"))
    results = pl.read_parquet(sma_store.run_dir / "results" / "backtest_results.parquet")
    last = results["returns"].to_numpy()[-252:]
    wanted = last.mean() / last.std(ddof=1) * 252**0.5
    assert unpacked(data["rolling"][2]["sharpe"])[-1] == pytest.approx(wanted, rel=1e-6)
    gross = unpacked(data["exposure"]["gross"])
    assert gross == pytest.approx(results["gross_exposure"].to_numpy(), rel=1e-6)
    assert data["exposure"]["held"] is None
    assert len(unpacked(data["exposure"]["turnover"])) == 240


def test_recorded_values_go_over_the_price_where_they_are_of_its_size(advanced_report):
    data = data_of(advanced_report.read_text(encoding="utf-8"))
    assert [(one["name"], one["price"]) for one in data["indicators"]] == [
        ("mean_slow", True),
        ("spread", False),
    ]
    values = unpacked(data["indicators"][0]["values"])
    assert np.isnan(values[:30]).all()
    assert 600 < np.nanmin(values) < np.nanmax(values) < 3000


def test_more_recorded_series_than_a_chart_bears_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(charting, "MAX_INDICATORS", 1)
    late = runs.moments(60)
    recorded = {"timestamp": [late[5], late[5]], "name": ["a", "<b>"], "value": [1.0, 2.0]}
    page = render(runs.write_small_run(tmp_path, recorded=recorded))
    assert [one["name"] for one in data_of(page)["indicators"]] == ["a"]
    assert "1 more recorded series is left out of the chart: <b>" in visible(page)


def test_code_and_spec_are_on_the_page_as_text(sma_store, advanced_report):
    page = advanced_report.read_text(encoding="utf-8")
    assert visible(page).count('"</script><b>&"') == 1
    assert "strategies/lib/other.py" in page
    spec = re.search(r'<pre class="code" id="run-spec"[^>]*>(.*?)</pre>', page, re.S)
    assert spec is not None
    assert "&#34;fast&#34;: 10" in spec[1]


def test_a_run_without_anything_has_a_page(tmp_path):
    page = render(runs.write_small_run(tmp_path, count=1, equity=np.array([1000.0])))
    text = visible(page)
    for words in (
        "The run made no trade.", "nothing rolls", "trading cost nothing",
        "The code of this run was not captured.",
    ):  # fmt: skip
        assert words in text


def test_a_run_without_losing_trades_has_no_profit_factor(tmp_path):
    late = runs.moments(60)
    rows = [runs.trade(n, "SPX", late[n], late[n + 5], pnl=Decimal(n)) for n in (1, 2, 3)]
    page = render(runs.write_small_run(tmp_path, trades=runs.trade_table(rows)))
    ((side, count, won, factor, *_),) = rows_of(page, "sides")
    assert (side, count, won, factor) == ("all", "3", "1.0", "")


def test_only_the_chosen_parts_are_made(sma_store):
    config = ReportConfig(sections=("costs", "metrics"), theme="dark")
    page = render(sma_store, config=config)
    assert re.findall(r'<section id="part-(\w+)"', page) == ["chart", "costs", "metrics"]
    assert '<html lang="en" data-theme="dark">' in page
    assert "Captured code" not in page


def test_templates_of_the_users_own_take_the_place_of_ours(sma_store, tmp_path):
    (tmp_path / "_cards.html.j2").write_text("<p>Only for {{ header.title }}</p>")
    (tmp_path / "theme.css").write_text("h1 { color: rebeccapurple }")
    config = ReportConfig(templates=tmp_path)
    page = render(sma_store, config=config)
    assert "<p>Only for sma-cross</p>" in page
    assert "data-metric" not in page
    assert page.count("rebeccapurple") == 1
    assert 'id="trades"' in page
    before = config.fingerprint()
    (tmp_path / "theme.css").write_text("h1 { color: red }")
    assert config.fingerprint() != before


@pytest.mark.parametrize("text", ["{{ nothing_of_the_kind }}", "{% if %}", "{% include 'no.j2' %}"])
def test_a_template_that_cannot_be_rendered_is_named(sma_store, tmp_path, text):
    (tmp_path / "_cards.html.j2").write_text(text)
    out = tmp_path / "page.html"
    with pytest.raises(ReportTemplateError, match=r"leave out reports\.templates") as caught:
        render_basic_report(
            sma_store.run_dir,
            bundles_dir=sma_store.bundles_dir,
            out=out,
            config=ReportConfig(templates=tmp_path),
        )
    assert str(tmp_path) in str(caught.value)
    assert not out.exists()


def test_a_folder_of_templates_that_is_not_there_is_refused(tmp_path):
    section = {"kinds": ["basic"], "theme": "auto", "sections": [], "templates": "mine"}
    with pytest.raises(ConfigError, match=r"reports\.templates: .*/mine does not exist"):
        ReportConfig.of(section, tmp_path)
    (tmp_path / "mine").mkdir()
    assert ReportConfig.of(section, tmp_path).templates == tmp_path / "mine"
