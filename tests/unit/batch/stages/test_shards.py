import json
import shutil
import sys

import pytest

from backtrail.artifacts.manifest import is_sealed
from backtrail.batch.planning.plan import make_plan
from backtrail.batch.stages.shards import execute_shard, report_shard
from backtrail.errors import ArtifactManagerError, RunFailedError
from tests.unit.batch.support import batch_config, entry, functions

SHARDS = {"runs_per_job": 10}


@pytest.fixture
def mixed(project):
    project.write(
        "strategies/picky.py",
        functions(
            top="""
            from dataclasses import dataclass

            @dataclass(frozen=True)
            class Params:
                n: int = 1
            """,
            initialize="assert context.params.n != 2, 'two'",
        ),
    )
    project.configure(
        batch_config(
            batch={"picky": entry(strategy="strategies/picky.py", grid={"n": [1, 2, 3]})},
            execution=SHARDS,
        )
    )
    return project, project.plan()


def test_a_failing_run_stops_no_other_and_withholds_the_receipt(mixed, tmp_path):
    project, plan = mixed
    (shard,) = plan.shards
    receipt = tmp_path / "receipts" / "r.json"
    with project.executor() as executor, pytest.raises(RunFailedError, match=r"1 of 3 runs failed"):
        execute_shard(project.store, plan, shard, executor, receipt)
    assert not receipt.exists()
    runs = [project.store.run(planned.backtest_id) for planned in plan.runs]
    assert [is_sealed(run) for run in runs] == [True, False, True]
    assert runs[1].read_manifest()["error"]["message"] == "two"
    sealed_at = runs[0].success.stat().st_mtime_ns
    with project.executor() as executor, pytest.raises(RunFailedError):
        execute_shard(project.store, plan, shard, executor, receipt)
    assert runs[0].success.stat().st_mtime_ns == sealed_at
    assert runs[1].read_manifest()["attempt"] == 2


def test_an_altered_run_stops_no_other_and_is_told_at_the_end(project, tmp_path):
    batch = {"sma": entry(grid={"fast": [2, 3, 4]})}
    project.configure(batch_config(batch=batch, execution=SHARDS))
    plan, _ = project.run()
    (shard,) = plan.shards
    (report,) = plan.report_shards
    first, *others = (project.store.run(planned.backtest_id) for planned in plan.runs)
    (first.results / "trades.parquet").write_bytes(b"altered")
    shutil.rmtree(others[0].path)
    said = rf"1 of 3 runs failed:\nsealed run {first.backtest_id} was altered"
    with project.executor() as executor, pytest.raises(RunFailedError, match=said):
        execute_shard(project.store, plan, shard, executor, tmp_path / "r.json")
    assert [is_sealed(run) for run in others] == [True, True]
    said = rf"1 of 3 reports could not be made:\nsealed run {first.backtest_id} was altered"
    with pytest.raises(ArtifactManagerError, match=said):
        report_shard(project.store, plan, report, project.bundles, tmp_path / "reports.json")
    assert all((run.reports / "basic_report.html").exists() for run in others)
    assert list(tmp_path.glob("*.json")) == []


@pytest.mark.skipif(sys.platform != "linux", reason="a child outlives its zygote elsewhere")
def test_a_killed_zygote_fails_the_run_it_served_and_no_other(mixed, tmp_path):
    project, _ = mixed
    text = (project.root / "strategies/picky.py").read_text()
    kill = "if context.params.n == 2:\n        os.kill(os.getppid(), signal.SIGKILL)"
    text = text.replace("assert context.params.n != 2, 'two'", kill)
    project.write("strategies/picky.py", "import os, signal\n" + text)
    plan = project.plan()
    (shard,) = plan.shards
    with project.executor() as executor, pytest.raises(RunFailedError, match=r"1 of 3 runs failed"):
        execute_shard(project.store, plan, shard, executor, tmp_path / "r.json")
    runs = [project.store.run(planned.backtest_id) for planned in plan.runs]
    assert [is_sealed(run) for run in runs] == [True, False, True]
    error = runs[1].read_manifest()["error"]
    assert error["kind"] == "signal"
    assert "the process that forks runs was ended by SIGKILL" in error["message"]


def test_a_whole_shard_leaves_a_receipt_and_reports(project, tmp_path):
    project.configure(batch_config(execution=SHARDS))
    plan = project.plan()
    (shard,) = plan.shards
    receipt = tmp_path / "r.json"
    with project.executor() as executor:
        execute_shard(project.store, plan, shard, executor, receipt)
    assert json.loads(receipt.read_bytes())["runs"] == 1
    (report,) = plan.report_shards
    report_shard(project.store, plan, report, project.bundles, tmp_path / "reports.json")
    run = project.store.run(plan.runs[0].backtest_id)
    assert (run.reports / "basic_report.html").exists()
    again = make_plan(project.batch())
    assert again.runs[0].state == "reused"
    assert again.shards == {}
