import time
from pathlib import Path

import pytest

from backtrail.batch.targets import run_targets, summarize_batch
from backtrail.errors import SealError

from .support import batch_config, entry, functions

BASE = Path("backtests")


def test_chains_ask_for_seal_and_report_and_for_each_missing_file(project):
    plan = project.plan()
    (name,) = [run.backtest_id for run in plan.runs]
    wanted = [f"backtests/{name}/_SUCCESS", f"backtests/{name}/results/reports/basic_report.html"]
    assert run_targets(plan, project.store, BASE) == wanted
    project.run(plan)
    assert run_targets(plan, project.store, BASE) == wanted
    (project.store.run(name).results / "fills.parquet").unlink()
    assert set(run_targets(plan, project.store, BASE)) == {
        *wanted,
        f"backtests/{name}/results/fills.parquet",
    }


def test_an_altered_run_is_an_error_before_any_job(project):
    plan, _ = project.run()
    run = project.store.run(plan.runs[0].backtest_id)
    (run.results / "fills.parquet").write_text("altered")
    with pytest.raises(SealError, match=r"results/fills\.parquet"):
        run_targets(plan, project.store, BASE)


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
