from backtrail.batch.closing.summary import summarize_batch
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
