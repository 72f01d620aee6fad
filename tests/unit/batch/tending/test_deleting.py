"""Deleting runs: what goes, what the ledger keeps, and what a kill in the middle leaves."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from backtrail.artifacts.removal import graves
from backtrail.artifacts.rundir import LOCK
from backtrail.artifacts.tags import edit_tags
from backtrail.batch.history.reading import find_run
from backtrail.batch.history.replay import replay_runs
from backtrail.batch.history.unreached import find_unreached
from backtrail.batch.history.verifying import verify_runs
from backtrail.batch.planning.former import latest_by_name
from backtrail.batch.tending.deleting import delete_runs, find_claimed, preview_deletion
from backtrail.batch.tending.needs import read_records, unreached_objects
from backtrail.canonical import sha256_file
from backtrail.errors import ArtifactManagerError
from backtrail.files import lease
from tests.unit.backtest.support import become_nobody, in_child

from .support import NOW, copy_project, ids_by_name


def objects(project):
    return {path.name: path for path in project.store.objects.glob("??/*")}


def captured(project, backtest_id):
    spec = project.store.run(backtest_id).read_spec()
    return {file["path"]: file["sha256"] for file in spec["code"]["files"]}


def disk(project):
    """Return what the store takes, each file once however many names it has."""
    found = {}
    for top, _, names in os.walk(project.store.base_dir):
        for name in names:
            state = os.lstat(os.path.join(top, name))
            found[state.st_ino] = state.st_size
    return sum(found.values())


def test_a_preview_says_what_would_go_and_touches_nothing(project, ids):
    before = {path: path.stat().st_mtime_ns for path in project.root.rglob("*")}
    edit_tags(project.store, [project.store.read_spec(ids["hold"])["run_key"]], add=["paper"])
    found = preview_deletion(project.store, [ids["hold"]])
    assert not found.deleted
    assert (found.kept, found.objects, found.remark) == (5, 1, None)
    (run,) = found.runs
    assert (run.backtest_id, run.names, run.status) == (ids["hold"], ("hold",), "completed")
    assert run.needed[0] == "it has the tag paper"
    assert run.needed[1].startswith("planned as hold: the next snakemake")
    assert run.stays == ("the count of 1 parameter set",)
    code = captured(project, ids["hold"])
    own = [path for path in project.store.run(ids["hold"]).path.rglob("*") if path.is_file()]
    sizes = {path.stat().st_ino: path.stat().st_size for path in own}
    linked = objects(project)[code["strategies/hold.py"]].stat()
    assert found.objects_bytes == linked.st_size
    assert run.bytes == sum(sizes.values()) - linked.st_size
    after = {path: path.stat().st_mtime_ns for path in project.root.rglob("*")}
    assert {path for path in after if path not in before} == {
        project.store.ledger / "tags",
        *(project.store.ledger / "tags").iterdir(),
    }
    assert all(after[path] == moment for path, moment in before.items() if path.is_file())


def test_a_deletion_frees_what_its_preview_says(project, ids):
    chosen = [ids["hold"], ids["sma-grid/fast=2"]]
    said, before = preview_deletion(project.store, chosen), disk(project)
    done = delete_runs(project.store, chosen, now=NOW)
    stones = sum(path.stat().st_size for path in (project.store.ledger / "tombstones").iterdir())
    assert said.bytes == done.bytes == before - (disk(project) - stones)


def test_a_deleted_run_leaves_its_tombstone_and_its_trials(project, ids):
    store, run = project.store, project.store.run(ids["hold"])
    spec, manifest = run.read_spec(), run.read_manifest()
    checksum = sha256_file(run.manifest)
    dataset = spec["identity"]["dataset"]["dataset_id"]
    trials = store.count_trials(dataset, "strategies/hold.py")
    found = delete_runs(store, [ids["hold"]], now=NOW)
    assert found.deleted
    assert found.kept == 5
    assert not run.path.exists()
    assert not store.key_path(spec["run_key"]).exists()
    assert not store.claimed_path(ids["hold"]).exists()
    assert graves(store) == []
    stone = json.loads((store.ledger / f"tombstones/{spec['run_key']}.json").read_bytes())
    (record,) = stone["runs"]
    assert record.pop("deleted_by")
    assert (stone["kind"], stone["run_key"]) == ("run", spec["run_key"])
    assert record == {
        "backtest_id": ids["hold"],
        "run_key": spec["run_key"],
        "names": ["hold"],
        "status": "completed",
        "run_type": spec["identity"]["run_type"],
        "strategy": "strategies/hold.py",
        "bundle": "prices",
        "dataset_id": dataset,
        "started_at": manifest["started_at"],
        "manifest_sha256": checksum,
        "deleted_at": "2026-01-02T03:04:05Z",
    }
    assert store.count_trials(dataset, "strategies/hold.py") == trials == 1
    with pytest.raises(ArtifactManagerError) as error:
        find_run(store, ids["hold"])
    assert f"run {ids['hold']} (hold, completed) was deleted 2026-01-02T03:04:05Z" in str(
        error.value
    )
    assert "a batch that still has it makes it anew, under another id" in str(error.value)


def test_objects_go_with_the_last_run_that_needs_them(project, ids):
    store = project.store
    shared = captured(project, ids["sma"])
    assert delete_runs(store, [ids["sma"]], now=NOW).objects == 0
    assert set(shared.values()) <= set(objects(project))
    assert verify_runs(store).is_intact
    rest = [ids[f"sma-grid/fast={fast}"] for fast in (2, 4)]
    found = delete_runs(store, rest, now=NOW)
    assert found.objects == len(set(shared.values())) == 3  # the library's files are its alone
    assert not set(shared.values()) & set(objects(project))
    assert set(objects(project)) >= set(captured(project, ids["hold"]).values())


def test_the_next_plan_makes_a_deleted_run_anew_and_reuses_the_rest(project, ids):
    store = project.store
    path = project.root / project.batch().plan_path
    delete_runs(store, [ids["hold"]], now=NOW)
    assert not path.exists()
    assert latest_by_name(store)["sma"] == ids["sma"]  # names are known until it is planned
    plan, _ = project.run()
    states = {name: run.state for run in plan.runs for name in run.names}
    assert states["hold"] == "new"
    assert {state for name, state in states.items() if name.startswith("sma")} == {"reused"}
    again = ids_by_name(project)
    assert again["hold"] > ids["hold"]
    assert again["sma"] == ids["sma"]
    with pytest.raises(ArtifactManagerError, match=f"has been run again as {again['hold']}"):
        find_run(store, ids["hold"])
    delete_runs(store, [again["hold"]], now=NOW)
    key = next(run.run_key for run in plan.runs if "hold" in run.names)
    stone = json.loads((store.ledger / f"tombstones/{key}.json").read_bytes())
    assert [run["backtest_id"] for run in stone["runs"]] == [ids["hold"], again["hold"]]


def test_a_plan_without_the_run_stays_as_it_is(project, ids):
    old = project.root / project.batch().plan_path
    project.configure({**project.batch().config, "seed": 7})
    project.plan()
    new = project.root / project.batch().plan_path
    state = new.read_bytes(), new.stat().st_mtime_ns
    assert new != old
    delete_runs(project.store, [ids["hold"]], now=NOW)
    assert not old.exists()
    assert (new.read_bytes(), new.stat().st_mtime_ns) == state


def test_a_run_that_is_being_executed_is_refused_and_so_is_its_batch(project, ids):
    store = project.store
    said = pytest.raises(ArtifactManagerError, match=rf"run {ids['sma']} is being executed")
    with lease(store.run(ids["sma"]).path / LOCK), said:
        delete_runs(store, [ids["hold"], ids["sma"]], now=NOW)
    assert not (store.ledger / "tombstones").exists()
    with lease(store.run(ids["bad"]).path / LOCK):
        with pytest.raises(
            ArtifactManagerError,
            match=rf"run {ids['bad']}, which is of one batch with {ids['hold']}, is being",
        ):
            delete_runs(store, [ids["hold"]], now=NOW)
        found = delete_runs(store, [ids["hold"]], now=NOW, pass_over_busy=True)
    assert (found.runs, found.busy) == ((), (ids["hold"],))
    assert store.run(ids["hold"]).success.is_file()


@pytest.fixture
def shared(project, ids):
    """A store that another user may write, but for a folder of the run `hold`."""
    home = Path(tempfile.mkdtemp())
    copy = copy_project(project, home / "project")
    closed = copy.store.run(ids["hold"]).path / "results"
    if os.geteuid() == 0:
        home.chmod(0o755)
        subprocess.run(["chown", "-R", "65534:65534", copy.root], check=True)
        os.chown(closed, 0, 0)
    closed.chmod(0o555)
    yield copy
    subprocess.run(["chmod", "-R", "u+rwx", home], check=True)
    shutil.rmtree(home)


def test_a_run_that_this_user_cannot_empty_stays_whole_and_so_do_the_others(shared, ids):
    store = shared.store
    said = rf"run {ids['hold']} cannot be deleted: this user may not write .*/results; nothing was"
    with pytest.raises(ArtifactManagerError, match=said):
        in_child(
            lambda: delete_runs(store, [ids["sma"], ids["hold"]], now=NOW), before=become_nobody
        )
    assert not (store.ledger / "tombstones").exists()
    assert graves(store) == []
    assert is_whole(store, ids["hold"])
    assert is_whole(store, ids["sma"])


def test_what_another_user_left_of_a_deletion_stops_nobody(shared, ids):
    store = shared.store
    store.run(ids["hold"]).path.rename(store.base_dir / f".deleted.{ids['hold']}")

    def delete():
        found = delete_runs(store, [ids["sma"]], now=NOW)
        return [run.backtest_id for run in found.runs]

    assert in_child(delete, before=become_nobody) == [ids["sma"]]
    assert [path.name for path in graves(store)] == [f".deleted.{ids['hold']}"]
    assert find_claimed(store, ids["bad"]) == ids["bad"]
    assert not store.claimed_path(ids["hold"]).exists()


def test_a_chunk_of_a_search_that_is_evaluated_holds_its_run(project, ids):
    working = project.store.run(ids["sma"]).working
    working.mkdir()
    said = pytest.raises(ArtifactManagerError, match="is being executed")
    with lease(working / "000000000-000000100.lock"), said:
        delete_runs(project.store, [ids["sma"]], now=NOW)


def test_an_object_stays_while_a_kept_run_cannot_say_what_it_needs(project, ids):
    run = project.store.run(ids["sma"])
    for path in (run.spec, project.store.claimed_path(ids["sma"])):
        path.unlink()
        path.write_text("{")
    found = delete_runs(project.store, [ids["hold"]], now=NOW)
    assert found.objects == 0
    assert f"which objects run {ids['sma']} needs cannot be told: {run.spec}" in found.remark
    assert not project.store.run(ids["hold"]).path.exists()
    assert delete_runs(project.store, [ids["sma"]], now=NOW).remark is None  # itself it can go
    assert not run.path.exists()


def test_what_a_run_opened_stays_that_ended_after_its_records_were_read(project, ids):
    store, run = project.store, project.store.run(ids["reader"])
    (opened,) = run.read_manifest()["usage"]["opened"]
    ended = run.manifest.rename(run.path / "later")
    records = read_records(store)
    named = {path.name for path in unreached_objects(store, records).paths}
    assert opened["sha256"] in named, "nothing says yet that the run needs it"
    ended.rename(run.manifest)
    found = unreached_objects(store, records)
    assert found.paths == ()
    assert found.reason == (
        f"run {ids['reader']} was executed meanwhile; call `backtrail cleanup` again"
    )
    assert opened["sha256"] not in {
        path.name for path in unreached_objects(store, read_records(store)).paths
    }


def test_a_run_that_is_gone_is_named_and_stops_the_others(project, ids):
    delete_runs(project.store, [ids["hold"]], now=NOW)
    with pytest.raises(
        ArtifactManagerError, match=rf"run {ids['hold']} \(hold, completed\) was del"
    ):
        delete_runs(project.store, [ids["sma"], ids["hold"]], now=NOW)
    with pytest.raises(ArtifactManagerError, match="there is no run 'none'; nothing was deleted"):
        delete_runs(project.store, [ids["sma"], "none"], now=NOW)
    assert project.store.run(ids["sma"]).success.is_file()
    done = delete_runs(project.store, [ids["sma"], "none"], now=NOW, pass_over_busy=True)
    assert [run.backtest_id for run in done.runs] == [ids["sma"]]


def test_a_run_whose_folder_was_deleted_by_hand_goes_for_good(project, ids):
    store = project.store
    shutil.rmtree(store.run(ids["hold"]).path)
    assert find_claimed(store, ids["hold"]) == ids["hold"]
    key = store.read_spec(ids["hold"])["run_key"]
    delete_runs(store, [ids["hold"]], now=NOW)
    assert store.find(key) is None
    assert json.loads((store.ledger / f"tombstones/{key}.json").read_bytes())["runs"]


def test_a_folder_kept_by_hand_is_called_after_its_id(project):
    store = project.store
    (store.base_dir / "by-hand/results").mkdir(parents=True)
    (store.base_dir / "by-hand/results/note.txt").write_text("mine")
    found = delete_runs(store, ["by-hand"], now=NOW)
    assert (found.runs[0].status, found.runs[0].bytes) == ("kept by hand", 4)
    stone = json.loads((store.ledger / "tombstones/ids/by-hand.json").read_bytes())
    assert stone["runs"][0]["backtest_id"] == "by-hand"
    with pytest.raises(ArtifactManagerError, match=r"run by-hand \(kept by hand\) was deleted"):
        find_run(store, "by-hand")


def test_a_dataset_is_reached_by_no_deleted_run(project):
    places = [project.store], project.bundles, [project.root]
    (project.bundles / "prices/HEAD.json").unlink()
    assert find_unreached(*places).datasets == ()
    delete_runs(project.store, [run.backtest_id for run in project.store.run_dirs()], now=NOW)
    assert len(find_unreached(*places).datasets) == 1
    assert list(project.store.objects.glob("??/*")) == []


DYING = """
import os, signal, sys
from pathlib import Path
from backtrail.artifacts.store import RunStore
from backtrail.batch.tending.deleting import delete_runs
from tests.unit.batch.tending.support import NOW

STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}

def delete(root, backtest_id, last):
    seen = 0
    def watch(event, arguments):
        nonlocal seen
        if event not in STEPS or "/backtests/" not in str(arguments[0]):
            return
        if event == "open" and isinstance(arguments[1], str) and "w" not in arguments[1]:
            return
        seen += 1
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)
    delete_runs(RunStore(Path(root) / "backtests"), [backtest_id], now=NOW)
    return seen

backtest_id, whole, *roots = sys.argv[1:]
if not roots:
    print(delete(whole, backtest_id, 0))
for root in roots:
    if os.fork() == 0:
        delete(root, backtest_id, int(Path(root).name))
        os._exit(0)
    _, status = os.wait()
    assert os.WTERMSIG(status) == signal.SIGKILL, (root, status)
"""


def die(*arguments):
    home = Path(__file__).resolve().parents[4]
    command = [sys.executable, "-c", DYING, *map(str, arguments)]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_whole(store, backtest_id):
    """Say whether a run is there, intact and found by its key, or else that nothing finds it."""
    run = store.run(backtest_id)
    if not run.path.exists():
        return False
    assert store.find(run.read_spec()["run_key"]) == backtest_id
    assert verify_runs(store, [run]).is_intact
    return True


def test_a_killed_deletion_leaves_the_whole_run_or_what_the_next_call_finishes(
    project, ids, tmp_path
):
    chosen = ids["hold"]
    key = project.store.read_spec(chosen)["run_key"]
    steps = int(die(chosen, copy_project(project, tmp_path / "whole").root))
    assert steps > 20
    roots = []
    for step in range(1, steps + 1, 2):
        roots.append(copy_project(project, tmp_path / str(step)))
    die(chosen, tmp_path, *(one.root for one in roots))
    there = []
    for one in roots:
        store = one.store
        stone = store.ledger / f"tombstones/{key}.json"
        there.append(is_whole(store, chosen))
        assert there[-1] or stone.is_file()
        assert verify_runs(store).is_intact
        if there[-1]:
            delete_runs(store, [chosen], now=NOW)
        else:
            delete_runs(store, [], now=NOW)
        assert graves(store) == []
        assert store.find(key) is None
        assert not store.claimed_path(chosen).exists()
        assert json.loads(stone.read_bytes())["runs"][0]["backtest_id"] == chosen
    assert there == sorted(there, reverse=True)
    assert {True, False} == set(there)


def test_a_plan_finishes_a_killed_deletion_before_it_claims(project, ids):
    store, chosen = project.store, ids["hold"]
    (project.root / project.batch().plan_path).unlink()
    store.run(chosen).path.rename(store.base_dir / f".deleted.{chosen}")
    plan = project.plan()
    assert graves(store) == []
    (again,) = [run for run in plan.runs if "hold" in run.names]
    assert (again.state, again.backtest_id != chosen) == ("new", True)
    with project.executor() as executor:
        limits = executor.limits
    kept = [store.run(ids["sma"])]
    assert [item.state for item in replay_runs(store, kept, project.bundles, limits)] == [
        "identical"
    ]
