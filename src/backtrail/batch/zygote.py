"""A small server that has imported the engine and forks one child per run.

Started as `python -m backtrail.batch.zygote`, with a socket as standard input. It never executes
Polars, so that forking is safe, and it holds nothing of the run store.
"""

import ctypes
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import NoReturn

__all__ = ["FORK", "MAX_FDS", "die_with_parent", "serve"]

FORK = b"fork"
MAX_FDS = 8
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends (Linux; elsewhere no effect)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def serve(channel: socket.socket) -> None:
    """Fork a child for every message until the other end closes.

    Each message carries the child's file descriptors; the answers are one line with its process
    id, and when it has ended one line with its wait status and resource usage.
    """
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, len(FORK), MAX_FDS)
        if message != FORK:
            return
        pid = os.fork()
        if pid == 0:
            channel.close()
            _child(descriptors)
        with suppress(OSError):  # the child does the same; whoever comes first
            os.setpgid(pid, pid)
        for descriptor in descriptors:
            os.close(descriptor)
        _answer(channel, {"pid": pid})
        _, status, usage = os.wait4(pid, 0)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)  # what the strategy started and left behind
        _answer(
            channel,
            {
                "status": status,
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "max_rss": usage.ru_maxrss,
            },
        )


def _answer(channel: socket.socket, value: dict[str, float]) -> None:
    channel.sendall(json.dumps(value).encode() + b"\n")


def _child(descriptors: list[int]) -> NoReturn:
    from backtrail.batch import child

    code = 1
    try:
        os.setpgid(0, 0)
        die_with_parent()
        code = child.main(*descriptors)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # the strategy may have closed or replaced it
                stream.flush()
        os._exit(code)


def _main() -> None:
    die_with_parent()
    from backtrail.batch import child  # noqa: F401  imported before the first fork
    from backtrail.provenance.outside import is_known

    is_known("")  # where Python and its packages lie is found once for all children

    with socket.socket(fileno=os.dup(0)) as channel:
        serve(channel)


if __name__ == "__main__":
    _main()
