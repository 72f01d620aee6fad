import json
import multiprocessing
import stat
import subprocess
import sys

import pytest

from backtrail.data import BundleConfig, Dataset, Waiver, ingest_bundle, read_head
from backtrail.errors import DatasetError, DataValidationError

from .places import HEADER, daily_row

PARALLEL = multiprocessing.get_context("spawn")


def snapshot(folder):
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def edit(store, price):
    store.write("AAA.csv", daily_row("2020-01-02", price))


def test_ingest_writes_one_dataset_with_head_and_receipt(store):
    manifest = store.ingest()
    folder = store.bundles / "b"
    assert sorted(item.name for item in folder.iterdir()) == sorted(
        ["HEAD.json", "receipt.json", manifest.dataset_id]
    )
    files = sorted((folder / manifest.dataset_id).iterdir())
    assert [item.name for item in files] == [
        "adjustments.parquet",
        "bars.parquet",
        "manifest.json",
    ]
    assert {stat.S_IMODE(item.stat().st_mode) for item in files} == {0o444}
    assert read_head(store.bundles, "b") == manifest.dataset_id
    receipt = json.loads((folder / "receipt.json").read_text())
    assert receipt["dataset_id"] == manifest.dataset_id
    assert receipt["sources"] == [
        {
            "path": "prices/AAA.csv",
            "sha256": manifest.sources[0].sha256,
            "size": (store.prices / "AAA.csv").stat().st_size,
        }
    ]


def test_second_ingest_of_equal_content_touches_no_file(store):
    store.ingest()
    before = snapshot(store.bundles)
    store.ingest()
    assert snapshot(store.bundles) == before


def test_other_content_is_another_dataset_and_head_keeps_its_history(store):
    """Guards defect 15 of known-defects.md: a new ingest replaced years of bars."""
    edit(store, 10.0)
    first = store.ingest().dataset_id
    kept = snapshot(store.bundles / "b" / first)
    edit(store, 11.0)
    second = store.ingest().dataset_id
    edit(store, 10.0)
    third = store.ingest().dataset_id
    assert (first, read_head(store.bundles, "b")) == (third, first)
    head = json.loads((store.bundles / "b/HEAD.json").read_text())
    assert [entry["dataset_id"] for entry in head["history"]] == [first, second, first]
    assert snapshot(store.bundles / "b" / first) == kept
    old = Dataset.open(store.bundles / "b" / second).bars()
    assert old["close"].to_list() == [11.0]


def test_refused_data_leave_the_former_dataset_untouched(store):
    store.ingest()
    before = snapshot(store.bundles)
    edit(store, 0.5)  # low becomes negative
    with pytest.raises(DataValidationError):
        store.ingest()
    assert snapshot(store.bundles) == before


def test_equal_input_in_two_places_gives_equal_bytes(store, tmp_path):
    store.ingest()
    ingest_bundle(store.bundle(), root=store.root, bundles_dir=tmp_path / "other")
    here, there = snapshot(store.bundles), snapshot(tmp_path / "other")
    assert {name: data for name, (_, data) in here.items()} == {
        name: data for name, (_, data) in there.items()
    }


def test_leftovers_of_a_killed_ingest_are_removed_by_the_next(store):
    manifest = store.ingest()
    left = store.bundles / "b" / f".{manifest.dataset_id}.building~"
    left.mkdir()
    (left / "bars.parquet").write_bytes(b"half")
    die = "import os, sys, pathlib; from backtrail.files import atomic_path\n"
    die += "with atomic_path(pathlib.Path(sys.argv[1])) as half: half.touch(); os._exit(0)"
    head = store.bundles / "b/HEAD.json"
    subprocess.run([sys.executable, "-c", die, str(head)], check=True)
    assert len(list(head.parent.glob(".HEAD.json.*"))) == 1
    store.ingest()
    assert [item.name for item in head.parent.glob(".*")] == []


def test_damaged_dataset_is_made_again_by_the_next_ingest(store):
    manifest = store.ingest()
    bars = store.bundles / "b" / manifest.dataset_id / "bars.parquet"
    good = bars.read_bytes()
    bars.unlink()
    store.ingest()
    assert bars.read_bytes() == good
    assert [item for item in (store.bundles / "b").iterdir() if item.name.startswith(".")] == []


def test_bundle_without_any_row_left_is_refused(store):
    store.write("AAA.csv", "2020-01-02,,,,,\n")
    with pytest.raises(DatasetError, match="has no row left"):
        store.ingest(waivers=[Waiver("null_row", "closed")])


def _ingest_rounds(root, bundles, own, gate):
    for turn in range(12):  # in each round all build the same new dataset at the same moment
        folder = root / f"own-{own}-{turn}"
        folder.mkdir()
        (folder / "AAA.csv").write_text(HEADER + daily_row("2020-01-02", 10.0 + turn))
        bundle = BundleConfig("b", "csv", "XNYS", "1d", folder.name)
        gate.wait()
        manifest = ingest_bundle(bundle, root=root, bundles_dir=bundles)
        Dataset.open(bundles / "b" / manifest.dataset_id).verify()


def test_processes_that_ingest_at_once_make_whole_datasets(store):
    gate = PARALLEL.Barrier(3, timeout=60)
    children = [
        PARALLEL.Process(target=_ingest_rounds, args=(store.root, store.bundles, own, gate))
        for own in range(3)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    folders = {item.name for item in (store.bundles / "b").iterdir() if item.is_dir()}
    history = json.loads((store.bundles / "b/HEAD.json").read_text())["history"]
    assert len(folders) == 12
    assert [entry["dataset_id"] for entry in history[-1:]] == [read_head(store.bundles, "b")]
    assert {entry["dataset_id"] for entry in history} == folders
