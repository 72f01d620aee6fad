"""The lock and the pin of a bundle, as planning sees them."""

import shutil

import pytest

from backtrail.batch.history.why import preview_batch
from backtrail.batch.planning.plan import make_plan
from backtrail.batch.planning.resolving import outdated_bundles
from backtrail.data.lock import LOCK_FILE, lock_bundles
from backtrail.data.manifest import read_head
from backtrail.errors import BundleLockError, DatasetError
from tests.projects import PRICES, write_prices
from tests.unit.batch.support import Project, batch_config


@pytest.fixture
def project(tmp_path):
    return Project.make(tmp_path / "project")


def restate(project, text="102.0"):
    """Change the close of the first bar, as a vendor does who restates history."""
    path = project.root / "prices/AAA.csv"
    lines = path.read_text().splitlines()
    cells = lines[1].split(",")
    lines[1] = ",".join([*cells[:2], "110", cells[3], text, cells[5]])
    path.write_text("\n".join(lines) + "\n")


def test_a_restated_history_is_refused_before_any_run_is_claimed(project):
    project.plan()
    locked = read_head(project.bundles, "prices")
    lock_bundles(project.root, project.bundles, ["prices"])
    make_plan(project.batch())
    before = sorted(path.name for path in project.store.base_dir.rglob("*"))
    restate(project)
    project.ingest()
    found = read_head(project.bundles, "prices")
    for act in (make_plan, preview_batch):
        with pytest.raises(BundleLockError) as caught:
            act(project.batch())
        assert caught.value.mismatches == {"prices": (locked, found)}
        assert "1 bar changed (high 1, close 1): AAA 2020-01-02 high " in str(caught.value)
        assert "-> 102.0" in str(caught.value)
    assert sorted(path.name for path in project.store.base_dir.rglob("*")) == before
    lock_bundles(project.root, project.bundles, ["prices"])
    plan = make_plan(project.batch())
    assert plan.datasets == {"prices": found}


def test_a_pinned_dataset_is_read_however_many_newer_ones_exist(project):
    config = batch_config()
    _, failed = project.run()
    assert failed == []
    pinned = read_head(project.bundles, "prices")
    for sessions in (41, 42):
        write_prices(project.root / "prices", sessions=sessions)
        restate(project, str(100 + sessions / 10))
        project.ingest()
    shutil.rmtree(project.root / "prices")  # it is not even looked at
    project.configure({**config, "bundles": {"prices": {**PRICES, "dataset": pinned}}})
    batch = project.batch()
    assert read_head(project.bundles, "prices") != pinned
    assert outdated_bundles(batch) == {}
    plan = make_plan(batch)
    assert plan.datasets == {"prices": pinned}
    assert [run.state for run in plan.runs] == ["reused"]


def test_a_planned_run_reads_the_dataset_of_its_plan_though_a_newer_one_came(project):
    plan = project.plan()
    planned = plan.datasets["prices"]
    write_prices(project.root / "prices", sessions=41)
    restate(project)
    project.ingest()
    assert read_head(project.bundles, "prices") != planned
    assert project.run(plan)[1] == []
    (run,) = project.store.run_dirs()
    assert run.read_manifest()["identity"]["dataset"]["dataset_id"] == planned
    other = Project.make(project.root.parent / "other", batch_config())
    other.run()
    (same,) = other.store.run_dirs()
    results = [item.results / "backtest_results.parquet" for item in (run, same)]
    assert results[0].read_bytes() == results[1].read_bytes()


def test_a_pin_keeps_to_the_lock_and_a_dataset_that_is_not_there_is_named(project):
    project.run()
    pinned = read_head(project.bundles, "prices")
    write_prices(project.root / "prices", sessions=41)
    project.ingest()
    lock_bundles(project.root, project.bundles, ["prices"])
    config = batch_config()
    project.configure({**config, "bundles": {"prices": {**PRICES, "dataset": pinned}}})
    with pytest.raises(BundleLockError):
        make_plan(project.batch())
    (project.root / LOCK_FILE).unlink()
    make_plan(project.batch())
    project.configure({**config, "bundles": {"prices": {**PRICES, "dataset": "0" * 16}}})
    with pytest.raises(DatasetError, match=f"has no dataset '{'0' * 16}'; it has {pinned}, "):
        make_plan(project.batch())
