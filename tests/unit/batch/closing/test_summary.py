import time

from backtrail.batch.closing.summary import summarize_batch
from tests.projects import write_prices
from tests.unit.batch.support import functions


def test_what_a_strategy_raises_is_told_in_one_line_that_no_terminal_obeys(project):
    strategy = functions(handle_data="raise ValueError('\\n\\x1b[2Jno\\nluck')")
    project.write("strategies/sma.py", strategy)
    plan, _ = project.run()
    summary = str(summarize_batch(project.batch(), since=0.0))
    where = f"backtests/{plan.runs[0].backtest_id}"
    assert summary.splitlines() == [
        "1 run: 0 new, 0 reused, 1 failed",
        f"  failed sma ({where}): ValueError:  [2Jno",
    ]


def test_a_call_that_failed_at_a_bundle_says_that_its_runs_are_of_the_data_before(project):
    project.run()
    write_prices(project.root / "prices", sessions=41)
    counts = "1 run: 0 new, 1 reused, 0 failed"
    later = time.time() + 60
    failed = summarize_batch(project.batch(), since=later, is_over=False)
    assert str(failed).splitlines() == [
        "Not planned anew: the source of bundle prices is not the one that was ingested last",
        "What follows counts the runs of the data before:",
        counts,
    ]
    assert not failed.is_complete
    assert str(summarize_batch(project.batch(), since=later)) == counts
    project.ingest()
    project.run()
    assert summarize_batch(project.batch(), since=later, is_over=False).outdated == ()
