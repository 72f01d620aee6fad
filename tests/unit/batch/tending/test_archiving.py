"""Archives: the same bytes twice, verified anywhere, taken in whole or not at all."""

import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from backtrail.artifacts.tags import edit_tags, read_tags
from backtrail.batch.history.replay import replay_runs
from backtrail.batch.history.verifying import verify_runs
from backtrail.batch.tending.archiving import archive_runs
from backtrail.batch.tending.examining import check_archive
from backtrail.batch.tending.importing import import_archive
from backtrail.canonical import pretty_json, sha256_bytes, sha256_json
from backtrail.data.manifest import read_head
from backtrail.errors import ArtifactManagerError
from tests.unit.batch.support import Project

from .support import copy_project, ids_by_name


def archive(project, path, *names, **options):
    ids = ids_by_name(project)
    runs = [project.store.run(ids[name]) for name in names]
    return archive_runs(project.store, runs, project.bundles, path, **options)


@pytest.fixture
def other(tmp_path):
    """Another machine's project: nothing was run there."""
    return Project(tmp_path / "other")


@pytest.fixture(scope="session")
def packed(model, tmp_path_factory):
    """An archive of two runs, one of which read a file, after a replay of one. Not to change."""
    project = copy_project(model, tmp_path_factory.mktemp("packed") / "project")
    ids = ids_by_name(project)
    runs = [project.store.run(ids["sma"])]
    with project.executor() as executor:
        list(replay_runs(project.store, runs, project.bundles, executor.limits))
    edit_tags(project.store, [runs[0].read_spec()["run_key"]], add=["paper"])
    path = project.root.parent / "runs.tar.gz"
    archive(project, path, "sma", "reader")
    return path


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_the_same_runs_give_the_same_bytes(project, tmp_path, ending):
    first, second = tmp_path / f"first{ending}", tmp_path / f"second{ending}"
    found = archive(project, first, "sma", "hold")
    for path in project.store.base_dir.rglob("*"):
        os.utime(path, ns=(1, 1))
    again = archive(copy_project(project, tmp_path / "copy"), second, "hold", "sma")
    assert first.read_bytes() == second.read_bytes()
    assert found.sha256 == again.sha256 == sha256_bytes(first.read_bytes())
    assert found.bytes == first.stat().st_size
    assert [run.names[0] for run in found.runs] == ["sma", "hold"]


def test_an_archive_holds_the_runs_their_data_and_their_records(packed, model):
    ids = ids_by_name(model)
    with tarfile.open(packed) as tar:
        names = tar.getnames()
        assert all(member.isreg() and member.mtime == 0 for member in tar)
        listed = json.loads(tar.extractfile("archive.json").read())
    assert names == ["archive.json", *sorted(listed["files"])]
    dataset = read_head(model.bundles, "prices")
    keys = {name: model.store.read_spec(ids[name])["run_key"] for name in ("sma", "reader")}
    expected = {
        f"bundles/prices/{dataset}/{name}"
        for name in ("manifest.json", "bars.parquet", "adjustments.parquet")
    }
    expected |= {f"ledger/trials/{dataset}/{key}.json" for key in keys.values()}
    expected |= {f"ledger/replays/{keys['sma']}.json"}
    for name in keys:
        run = model.store.run(ids[name])
        expected |= {f"runs/{run.backtest_id}/{file}" for file in files_of(run.path)}
        assert f"runs/{run.backtest_id}/run.json" in names
    pages = {name for name in names if "/results/reports/" in name}  # the replay rendered one
    assert set(names) == expected | pages | {"archive.json"}


