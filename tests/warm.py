"""Python for scripts and commands, by forks of a process that has imported what they need.

Most of the time of a short Python process goes to importing Snakemake, NumPy and Polars, which the
tests would do hundreds of times. A script (of a job, of a user) is run as it stands; streams,
folder, environment and exit status are those of a plain process. Of this project nothing is
imported beforehand: each process loads it anew.
"""

import atexit
import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path

TIME_LIMIT = 420  # seconds
_IMPORTED = ("snakemake.logging", "numpy", "polars", "jinja2", "sqlalchemy.dialects.sqlite")
# Stands for the interpreter that snakemake starts its scripts with.
_CLIENT = """#!{python} -IS
import json, os, socket, sys

if sys.argv[1] != "-m" and not sys.argv[1].endswith(".py"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [asked], [0, 1, 2])
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(16) or b"1"))
"""


@cache
def interpreter() -> str:
    """Return a program that runs a script or a module as Python does, by a warm process."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    address = str(folder / "socket")
    client = folder / "python"
    client.write_text(_CLIENT.format(python=sys.executable, address=address))
    client.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "", "OPENBLAS_NUM_THREADS": "1"},
    )
    atexit.register(shutil.rmtree, folder)
    atexit.register(server.communicate)  # it ends with its input
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    return str(client)


def _serve(address: str) -> None:
    for name in _IMPORTED:
        with suppress(ImportError):
            import_module(name)
    gc.freeze()  # or each fork copies what it collects

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        print("ready", flush=True)
        while True:
            if sys.stdin in select.select([sys.stdin, listening], [], [])[0]:
                return
            connection, _ = listening.accept()
            if not os.fork():
                listening.close()
                _keep(connection)
            connection.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _keep(connection: socket.socket) -> None:
    """Fork a process, wait for it and tell how it ended."""
    asked, streams, _, _ = socket.recv_fds(connection, 2**20, 3)
    while more := connection.recv(2**20):
        asked += more
    child = os.fork()
    if not child:
        connection.close()
        _run(streams, *json.loads(asked))
        sys.exit()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    connection.sendall(b"%d" % (code if code >= 0 else 128 - code))
    os._exit(0)


def _run(
    streams: list[int], arguments: list[str], folder: str, environment: dict[str, str]
) -> None:
    signal.alarm(TIME_LIMIT)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    first, *others = arguments
    if first == "-m":
        sys.argv = others
        sys.path[0] = folder
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[0] = str(Path(first).resolve().parent)
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    _serve(sys.argv[1])
