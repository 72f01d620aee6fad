"""Jobs of snakemake by forks of a process that has imported what they need of other packages.

A job is a Python process of its own, and most of its time goes to importing Snakemake, NumPy and
Polars, which the tests would do hundreds of times. The script that Snakemake writes for a job is
run as it stands; streams, folder, environment and exit status are those of a plain process. Of
this project nothing is imported beforehand: each job loads it anew.
"""

import atexit
import gc
import json
import os
import runpy
import select
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

if not sys.argv[1].endswith(".py"):
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
    """Return a program that runs a script as Python does, by a process that is warm."""
    folder = Path(tempfile.mkdtemp(prefix="jobs"))
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
    """Fork a job, wait for it and tell how it ended."""
    asked, streams, _, _ = socket.recv_fds(connection, 2**20, 3)
    while more := connection.recv(2**20):
        asked += more
    job = os.fork()
    if not job:
        connection.close()
        _run(streams, *json.loads(asked))
        sys.exit()
    _, status = os.waitpid(job, 0)
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
    sys.argv = arguments
    sys.path[0] = str(Path(arguments[0]).parent)
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    _serve(sys.argv[1])
