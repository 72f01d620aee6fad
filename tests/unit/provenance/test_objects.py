import multiprocessing
import os

import pytest

from backtrail.canonical import sha256_bytes
from backtrail.errors import CodeCaptureError
from backtrail.provenance.objects import ObjectStore, find_content

TEXT = b"x = 1\n"
SHA = sha256_bytes(TEXT)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a.py"
    path.write_bytes(TEXT)
    return path


@pytest.fixture
def objects(tmp_path):
    return ObjectStore(tmp_path / ".objects")


def test_an_object_lies_under_its_checksum_read_only_and_once(source, objects, tmp_path):
    stored = objects.put(source, SHA)
    assert stored == tmp_path / ".objects" / SHA[:2] / SHA
    assert stored.read_bytes() == TEXT
    assert stored.stat().st_mode & 0o777 == 0o444
    before = stored.stat()
    source.unlink()
    assert objects.put(source, SHA).stat() == before, "content that is stored is not read again"


def test_a_source_that_changed_since_it_was_hashed_is_refused(source, objects):
    source.write_bytes(b"x = 2\n")
    with pytest.raises(CodeCaptureError, match=r"a\.py changed while it was being captured"):
        objects.put(source, SHA)
    assert not objects.path(SHA).exists()


def test_runs_share_an_object_by_hard_link(source, objects, tmp_path):
    stored = objects.put(source, SHA)
    for run in ("one", "two"):
        objects.materialize(SHA, tmp_path / run / "code" / "a.py")
    copies = [tmp_path / run / "code" / "a.py" for run in ("one", "two")]
    assert {path.stat().st_ino for path in copies} == {stored.stat().st_ino}
    assert stored.stat().st_nlink == 3
    assert copies[0].read_bytes() == TEXT


def test_materializing_replaces_what_stands_there(source, objects, tmp_path):
    objects.put(source, SHA)
    target = tmp_path / "code.py"
    target.write_text("edited")
    objects.materialize(SHA, target)
    assert target.read_bytes() == TEXT
    assert [path.name for path in tmp_path.glob(".*tmp~")] == []


def damage(path, data=b"x = 3\n"):
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)


@pytest.mark.parametrize("data", [b"x = 3\n", b"", TEXT * 2])
def test_putting_a_damaged_object_stores_it_anew_as_another_file(source, objects, tmp_path, data):
    stored = objects.put(source, SHA)
    objects.materialize(SHA, tmp_path / "run.py")
    damage(stored, data)
    assert objects.state(SHA) == "damaged"
    objects.put(source, SHA)
    assert objects.state(SHA) == "intact"
    assert stored.stat().st_mode & 0o777 == 0o444
    assert (tmp_path / "run.py").read_bytes() == data, "what was linked to it keeps what it has"


@pytest.mark.parametrize("lost", [True, False])
def test_a_lost_object_is_stored_anew_from_the_first_source_that_has_its_content(
    source, objects, tmp_path, lost
):
    stored = objects.put(source, SHA)
    os.link(stored, tmp_path / "linked.py")
    if lost:
        stored.unlink()
        (tmp_path / "linked.py").chmod(0o644)
        (tmp_path / "linked.py").write_bytes(b"")
    else:
        damage(stored)
    (tmp_path / "other.py").write_bytes(b"x = 4\n")
    sources = [tmp_path / name for name in ("absent.py", "other.py", "linked.py", "a.py")]
    objects.materialize(SHA, tmp_path / "made.py", sources)
    assert (tmp_path / "made.py").read_bytes() == stored.read_bytes() == TEXT
    assert (tmp_path / "made.py").stat().st_ino == stored.stat().st_ino
    assert stored.stat().st_ino not in {path.stat().st_ino for path in sources[1:]}
    assert (tmp_path / "linked.py").read_bytes() != TEXT
    assert list(tmp_path.rglob("*tmp~")) == []


def test_sources_are_not_looked_at_while_the_object_is_intact(source, objects, tmp_path):
    def sources():
        raise AssertionError("asked for")
        yield

    objects.put(source, SHA)
    objects.materialize(SHA, tmp_path / "made.py", sources())
    assert (tmp_path / "made.py").read_bytes() == TEXT


@pytest.mark.parametrize("state", ["missing", "damaged"])
def test_an_object_without_any_source_names_where_it_was_looked_for(
    source, objects, tmp_path, state
):
    if state == "damaged":
        damage(objects.put(source, SHA))
    source.write_bytes(b"x = 2\n")
    many = [source, *(tmp_path / f"{number}.py" for number in range(4))]
    with pytest.raises(CodeCaptureError) as caught:
        objects.materialize(SHA, tmp_path / "made.py", many)
    text = str(caught.value)
    assert text.startswith(f"object {objects.path(SHA)} is {state}, and no other file has its")
    assert f"{source} has another content; {tmp_path / '0.py'} does not exist; " in text
    assert "; 2 more files do not have it either. Put the file back" in text
    assert f"(sha256 {SHA})" in text
    assert not (tmp_path / "made.py").exists()
    with pytest.raises(CodeCaptureError, match=r"there is no other place to look at\. Put"):
        objects.materialize(SHA, tmp_path / "made.py")


def test_a_folder_in_the_place_of_a_source_is_no_source(source, objects, tmp_path):
    (tmp_path / "folder").mkdir()
    assert find_content(SHA, [tmp_path / "folder", source]) == source


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="there is no second file system here")
def test_a_copy_is_made_where_no_link_can_be(source, objects, tmp_path_factory):
    import shutil
    import tempfile
    from pathlib import Path

    objects.put(source, SHA)
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        if folder.stat().st_dev == objects.folder.stat().st_dev:
            pytest.skip("both folders lie on one file system")
        objects.materialize(SHA, folder / "a.py")
        assert (folder / "a.py").read_bytes() == TEXT
        assert (folder / "a.py").stat().st_mode & 0o777 == 0o444
        assert (folder / "a.py").stat().st_nlink == 1
    finally:
        shutil.rmtree(folder)


def _put_many(folder, files):
    objects = ObjectStore(folder)
    for path, sha in files:
        objects.put(path, sha)


def test_processes_that_store_the_same_files_at_once_agree(tmp_path):
    files = []
    for number in range(40):
        path = tmp_path / f"{number}.py"
        path.write_text(f"x = {number}\n")
        files.append((path, sha256_bytes(path.read_bytes())))
    spawn = multiprocessing.get_context("spawn")
    workers = [
        spawn.Process(target=_put_many, args=(tmp_path / ".objects", files)) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    stored = sorted(path.name for path in (tmp_path / ".objects").glob("??/*"))
    assert stored == sorted(sha for _, sha in files)
    assert list((tmp_path / ".objects").rglob("*tmp~")) == []
