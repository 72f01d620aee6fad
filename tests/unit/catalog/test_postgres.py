"""The catalog on a PostgreSQL server that the test starts, where Debian's binaries exist."""

import socket

import pytest
import sqlalchemy as sa

from backtrail.catalog.filters import RunFilter
from backtrail.catalog.queries import RunQuery, locate_artifacts, run_statistics, select_runs
from backtrail.catalog.tables import runs as table
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


def test_questions_have_the_same_answers_on_postgres_and_on_sqlite(runs, url):
    git = {"commit": "ab" * 20, "branch": "main", "dirty": True}
    runs.seal(1, git=git)
    runs.seal(2, git={**git, "dirty": False}, started_at="2026-02-01T00:00:00Z")
    runs.fail(3)
    for each in (url, None):
        sync(runs, url=each)
        with open_catalog(runs, each) as catalog:
            for wanted, where, found in (
                ({"commit": "abab"}, "n < 2", ["run-1"]),
                ({"commit": "ABAB"}, None, []),
                ({"dirty": True}, None, ["run-1"]),
                ({"since": "2026-01-02"}, "other = 3", ["run-2"]),
                ({"until": "2026-01-31", "dataset": "ddd"}, "n > 0", ["run-1", "run-3"]),
            ):
                query = RunQuery(RunFilter.of(wanted), where)
                assert select_runs(catalog, query).rows["name"].to_list() == found, wanted
            every = select_runs(catalog, RunQuery())
            located = locate_artifacts(catalog, every, "performance-metrics.json")
            assert located["name"].to_list() == ["run-1", "run-2"]
            assert run_statistics(catalog, every)["trials"] == {"runs": 2, "sets": 2}


def test_columns_on_postgres_say_what_they_mean(runs, url):
    sync(runs, url=url)
    engine = sa.create_engine(url)
    found = {item["name"]: item["comment"] for item in sa.inspect(engine).get_columns(table.name)}
    engine.dispose()
    assert found == {column.name: column.comment for column in table.columns}
    assert found["library"] == "fingerprint of the library's code that decides numbers"
