"""Which datasets may be deleted: none that a name, a lock or a run reaches."""

import json
import multiprocessing
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backtrail.artifacts.store import RunStore
from backtrail.batch.history.unreached import delete_unreached, find_unreached
from backtrail.data import Dataset
from backtrail.data.inventory import list_datasets
from backtrail.data.lock import LOCK_FILE, lock_bundles
from backtrail.data.manifest import read_head
from backtrail.errors import ArtifactManagerError, ConfigError
from backtrail.files import lease
from tests.projects import write_prices
from tests.unit.batch.support import Project

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def ingest(project, sessions):
    """Let the source have so many sessions, and return the dataset that the bundle means then."""
    write_prices(project.root / "prices", sessions=sessions)
    project.ingest()
    return read_head(project.bundles, "prices")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A project with datasets used by a run, by a lock, by nothing, and by the bundle's name."""
    project = Project.make(tmp_path_factory.mktemp("model") / "project")
    project.run()
    used = read_head(project.bundles, "prices")
    locked = ingest(project, 41)
    lock_bundles(project.root, project.bundles, ["prices"])
    unused = ingest(project, 42)
    head = ingest(project, 43)
    return project, {"used": used, "locked": locked, "unused": unused, "head": head}


@pytest.fixture
def made(model, tmp_path):
    """A copy of the project, and the ids of its datasets."""
    project, ids = model
    return Project(shutil.copytree(project.root, tmp_path / "project")), ids


def found(project, *, roots=None):
    places = [project.store], project.bundles, [project.root] if roots is None else roots
    return [entry.dataset_id for entry in find_unreached(*places).datasets]


def test_only_what_nothing_reaches_is_found_and_nothing_is_deleted(made):
    project, ids = made
    result = find_unreached([project.store], project.bundles, [project.root])
    assert [entry.dataset_id for entry in result.datasets] == [ids["unused"]]
    assert (result.kept, result.deleted) == (3, False)
    folder = project.bundles / "prices" / ids["unused"]
    assert result.bytes == sum(path.stat().st_size for path in folder.glob("*.parquet"))
    assert found(project, roots=[]) == [ids["locked"], ids["unused"]]


def test_a_config_that_was_never_run_reaches_the_dataset_it_names(made):
    project, ids = made
    batch = project.root / "config/batches/later.yaml"
    batch.parent.mkdir(parents=True, exist_ok=True)
    batch.write_text(f"bundles:\n  prices: {{dataset: {ids['unused']}}}\n")
    assert found(project) == []
    delete_unreached([project.store], project.bundles, [project.root], now=NOW)
    assert Dataset.open(project.bundles / "prices" / ids["unused"]).bars().height
    outside = project.root / "later.yaml"
    batch.rename(outside)
    assert found(project) == [ids["unused"]]
    places = [project.store], project.bundles, [project.root]
    assert find_unreached(*places, configs=[Path("later.yaml")]).datasets == ()


def test_a_config_that_cannot_be_read_stops_the_deletion(made):
    project, ids = made
    (project.root / "config").mkdir(exist_ok=True)
    (project.root / "config/broken.yml").write_text("bundles: {prices: {dataset: [}\n")
    with pytest.raises(ConfigError, match=r"broken\.yml: nobody can tell which datasets it names"):
        delete_unreached([project.store], project.bundles, [project.root], now=NOW)
    assert (project.bundles / "prices" / ids["unused"]).is_dir()


def test_a_run_reaches_its_dataset_however_far_it_came(made):
    project, ids = made
    (run,) = project.store.run_dirs()
    shutil.rmtree(run.path)  # its claim stays: the next call makes it again
    assert found(project) == [ids["unused"]]
    shutil.rmtree(project.store.keys)
    assert found(project) == [ids["used"], ids["unused"]]


def test_a_manifest_reaches_where_the_spec_is_gone(made):
    project, ids = made
    (run,) = project.store.run_dirs()
    shutil.rmtree(project.store.keys)
    run.spec.unlink()
    assert found(project) == [ids["unused"]]


def test_a_run_that_says_nothing_stops_everything(made):
    project, ids = made
    (run,) = project.store.run_dirs()
    shutil.rmtree(project.store.keys)
    for path in (run.spec, run.manifest):
        path.chmod(0o644)
        path.write_text("{")
    with pytest.raises(ArtifactManagerError, match=f"which dataset run {run.backtest_id} uses"):
        delete_unreached([project.store], project.bundles, [project.root], now=NOW)
    assert (project.bundles / "prices" / ids["unused"]).is_dir()


