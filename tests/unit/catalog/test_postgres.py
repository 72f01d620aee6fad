"""The catalog on a PostgreSQL server that the test starts, where Debian's binaries exist."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from .test_catalog import SyncCounts, dump, history, open_catalog, sync

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@pytest.fixture(scope="module")
def server():
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


@pytest.fixture
def url(server, request):
    import sqlalchemy as sa

    name = f"t{abs(hash(request.node.name))}"
    engine = sa.create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return f"{server}/{name}"


def test_postgres_and_sqlite_hold_the_same_rows_at_every_state(runs, url):
    for _ in history(runs):
        on_postgres, on_sqlite = sync(runs, url=url), sync(runs)
        assert on_postgres == on_sqlite
        assert dump(runs, url) == dump(runs)
        with open_catalog(runs, url) as one, open_catalog(runs) as other:
            assert one.stored_bytes() == other.stored_bytes()
    sync(runs, url=url, rebuild=True)
    assert dump(runs, url) == dump(runs)


def test_texts_that_are_hard_to_store_are_stored(runs, url):
    runs.dataset()
    runs.fail(1, message="ünïcode 😀 \\x00 'quote' \"double\" " + "long " * 2000, kind="O\0E")
    assert sync(runs, url=url) == SyncCounts(1, 0, 0, 1, failed=1)
    with open_catalog(runs, url) as catalog:
        (row,) = catalog.find_runs(status="failed")
    assert row["error_message"].startswith("ünïcode 😀")
    assert row["error_kind"] == "O\\0E"
    assert len(row["error_message"]) > 10_000


def test_a_server_that_does_not_answer_is_a_clear_error_that_keeps_the_password(runs, server):
    from backtrail.errors import CatalogError

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        dead = f"postgresql+pg8000://u:secret@127.0.0.1:{probe.getsockname()[1]}/x"
        with pytest.raises(
            CatalogError, match=r"(?s)cannot write the catalog .*catalog-sync"
        ) as caught:
            sync(runs, url=dead)
    assert "secret" not in str(caught.value)
