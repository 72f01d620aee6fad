"""Searches as Snakemake runs them: interrupted, in any order, edited, damaged, always the same."""

import hashlib
import json
import random
import time
from contextlib import suppress

import polars as pl
import pytest

from tests.unit.test_packaging import load_tool
from tests.workflow.project import Project, batch_config, kill_group, nothing_to_do

SIGNAL = '''"""Long while the fast average is above the slow one, in signal form."""

from dataclasses import dataclass

from lib.constants import SCALE


@dataclass(frozen=True)
class Params:
    fast: int = 5
    slow: int = 20

    def __post_init__(self):
        if self.fast == 7:
            raise ValueError("seven is no length")


def target_weights(bars, params):
    return (bars.sma(params.fast) > bars.sma(params.slow)) * SCALE
'''


def search_config(**changes):
    config = batch_config()
    entry = {
        "strategy": "strategies/signal.py",
        "bundle": "prices",
        "symbols": ["AAA"],
        "start": "2020-01-02",
        "end": "2020-12-25",
        "where": "fast < slow",
        "optimize": {
            "space": {"fast": {"min": 2, "max": 9, "step": 1}, "slow": [10, 15, 20, 30]},
            "constraints": ["total_trades >= 1"],
        },
        "validate": {"holdout": {"start": "2020-11-02"}},
    }
    execution = {"sets_per_job": 8}
    return {**config, "batch": {"search": {**entry, **changes}}, "execution": execution}


def search_project(root, config=None):
    project = Project.make(root, batch_config())
    project.write("strategies/signal.py", SIGNAL)
    project.configure(config or search_config())
    return project


