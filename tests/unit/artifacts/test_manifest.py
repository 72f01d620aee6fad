import json
import os

import pytest

from backtrail.artifacts.manifest import (
    Damage,
    inspect_run,
    inventory,
    is_sealed,
    require_all_intact,
    require_intact,
    seal,
)
from backtrail.artifacts.rundir import RunDir
from backtrail.canonical import sha256_bytes, sha256_file
from backtrail.errors import SealError

SEALED = {
    "code/strategies/s.py": b"x = 1\n",
    "metadata/run_spec.json": b"{}\n",
    "inputs/bars.json": b"[]",
    "features/f.txt": b"1",
    "truth/t.txt": b"2",
    "policy/p.txt": b"3",
    "results/trades.parquet": b"PAR1",
    "results/validation/walk-forward/folds.csv": b"a,b\n",
    "logs/stdout.txt": b"",
    "own.csv": b"of the strategy",
    "plots/own.txt": b"of the strategy",
}
DERIVED = {
    "results/reports/basic_report.html": b"<html>",
    "logs/attempt-1/stdout.txt": b"earlier",
    "errors/errors.parquet": b"",
    ".own.csv.host.1.2.tmp~": b"unfinished",
}
LATER = {"notes.txt": b"mine", "mine/notes.txt": b"mine"}


@pytest.fixture
def run(tmp_path):
    run = RunDir(tmp_path / "20200101_000000_000")
    write(run, {**SEALED, **DERIVED})
    contents = {"results/trades.parquet": "c" * 64, "results/absent.parquet": "d" * 64}
    seal(run, {"status": "completed", "inventory": inventory(run, contents)})
    write(run, LATER)
    return run


def write(run, files):
    for name, data in files.items():
        path = run.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_the_inventory_lists_every_sealed_file_with_size_and_checksum(run):
    listed = run.read_manifest()["inventory"]
    assert sorted(listed) == sorted(SEALED)
    assert listed["code/strategies/s.py"] == {"sha256": sha256_bytes(b"x = 1\n"), "size": 6}
    assert listed["results/trades.parquet"]["content_sha256"] == "c" * 64
    assert sum("content_sha256" in entry for entry in listed.values()) == 1


def test_the_seal_holds_the_checksum_of_the_manifest(run):
    assert run.success.read_text() == sha256_file(run.manifest) + "\n"
    assert is_sealed(run)
    assert not inspect_run(run)
    assert not inspect_run(run, thorough=False)


@pytest.mark.parametrize("name", SEALED)
@pytest.mark.parametrize("thorough", [True, False])
def test_a_missing_file_is_found_by_either_look(run, name, thorough):
    (run.path / name).unlink()
    assert inspect_run(run, thorough=thorough) == Damage(missing=(name,))


@pytest.mark.parametrize("name", SEALED)
@pytest.mark.parametrize("thorough", [True, False])
def test_an_altered_file_is_found_by_either_look(run, name, thorough):
    path = run.path / name
    path.write_bytes(path.read_bytes() + b"?")
    damage = inspect_run(run, thorough=thorough)
    assert damage == Damage(altered=(name,))
    with pytest.raises(SealError, match=f"20200101_000000_000 was altered: {name} in .* differs"):
        require_intact(run, damage)


