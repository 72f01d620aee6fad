"""A PostgreSQL server on loopback, from the system's packages, for as long as tests need one."""

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path

import pytest

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@contextmanager
def running_server():
    """Yield the URL of a server without a database's name, or skip where none can be started."""
    pytest.importorskip("pg8000", reason="the extra `postgres` is not installed")
    if not BINARIES:
        pytest.skip("no PostgreSQL server under /usr/lib/postgresql")
    prefix = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        if shutil.which("runuser") is None:
            pytest.skip("root cannot start a PostgreSQL server without runuser")
        prefix = ["runuser", "-u", "postgres", "--"]
    folder = Path(tempfile.mkdtemp(prefix="backtrail-pg-"))
    if prefix:
        shutil.chown(folder, "postgres", "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"

    def call(name, *arguments):
        command = [*prefix, str(BINARIES[-1].with_name(name)), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, cwd="/")

    call("initdb", "-D", data, "-U", "backtrail", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
    call("pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
    try:
        yield f"postgresql+pg8000://backtrail@127.0.0.1:{port}"
    finally:
        call("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def new_database(server):
    """Return the URL of an empty database of a server."""
    import sqlalchemy as sa

    name = f"t{uuid.uuid4().hex}"
    engine = sa.create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return f"{server}/{name}"
