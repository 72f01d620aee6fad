import time
from pathlib import Path

import pytest

from backtrail.artifacts.manifest import Damage
from backtrail.batch import stages
from backtrail.batch.closing.summary import summarize_batch
from backtrail.batch.planning.targets import damaged_runs, object_targets, run_targets
from backtrail.errors import SealError
from tests.unit.batch.support import batch_config, entry, functions

BASE = Path("backtests")


def targets(project, plan):
    return run_targets(plan, project.store, BASE, damaged_runs(plan, project.store))


def test_chains_ask_for_seal_and_report_and_for_each_missing_file(project):
    plan = project.plan()
    (name,) = [run.backtest_id for run in plan.runs]
    wanted = [f"backtests/{name}/_SUCCESS", f"backtests/{name}/results/reports/basic_report.html"]
    assert targets(project, plan) == wanted
    project.run(plan)
    assert targets(project, plan) == wanted
    pages = ("basic_report.html", "advanced_report.html")
    found = run_targets(plan, project.store, BASE, {}, reports=pages)
    assert found == [*wanted, f"backtests/{name}/results/reports/advanced_report.html"]
    (project.store.run(name).results / "fills.parquet").unlink()
    assert set(targets(project, plan)) == {
        *wanted,
        f"backtests/{name}/results/fills.parquet",
    }


def test_every_altered_run_is_named_before_any_job(project):
    project.configure(batch_config(batch={"sma": entry(grid={"fast": [2, 3, 4]})}))
    plan, _ = project.run()
    first, second, third = (project.store.run(run.backtest_id) for run in plan.runs)
    (first.results / "fills.parquet").write_text("altered")
    (second.results / "orders.parquet").unlink()
    (third.results / "fills.parquet").write_text("altered")
    (third.logs / "stdout.txt").write_text("altered")
    assert damaged_runs(plan, project.store) == {
        first.backtest_id: Damage(altered=("results/fills.parquet",)),
        second.backtest_id: Damage(missing=("results/orders.parquet",)),
        third.backtest_id: Damage(altered=("logs/stdout.txt", "results/fills.parquet")),
    }
    with pytest.raises(SealError) as caught:
        targets(project, plan)
    assert str(caught.value).splitlines()[1:3] == [
        f"  - {first.path}: results/fills.parquet",
        f"  - {third.path}: logs/stdout.txt, results/fills.parquet",
    ]


def test_missing_shared_code_files_of_the_batch_are_asked_for(project):
    batch = project.ingest()
    assert len(object_targets(batch)) == 3, "before planning, none is there"
    project.plan()
    assert object_targets(project.batch()) == []
    sha256 = next(file.sha256 for file in batch.closures["strategies/sma.py"].files)
    (project.store.objects / sha256[:2] / sha256).unlink()
    assert object_targets(project.batch()) == [f"backtests/.objects/{sha256[:2]}/{sha256}"]


def test_the_summary_names_damaged_runs_and_counts_restored_ones(project):
    project.configure(batch_config(batch={"sma": entry(grid={"fast": [2, 3, 4]})}))
    plan, _ = project.run()
    one, two, three = (project.store.run(run.backtest_id) for run in plan.runs)
    (one.results / "fills.parquet").write_text("altered")
    (one.results / "orders.parquet").unlink()
    (one.results / "trades.parquet").unlink()
    two.manifest.write_text("altered")
    three.manifest.unlink()
    before = damaged_runs(plan, project.store)
    summary = summarize_batch(project.batch(), since=0, looked=before)
    assert (summary.new, summary.reused, summary.restored, summary.is_complete) == (1, 2, 0, False)
    assert str(summary).splitlines() == [
        "3 runs: 1 new, 2 reused, 0 failed, 3 damaged",
        f"  damaged sma/fast=2 (backtests/{one.backtest_id}): 2 files missing, 1 file altered",
        f"  damaged sma/fast=3 (backtests/{two.backtest_id}): 1 file altered",
        f"  damaged sma/fast=4 (backtests/{three.backtest_id}): 1 file missing",
    ]


def test_a_run_that_was_damaged_and_is_whole_again_counts_as_restored(project):
    plan, _ = project.run()
    run = project.store.run(plan.runs[0].backtest_id)
    (run.results / "fills.parquet").unlink()
    before = damaged_runs(plan, project.store)
    with project.executor() as executor:
        stages.restore_run(project.store, run.backtest_id, executor)
    later = time.time() + 60
    summary = summarize_batch(project.batch(), since=later, looked=before)
    assert str(summary) == "1 run: 0 new, 1 reused, 0 failed, 1 restored"
    assert summary.is_complete
    run.success.unlink()
    assert summarize_batch(project.batch(), since=later, looked=before).restored == 0


def test_a_call_that_found_every_run_whole_and_made_none_does_not_look_again(project):
    plan, _ = project.run()
    (project.store.run(plan.runs[0].backtest_id).results / "fills.parquet").unlink()
    later = time.time() + 60
    assert len(summarize_batch(project.batch(), since=later, looked={}).damaged) == 0
    assert len(summarize_batch(project.batch(), since=later).damaged) == 1
    made = summarize_batch(project.batch(), since=0, looked={})
    assert (made.new, len(made.damaged)) == (1, 1), "a call that made a run looks at all of them"


def test_the_summary_counts_new_reused_failed_and_open_runs(project):
    project.write("strategies/bad.py", functions(initialize="raise ValueError('one\\ntwo')"))
    bad = entry(strategy="strategies/bad.py")
    project.configure(batch_config(batch={"sma": entry(), "bad": bad}))
    assert summarize_batch(project.ingest(), since=0) is None
    plan = project.plan()
    waiting = summarize_batch(project.batch(), since=0)
    assert (waiting.new, waiting.open, waiting.is_complete) == (0, 2, False)
    project.run(plan)
    summary = summarize_batch(project.batch(), since=0)
    assert (summary.new, summary.reused, summary.open) == (1, 0, 0)
    home = f"backtests/{plan.runs[1].backtest_id}"
    assert list(summary.failed) == [("bad", home, "ValueError: one")]
    assert str(summary) == (
        f"2 runs: 1 new, 0 reused, 1 failed\n  failed bad ({home}): ValueError: one"
    )
    later = summarize_batch(project.batch(), since=time.time() + 60)
    assert (later.new, later.reused) == (0, 1)
