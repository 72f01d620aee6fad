"""How far bars agree with their calendar: counted and recorded, never an error."""

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from backtrail.data.manifest import SymbolRecord
from backtrail.data.sessions import sessions, table_range

__all__ = ["symbol_records"]


def symbol_records(bars: pl.DataFrame, calendar: str) -> dict[str, SymbolRecord]:
    """Return rows, range and session counts of every symbol.

    Sessions are compared by the bars' UTC dates.

    Args:
        bars: Canonical bars in canonical order.
        calendar: Name of the trading calendar.
    """
    per_symbol = (
        bars.group_by("symbol", maintain_order=True)
        .agg(
            pl.len().alias("rows"),
            pl.col("timestamp").first().alias("first"),
            pl.col("timestamp").last().alias("last"),
        )
        .sort("symbol")
    )
    days = (
        bars.group_by("symbol", pl.col("timestamp").dt.date().alias("day"))
        .len()
        .sort("symbol", "day")
        .group_by("symbol", maintain_order=True)
        .agg("day", "len")
    )
    by_symbol = {row[0]: (row[1], row[2]) for row in days.iter_rows()}
    records = {}
    for row in per_symbol.iter_rows(named=True):
        dates, counts = by_symbol[row["symbol"]]
        missing, extra = _compare(
            np.array(dates, dtype="datetime64[D]"), np.array(counts, dtype=np.int64), calendar
        )
        records[row["symbol"]] = SymbolRecord(
            rows=row["rows"],
            first=_iso(row["first"]),
            last=_iso(row["last"]),
            missing_sessions=missing,
            off_session_bars=extra,
        )
    return records


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _compare(
    days: npt.NDArray[np.datetime64], counts: npt.NDArray[np.int64], calendar: str
) -> tuple[int | None, int | None]:
    first, last = days[0].astype(object), days[-1].astype(object)
    known = table_range(calendar)
    if known is not None and (first < known[0] or last > known[1]):
        return None, None
    expected = sessions(calendar, first, last).dates
    on_session = np.isin(days, expected, assume_unique=True)
    missing = len(expected) - int(on_session.sum())
    return missing, int(counts[~on_session].sum())
