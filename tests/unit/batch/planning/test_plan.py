import json
import shutil

import pytest

from backtrail.batch.planning.plan import Plan, PlannedRun, RunOrigin, make_plan, run_origin
from backtrail.errors import ArtifactManagerError, BatchChangedError, ConfigError
from tests.unit.batch.support import batch_config, entry

GRID = {"sma": entry(), "grid": entry(grid={"fast": [2, 3, 4]})}


@pytest.fixture
def planned(project):
    project.configure(batch_config(batch=GRID))
    return project, project.plan()


def test_a_plan_has_every_run_once_with_all_its_names(planned):
    project, plan = planned
    assert [run.names for run in plan.runs] == [
        ("sma", "grid/fast=3"),
        ("grid/fast=2",),
        ("grid/fast=4",),
    ]
    assert {run.state for run in plan.runs} == {"new"}
    assert plan.shards is None
    for run in plan.runs:
        spec = project.store.run(run.backtest_id).read_spec()
        assert spec["run_key"] == run.run_key
        assert spec["labels"] == {"names": list(run.names), "bundle": "prices"}
        assert spec["identity"]["dataset"]["dataset_id"] == plan.datasets["prices"]
        assert spec["identity"]["params"]["slow"] == 8, "defaults are part of the identity"


def test_every_captured_file_is_stored(planned):
    project, plan = planned
    files = project.store.run(plan.runs[0].backtest_id).read_spec()["code"]["files"]
    assert [file["path"] for file in files] == [
        "strategies/lib/__init__.py",
        "strategies/lib/means.py",
        "strategies/sma.py",
    ]
    for file in files:
        stored = project.store.objects / file["sha256"][:2] / file["sha256"]
        assert stored.read_bytes() == (project.root / file["path"]).read_bytes()


def test_planning_again_gives_the_same_runs_and_a_plan_that_reads_back(planned):
    project, first = planned
    path = project.root / project.batch().plan_path
    again = make_plan(project.batch())
    assert Plan.load(path) == again
    assert again.plan_key == first.plan_key
    assert {run.state for run in again.runs} == {"open"}
    assert [run.backtest_id for run in again.runs] == [run.backtest_id for run in first.runs]
    assert json.loads(path.read_bytes())["plan_key"] == first.plan_key


def test_a_changed_setting_makes_new_runs_beside_the_old(planned):
    project, first = planned
    other = project.plan(seed=7)
    assert not {run.backtest_id for run in other.runs} & {run.backtest_id for run in first.runs}
    assert len(project.store.run_dirs()) == 6


def test_a_deleted_directory_is_claimed_again_under_its_id(planned):
    project, first = planned
    shutil.rmtree(project.store.run(first.runs[0].backtest_id).path)
    again = make_plan(project.batch())
    assert again.runs[0].backtest_id == first.runs[0].backtest_id
    assert again.runs[0].state == "open"


def test_a_batch_that_changed_since_it_was_parsed_is_not_planned(project):
    batch = project.ingest()
    with pytest.raises(BatchChangedError, match=r"nothing was started, run the same command again"):
        make_plan(batch, expected_key="0" * 64)
    assert not project.store.base_dir.exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"start": "2019-01-01"}, "2019-01-01 is before the first bar of 'prices', 2020-01-02"),
        ({"end": "2021-01-01"}, "2021-01-01 is after the last bar of 'prices', 2020-02-26"),
    ],
)
def test_a_window_without_data_stops_the_plan_before_any_directory(project, keys, message):
    project.configure(batch_config(batch={"sma": entry(**keys)}))
    with pytest.raises(ConfigError, match=message):
        project.plan()
    assert not project.store.base_dir.exists()


def test_shards_take_the_runs_that_are_not_sealed_in_order(planned):
    project, _ = planned
    plan = project.plan(execution={"runs_per_job": 2})
    ids = [run.backtest_id for run in plan.runs]
    assert list(plan.shards.values()) == [tuple(ids[:2]), (ids[2],)]
    assert all(len(name) == 16 for name in plan.shards)
    assert list(plan.report_shards.values()) == [tuple(ids)]
    assert list(plan.report_sources.values()) == [tuple(plan.shards)]
    assert Plan.load(project.root / project.batch(execution={"runs_per_job": 2}).plan_path) == plan


def test_a_shard_of_reports_waits_for_those_shards_alone_that_make_its_runs():
    runs = tuple(
        PlannedRun(f"20200101_000000_{n:03}", f"{n:064}", ("r",), "strategies/s.py", "p", state)
        for n, state in enumerate(["reused"] * 150 + ["new"] * 250)
    )
    ids = [run.backtest_id for run in runs]
    shards = {"first": tuple(ids[150:350]), "second": tuple(ids[350:])}
    plan = Plan("key", {}, runs, shards)
    assert list(plan.report_shards.values()) == [tuple(ids[:200]), tuple(ids[200:])]
    assert list(plan.report_sources.values()) == [("first",), ("first", "second")]
    reused = Plan("key", {}, runs[:150], {})
    assert list(reused.report_sources.values()) == [(), (), ()]


def test_orphans_of_killed_planners_are_swept(planned):
    project, plan = planned
    orphan = project.store.run("20200101_000000_000").path
    orphan.mkdir()
    make_plan(project.batch())
    assert not orphan.exists()
    assert len(project.store.run_dirs()) == len(plan.runs)


def test_the_origin_of_a_run_is_known_also_when_another_plan_made_it(planned):
    project, plan = planned
    first = plan.runs[0]
    expected = RunOrigin(
        ("sma", "grid/fast=3"), "strategies/sma.py", "prices", plan.datasets["prices"]
    )
    assert run_origin(plan, project.store, first.backtest_id) == expected
    other = project.plan(seed=9)
    assert first.backtest_id not in other
    assert run_origin(other, project.store, first.backtest_id) == expected
    shutil.rmtree(project.store.run(first.backtest_id).path)
    assert run_origin(other, project.store, first.backtest_id) == expected
    with pytest.raises(ArtifactManagerError, match=r"nope/metadata/run_spec\.json is missing"):
        run_origin(other, project.store, "nope")
