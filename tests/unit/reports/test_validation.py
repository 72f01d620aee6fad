"""The validation panel: what the files of a run's validation say, and nothing else."""

import re

import pytest

from backtrail.errors import ArtifactManagerError
from backtrail.reports.advanced import render_advanced_report
from backtrail.reports.basic import render_basic_report
from backtrail.reports.search import render_search_report
from backtrail.reports.settings import ReportConfig
from backtrail.reports.validation import read_validation

from . import runs
from .test_basic import visible


def page_of(store, **options):
    out = store.root / "advanced.html"
    render_advanced_report(store.run_dir, bundles_dir=store.bundles_dir, out=out, **options)
    return out.read_text(encoding="utf-8")


def rows_of(page, table):
    body = re.search(rf'<table id="{table}">.*?<tbody>(.*?)</tbody>', page, re.DOTALL).group(1)
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [
        [
            re.sub(r"<[^>]+>", "", cell).strip()
            for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)
        ]
        for row in rows
    ]


@pytest.fixture
def store(tmp_path):
    return runs.write_small_run(tmp_path)


def test_a_run_without_validation_has_no_such_part(store):
    page = page_of(store)
    assert "part-validation" not in page
    assert read_validation(store.run_dir) is None


def test_every_finding_stands_on_the_page_with_its_numbers(store):
    runs.write_validation(store)
    page = page_of(store)
    assert "superb by itself, but &lt;b&gt;luck&lt;/b&gt;: no edge." in page
    assert "Holdout, 2016-01-04 to 2018-12-31: withheld." in page
    assert rows_of(page, "gates") == [
        ["Probabilistic Sharpe ratio", "✓ yes", "surely above zero (PSR 0.99)"],
        ["Deflated Sharpe ratio", "✗ no", "luck of 72 trials (DSR 0.31)"],
    ]
    assert rows_of(page, "folds") == [
        [
            "2",
            "2001-01-03 to 2001-12-28",
            "2002-01-09 to 2002-06-30",
            "fast=6, slow=60",
            "0.81",
            "0.42",
            "8.12%",
            "4.20%",
        ],
        [
            "3",
            "2002-01-03 to 2002-12-28",
            "2003-01-09 to 2003-06-30",
            "fast=7, slow=60",
            "0.81",
            "-0.30",
            "8.12%",
            "-3.00%",
        ],
    ]
    assert "Efficiency –: out of sample over in sample." in page
    assert rows_of(page, "stability") == [
        ["fast", "6, 7", "5 to 10", "100.0%"],
        ["slow", "60, –", "none", "–"],
    ]
    assert rows_of(page, "intervals") == [["CAGR", "5.33%", "0.29%", "10.5%", "95.0%"]]
    (told,) = re.findall(r'id="drawdown-risk">([^<]*)<', page)
    assert told == (
        "Of 1,000 histories drawn from its returns half fall by 20.0% or more from a peak, 5.00% "
        "by 40.0% or more; half stay 420 bars or longer below a peak, 5.00% 1,830 or longer; 1.20% "
        "lose 50.0% of the capital."
    )
    assert rows_of(page, "paths") == [["Max drawdown", "-18.0%", "-31.0%", "-20.0%", "-10.0%"]]
    assert rows_of(page, "checks") == [
        ["Look-ahead", "✗ no", "At bar 40 a decision changed.", "0.00%"]
    ]
    cards = dict(re.findall(r"<span>([^<]*)</span><b>([^<]*)</b>", page))
    assert (cards["Trials ever counted"], cards["DSR"], cards["PBO"]) == ("90", "0.31", "0.58")


def test_a_psr_of_all_bars_and_that_of_a_verdict_without_its_warm_up_are_told_apart(tmp_path):
    luck = {**runs.LUCK, "history": {"bars": 950, "years": 3.8, "left_out": 1050}}
    judged = {"holdout": None, "overfitting": {"warm_up": 1050}}
    summary = runs.summary_of(probabilistic_sharpe_ratio=0.994)
    store = runs.search_run(tmp_path, luck=luck, validate=judged, summary=summary)
    out, values = tmp_path / "page.html", {"bundles_dir": store.bundles_dir}
    verdict = "no edge is left of it. Its PSR is of the bars after the first 1,050, the warm-up;"
    for render in (render_advanced_report, render_basic_report):
        text = visible(render(store.run_dir, out=out, **values).read_text())
        assert f"{verdict} the PSR among the metrics is of all bars." in text
        assert "PSR (SR>0) 0.99 of all bars" in text
        assert "; of all bars, the verdict's is of those after the first 1,050" in text
    text = visible(render_search_report(store.run_dir, out=out, **values).read_text())
    assert "PSR 0.98 of bars after the first 1,050" in text
    plain = runs.search_run(tmp_path / "plain", summary=summary)
    text = visible(
        render_advanced_report(plain.run_dir, bundles_dir=plain.bundles_dir, out=out).read_text()
    )
    assert "of all bars" not in text


def test_parts_that_were_not_asked_for_are_left_out(store):
    names = (
        "overfitting/overfitting",
        "walk-forward/period-results",
        "walk-forward/efficiency-metrics",
        "walk-forward/stability-metrics",
        "monte-carlo/confidence-intervals",
        "monte-carlo/simulation-results",
        "controls/bias",
    )
    runs.write_validation(store, **dict.fromkeys(names))
    page = page_of(store)
    assert 'id="gates"' in page
    for table in ("folds", "stability", "intervals", "paths", "checks", "luck"):
        assert f'id="{table}"' not in page
    assert "part-validation" not in page_of(store, config=ReportConfig(sections=("returns",)))


def test_orders_that_say_nothing_about_a_run_without_trades_are_left_out(store):
    runs.write_validation(store, **{"monte-carlo/simulation-results": {"reordering": None}})
    assert 'id="paths"' not in page_of(store)


def test_a_damaged_file_is_named(store):
    runs.write_validation(store)
    path = store.run_dir / "results/validation/verdict.json"
    path.write_text("{")
    with pytest.raises(ArtifactManagerError, match=re.escape(str(path))):
        page_of(store)


def test_the_page_of_a_search_says_how_deep_its_resampled_histories_fall(tmp_path):
    store = runs.search_run(tmp_path)
    out = tmp_path / "search.html"
    render_search_report(store.run_dir, bundles_dir=store.bundles_dir, out=out)
    assert 'id="drawdown-risk"' not in out.read_text(encoding="utf-8")
    runs.write_validation(store)
    render_search_report(store.run_dir, bundles_dir=store.bundles_dir, out=out)
    (told,) = re.findall(r'id="drawdown-risk">([^<]*)<', out.read_text(encoding="utf-8"))
    assert told.startswith(
        "The selected set. Of 1,000 histories drawn from its returns half fall by"
    )
