"""A small server that has imported the engine and forks one child per run.

Started as `python -m backtrail.batch.execution.zygote`, with a socket as standard input. It never
executes Polars, so that forking is safe, and it holds nothing of the run store. Told `search`, it
has the compiled kernel as well, which takes longer to load than most chunks of a search.
"""

import ctypes
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

__all__ = ["FORK", "MAX_FDS", "SEARCH_KINDS", "adopt_orphans", "die_with_parent", "serve"]

FORK = b"fork"
SEARCH_KINDS: Final = frozenset({"sets", "curves", "validation"})
"""The kinds of requests that go through the kernel."""
MAX_FDS = 8
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_MOST_ORPHANS = 10_000


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends (Linux; elsewhere no effect)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends (Linux; elsewhere no effect)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


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
        _end_orphans()
        _answer(
            channel,
            {
                "status": status,
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "max_rss": usage.ru_maxrss,
            },
        )


def _end_orphans() -> None:
    """Kill and reap what a run left behind in groups or sessions of its own.

    With the run's child gone, its descendants are ours, those of one that is killed the next time
    around. A chain of forks that goes on for ever is given up.
    """
    for _ in range(_MOST_ORPHANS):
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if not pid and _kill_children():
                os.waitpid(-1, 0)
            elif not pid:
                return
        except ChildProcessError:  # there is none: the common case
            return


def _kill_children() -> bool:
    """Kill every child of this process; say whether there was one that could be killed."""
    killed = False
    for path in Path("/proc/self/task").glob("*/children"):
        for pid in path.read_text().split():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(pid), signal.SIGKILL)
                killed = True
    return killed


def _answer(channel: socket.socket, value: dict[str, float]) -> None:
    channel.sendall(json.dumps(value).encode() + b"\n")


def _child(descriptors: list[int]) -> NoReturn:
    from backtrail.batch.execution import child

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


def _main(*, searches: bool) -> None:
    die_with_parent()
    adopt_orphans()
    from backtrail.batch.execution import child  # imported before the first fork
    from backtrail.provenance.outside import is_known

    if searches:
        with suppress(Exception):  # each child tries again, and says why it cannot
            child.load_kernel()
    is_known("")  # where Python and its packages lie is found once for all children

    with socket.socket(fileno=os.dup(0)) as channel, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)  # the socket is no standard input of a strategy
        serve(channel)


if __name__ == "__main__":
    _main(searches=sys.argv[1:] == ["search"])