def test_deleting_leaves_a_tombstone_and_everything_else(made):
    project, ids = made
    folder = project.bundles / "prices"
    manifest = json.loads((folder / ids["unused"] / "manifest.json").read_bytes())
    result = delete_unreached([project.store], project.bundles, [project.root], now=NOW)
    assert [entry.dataset_id for entry in result.datasets] == [ids["unused"]]
    assert result.deleted
    there = {path.name for path in folder.iterdir() if path.is_dir()}
    assert there == {ids["used"], ids["locked"], ids["head"]}
    tombstone = project.store.ledger / f"tombstones/datasets/prices/{ids['unused']}.json"
    assert json.loads(tombstone.read_bytes()) == {
        "kind": "dataset",
        "bundle": "prices",
        "dataset_id": ids["unused"],
        "deleted_at": "2026-01-02T03:04:05+00:00",
        "manifest": manifest,
    }
    entries = list_datasets(project.bundles, "prices")
    assert [entry.dataset_id for entry in entries if entry.path is None] == [ids["unused"]]
    assert found(project) == []
    assert ingest(project, 42) == ids["unused"]  # its source gives it again
    (project.root / LOCK_FILE).unlink()
    assert project.run()[1] == []


def test_another_store_of_the_same_bundles_counts(made, tmp_path):
    project, ids = made
    other = Project.make(tmp_path / "other")
    shutil.rmtree(other.root / "prices")
    (other.root / "prices").symlink_to(project.root / "prices")
    (other.root / "bundles").symlink_to(project.bundles)
    write_prices(project.root / "prices", sessions=42)
    other.plan()
    ingest(project, 43)
    assert found(project) == [ids["unused"]]
    stores, roots = [project.store, other.store], [project.root, other.root]
    assert find_unreached(stores, project.bundles, roots).datasets == ()


DYING = """
import os, shutil, signal, sys
from pathlib import Path
from tests.unit.batch.history.test_unreached import NOW, delete_unreached
from tests.unit.batch.support import Project
project, last, seen = Project(Path(sys.argv[1])), int(sys.argv[2]), 0
steps = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}
def watch(event, arguments):
    global seen
    if event in steps and ("tombstones" in str(arguments[0]) or "/bundles/" in str(arguments[0])):
        seen += 1
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
delete_unreached([project.store], project.bundles, [project.root], now=NOW)
print(seen)
"""


def _delete_and_die(root, step):
    command = [sys.executable, "-c", DYING, str(root), str(step)]
    home = Path(__file__).resolve().parents[4]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_killed_deletion_leaves_whole_datasets_and_the_next_one_ends_it(made, tmp_path):
    project, ids = made
    whole = Project(shutil.copytree(project.root, tmp_path / "whole"))
    done = _delete_and_die(whole.root, 0)
    steps = int(done.stdout)
    assert steps > 8, done.stderr
    for step in range(1, steps + 1, max(1, steps // 10)):
        one = Project(shutil.copytree(project.root, tmp_path / f"killed-{step}"))
        assert _delete_and_die(one.root, step).returncode == -signal.SIGKILL
        folder = one.bundles / "prices"
        names = {path.name for path in folder.glob("[!.]*") if path.is_dir()}
        assert names | {ids["unused"]} == set(ids.values())
        for name in names:
            Dataset.open(folder / name).verify()
        tombstone = one.store.ledger / f"tombstones/datasets/prices/{ids['unused']}.json"
        assert tombstone.is_file() or ids["unused"] in names
        delete_unreached([one.store], one.bundles, [one.root], now=NOW)
        left = {path.name for path in folder.iterdir() if path.is_dir()}
        assert left == set(ids.values()) - {ids["unused"]}
        assert json.loads(tombstone.read_bytes())["dataset_id"] == ids["unused"]


def _delete(root, started):
    project = Project(root)
    started.set()
    delete_unreached([project.store], project.bundles, [], now=NOW)


def test_deleting_waits_for_an_ingest_of_the_bundle(made):
    project, ids = made
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    with lease(project.bundles / "prices/.lock"):
        child = context.Process(target=_delete, args=(project.root, started))
        child.start()
        assert started.wait(60)
        child.join(1)
        assert child.is_alive()
        assert (project.bundles / "prices" / ids["unused"]).is_dir()
    child.join(60)
    assert child.exitcode == 0
    assert not (project.bundles / "prices" / ids["unused"]).exists()


def test_a_store_that_is_named_twice_does_not_wait_for_itself(made, tmp_path):
    project, ids = made
    (tmp_path / "link").symlink_to(project.store.base_dir)
    stores = [project.store, project.store, RunStore(tmp_path / "link")]
    deleted = delete_unreached(stores, project.bundles, [project.root] * 3, now=NOW)
    assert [entry.dataset_id for entry in deleted.datasets] == [ids["unused"]]