def test_a_change_of_equal_size_with_an_older_time_is_found_by_the_thorough_look(run):
    path = run.path / "results/trades.parquet"
    before = path.stat()
    path.write_bytes(b"PAR2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert inspect_run(run) == Damage(altered=("results/trades.parquet",))


def test_a_change_of_equal_size_that_is_younger_than_the_seal_is_found_by_the_quick_look(run):
    path = run.path / "results/trades.parquet"
    path.write_bytes(b"PAR2")
    sealed_at = run.success.stat().st_mtime_ns
    os.utime(path, ns=(sealed_at + 1, sealed_at + 1))
    assert inspect_run(run, thorough=False) == Damage(altered=("results/trades.parquet",))


def test_a_file_that_was_only_touched_is_intact(run):
    for name in SEALED:
        os.utime(run.path / name)
    assert inspect_run(run) == inspect_run(run, thorough=False) == Damage()


def test_unlisted_files_count_only_in_sealed_folders_and_stop_nothing(run):
    for name in ("results/extra.txt", "code/new.py", "elsewhere/x", "results/reports/more.html"):
        (run.path / name).parent.mkdir(exist_ok=True)
        (run.path / name).write_text("new")
    damage = inspect_run(run)
    assert damage == Damage(unlisted=("code/new.py", "results/extra.txt"))
    require_intact(run, damage)
    assert inspect_run(run, thorough=False) == Damage()


def test_files_outside_the_seal_may_change_and_go(run):
    for name in (*DERIVED, *LATER):
        (run.path / name).unlink()
    assert inspect_run(run) == Damage()


def test_a_changed_manifest_breaks_the_seal(run):
    run.manifest.write_text(run.manifest.read_text().replace("completed", "Completed"))
    damage = inspect_run(run)
    assert damage == Damage(altered=("run.json",))
    with pytest.raises(SealError, match=r"was altered: run.json"):
        require_intact(run, damage)


@pytest.mark.parametrize("indent", [None, 2, 4])
def test_the_inventory_is_found_in_any_layout_and_among_its_namesakes(run, indent):
    listed = inventory(run, {})
    namesakes = {"inventory": {"own.csv": {}}, "said": '\n  "inventory": {}'}
    manifest = {"error": '  "inventory": ', "identity": namesakes, "inventory": listed, "user": "u"}
    run.manifest.write_text(json.dumps(manifest, indent=indent))
    run.success.write_text(sha256_file(run.manifest))
    assert not inspect_run(run)
    (run.path / "own.csv").unlink()
    assert inspect_run(run, thorough=False) == Damage(missing=("own.csv",))


def test_a_lost_manifest_is_missing_and_a_lost_seal_is_no_seal(run):
    run.manifest.unlink()
    assert inspect_run(run) == Damage(missing=("run.json",))
    run.success.unlink()
    assert not is_sealed(run)
    assert inspect_run(run) == Damage(missing=("_SUCCESS",))


def test_a_folder_replaced_by_a_file_is_missing_files(run):
    import shutil

    shutil.rmtree(run.path / "code")
    (run.path / "code").write_text("")
    assert inspect_run(run).missing == ("code/strategies/s.py",)


def test_several_altered_files_are_named_together(run):
    for name in ("features/f.txt", "truth/t.txt"):
        (run.path / name).write_text("altered")
    with pytest.raises(SealError, match=r"features/f\.txt, truth/t\.txt in .* differ from"):
        require_intact(run, inspect_run(run))


def test_every_altered_run_is_named_at_once_up_to_twenty(tmp_path):
    def found(count, files=1):
        names = tuple(f"results/{number}.parquet" for number in range(files))
        return [(RunDir(tmp_path / f"run-{n:02d}"), Damage(altered=names)) for n in range(count)]

    whole = (RunDir(tmp_path / "whole"), Damage(missing=("logs/stdout.txt",)))
    require_all_intact([])
    require_all_intact([whole])
    with pytest.raises(SealError) as caught:
        require_all_intact([whole, *found(3, files=7)])
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 sealed runs were altered; these files differ from the manifests:"
    shown = ", ".join(f"results/{number}.parquet" for number in range(5)) + " and 2 more files"
    assert lines[1:4] == [f"  - {tmp_path}/run-{n:02d}: {shown}" for n in range(3)]
    assert lines[4].startswith(
        "`backtrail verify` lists every altered file. Delete what was altered"
    )
    assert len(lines) == 5
    with pytest.raises(SealError) as caught:
        require_all_intact(found(27))
    lines = str(caught.value).splitlines()
    assert len([line for line in lines if line.startswith("  - ")]) == 20
    assert lines[21] == "  and 7 more"


def test_an_altered_manifest_is_said_to_be_beyond_restoring(run):
    with pytest.raises(SealError, match=r"or delete the run$"):
        require_intact(run, Damage(altered=("logs/stdout.txt",)))
    with pytest.raises(SealError, match=r"run whose run\.json was altered can only be deleted$"):
        require_intact(run, Damage(altered=("run.json",)))