def test_runs_are_verified_and_replayed_on_another_machine(packed, model, other):
    names = {name for run in check_archive(packed).runs for name in run.names}
    assert names == {"sma", "sma-grid/fast=3", "reader"}
    done = import_archive(other.store, other.bundles, packed)
    assert [run.state for run in done.runs] == ["imported", "imported"]
    assert (len(done.datasets), done.lacking) == (1, ())
    ids, store = ids_by_name(model), other.store
    assert [run.backtest_id for run in store.run_dirs()] == sorted([ids["sma"], ids["reader"]])
    for name in ("sma", "reader"):
        there = files_of(store.run(ids[name]).path)
        here = files_of(model.store.run(ids[name]).path)
        assert {file: there[file] for file in here} == here
        key = store.read_spec(ids[name])["run_key"]
        assert store.find(key) == ids[name]
        spec = store.run(ids[name]).spec.stat()
        assert spec.st_ino == store.claimed_path(ids[name]).stat().st_ino
    assert verify_runs(store, bundles_dir=other.bundles).is_intact
    code = store.run(ids["sma"]).code / "strategies/sma.py"
    assert code.stat().st_nlink == 2  # shared with the object
    dataset = read_head(model.bundles, "prices")
    assert store.count_trials(dataset, "strategies/sma.py") == 1
    assert read_tags(store, store.read_spec(ids["sma"])["run_key"]).names == ("paper",)
    with other.executor() as executor:
        limits = executor.limits
    replays = list(replay_runs(store, store.run_dirs(), other.bundles, limits))
    assert [replay.state for replay in replays] == ["identical", "identical"]
    assert {replay.grade for replay in replays} == {"A", "C"}
    assert not list(store.base_dir.glob(".import*"))


def test_what_was_imported_is_reused_by_a_plan(packed, model, tmp_path):
    other = copy_project(model, tmp_path / "fresh")
    shutil.rmtree(other.root / "backtests")
    shutil.rmtree(other.root / "bundles")
    import_archive(other.store, other.bundles, packed)
    plan = other.plan()
    states = {name: run.state for run in plan.runs for name in run.names}
    ids = ids_by_name(model)
    assert states["sma"] == "reused"
    assert states["sma-grid/fast=2"] == "new"
    assert plan.run(ids["sma"]).names == ("sma", "sma-grid/fast=3")


def test_a_second_import_has_nothing_to_do(packed, other):
    import_archive(other.store, other.bundles, packed)
    store = other.store
    link = store.key_path(store.run_dirs()[0].read_spec()["run_key"])
    link.unlink()  # as a kill right after the rename leaves it
    before = {path: path.stat().st_mtime_ns for run in store.run_dirs()
              for path in run.path.rglob("*")}  # fmt: skip
    done = import_archive(store, other.bundles, packed)
    assert [run.state for run in done.runs] == ["there", "there"]
    assert done.datasets == ()
    assert link.exists()
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_equal_content_under_another_id_is_kept_in_its_place(packed, project, ids, tmp_path):
    other = copy_project(project, tmp_path / "other")
    shutil.rmtree(other.store.base_dir)
    plan, _ = other.run()
    again = ids_by_name(other)
    done = import_archive(other.store, other.bundles, packed)
    assert {run.backtest_id: (run.state, run.equal_to) for run in done.runs} == {
        ids["sma"]: ("equal", again["sma"]),
        ids["reader"]: ("equal", again["reader"]),
    }
    assert len(other.store.run_dirs()) == len(plan.runs)


def test_another_run_under_the_id_is_refused_and_nothing_is_taken_over(packed, ids, other):
    taken = other.store.run(ids["sma"])
    taken.path.mkdir(parents=True)
    (taken.path / "note.txt").write_text("mine")
    with pytest.raises(ArtifactManagerError, match=f"has another run {ids['sma']} than the arch"):
        import_archive(other.store, other.bundles, packed)
    assert [run.backtest_id for run in other.store.run_dirs()] == [ids["sma"]]
    assert not other.bundles.exists()
    assert not list(other.store.base_dir.glob(".import*"))


def test_an_unfinished_run_of_the_key_is_refused(packed, project, tmp_path):
    other = copy_project(project, tmp_path / "other")
    shutil.rmtree(other.store.base_dir)
    plan = other.plan()
    open_id = next(run.backtest_id for run in plan.runs if "sma" in run.names)
    with pytest.raises(ArtifactManagerError, match=f"has run {open_id}, which is planned from"):
        import_archive(other.store, other.bundles, packed)
    assert len(other.store.run_dirs()) == len(plan.runs)


