"""Calls of snakemake by a process that has imported it already; each call is a fork of its own.

`python -m snakemake` spends most of a second on importing Snakemake before it reads a Snakefile,
and the tests make hundreds of calls. Arguments, folder, environment, output and exit status are
those of a plain call.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path

TIME_LIMIT = 420  # seconds
# Snakemake, and what it imports in every call besides; of this project nothing.
_IMPORTED = ("snakemake.cli", "snakemake.report.html_reporter", "smart_open", "pandas")


def snakemake(
    arguments: list[str], folder: Path, environment: dict[str, str], python: str
) -> tuple[int, str]:
    """Call snakemake in a folder; return its exit status and all it said.

    `python` is what it starts scripts with.
    """
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
        order = [arguments, str(folder), environment, output.name, python]
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return status, output.read()


@cache
def _server() -> "subprocess.Popen[str]":
    server = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(server.communicate)  # it ends with its input
    return server


def _serve() -> None:
    for name in _IMPORTED:
        with suppress(ImportError):
            import_module(name)

    for line in sys.stdin:
        child = os.fork()
        if not child:
            _call(*json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _call(
    arguments: list[str], folder: str, environment: dict[str, str], output: str, python: str
) -> None:
    from snakemake.cli import main

    signal.alarm(TIME_LIMIT)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    stream = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    sys.argv = ["snakemake", *arguments]
    sys.executable = python
    main()  # ends with the exit status


if __name__ == "__main__":
    _serve()
