"""The catalog on a PostgreSQL server that the test starts, where Debian's binaries exist."""

import socket

import pytest

from tests.postgres import new_database, running_server

from .test_catalog import SyncCounts, dump, history, open_catalog, sync


@pytest.fixture(scope="module")
def server():
    with running_server() as url:
        yield url


@pytest.fixture
def url(server):
    return new_database(server)


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