def test_without_data_the_checksums_alone_are_in_it(project, other, tmp_path):
    path = tmp_path / "small.tar"
    dataset = read_head(project.bundles, "prices")
    found = archive(project, path, "sma", with_data=False)
    assert (found.datasets, found.absent) == ((), (("prices", dataset),))
    with tarfile.open(path) as tar:
        bundled = [name for name in tar.getnames() if name.startswith("bundles/")]
    assert bundled == [f"bundles/prices/{dataset}/manifest.json"]
    assert check_archive(path).absent == (("prices", dataset),)
    done = import_archive(other.store, other.bundles, path)
    assert done.lacking == (("prices", dataset),)
    assert not verify_runs(other.store, bundles_dir=other.bundles).is_intact
    shutil.copytree(project.bundles, other.bundles)
    assert verify_runs(other.store, bundles_dir=other.bundles).is_intact
    assert import_archive(other.store, other.bundles, path).lacking == ()


def test_only_sealed_and_intact_runs_are_archived(project, ids, tmp_path):
    with pytest.raises(ArtifactManagerError, match=r"failed; only a sealed run can be archived"):
        archive(project, tmp_path / "bad.tar", "bad")
    table = project.store.run(ids["hold"]).results / "fills.parquet"
    table.unlink()
    with pytest.raises(ArtifactManagerError, match=r"is not intact \(results/fills.parquet\)"):
        archive(project, tmp_path / "bad.tar", "hold")
    bars = project.bundles / "prices" / read_head(project.bundles, "prices") / "bars.parquet"
    bars.chmod(0o644)
    bars.write_bytes(b"no table")
    with pytest.raises(ArtifactManagerError, match=r"cannot be archived: bars.parquet has sha256"):
        archive(project, tmp_path / "bad.tar", "sma")
    for name, said in (("bad.zst", "ends in none of .tar, .tar.gz"), ("there.tar", "is there al")):
        (tmp_path / "there.tar").write_bytes(b"kept")
        with pytest.raises(ArtifactManagerError, match=said):
            archive(project, tmp_path / name, "sma", with_data=False)
    assert (tmp_path / "there.tar").read_bytes() == b"kept"
    assert {path.name for path in tmp_path.iterdir()} == {"project", "there.tar"}


def rewritten(source, target, change):
    """Write an archive anew with its members, a dict of name to (header, bytes), changed."""
    with tarfile.open(source) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar]
    with tarfile.open(target, "w") as tar:
        for member, data in change(members):
            member.size = len(data) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(data))
    return target


def relisted(members, change):
    """Change the list of an archive, and let its checksum fit."""
    header, text = members[0]
    values = json.loads(text)
    values.pop("checksum")
    change(values)
    values["checksum"] = sha256_json(values)
    return [(header, pretty_json(values).encode()), *members[1:]]


def with_member(name, kind=tarfile.REGTYPE, *, listed, link=""):
    def change(members):
        extra = tarfile.TarInfo(name)
        extra.type, extra.linkname = kind, link
        data = b"evil"
        entry = {"sha256": sha256_bytes(data), "size": len(data)}
        if listed:
            members = relisted(members, lambda values: values["files"].update({name: entry}))
        return [*members, (extra, data if kind == tarfile.REGTYPE else b"")]

    return change


def altered(ending):
    def change(members):
        return [
            (member, data[:-1] + bytes([data[-1] ^ 1])) if member.name.endswith(ending)
            else (member, data)
            for member, data in members
        ]  # fmt: skip

    return change


def altered_and_listed(ending, edit):
    """Change a file and the list with it, as somebody would who forges an archive."""

    def change(members):
        forged = [
            (member, edit(data)) if member.name.endswith(ending) else (member, data)
            for member, data in members
        ]

        def fit(values):
            for member, data in forged[1:]:
                values["files"][member.name] = {"sha256": sha256_bytes(data), "size": len(data)}

        return relisted(forged, fit)

    return change


