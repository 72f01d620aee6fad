"""The validation of a search as Snakemake runs it: what it reads, says, counts and puts back."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from backtrail.reports.settings import STORE_REPORTS
from tests.json_files import faults, misfits
from tests.workflow.project import nothing_to_do
from tests.workflow.test_search import search_config, search_project

HOLDOUT = "2020-11-02"
VALIDATE = {
    "holdout": {"start": HOLDOUT, "warm_up": 30},
    "walk_forward": {"in_sample": 80, "out_of_sample": 30, "embargo": 2, "warm_up": 30},
    "monte_carlo": {"paths": 200, "noise_runs": 20},
    "overfitting": {"blocks": 4, "bootstraps": 100, "warm_up": 30},
    "bias": {"warm_up": 40, "random_entries": 99, "noise": 20},
    "costs": {"commission": [0, 10], "slippage": [0, 5]},
}
FILES = {
    "walk-forward/walk-forward-config.json", "walk-forward/period-results.json",
    "walk-forward/stability-metrics.json", "walk-forward/efficiency-metrics.json",
    "walk-forward/equity.parquet", "monte-carlo/simulation-config.json",
    "monte-carlo/simulation-results.json", "monte-carlo/confidence-intervals.json",
    "monte-carlo/paths.parquet", "overfitting/overfitting.json", "controls/bias.json",
    "costs/cost-sensitivity.json", "costs/grid.parquet", "verdict.json",
}  # fmt: skip


def fits(path: Path, schema: str) -> list[str]:
    """Return what a file has against its published schema."""
    assert faults(schema, {"x": 1})
    return faults(schema, json.loads(path.read_bytes()))


@pytest.fixture(scope="module")
def validated(tmp_path_factory):
    project = search_project(
        tmp_path_factory.mktemp("validated") / "project", search_config(validate=VALIDATE)
    )
    project.first_output = project.snakemake()
    return project


def read(project, name):
    run = project.named("search")
    return json.loads((run / "results/validation" / name).read_bytes())


def test_every_step_leaves_its_files_and_they_fit_their_schemas(validated):
    assert "1 run: 1 new, 0 reused, 0 failed" in validated.first_output
    assert misfits(validated.root) == {}
    run = validated.named("search")
    folder = run / "results/validation"
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert made == FILES
    for name in sorted(FILES):
        if name.endswith(".json"):
            assert fits(folder / name, Path(name).stem) == [], name
    inventory = json.loads((run / "run.json").read_bytes())["inventory"]
    assert {f"results/validation/{name}" for name in FILES} <= set(inventory)


def test_no_window_has_a_bar_of_another_or_of_the_holdout(validated):
    periods = read(validated, "walk-forward/period-results.json")["periods"]
    assert len(periods) == 3
    tested = []
    for period in periods:
        assert period["read_in_sample"]["last_bar"] + 3 == period["out_of_sample"]["first_bar"]
        assert period["read_out_of_sample"]["last_at"] < HOLDOUT
        bars = period["out_of_sample"]
        tested += range(bars["first_bar"], bars["last_bar"] + 1)
    assert len(tested) == len(set(tested)) == 90
    equity = pl.read_parquet(
        validated.named("search") / "results/validation/walk-forward/equity.parquet"
    )
    assert equity.height == 90
    assert str(equity["timestamp"].max()) < HOLDOUT


def test_the_verdict_is_that_of_the_figures_in_the_other_files(validated):
    verdict = read(validated, "verdict.json")
    gates = {gate["name"]: gate for gate in verdict["gates"]}
    luck = read(validated, "overfitting/overfitting.json")
    assert (gates["psr"]["figure"], gates["dsr"]["figure"]) == (luck["psr"], luck["dsr"])
    assert gates["pbo"]["figure"] == luck["pbo"]["probability"]
    assert gates["spa"]["figure"] == luck["spa"]["p_value"]
    assert luck["benchmark"] == "holding AAA"
    # Of 32 sets four fail; all were tried, and nothing was before.
    assert luck["trials"]["own"] == 28
    assert (luck["trials"]["before"], luck["trials"]["all"]) == (4, 32)
    bias = read(validated, "controls/bias.json")["checks"]
    for name in ("look_ahead", "warm_up", "costs"):
        assert bias[name]["passed"] is True, bias[name]
    assert verdict["passed"] is all(gate["passed"] for gate in verdict["gates"])
    assert verdict["summary"].startswith("The best of 32 sets ")
    assert verdict["holdout"]["start"] == HOLDOUT


def test_the_verdict_stands_on_the_page_and_in_the_ranking(validated):
    verdict = read(validated, "verdict.json")
    run = validated.named("search")
    page = (run / "results/reports/basic_report.html").read_text()
    opening = verdict["summary"].partition(" (PSR")[0]
    assert f"Validation {'passed' if verdict['passed'] else 'not passed'}. {opening}" in page
    ranking = validated.backtrail_json("verdict")
    (found,) = ranking["runs"]
    assert (found["backtest_id"], found["sets"]) == (run.name, 32)
    assert found["gates_passed"] == sum(gate["passed"] for gate in verdict["gates"])
    assert verdict["summary"] in validated.backtrail("verdict", run.name)


def test_the_store_says_what_its_searches_came_to_in_files_that_fit_their_schemas(validated):
    for name in STORE_REPORTS:
        assert fits(validated.store / name, Path(name).stem) == [], name
    run, verdict = validated.named("search"), read(validated, "verdict.json")
    told = {name: json.loads((validated.store / name).read_bytes()) for name in STORE_REPORTS}
    summary, best, risk = told.values()
    ranking = validated.backtrail_json("verdict")
    assert best["rank_rule"] == summary["rank_rule"] == ranking["rule"]
    (configuration,), (only,) = best["configurations"], ranking["runs"]
    assert {name: configuration[name] for name in only} == only
    assert configuration["params"] == verdict["params"]
    metrics = json.loads((run / "results/performance-metrics.json").read_bytes())
    assert configuration["metrics"]["sharpe_ratio"] == metrics["sharpe_ratio"]["value"]
    deployed = run / "results/deploy/strategy-config.json"
    shown = f"{run.name}/results/deploy/strategy-config.json" if deployed.exists() else None
    assert configuration["deploy"] == shown
    assert summary["searches"]["parameter_sets"]["evaluated"] == 32
    assert summary["searches"]["parameter_sets"]["failed"] == 4
    assert summary["stages"] == {
        "walk_forward": 1, "monte_carlo": 1, "measure_overfitting": 1, "check_bias": 1,
        "measure_costs": 1, "judge_run": 1,
    }  # fmt: skip
    assert summary["gates"]["dsr"] == {
        "searches": 1, "passed": sum(g["passed"] for g in verdict["gates"] if g["name"] == "dsr"),
    }  # fmt: skip
    (tried,) = summary["trials"]
    assert (tried["strategy"], tried["sets"]) == ("strategies/signal.py", 32)
    (risks,) = risk["configurations"]
    simulated = read(validated, "monte-carlo/simulation-results.json")
    assert risks["reordered"]["max_drawdown"] == simulated["reordering"].get("max_drawdown")
    assert len(risks["intervals"]) == 3
    even = read(validated, "costs/cost-sensitivity.json")["break_even"]
    assert risks["break_even"] == {"unit": "basis_points", **even}
    assert risks["metrics"]["max_drawdown"] == metrics["max_drawdown"]["value"]
    (validated.store / "risk-analysis.json").unlink()
    before = (validated.store / "index.html").read_bytes()
    validated.snakemake()
    assert json.loads((validated.store / "risk-analysis.json").read_bytes()) == risk
    assert (validated.store / "index.html").read_bytes() == before


@pytest.mark.slow
def test_a_validation_replays_and_what_is_deleted_comes_back(validated):
    (replay,) = validated.backtrail_json("replay", "--all")
    assert replay["state"] == "identical"
    assert "results/validation/verdict.json" in {item["path"] for item in replay["files"]}
    before = validated.checksums()
    run = validated.named("search")
    for name in ("verdict.json", "monte-carlo/paths.parquet"):
        (run / "results/validation" / name).unlink()
    shutil.rmtree(run / "results/validation/walk-forward")
    validated.snakemake()
    assert {k: v for k, v in validated.checksums().items() if "/reports/" not in k} == {
        k: v for k, v in before.items() if "/reports/" not in k
    }
    assert nothing_to_do(validated.snakemake())


def test_a_search_whose_spec_or_folder_is_gone_is_planned_again(validated):
    run = validated.named("search")
    spec, aside = run / "metadata/run_spec.json", validated.root / "aside"
    spec.rename(aside)
    assert "capture_code" in validated.snakemake("--dry-run")
    aside.rename(spec)
    run.rename(aside)
    said = validated.snakemake("--dry-run")
    aside.rename(run)
    assert all(rule in said for rule in ("evaluate_chunk", "judge_run", "seal_run"))


def test_a_holdout_is_opened_once_by_a_run_of_its_own_and_looks_are_counted(validated):
    search = validated.named("search").name
    before = {k: v for k, v in validated.checksums(search).items() if "/reports/" not in k}
    first = validated.backtrail_json("holdout", "open", search)
    assert (first["parent"], first["is_new"], first["look"]) == (search, True, 1)
    assert first["contaminated"] is False
    run = validated.store / first["backtest_id"]
    folder = run / "results/validation/holdout"
    assert fits(folder / "holdout-config.json", "holdout-config") == []
    assert fits(folder / "validation-results.json", "validation-results") == []
    spec = json.loads((run / "metadata/run_spec.json").read_bytes())
    assert spec["identity"]["run_type"] == "holdout"
    assert spec["identity"]["params"] == read(validated, "verdict.json")["params"]
    curve = pl.read_parquet(run / "results/backtest_results.parquet")
    dates = curve["timestamp"].dt.date().cast(pl.String)
    assert (dates < HOLDOUT).sum() == 30
    equity = curve["portfolio_value"].to_list()
    found = json.loads((folder / "validation-results.json").read_bytes())
    assert found["bars"] == curve.height - 30
    assert found["holdout"]["total_return"] == pytest.approx(equity[-1] / equity[29] - 1.0)
    # The sealed search is as it was, and looking again at the same set is no other look.
    after = {k: v for k, v in validated.checksums(search).items() if "/reports/" not in k}
    assert after == before
    again = validated.backtrail_json("holdout", "open", search)
    assert (again["backtest_id"], again["is_new"], again["look"]) == (
        first["backtest_id"], False, 1
    )  # fmt: skip
    (replay,) = validated.backtrail_json("replay", first["backtest_id"])
    assert replay["state"] == "identical"
    (ranked,) = validated.backtrail_json("verdict")["runs"]
    assert ranked["holdout"]["holdout"] == found["holdout"]


@pytest.mark.slow
def test_the_second_look_is_marked_as_contaminated(validated):
    first = validated.named("search").name
    validated.backtrail_json("holdout", "open", first)
    other = search_config(validate={"holdout": VALIDATE["holdout"]}, where="slow > 2 * fast")
    validated.configure(other, "config/other.yaml")
    validated.snakemake("--configfile", "config/other.yaml")
    second = validated.named("search").name
    assert second != first
    found = validated.backtrail_json("holdout", "open", second, "--configfile", "config/other.yaml")
    assert (found["look"], found["contaminated"]) == (2, True)
    page = validated.store / found["backtest_id"] / "results/reports/basic_report.html"
    assert "it was look 2: these dates are contaminated." in page.read_text()
    validated.backtrail("report", found["backtest_id"], "--kind", "advanced")
    advanced = page.with_name("advanced_report.html").read_text()
    mark = 'data-looks="2" data-contaminated="yes"'
    assert mark in advanced
    assert 'id="look-figures"' in advanced
    for name in ("basic", "search"):
        own = validated.store / second / f"results/reports/{name}_report.html"
        assert mark in own.read_text(), "the pages of the search that was looked at say so too"
    # Any page made from now on carries count and mark, whichever run of the file it is of.
    validated.backtrail("report", first)
    assert mark in (validated.store / first / "results/reports/basic_report.html").read_text()
    index = (validated.store / "index.html").read_text()
    assert '"looks":{"0":[2,1,0],' in index
    assert "<b>Contaminated holdouts.</b>" in index
    # The trials of the first search count for the second.
    spec = json.loads((validated.store / second / "metadata/run_spec.json").read_bytes())
    assert spec["trials_before"] == 32 + 1


@pytest.mark.slow
def test_a_run_without_a_holdout_has_nothing_to_open(validated):
    opened = validated.backtrail_json("holdout", "open", validated.named("search").name)
    said = validated.backtrail("holdout", "open", opened["backtest_id"], status=1)
    assert "is no search, so nothing was withheld from it" in said
