import pytest

from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.tables import content_checksum, read_table
from backtrail.batch import stages
from backtrail.batch.execution.executor import RESULT_TABLES, StrategyFailedError
from tests.unit.batch.support import functions


@pytest.fixture
def spec(project):
    plan = project.plan()
    stages.capture_code(project.store, plan.runs[0].backtest_id)
    return project.store.run(plan.runs[0].backtest_id).read_spec()


def test_a_spec_is_executed_beside_its_run_with_every_table(project, spec, tmp_path):
    code = project.store.run(spec["backtest_id"]).code
    target = RunDir(tmp_path / "scratch")
    with project.executor() as executor:
        outcome, contents = executor.execute(spec, code, target)
    assert outcome.seconds > 0
    names = (*RESULT_TABLES, "summary")
    assert sorted(contents) == sorted(f"results/{name}.parquet" for name in names)
    for name in names:
        table = read_table(target.results / f"{name}.parquet", name)
        assert content_checksum(table) == contents[f"results/{name}.parquet"]
    assert not (project.store.run(spec["backtest_id"]).results).exists()
    assert (target.results / "summary_statistics.csv").read_text().startswith("metric,value,unit")


def test_executing_twice_gives_the_same_bytes(project, spec, tmp_path):
    code = project.store.run(spec["backtest_id"]).code
    with project.executor() as executor:
        for name in ("one", "two"):
            executor.execute(spec, code, RunDir(tmp_path / name))
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")]
    assert len(files) > 10
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_failing_strategy_leaves_its_logs_and_no_results(project, tmp_path):
    project.write("strategies/sma.py", functions(initialize="print('before')\nraise OSError('x')"))
    plan = project.plan()
    stages.capture_code(project.store, plan.runs[0].backtest_id)
    run = project.store.run(plan.runs[0].backtest_id)
    target = RunDir(tmp_path / "scratch")
    with project.executor() as executor, pytest.raises(StrategyFailedError) as caught:
        executor.execute(run.read_spec(), run.code, target)
    assert caught.value.outcome.kind == "OSError"
    assert (target.logs / "stdout.txt").read_text() == "before\n"
    assert not target.results.exists()
