import errno
import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from backtrail.errors import StoreUnavailableError
from backtrail.files import (
    atomic_path,
    is_temporary,
    lease,
    remove_stale,
    write_bytes,
    write_json,
)

SPAWN = multiprocessing.get_context("spawn")


def python(code, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def until_it_says(process, word):
    assert process.stdout.readline().strip() == word


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_block_that_succeeds_leaves_the_whole_file_and_nothing_else(tmp_path):
    target = tmp_path / "new" / "folder" / "a.json"
    with atomic_path(target, durable=True) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
        assert is_temporary(temporary)
        assert temporary.parent == target.parent
    assert target.read_text() == "whole"
    assert names(target.parent) == ["a.json"]


def test_a_block_that_fails_leaves_the_former_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("former")

    def half_write():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half_write()
    assert target.read_text() == "former"
    assert names(tmp_path) == ["a.txt"]


def test_a_block_that_writes_nothing_is_an_error_and_keeps_the_former_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("former")
    with pytest.raises(FileNotFoundError), atomic_path(target):
        pass
    assert target.read_text() == "former"


def test_threads_that_write_one_file_do_not_share_a_temporary_name(tmp_path):
    target = tmp_path / "a.txt"
    failures = []

    def write(number):
        try:
            for _ in range(50):
                write_bytes(target, bytes([number]) * 5000)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(65 + number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(set(target.read_bytes())) == 1
    assert len(target.read_bytes()) == 5000


def test_json_is_written_sorted_and_indented(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [None]})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": [\n    null\n  ],\n  "b": 1\n}\n'


def test_a_writer_that_is_killed_leaves_the_former_file_and_a_name_that_is_swept(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("former")
    process = python(
        """
        import sys, time
        from pathlib import Path
        from backtrail.files import atomic_path
        with atomic_path(Path(sys.argv[1])) as temporary:
            temporary.write_text("half")
            print("writing", flush=True)
            time.sleep(600)
        """,
        target,
    )
    until_it_says(process, "writing")
    left = [name for name in names(tmp_path) if name != "a.txt"]
    assert len(left) == 1
    assert left[0].endswith(".tmp~")
    remove_stale(tmp_path)
    assert left[0] in names(tmp_path), "a file being written now was removed"
    process.kill()
    process.communicate()
    assert target.read_text() == "former"
    remove_stale(tmp_path)
    assert names(tmp_path) == ["a.txt"]


def test_sweeping_goes_into_folders_only_when_asked(tmp_path):
    process = python("import os; print(os.getpid())")
    gone = int(process.communicate()[0])
    host = os.uname().nodename.replace(".", "-")
    stale = tmp_path / "deep" / f".x.json.{host}.{gone}.1.tmp~"
    stale.parent.mkdir()
    stale.touch()
    remove_stale(tmp_path)
    assert stale.exists()
    remove_stale(tmp_path, recursive=True)
    assert not stale.exists()


def test_files_that_only_look_like_ours_stay_until_they_are_a_day_old(tmp_path):
    foreign = [tmp_path / name for name in (".x.tmp~", ".a.b.c.d.tmp~", ".other.9.1.tmp~")]
    for path in foreign:
        path.touch()
    remove_stale(tmp_path)
    assert all(path.exists() for path in foreign)
    for path in foreign:
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (tmp_path / "tmp~").touch()
    remove_stale(tmp_path)
    assert names(tmp_path) == ["tmp~"]


def test_a_lease_is_held_by_one_and_its_file_goes_with_it(tmp_path):
    lock = tmp_path / ".lock"
    with lease(lock) as first:
        assert first
        with lease(lock, wait=False) as second:
            assert not second
        assert lock.exists()
    assert names(tmp_path) == []
    with lease(lock, wait=False) as third:
        assert third


def test_a_lease_left_by_one_user_of_a_group_can_be_taken_by_another(tmp_path):
    before = os.umask(0o002)
    try:
        with lease(tmp_path / ".lock"):
            assert (tmp_path / ".lock").stat().st_mode & 0o777 == 0o664
    finally:
        os.umask(before)


def test_a_lease_is_dropped_when_its_block_fails(tmp_path):
    with pytest.raises(RuntimeError), lease(tmp_path / ".lock"):
        raise RuntimeError
    with lease(tmp_path / ".lock", wait=False) as held:
        assert held


def test_a_lease_in_a_folder_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), lease(tmp_path / "gone" / ".lock"):
        pass


def test_a_killed_holder_blocks_nobody(tmp_path):
    process = python(
        """
        import sys, time
        from pathlib import Path
        from backtrail.files import lease
        with lease(Path(sys.argv[1])):
            print("held", flush=True)
            time.sleep(600)
        """,
        tmp_path / ".lock",
    )
    until_it_says(process, "held")
    with lease(tmp_path / ".lock", wait=False) as held:
        assert not held
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with lease(tmp_path / ".lock", wait=False) as held:
        assert held


def _count(folder, times):
    for _ in range(times):
        with lease(folder / ".lock"):
            number = int((folder / "count").read_text())
            (folder / "count").write_text(str(number + 1))


def test_a_lease_passed_on_between_processes_lets_no_two_in_at_once(tmp_path):
    (tmp_path / "count").write_text("0")
    workers = [SPAWN.Process(target=_count, args=(tmp_path, 100)) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert (tmp_path / "count").read_text() == "600"
    assert names(tmp_path) == ["count"]


def refuse_locks(monkeypatch, *errors):
    """Let the file system answer the first locks with errors, as those of other machines do."""
    flock, left = fcntl.flock, list(errors)

    def refused(descriptor, flags):
        if left:
            raise OSError(left[0], os.strerror(left.pop(0)))
        flock(descriptor, flags)

    monkeypatch.setattr(fcntl, "flock", refused)


def test_a_lock_file_that_another_machine_removed_is_made_anew(tmp_path, monkeypatch):
    refuse_locks(monkeypatch, errno.ESTALE, errno.ESTALE)
    with lease(tmp_path / ".lock") as held, lease(tmp_path / ".lock", wait=False) as second:
        assert (held, second) == (True, False)
    assert not (tmp_path / ".lock").exists()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_an_error_that_says_how_to_mount_it(
    tmp_path, monkeypatch, code
):
    refuse_locks(monkeypatch, code)
    remedy = "mount Lustre with the option flock"
    with (
        pytest.raises(StoreUnavailableError, match=remedy) as error,
        lease(tmp_path / ".lock"),
    ):
        pytest.fail("the block ran without a lock")
    assert error.value.errno == code
    assert str(tmp_path / ".lock") in str(error.value)


def test_another_refusal_of_a_lock_is_told_as_it_is(tmp_path, monkeypatch):
    refuse_locks(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"), lease(tmp_path / ".lock"):
        pytest.fail("the block ran without a lock")
