import multiprocessing
import os

import pytest

from backtrail.canonical import sha256_bytes
from backtrail.errors import CodeCaptureError
from backtrail.provenance.objects import ObjectStore

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


def test_a_missing_object_is_named(objects, tmp_path):
    with pytest.raises(CodeCaptureError, match=f"object {SHA} is missing from"):
        objects.materialize(SHA, tmp_path / "a.py")


def test_a_damaged_object_is_refused_and_nothing_is_made_of_it(source, objects, tmp_path):
    stored = objects.put(source, SHA)
    stored.chmod(0o644)
    stored.write_bytes(b"x = 3\n")
    with pytest.raises(CodeCaptureError, match=r"is damaged: its content has sha256"):
        objects.materialize(SHA, tmp_path / "made.py")
    assert not (tmp_path / "made.py").exists()


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
