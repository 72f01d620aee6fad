"""The kernel reports what a process and all it starts opens; the watching end takes it down."""

import os
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from backtrail.provenance.kernel_watch import KernelWatch
from backtrail.provenance.outside import OutsideFiles, Shield

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's reports")


@pytest.fixture
def code(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/s.py").write_text("X = 1\n")
    return tmp_path / "code"


@pytest.fixture
def watched(code):
    """Run a script in a process that asks to be watched; return the watch and the process."""

    def watched(script, *, seconds=60.0):
        watch = KernelWatch(lambda: OutsideFiles(Shield(str(code), ["s.py"], None)))
        ours, theirs = socket.socketpair()
        channel = watch.channel.fileno()
        head = (
            "import os, subprocess\nfrom backtrail.provenance.kernel_watch import report_to\n"
            f"CODE = {str(code)!r}\nassert report_to({channel})\nos.close({channel})\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", head + textwrap.dedent(script)],
            pass_fds=[channel, theirs.fileno()],
            cwd=code.parent,
        )
        theirs.close()
        watch.channel.close()
        ended = watch.wait(ours, seconds)  # the other end is closed when the process ends
        if not ended:
            process.kill()
        status = process.wait()
        watch.close()
        ours.close()
        return watch, status, ended

    return watched


def test_openings_are_reported_whatever_way_a_folder_is_named(watched, tmp_path):
    for name in "abcde":
        (tmp_path / f"{name}.csv").write_text(name)
    watch, status, _ = watched(
        """
        folder = os.open(".", os.O_RDONLY)
        os.open("a.csv", os.O_RDONLY)
        os.open("b.csv", os.O_RDONLY, dir_fd=folder)
        os.chdir("/")
        os.open("c.csv", os.O_RDONLY, dir_fd=folder)
        os.open(f"/proc/self/fd/{folder}/d.csv", os.O_RDONLY)
        os.fork()
        os.open("e.csv", os.O_RDONLY, dir_fd=folder)
        """
    )
    assert status == 0
    assert sorted(os.path.basename(path) for path in watch.opened) == [
        "a.csv", "b.csv", "c.csv", "d.csv", "e.csv"
    ]  # fmt: skip
    assert set(map(os.path.dirname, watch.opened)) == {str(tmp_path)}
    assert not watch.is_blind


def test_a_name_at_the_end_of_a_page_is_read(watched, tmp_path):
    (tmp_path / "a.csv").write_text("a")
    watch, status, _ = watched(
        """
        import ctypes, mmap
        memory = mmap.mmap(-1, 2 * mmap.PAGESIZE)
        name = os.path.abspath("a.csv").encode() + b"\\0"
        memory[mmap.PAGESIZE - len(name) : mmap.PAGESIZE] = name
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mprotect(ctypes.c_void_p(start + mmap.PAGESIZE), mmap.PAGESIZE, 0)
        at = ctypes.c_void_p(start + mmap.PAGESIZE - len(name))
        assert libc.open(at, 0) > 0
        """
    )
    assert status == 0
    assert list(watch.opened) == [str(tmp_path / "a.csv")]


def test_programs_and_what_they_start_are_reported_with_their_arguments(watched):
    watch, status, _ = watched(
        """
        subprocess.run(["sh", "-c", "true; /bin/echo 'a b' > /dev/null; :"], check=True)
        try:
            subprocess.run(["no-such-program"])
        except FileNotFoundError:
            pass
        """
    )
    assert status == 0
    assert list(watch.processes) == [
        "sh -c 'true; /bin/echo '\"'\"'a b'\"'\"' > /dev/null; :'", "/bin/echo 'a b'"
    ]  # fmt: skip
    assert watch.opened == {}


def test_captured_files_are_protected_from_every_process(watched, code):
    (code.parent / "other.txt").write_text("Y")
    _, status, _ = watched(
        """
        for command in ("echo x > $0", "echo x >> $0", "mv $0 $0.old", "mv other.txt $0",
                        "rm -f $0", "truncate -s 0 $0"):
            subprocess.run(["sh", "-c", command, CODE + "/s.py"], stderr=-3)
        assert subprocess.run(["sh", "-c", "echo x > $0", CODE + "/s.py"], stderr=-3).returncode
        open(CODE + "/own.txt", "w").write("x")
        """
    )
    assert status == 0
    assert (code / "s.py").read_text() == "X = 1\n"
    assert (code / "own.txt").read_text() == "x"


def test_a_process_that_goes_on_for_ever_does_not_hold_the_watch(watched):
    started = time.monotonic()
    watch, status, ended = watched(
        "while True: os.close(os.open('/etc/hostname', os.O_RDONLY))", seconds=1.0
    )
    assert not ended
    assert status == -9
    assert list(watch.opened) == ["/etc/hostname"]
    assert time.monotonic() - started < 50


def test_asking_a_second_time_is_refused(watched, tmp_path):
    _, status, _ = watched("a, b = os.pipe()\nassert report_to(b) is False\n")
    assert status == 0
