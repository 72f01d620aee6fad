"""A batch too large for chains: the same runs, the same bytes, far fewer jobs."""

import json
import shutil

import pytest

from tests.workflow.project import Project, batch_config, nothing_to_do
from tests.workflow.test_incremental import results_by_key


def sharded_config(**changes):
    config = batch_config(execution={"runs_per_job": 2, "artifacts": "standard"})
    return {**config, **changes}


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    project = Project.make(tmp_path_factory.mktemp("sharded") / "project", sharded_config())
    project.first_output = project.snakemake()
    return project


@pytest.fixture
def shards(sharded, tmp_path):
    shutil.copytree(sharded.root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", sharded.first_output)


def test_shards_make_the_same_bytes_as_chains(sharded, finished):
    assert sharded.first_output.count("Running shard") == 2
    assert "run_backtest" not in sharded.first_output
    assert "4 runs: 4 new, 0 reused, 0 failed" in sharded.first_output
    assert results_by_key(sharded) == results_by_key(finished)
    for run in sharded.run_ids():
        page = (sharded.store / run / "results/reports/basic_report.html").read_text()
        assert run in page
    assert len(sharded.backtrail_json("list")) == 4


def test_a_second_call_of_a_sharded_batch_has_nothing_to_do(shards):
    before = shards.checksums()
    assert nothing_to_do(shards.snakemake())
    assert shards.checksums() == before


@pytest.mark.slow
def test_a_file_and_a_run_deleted_from_a_sharded_batch_come_back(shards):
    before = shards.checksums()
    (shards.named("sma") / "results/trades.parquet").unlink()
    shards.snakemake()
    assert shards.checksums() == before
    run = shards.named("hold")
    # A run that is made again by itself gets every report of the config, not the basic one alone.
    results = {
        k: v
        for k, v in before.items()
        if k.startswith(f"{run.name}/results/") and not k.endswith("/reports.json")
    }
    shutil.rmtree(run)
    shards.snakemake()
    after = shards.checksums(run.name)
    assert {k: after[k] for k in results} == results
    assert nothing_to_do(shards.snakemake())


@pytest.mark.slow
def test_new_runs_of_a_sharded_batch_get_shards_and_reused_ones_do_not(shards):
    config = shards.config()
    config["batch"]["sma-grid"]["grid"]["fast"] = [3, 5, 8, 10]
    shards.configure(config)
    output = shards.snakemake()
    assert output.count("Running shard") == 1
    assert "5 runs: 1 new, 4 reused, 0 failed" in output
    plans = [json.loads(path.read_bytes()) for path in shards.store.glob(".plans/*/plan.json")]
    newest = max(plans, key=lambda plan: len(plan["runs"]))
    assert [len(ids) for ids in newest["shards"].values()] == [1]
    assert nothing_to_do(shards.snakemake())


@pytest.mark.slow
def test_more_than_thirty_two_runs_are_put_into_shards_by_themselves(tmp_path):
    config = batch_config()
    config["batch"]["sma-grid"]["grid"] = {"fast": {"min": 2, "max": 12, "step": 1}}
    config["batch"]["sma-grid"]["grid"]["slow"] = {"min": 20, "max": 50, "step": 10}
    project = Project.make(tmp_path / "project", config)
    output = project.snakemake()
    assert "45 runs: 45 new, 0 reused, 0 failed" in output
    assert "execute_shard" in output
    assert not list(project.store.glob("2*/results/*.csv"))  # lean: Parquet only
    assert nothing_to_do(project.snakemake())