def trials_in(members):
    return next(header.name for header, _ in members if header.name.startswith("ledger/trials/"))


def forged_inventory(members):
    """Let the manifest of a run state a file outside of it, under a seal that fits."""
    name = next(header.name for header, _ in members if header.name.endswith("/run.json"))
    values = json.loads(dict((header.name, data) for header, data in members)[name])
    values["inventory"]["code/../../x"] = {"sha256": "0" * 64, "size": 0}
    manifest = pretty_json(values).encode()
    seal = name.replace("run.json", "_SUCCESS")
    sealed = altered_and_listed(seal, lambda data: f"{sha256_bytes(manifest)}\n".encode())
    return altered_and_listed(name, lambda data: manifest)(sealed(members))


FORGED = {
    "a path out": (with_member("../evil.txt", listed=True), "leads out of the archive"),
    "a path out below a run": (
        with_member("runs/../../evil.txt", listed=True), "leads out of the archive",
    ),
    "an absolute path": (with_member("/tmp/evil.txt", listed=True), "leads out of the archive"),
    "a symbolic link": (
        with_member("runs/x", tarfile.SYMTYPE, listed=True, link="/etc"), "is no plain file",
    ),
    "a hard link": (
        with_member("runs/x", tarfile.LNKTYPE, listed=True, link="archive.json"),
        "is no plain file",
    ),
    "a device": (with_member("runs/x", tarfile.CHRTYPE, listed=True), "is no plain file"),
    "an unlisted file": (with_member("runs/x", listed=False), "is not in the archive's list"),
    "a listed stranger": (with_member("runs/x", listed=True), "belongs to none of its runs"),
    "a second member": (lambda members: [*members, members[-1]], "is there twice"),
    "a lost member": (lambda members: members[:-1], "it lacks"),
    "a changed result": (
        altered("results/fills.parquet"), "is not what the archive's list says",
    ),
    "a forged result": (
        altered_and_listed("results/fills.parquet", lambda data: data + b"x"), "is not intact",
    ),
    "a forged manifest": (
        altered_and_listed("run.json", lambda data: data.replace(b'"B"', b'"A"')), "not intact",
    ),
    "forged bars": (
        altered_and_listed("bars.parquet", lambda data: data[:-1] + b"x"), "is damaged",
    ),
    "a changed list": (
        lambda members: [(members[0][0], members[0][1].replace(b"sma", b"smb")), *members[1:]],
        "was altered",
    ),
    "another id in the list": (
        lambda members: relisted(
            members, lambda values: values["runs"][0].update(run_key="0" * 64)
        ),
        "contradict each other",
    ),
    "an id that leads out": (
        lambda members: relisted(
            members, lambda values: values["runs"][0].update(backtest_id="../x")
        ),
        "invalid backtest id",
    ),
    "a bundle that leads out": (
        lambda members: relisted(
            members, lambda values: values["absent"].append(["../runs", "0" * 16])
        ),
        "no such names are ever given",
    ),
    "a dataset that leads out": (
        lambda members: relisted(
            members, lambda values: values["runs"][0].update(dataset_id="../../runs")
        ),
        "no such names are ever given",
    ),
    "a run that is listed twice": (
        lambda members: relisted(
            members, lambda values: values["runs"].append(values["runs"][0])
        ),
        "two runs of .* have the same backtest_id",
    ),
    "a tag that no run can have": (
        lambda members: relisted(members, lambda values: values["runs"][0].update(tags=["../x"])),
        "invalid tag",
    ),
    "an entry of the list that is none": (
        lambda members: relisted(members, lambda values: values["files"].update(x=5)),
        "was altered",
    ),
    "a list of a later version": (
        lambda members: relisted(members, lambda values: values.update(version=2)),
        "an archive of version 2, and this backtrail reads version 1",
    ),
    "a stranger beside the bars": (
        lambda members: with_member(
            f"{next(m.name for m, _ in members if m.name.endswith('bars.parquet'))}.txt",
            listed=True,
        )(members),
        "belongs to none of its runs",
    ),
    "a record of trials that is none": (
        lambda members: altered_and_listed(trials_in(members), lambda data: b"[]")(members),
        "is no record of a ledger",
    ),
    "a record of the trials of another run": (
        lambda members: altered_and_listed(
            trials_in(members), lambda data: data.replace(b'"run_key": "', b'"run_key": "0')
        )(members),
        "is the record of another run",
    ),
    "an inventory that leads out": (forged_inventory, "'code/../../x', which leads out of it"),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(FORGED))
