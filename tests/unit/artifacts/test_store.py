import errno
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

import pytest

from backtrail.artifacts.store import BACKTEST_ID, RunStore
from backtrail.errors import ArtifactManagerError
from backtrail.files import write_json

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC)
KEY = "ab" + "0" * 62
SPAWN = multiprocessing.get_context("spawn")


def key_of(number):
    return f"{number:064x}"


def spec_maker(run_key):
    return lambda backtest_id: {"backtest_id": backtest_id, "run_key": run_key}


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "backtests")


def claim(store, run_key=KEY, now=NOW):
    return store.claim(run_key, spec_maker(run_key), now)


def make_orphan(store, backtest_id, *, run_key=KEY, with_spec=True):
    run = store.run(backtest_id)
    run.path.mkdir(parents=True)
    if with_spec:
        write_json(run.spec, {"backtest_id": backtest_id, "run_key": run_key})
    return run


def test_a_claim_makes_one_directory_with_its_spec_and_one_link(store):
    backtest_id, is_new = claim(store)
    assert (backtest_id, is_new) == ("20260102_030405_678", True)
    assert re.fullmatch(BACKTEST_ID, backtest_id)
    run = store.run(backtest_id)
    assert run.read_spec() == {"backtest_id": backtest_id, "run_key": KEY}
    assert store.key_path(KEY) == store.base_dir / ".keys" / "ab" / KEY
    assert os.path.samefile(run.spec, store.key_path(KEY))
    files = [path.name for path in run.path.rglob("*") if path.is_file()]
    assert files == ["run_spec.json"], "the lock of the claim stayed behind"


def test_a_key_that_is_claimed_gives_the_same_run_and_asks_for_no_spec(store):
    first, _ = claim(store)

    def never(backtest_id):
        raise AssertionError(backtest_id)

    assert store.claim(KEY, never, NOW + timedelta(days=1)) == (first, False)
    assert RunStore(store.base_dir).find(KEY) == first
    assert store.find(key_of(1)) is None


def test_a_taken_millisecond_gives_the_next_free_one(store):
    ids = [claim(store, key_of(number))[0] for number in range(3)]
    other = RunStore(store.base_dir)
    ids.append(claim(other, key_of(3))[0])
    assert ids == [f"20260102_030405_{number}" for number in (678, 679, 680, 681)]


def test_ids_are_in_utc_and_roll_over_a_full_second(store):
    tokyo = timezone(timedelta(hours=9))
    late = datetime(2026, 1, 1, 8, 59, 59, 999_000, tzinfo=tokyo)
    assert claim(store, key_of(1), late)[0] == "20251231_235959_999"
    assert claim(store, key_of(2), late)[0] == "20260101_000000_000"


def test_an_empty_store_has_no_runs_and_is_not_made_by_looking(store):
    assert store.run_dirs() == []
    assert store.find(KEY) is None
    assert store.sweep_orphans() == []
    assert not store.base_dir.exists()


def test_run_directories_are_listed_oldest_first_without_hidden_folders(store):
    for number, hour in ((1, 5), (2, 3), (3, 4)):
        claim(RunStore(store.base_dir), key_of(number), NOW.replace(hour=hour))
    (store.base_dir / "file.txt").touch()
    names = [run.backtest_id for run in store.run_dirs()]
    assert names == [f"20260102_0{hour}0405_678" for hour in (3, 4, 5)]


def test_a_deleted_run_directory_comes_back_with_its_spec(store):
    backtest_id, _ = claim(store)
    shutil.rmtree(store.run(backtest_id).path)
    assert claim(store) == (backtest_id, False)
    run = store.restore_spec(backtest_id)
    assert run.read_spec()["run_key"] == KEY
    assert store.restore_spec(backtest_id) == run


def test_a_run_that_was_never_claimed_cannot_be_restored(store):
    with pytest.raises(ArtifactManagerError, match=r"run nope was never planned in"):
        store.restore_spec("nope")


@pytest.mark.parametrize(("content", "message"), [(None, "is missing"), ("{", "is not valid JSON")])
def test_a_spec_that_cannot_be_read_is_named(store, content, message):
    run = store.run("20200101_000000_000")
    if content is not None:
        run.spec.parent.mkdir(parents=True)
        run.spec.write_text(content)
    with pytest.raises(ArtifactManagerError, match=rf"run_spec\.json {message}"):
        run.read_spec()


def test_a_run_that_has_not_begun_has_no_manifest(store):
    backtest_id, _ = claim(store)
    assert store.run(backtest_id).read_manifest() is None


def test_a_store_that_cannot_be_written_is_an_error_with_the_reason(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        ArtifactManagerError,
        match=r"cannot make .*/file: File exists; a file is in its place",
    ):
        claim(RunStore(tmp_path / "file"))


def test_the_lease_of_a_run_sweeps_what_killed_processes_left(store):
    backtest_id, _ = claim(store)
    run = store.run(backtest_id)
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], check=True,
                          capture_output=True, text=True).stdout.strip()  # fmt: skip
    host = os.uname().nodename.replace(".", "-")
    stale = run.results / f".x.parquet.{host}.{gone}.1.tmp~"
    stale.parent.mkdir()
    stale.touch()
    with run.lease():
        assert not stale.exists()
        assert (run.path / ".lock").exists()
    assert not (run.path / ".lock").exists()


def test_the_lease_of_an_absent_run_names_it(store):
    message = r"run directory .*nope does not exist"
    with pytest.raises(ArtifactManagerError, match=message), store.run("nope").lease():
        pass


def test_an_error_inside_a_lease_is_not_taken_for_an_absent_run(store):
    run = store.run(claim(store)[0])
    with pytest.raises(FileNotFoundError), run.lease():
        (run.path / "gone").read_text()


