"""An ingest that dies, or whose disk is full: no half dataset is visible, the next one succeeds."""

import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys

import pytest

from backtrail.data import BundleConfig, Dataset, ingest_bundle, read_head
from backtrail.errors import DatasetError

from .places import HEADER

PARALLEL = multiprocessing.get_context("spawn")
MOMENTS = 10


def write_prices(folder, first):
    """Write two symbols whose dataset is some hundred kilobytes, and who of them is a member."""
    folder.mkdir(exist_ok=True)
    (folder.parent / "members.csv").write_text("symbol,from,to\nBRK.A,2020-01-01,\n")
    for symbol, base in (("BRK.A", first), ("BRK.B", 2 * first)):
        rows = []
        for at in range(20_000):
            day, minute = divmod(at, 390)
            price = base + at * 7919 % 1009 / 8
            stamp = (
                f"2020-{day // 28 + 1:02d}-{day % 28 + 1:02d} {minute // 60:02d}:{minute % 60:02d}"
            )
            rows.append(f"{stamp},{price},{price + 1},{price - 1},{price},{at * 31 % 4999}\n")
        (folder / f"{symbol}.csv").write_text(HEADER + "".join(rows))


def ingest(root):
    options = {"timezone": "UTC"}
    bundle = BundleConfig("b", "csv", "24/7", "1m", "prices", options, universe="members.csv")
    return ingest_bundle(bundle, root=root, bundles_dir=root / "bundles").dataset_id


def visible(root):
    """Return the datasets that a reader can see; each must be whole, and so must the head."""
    folder = root / "bundles/b"
    if not folder.exists():
        return set()
    names = {path.name for path in folder.glob("[!.]*") if path.is_dir()}
    for name in names:
        Dataset.open(folder / name).verify()
    if (folder / "HEAD.json").exists():
        assert read_head(root / "bundles", "b") in names
    return names


def hidden(root):
    return [path.name for path in (root / "bundles/b").glob(".*")]


# The child counts what it does to bundle storage, as Python's audit events, and dies before one.
CHILD = """
import os, signal, sys
from pathlib import Path
root, last = Path(sys.argv[1]), int(sys.argv[2])
from tests.unit.data.test_ingest_crashes import ingest
import pyarrow.parquet, polars
seen = 0
steps = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "fcntl.flock"}
def watch(event, arguments):
    global seen
    if event in steps:
        if event == "fcntl.flock" or "bundles" in str(arguments[0]):
            seen += 1
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
ingest(root)
print(seen)
"""


def run_child(root, last):
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(root), str(last)],
        cwd=os.path.dirname(__file__) + "/../../..",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("former", [False, True], ids=["first ingest", "another dataset"])
def test_ingest_killed_at_ten_moments_leaves_no_half_dataset(tmp_path, former):
    def prepare(name):
        root = tmp_path / name
        root.mkdir()
        before = set()
        if former:
            write_prices(root / "prices", 3_000)
            before = {ingest(root)}
        write_prices(root / "prices", 5_000)
        return root, before

    root, _ = prepare("whole")
    whole = run_child(root, 0)
    steps = int(whole.stdout)
    assert steps > MOMENTS, whole.stderr
    (expected,) = {read_head(root / "bundles", "b")}
    for moment in range(MOMENTS):
        root, before = prepare(f"killed-{moment}")
        step = 1 + moment * (steps - 1) // (MOMENTS - 1)
        killed = run_child(root, step)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert visible(root) - before <= {expected}
        assert ingest(root) == expected
        assert visible(root) == before | {expected}
        assert hidden(root) == []


def _ingest_with_full_disk(root, size, answers):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        ingest(root)
    except DatasetError as error:
        answers.put(str(error))
    else:
        answers.put(None)


@pytest.mark.slow
@pytest.mark.parametrize("former", [False, True], ids=["first ingest", "another dataset"])
@pytest.mark.parametrize("size", [0, 100, 4_000, 40_000])
def test_ingest_on_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path, size, former):
    before = set()
    if former:
        write_prices(tmp_path / "prices", 3_000)
        before = {ingest(tmp_path)}
    head = (tmp_path / "bundles/b/HEAD.json").read_bytes() if former else None
    write_prices(tmp_path / "prices", 5_000)
    answers = PARALLEL.Queue()
    child = PARALLEL.Process(target=_ingest_with_full_disk, args=(tmp_path, size, answers))
    child.start()
    message = answers.get(timeout=120)
    child.join()
    assert message is not None
    assert "'b' cannot be written to" in message
    assert "look at free space" in message
    assert visible(tmp_path) == before
    if former:
        assert (tmp_path / "bundles/b/HEAD.json").read_bytes() == head
        assert hidden(tmp_path) == []
    else:
        assert not (tmp_path / "bundles/b").exists()
    expected = ingest(tmp_path)
    assert visible(tmp_path) == before | {expected}
    assert len(before | {expected}) == 1 + former


@pytest.fixture
def tiny_disk(tmp_path):
    """Mount a file system of so many kilobytes as bundle storage; skip where nobody may."""
    folder = tmp_path / "bundles"
    folder.mkdir()
    mounted = []

    def mount(kilobytes):
        again = ["-o", f"remount,size={kilobytes}k"] if mounted else ["-o", f"size={kilobytes}k"]
        command = ["mount", "-t", "tmpfs", *again, "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
            pytest.skip("mounting is not permitted")
        mounted.append(kilobytes)

    yield mount
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [4, 40, 70])
def test_ingest_into_a_file_system_without_room_leaves_nothing(tmp_path, tiny_disk, kilobytes):
    tiny_disk(kilobytes)
    write_prices(tmp_path / "prices", 5_000)
    with pytest.raises(DatasetError, match=r"'b' cannot be written to .*look at free space"):
        ingest(tmp_path)
    assert visible(tmp_path) == set()
    assert not (tmp_path / "bundles/b").exists()
    tiny_disk(20_000)
    expected = ingest(tmp_path)
    assert visible(tmp_path) == {expected}
    write_prices(tmp_path / "prices", 3_000)
    disk = os.statvfs(tmp_path / "bundles")
    tiny_disk((disk.f_blocks - disk.f_bfree) * disk.f_frsize // 1024 + kilobytes)
    head = (tmp_path / "bundles/b/HEAD.json").read_bytes()
    with pytest.raises(DatasetError, match=r"'b' cannot be written to"):
        ingest(tmp_path)
    assert visible(tmp_path) == {expected}
    assert hidden(tmp_path) == []
    assert (tmp_path / "bundles/b/HEAD.json").read_bytes() == head
