"""Sessions as a table of a dataset, so that whoever reads it needs no calendar library."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from backtrail.canonical import sha256_json
from backtrail.data.calendars import SessionYear
from backtrail.data.identity import SESSION_SCHEMA, TIMESTAMP, table_checksum
from backtrail.data.sessions import Sessions

__all__ = ["sessions_checksum", "sessions_facts", "sessions_frame", "stored_sessions"]


def sessions_frame(table: Sessions) -> pl.DataFrame:
    """Return sessions as columns of `SESSION_SCHEMA`."""
    return pl.DataFrame(
        {
            "date": pl.Series(table.dates.astype("datetime64[D]").astype(np.int32)).cast(pl.Date),
            "open": pl.Series(table.opens).cast(TIMESTAMP),
            "minutes": pl.Series(table.minutes),
        },
        schema=dict(SESSION_SCHEMA),
    )


def sessions_facts(table: Sessions) -> dict[str, Any]:
    """Return what a manifest says of a table beyond its rows."""
    facts: dict[str, Any] = {}
    if table.reach is not None:
        facts["reach"] = [day.isoformat() for day in table.reach]
    if table.year is not None:
        facts["year"] = {"sessions": table.year.sessions, "minutes": table.year.minutes}
    return facts


def stored_sessions(name: str, frame: pl.DataFrame, facts: Mapping[str, Any]) -> Sessions:
    """Return the sessions that a dataset holds.

    Args:
        name: Name of the calendar.
        frame: Columns of `SESSION_SCHEMA`.
        facts: What its manifest says of them; see `sessions_facts`.
    """
    first, last = (date.fromisoformat(day) for day in facts["reach"])
    return Sessions(
        name,
        frame["date"].to_physical().to_numpy().astype(np.int64).astype("datetime64[D]"),
        frame["open"].to_physical().to_numpy(),
        frame["minutes"].to_numpy(),
        (first, last),
        SessionYear(**facts["year"]),
    )


def sessions_checksum(table: Sessions) -> str:
    """Return the sha256 of sessions and of what a usual year has, which decides annual metrics."""
    rows = table_checksum(sessions_frame(table), "sessions")
    return sha256_json({"rows": rows, **sessions_facts(table)})