def test_orphans_are_swept_and_linked_runs_are_not(store):
    kept, _ = claim(store)
    make_orphan(store, "20200101_000000_000", with_spec=False)
    make_orphan(store, "20200101_000000_001", run_key=key_of(5))
    make_orphan(store, "20200101_000000_002", run_key=KEY)  # the key means another run
    (make_orphan(store, "20200101_000000_003").spec).write_text("{half")
    assert store.sweep_orphans() == [f"20200101_000000_00{number}" for number in range(4)]
    assert [run.backtest_id for run in store.run_dirs()] == [kept]
    assert store.find(KEY) == kept


def test_a_directory_that_holds_anything_else_is_never_swept(store):
    holders = {
        "20200101_000000_000": "run.json",
        "20200101_000000_001": "code/s.py",
        "20200101_000000_002": "results/trades.parquet",
        "20200101_000000_003": "notes.txt",
        "my-own-id": "metadata/run_spec.json",
    }
    for name, file in holders.items():
        path = store.base_dir / name / file
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    assert store.sweep_orphans() == []
    assert sorted(run.backtest_id for run in store.run_dirs()) == sorted(holders)


def test_an_orphan_whose_lease_is_held_stays(store):
    run = make_orphan(store, "20200101_000000_000")
    with run.lease():
        assert store.sweep_orphans() == []
        assert run.spec.exists()
    assert store.sweep_orphans() == ["20200101_000000_000"]


def _claim_many(base_dir, keys, sweep, answers):
    store = RunStore(base_dir)
    made = []
    for key in keys:
        made.append((key, *store.claim(key, spec_maker(key), NOW)))
        if sweep:
            store.sweep_orphans()
    answers.put(made)


@pytest.mark.parametrize("sweep", [False, True], ids=["claims", "claims and sweeps"])
def test_32_processes_claiming_the_same_and_other_keys_at_once_agree(store, sweep):
    shared = [key_of(number) for number in range(4)]
    fork = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    answers = fork.Queue()
    workers = []
    for number in range(32):
        own = [key_of(100 + number * 2), key_of(101 + number * 2)]
        keys = [own[0], *(shared[number % 4 :] + shared[: number % 4]), own[1]]
        arguments = (store.base_dir, keys, sweep and number % 4 == 0, answers)
        workers.append(fork.Process(target=_claim_many, args=arguments))
    for worker in workers:
        worker.start()
    claimed = [item for _ in workers for item in answers.get(timeout=120)]
    for worker in workers:
        worker.join()
    ids = {}
    for key, backtest_id, _ in claimed:
        assert ids.setdefault(key, backtest_id) == backtest_id, "one key got two directories"
    assert len(ids) == 4 + 64
    assert len(set(ids.values())) == 68, "two keys got one directory"
    makers = Counter(key for key, _, is_new in claimed if is_new)
    assert makers == dict.fromkeys(ids, 1), "each key is made once"
    assert {run.backtest_id for run in store.run_dirs()} == set(ids.values())
    for key, backtest_id in ids.items():
        assert store.run(backtest_id).read_spec() == {"backtest_id": backtest_id, "run_key": key}
        assert sorted(p.name for p in store.run(backtest_id).path.iterdir()) == ["metadata"]


# A claim is killed right before its n-th call of the function that the test names.
KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from backtrail.artifacts.store import RunStore

event, count = sys.argv[2], int(sys.argv[3])

def watch(name, arguments):
    global count
    if name == event:
        count -= 1
        if count < 0:
            os.kill(os.getpid(), signal.SIGKILL)

store = RunStore(Path(sys.argv[1]))
store.base_dir.mkdir(parents=True, exist_ok=True)
sys.addaudithook(watch)
key = "ab" + "0" * 62
spec = lambda name: {"backtest_id": name, "run_key": key}
store.claim(key, spec, datetime(2020, 1, 1, tzinfo=UTC))
print("claimed")
"""


@pytest.mark.parametrize(
    ("event", "count"),
    [
        ("os.mkdir", 1),
        ("open", 0),
        ("os.rename", 0),
        ("os.link", 0),
        ("os.link", 1),
        ("os.remove", 0),
    ],
)
def test_a_claim_killed_at_any_step_leaves_a_store_that_works(store, event, count):
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), store.base_dir, event, str(count)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == -signal.SIGKILL, process.stdout + process.stderr
    was_linked = store.key_path(KEY).exists()
    store.sweep_orphans()
    backtest_id, is_new = claim(store)
    assert is_new is not was_linked
    assert backtest_id == ("20200101_000000_000" if was_linked else "20260102_030405_678")
    assert [run.backtest_id for run in store.run_dirs()] == [backtest_id]
    assert json.loads(store.key_path(KEY).read_bytes())["backtest_id"] == backtest_id
    shutil.rmtree(store.run(backtest_id).path)
    assert store.restore_spec(backtest_id).read_spec()["run_key"] == KEY


def test_a_file_system_without_hard_links_is_refused_in_its_own_words(store, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EPERM, "Operation not permitted", source)

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(ArtifactManagerError, match=r"makes no hard links .*name another base_dir"):
        claim(store)
    assert store.run_dirs() == []
    assert store.find(KEY) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[]"])
def test_a_damaged_link_of_a_key_is_named_with_what_would_do(store, content):
    first, _ = claim(store)
    link = store.key_path(KEY)
    link.unlink()
    link.write_bytes(content)
    with pytest.raises(ArtifactManagerError, match=rf"is damaged .*; delete {link}, and the next"):
        claim(store)
    link.unlink()
    second, is_new = claim(store)
    assert is_new
    assert second > first
