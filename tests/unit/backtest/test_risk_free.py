"""A risk-free rate from the call to every place that states a ratio."""

import json
import math

import polars as pl
import pytest

from backtrail import run_algorithm
from backtrail.batch.history.comparing import compare_runs
from backtrail.batch.history.diffing import diff_runs
from backtrail.batch.history.showing import run_text
from backtrail.cli import main
from backtrail.errors import ConfigError
from tests.json_files import misfits

from .project import WINDOW, manifest

RATE = 0.05
SEARCH = {
    "optimize": {"space": {"fast": [2, 3, 4], "slow": {"min": 4, "max": 8, "step": 4}}},
    "where": "fast < slow",
    "validate": {
        "overfitting": {"against": "cash", "blocks": 4, "bootstraps": 100},
        "monte_carlo": {"paths": 100, "noise_runs": 2},
        "walk_forward": {"in_sample": 16, "out_of_sample": 6},
        "costs": {"commission": [0, 5], "slippage": [0]},
    },
}


def run(project, **changes):
    return run_algorithm(project.sma, **{**WINDOW, "symbols": ["AAA"], **changes})


def result(found, name):
    return json.loads((found.output_dir / "results" / name).read_bytes())


def test_every_sharpe_ratio_of_a_search_is_over_the_same_rate(project):
    found = run(project, risk_free_rate=RATE, **SEARCH)
    plain = run(project, **SEARCH)
    ratio = found.metrics["sharpe_ratio"]
    # A year of 260 bars: (1.05^(1/260) - 1) * 260 = 0.0487947..., over the volatility of a year.
    lower = 0.0487947423 / found.metrics["annual_volatility"]
    params = found.selection["params"]
    sets = plain.table("optimization_results").filter(
        (pl.col("params.fast") == params["fast"]) & (pl.col("params.slow") == params["slow"])
    )
    assert sets["sharpe_ratio"][0] - ratio == pytest.approx(lower, rel=1e-6)
    assert found.selection["metrics"]["sharpe_ratio"] == pytest.approx(ratio, rel=1e-9)
    luck = result(found, "validation/overfitting/overfitting.json")
    assert luck["sharpe_ratio"] == pytest.approx(ratio, rel=1e-9)
    assert luck["psr"] == pytest.approx(found.metrics["probabilistic_sharpe_ratio"], rel=1e-9)
    costs = pl.read_parquet(found.output_dir / "results/validation/costs/grid.parquet")
    assert costs.filter("own")["sharpe_ratio"][0] == pytest.approx(ratio, rel=1e-6)
    said = result(found, "validation/costs/cost-sensitivity.json")["assumptions"]
    assert said[-1] == "Sharpe ratios are over a risk-free rate of 5% a year"
    intervals = result(found, "validation/monte-carlo/confidence-intervals.json")
    assert intervals["intervals"][0]["observed"] == pytest.approx(ratio, rel=1e-9)
    assert intervals["method"].endswith("Sharpe ratios are over a risk-free rate of 5% a year")
    assert luck["benchmark"] == "cash at 5% a year"
    assert luck["assumptions"][0].endswith("over a risk-free rate of 5% a year")
    assert "cash at 5% a year" in found.verdict["summary"]
    assert misfits(project.root) == {}
    assert result(plain, "validation/overfitting/overfitting.json")["benchmark"] == "cash"


def test_whatever_shows_a_run_states_its_rate(project):
    plain, found = run(project), run(project, risk_free_rate=RATE)
    assert plain.metrics["total_return"] == found.metrics["total_return"]
    assert plain.metrics["sharpe_ratio"] > found.metrics["sharpe_ratio"]
    identity = manifest(found.output_dir)["identity"]
    assert identity["risk_free_rate"] == "0.05"
    assert "risk_free_rate" not in manifest(plain.output_dir)["identity"]
    assert result(found, "strategy-config.json")["risk_free_rate"] == "0.05"
    assert "risk_free_rate" not in result(plain, "strategy-config.json")

    runs = [project.store.run(one.backtest_id) for one in (plain, found)]
    assert compare_runs(runs).frame["risk_free_rate"].to_list() == ["0", "0.05"]
    changes = [
        str(change) for change in diff_runs(project.store, *runs, project.root / "bundles").values
    ]
    assert changes == ['risk_free_rate changed: nothing -> "0.05"']
    decided = " ".join(run_text(runs[1]).partition("Figures")[0].split())
    assert " risk-free 5% a year " in decided
    assert "risk-free" not in run_text(runs[0]).partition("Figures")[0]
    page = found.render_report().read_text(encoding="utf-8")
    assert "5% a year; the account's own cash earns nothing" in page.replace("&#39;", "'")
    assert "Risk-free rate" not in plain.render_report().read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("rate", "why"),
    [
        (2, "2 is greater than or equal to the maximum of 1"),
        (-1, "-1 is less than or equal to the minimum of -1"),
        ("2%", '"2%" is text; write a number'),
        (math.nan, "nan is no value; write a finite number"),
        (None, "null stands there; write a number"),
    ],
)
def test_what_is_no_rate_of_a_year_is_refused_with_what_would_do(project, rate, why):
    with pytest.raises(ConfigError) as error:
        run(project, risk_free_rate=rate)
    said = str(error.value)
    assert f"risk_free_rate: {why}" in said
    if not isinstance(rate, float):
        assert "0.02 is two percent" in said
    assert project.store.run_dirs() == []


def test_a_rate_below_zero_was_real_and_is_taken(project):
    found = run(project, risk_free_rate=-0.005)
    assert found.metrics["sharpe_ratio"] > run(project).metrics["sharpe_ratio"]
    assert manifest(found.output_dir)["identity"]["risk_free_rate"] == "-0.005"


def test_runs_over_different_rates_do_not_stand_together_in_silence(project, monkeypatch, capsys):
    run(project)
    run(project, risk_free_rate=RATE)
    monkeypatch.chdir(project.root)
    told = {}
    for command in (
        ["list"],
        ["list", "--by", "strategy"],
        ["catalog-query"],
        ["history", "sma.py"],
    ):
        capsys.readouterr()
        assert main(command) == 0
        told[" ".join(command)] = capsys.readouterr().out
    assert told.pop("list").count("over 5% a year") == 1
    for text in told.values():
        assert "these runs have the risk-free rates 0, 0.05: Sharpe ratios" in text
    assert main(["catalog-query", "--where", "sharpe_ratio < -100"]) == 0
    assert "risk-free" not in capsys.readouterr().out