def test_a_forged_or_damaged_archive_is_refused_and_leaves_nothing(packed, other, tmp_path, what):
    change, said = FORGED[what]
    path = rewritten(packed, tmp_path / "forged.tar", change)
    before = {item for item in tmp_path.rglob("*") if other.root not in item.parents}
    with pytest.raises(Exception, match=said) as error:
        check_archive(path)
    assert type(error.value).__name__ in {"ArtifactManagerError", "InvalidNameError"}
    with pytest.raises(Exception, match=said):
        import_archive(other.store, other.bundles, path)
    assert other.store.run_dirs() == []
    assert not other.bundles.exists()
    after = {item for item in tmp_path.rglob("*") if other.root not in item.parents}
    assert after - before <= {other.root}
    assert not list(other.store.base_dir.glob(".import*"))


@pytest.mark.parametrize("size", [0, 100, 40_000])
def test_a_file_that_was_cut_is_no_archive(packed, tmp_path, size):
    path = tmp_path / "cut.tar.gz"
    path.write_bytes(packed.read_bytes()[:size])
    with pytest.raises(ArtifactManagerError, match="is no whole archive of backtrail"):
        check_archive(path)
    path.write_bytes(gzip.compress(b"something else"))
    with pytest.raises(ArtifactManagerError, match="is no whole archive of backtrail"):
        check_archive(path)
    path.write_text("no archive at all")
    with pytest.raises(ArtifactManagerError) as refused:
        check_archive(path)
    assert "(it cannot be opened as a tar file); get it again" in str(refused.value)
    assert "\n" not in str(refused.value)


DYING = """
import os, signal, sys
from pathlib import Path
from backtrail.artifacts.store import RunStore
from backtrail.batch.tending.importing import import_archive

seen = 0
def watch(event, arguments):
    global seen
    if event in {"os.rename", "os.link", "os.remove", "os.mkdir"}:
        seen += 1
        if seen == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
root = Path(sys.argv[1])
import_archive(RunStore(root / "backtests"), root / "bundles", Path(sys.argv[2]))
print(seen)
"""


@pytest.mark.slow
def test_a_killed_import_shows_whole_runs_alone_and_the_next_one_ends_it(packed, tmp_path):
    home = Path(__file__).resolve().parents[4]

    def run(root, step):
        root.mkdir()
        command = [sys.executable, "-c", DYING, str(root), str(packed), str(step)]
        return subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)

    done = run(tmp_path / "whole", 0)
    steps = int(done.stdout)
    shown = set()
    for step in sorted({*range(1, steps, max(1, steps // 4)), *range(steps - 8, steps)}):
        other = Project(tmp_path / f"killed-{step}")
        assert run(other.root, step).returncode == -signal.SIGKILL
        store = other.store
        shown.add(len(store.run_dirs()))
        if store.base_dir.is_dir():
            assert verify_runs(store, bundles_dir=other.bundles).is_intact
        import_archive(store, other.bundles, packed)
        assert len(store.run_dirs()) == 2
        for found in store.run_dirs():
            assert store.find(found.read_spec()["run_key"]) == found.backtest_id
            assert store.claimed_path(found.backtest_id).is_file()
        assert not list(store.base_dir.glob(".import*"))
    assert {0, 2} <= shown