def results(project):
    """Return the sha256 of every result of the only run, reports left out."""
    (run,) = project.run_ids()
    return {
        path.relative_to(project.store / run).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted((project.store / run / "results").rglob("*"))
        if path.is_file() and "reports" not in path.parts
    }


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Return a project whose search was run on one core, in the order of the plan."""
    project = search_project(tmp_path_factory.mktemp("searched") / "project")
    project.first_output = project.snakemake(cores=1)
    return project


def test_a_search_is_one_run_with_every_set_in_a_table_and_one_selected(searched):
    assert "1 run: 1 new, 0 reused, 0 failed" in searched.first_output
    assert "Search search (" in searched.first_output
    assert "32 parameter sets in 4 jobs" in searched.first_output
    run = searched.named("search")
    table = pl.read_parquet(run / "results/optimization_results.parquet")
    assert table["set"].to_list() == list(range(32))
    assert table["params.fast"].to_list() == [fast for fast in range(2, 10) for _ in range(4)]
    assert table["params.slow"].to_list() == [10, 15, 20, 30] * 8
    failed = table.filter(pl.col("error").is_not_null())
    assert failed["params.fast"].to_list() == [7] * 4
    assert all("seven is no length" in error for error in failed["error"])
    assert failed["sharpe_ratio"].to_list() == failed["rank"].to_list() == [None] * 4
    selection = json.loads((run / "results/selection.json").read_bytes())
    best = (
        table.filter(pl.col("admissible")).sort("sharpe_ratio", descending=True).row(0, named=True)
    )
    assert selection["set"] == best["set"]
    assert selection["params"] == {"fast": best["params.fast"], "slow": best["params.slow"]}
    assert (selection["sets"], selection["failed"]) == (32, 4)


def test_the_selected_set_is_run_before_the_holdout_and_agrees_with_its_row(searched):
    run = searched.named("search")
    curve = pl.read_parquet(run / "results/backtest_results.parquet")
    assert str(curve["timestamp"].max())[:10] == "2020-10-30"
    selection = json.loads((run / "results/selection.json").read_bytes())
    metrics = json.loads((run / "results/performance-metrics.json").read_bytes())
    for name, value in selection["metrics"].items():
        assert metrics[name]["value"] == pytest.approx(value, rel=1e-6), name
    strategy = json.loads((run / "results/strategy-config.json").read_bytes())
    assert strategy["params"] == selection["params"]
    assert strategy["end"] == "2020-11-01"


def test_a_sealed_search_has_no_working_files_and_is_counted_with_all_its_sets(searched):
    run = searched.named("search")
    assert not (run / ".search").exists()
    manifest = json.loads((run / "run.json").read_bytes())
    assert manifest["run_type"] == "optimization"
    assert manifest["timings"]["chunks"] == 4
    assert manifest["selection"]["sets"] == 32
    (trial,) = (searched.store / ".ledger/trials").glob("*/*.json")
    record = json.loads(trial.read_bytes())
    assert record["sets"] == 32
    assert record["sets_sha256"] == manifest["selection"]["sets_sha256"]


def test_the_best_sets_keep_their_equity_and_the_selected_one_that_of_the_run(searched):
    results = searched.named("search") / "results"
    sets = pl.read_parquet(results / "optimization_results.parquet")
    curves = pl.read_parquet(results / "optimization_curves.parquet")
    ranked = sets.filter(pl.col("rank") <= 20).sort("rank")
    assert curves["set"].unique(maintain_order=True).to_list() == ranked["set"].to_list()
    last = curves.group_by("set", maintain_order=True).last()
    assert (last["equity"] - 1.0).to_list() == pytest.approx(ranked["total_return"].to_list())
    run = pl.read_parquet(results / "backtest_results.parquet")
    both = curves.filter(pl.col("set") == ranked["set"][0]).join(run, on="timestamp")
    assert len(both) == len(run)
    assert both["equity"].to_list() == pytest.approx((run["portfolio_value"] / 100_000).to_list())


@pytest.mark.slow
def test_a_second_call_has_nothing_to_do_and_a_forced_one_changes_no_byte(searched):
    before = searched.checksums()
    assert nothing_to_do(searched.snakemake())
    searched.snakemake("-F")
    after = searched.checksums()
    assert {k: v for k, v in after.items() if "/reports/" not in k} == {
        k: v for k, v in before.items() if "/reports/" not in k
    }


@pytest.mark.slow
def test_the_picture_of_the_rules_is_whole_though_the_search_is_sealed(searched):
    assert "evaluate_chunk" not in searched.snakemake("--rulegraph"), "a sealed one asks for none"
    before = searched.checksums()
    graph = load_tool("take_pictures").rule_graph(searched.root)
    for rule in ("ingest_bundle", "plan_batch", "capture_code", "evaluate_chunk",
                 "select_parameters", "run_backtest", "seal_run", "render_report",
                 "render_search_report", "link_catalog", "render_index"):  # fmt: skip
        assert f'label = "{rule}"' in graph
    assert searched.checksums() == before


@pytest.mark.slow
def test_a_search_replays_and_a_deleted_table_comes_back(searched):
    (replay,) = searched.backtrail_json("replay", "--all")
    assert replay["state"] == "identical"
    assert "results/optimization_results.parquet" in {item["path"] for item in replay["files"]}
    before = results(searched)
    run = searched.named("search")
    names = ("optimization_results.parquet", "optimization_results.csv", "frontier.parquet")
    for name in (*names, "optimization_curves.parquet"):
        (run / "results" / name).unlink()
    searched.snakemake()
    assert results(searched) == before
    assert nothing_to_do(searched.snakemake())


@pytest.mark.slow
def test_chunks_in_any_number_and_order_on_four_cores_give_the_same_bytes(searched, tmp_path):
    config = search_config()
    config["execution"] = {"sets_per_job": 5}
    project = search_project(tmp_path / "project", config)
    project.snakemake("--until", "plan_batch")
    (run,) = project.run_ids()
    (plan,) = project.store.glob(".plans/*/plan.json")
    chunks = json.loads(plan.read_bytes())["searches"][run]
    assert len(chunks) == 7
    last = [f"backtests/{run}/.search/{chunk}.parquet" for chunk in chunks[-2:]]
    project.snakemake(*last)  # the others in the order of the scheduler
    project.snakemake(cores=4)
    assert results(project) == results(searched)


def chunk_files(project):
    """Return what identifies the file of every chunk that has been evaluated."""
    found = {}
    for path in project.store.glob("2*/.search/*.parquet"):
        with suppress(FileNotFoundError):  # the seal removes them
            found[path.name] = path.stat().st_ino
    return found


def wait_for_chunks(project, process, count):
    deadline = time.monotonic() + 300
    while len(chunk_files(project)) < count:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def finish(project, process):
    """Wait for the end of a call; return the chunks that were seen meanwhile."""
    seen = {}
    while process.poll() is None:
        seen.update(chunk_files(project))
        time.sleep(0.01)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return seen


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_and_keeps_its_chunks(searched, tmp_path):
    project = search_project(tmp_path / "project")
    process = project.start(cores=1, start_new_session=True)
    wait_for_chunks(project, process, 2)
    kill_group(process)
    done = chunk_files(project)
    seen = finish(project, project.start(cores=1))
    assert len(seen) == 4
    assert {name: seen[name] for name in done} == done
    assert results(project) == results(searched)


@pytest.mark.slow
def test_a_strategy_edited_while_it_is_searched_changes_the_next_search_only(searched, tmp_path):
    project = search_project(tmp_path / "project")
    process = project.start(cores=1)
    wait_for_chunks(project, process, 1)
    project.replace("strategies/lib/constants.py", "1.0", "0.5")
    finish(project, process)
    assert results(project) == results(searched)
    (first,) = project.run_ids()
    (preview,) = project.backtrail_json("plan")
    assert preview["state"] == "new"
    assert any("constants.py changed" in reason for reason in preview["reasons"])
    assert preview["search"].startswith("32 parameter sets in 4 jobs")
    project.snakemake()
    second = project.named("search")
    assert second.name != first
    tables = [
        pl.read_parquet(project.store / run / "results/optimization_results.parquet")
        for run in (first, second.name)
    ]
    assert tables[0]["annual_volatility"].mean() > 1.5 * tables[1]["annual_volatility"].mean()


def large_search():
    """Return a search of 100,000 sets in twenty chunks."""
    config = search_config()
    space = {"fast": {"min": 2, "max": 251, "step": 1}, "slow": {"min": 3, "max": 402, "step": 1}}
    entry = config["batch"]["search"]
    entry["optimize"]["space"] = space
    entry["validate"]["overfitting"] = {"blocks": 4, "bootstraps": 100}
    del entry["where"]
    config["execution"] = {"sets_per_job": 5000}
    config["reports"] = {"kinds": ["basic"]}
    return config


@pytest.mark.slow
def test_a_large_search_killed_at_ten_random_moments_ends_as_if_it_had_not_been(tmp_path):
    uninterrupted = search_project(tmp_path / "whole", large_search())
    uninterrupted.snakemake("--quiet", "all")
    expected = results(uninterrupted)
    table = uninterrupted.named("search") / "results/optimization_results.parquet"
    assert pl.scan_parquet(table).select(pl.len()).collect().item() == 100_000
    project = search_project(tmp_path / "killed", large_search())
    generator, done = random.Random(11), {}
    moments = [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]  # chunks after which a call is killed
    generator.shuffle(moments)
    for further in moments:
        process = project.start("--quiet", "all", start_new_session=True)
        if further:
            wait_for_chunks(project, process, len(done) + further)
        time.sleep(generator.uniform(0.0, 4.0))
        kill_group(process)
        now = chunk_files(project)
        assert {name: now[name] for name in done} == done, "what is done is never done again"
        done = now
    assert len(done) >= 12
    finish(project, project.start("--quiet", "all"))
    assert results(project) == expected
    assert nothing_to_do(project.snakemake())
    assert project.temporary_files() == []
