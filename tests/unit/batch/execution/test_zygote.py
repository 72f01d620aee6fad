import os
import socket
import subprocess
import sys
import tempfile

from backtrail.batch.execution.zygote import FORK, MAX_FDS


def start():
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-m", "backtrail.batch.execution.zygote"], stdin=theirs.fileno(), cwd="/"
    )
    theirs.close()
    return ours, process


def test_the_zygote_ends_when_the_other_end_closes():
    channel, process = start()
    channel.close()
    assert process.wait(timeout=60) == 0


def test_the_zygote_ends_at_a_message_it_does_not_know():
    channel, process = start()
    with channel:
        channel.sendall(b"what")
        assert process.wait(timeout=60) == 0


def test_every_fork_is_answered_with_its_process_and_its_end():
    channel, process = start()
    with channel, tempfile.TemporaryFile() as file:
        for _ in range(2):
            file.seek(0)
            socket.send_fds(channel, [FORK], [file.fileno()] * 4)
            with channel.makefile("rb") as answers:
                first, second = answers.readline(), answers.readline()
            assert first.startswith(b'{"pid": ')
            assert os.waitstatus_to_exitcode(__import__("json").loads(second)["status"]) == 1
    assert process.wait(timeout=60) == 0
    assert MAX_FDS >= 6
