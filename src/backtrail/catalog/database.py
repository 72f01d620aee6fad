"""The database behind a catalog: how it is opened, locked and named in messages."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from backtrail.errors import CatalogError

__all__ = ["READING", "connect", "first_line", "make_file", "refuse_absent", "shown_url"]

READING = "backtrail_reading"
"""Execution option of a connection that only reads, and so takes no lock."""

_BUSY_SECONDS = 60


def first_line(error: Exception) -> str:
    """Return what the database said, without the statement that it said it of."""
    return str(error).partition("\n")[0]


def shown_url(url: str) -> str:
    """Return a catalog's URL without its password."""
    return sa.make_url(url).render_as_string(hide_password=True)


def make_file(url: str) -> None:
    """Make the file of an SQLite catalog, where there is none, as the umask says.

    SQLite itself would keep it from the users of one group who share a store.
    """
    parsed = sa.make_url(url)
    database = parsed.database or ""
    if parsed.get_backend_name() == "sqlite" and not database.startswith((":memory:", "file:")):
        Path(database).touch()


def refuse_absent(url: str) -> None:
    """Refuse to read an SQLite catalog that does not exist: opening it would make an empty one.

    Raises:
        CatalogError: If there is none.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        raise CatalogError(
            f"there is no catalog at {parsed.database}; run a batch, or make the catalog from "
            "existing runs with `backtrail catalog-sync`"
        )


def connect(url: str) -> Engine:
    """Return the engine of a catalog; nothing is opened yet.

    Raises:
        CatalogError: If the URL names no database that can be used.
    """
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return sa.create_engine(parsed, pool_pre_ping=True)
        # A connection to a file costs little to open; one that waits in a pool would stay open
        # for as long as a catalog that nobody closed.
        pool = sa.NullPool if parsed.database else None
        protected = _protected(parsed)
        engine = sa.create_engine(
            protected or parsed, connect_args={"timeout": _BUSY_SECONDS}, poolclass=pool
        )
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        shown = re.sub(r"://([^:/@]*):[^@]*@", r"://\1:***@", url)
        raise CatalogError(f"cannot open the catalog {shown}: {error}") from error

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        cursor = connection.cursor()
        if protected is None:
            cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that reads and then writes fails at once when another one writes.
        if not connection.get_execution_options().get(READING):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _protected(url: sa.URL) -> sa.URL | None:
    """Return how a catalog is read whose folder cannot be written; None for any other.

    SQLite otherwise makes files beside a database in WAL mode, even to read it. While another user
    writes, they are there; else nobody changes what such a reader sees.
    """
    path = Path(url.database or "")
    if not path.is_file() or os.access(path.parent, os.W_OK):
        return None
    how = "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    return sa.make_url(f"sqlite:///file:{quote(str(path.absolute()))}?{how}&uri=true")
