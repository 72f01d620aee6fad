import pytest

from backtrail.batch.planning.plan import make_plan
from tests.unit.batch.support import functions


def files_of(project):
    return {path for path in project.root.rglob("*") if "__pycache__" not in path.parts}


def test_opening_a_batch_writes_nothing_and_knows_its_runs(project):
    before = files_of(project)
    batch = project.batch()
    assert files_of(project) == before
    assert [request.name for request in batch.requests] == ["sma"]
    assert len(batch.batch_key) == 64
    assert batch.used_bundles == ("prices",)
    assert batch.plan_path.as_posix() == f"backtests/.plans/{batch.batch_key}/plan.json"
    assert [file.path for file in batch.closures["strategies/sma.py"].files] == [
        "strategies/lib/__init__.py",
        "strategies/lib/means.py",
        "strategies/sma.py",
    ]


def test_the_batch_key_follows_config_and_code_and_not_comments_of_the_config(project):
    first = project.batch().batch_key
    project.write("config.yaml", "# a comment\n" + (project.root / "config.yaml").read_text())
    assert project.batch().batch_key == first
    assert project.batch(seed=5).batch_key != first
    project.write("strategies/lib/means.py", "def mean(x):\n    return sum(x) / len(x)\n")
    assert project.batch().batch_key != first


def test_limits_are_read_with_their_units(project):
    limits = project.batch(execution={"time_limit": "2h", "memory_limit": "500MB"}).limits
    assert (limits.seconds, limits.memory_bytes) == (7200.0, 500_000_000)


@pytest.mark.parametrize(
    ("wanted", "runs", "size"),
    [("auto", 32, None), ("auto", 33, 16), (1, 32, None), (1, 33, 1), (7, 3, 7)],
)
def test_runs_are_packed_as_asked(project, wanted, runs, size):
    assert project.batch(execution={"runs_per_job": wanted}).shard_size(runs) == size


def test_a_batch_that_was_planned_is_not_checked_again(project):
    project.write("strategies/sma.py", functions(top="print('imported')"))
    make_plan(project.ingest())
    (project.root / "prices/AAA.csv").unlink()
    assert project.batch().batch_key
