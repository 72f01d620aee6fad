"""How far bars agree with their calendar: counted and recorded, never an error."""

from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from backtrail.data.manifest import SymbolRecord
from backtrail.data.sessions import sessions, table_range

__all__ = ["symbol_records"]

_MICROSECONDS_PER_DAY: Final = 86_400_000_000


def symbol_records(bars: pl.DataFrame, calendar: str) -> dict[str, SymbolRecord]:
    """Return rows, range and session counts of every symbol.

    Sessions are compared by the bars' UTC dates.

    Args:
        bars: Canonical bars in canonical order.
        calendar: Name of the trading calendar.
    """
    if not bars.height:
        return {}
    symbols = bars["symbol"]
    coded = symbols.cast(pl.Categorical) if symbols.dtype == pl.String else symbols
    codes = coded.to_physical().to_numpy()
    moments = bars["timestamp"].to_physical().to_numpy()
    days = moments // _MICROSECONDS_PER_DAY
    new_symbol = np.flatnonzero(codes[1:] != codes[:-1]) + 1
    starts = np.concatenate([[0], new_symbol])
    ends = np.concatenate([new_symbol, [len(codes)]])
    records = {}
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        own = days[start:end]
        first_of_day = np.concatenate([[0], np.flatnonzero(np.diff(own)) + 1])
        counts = np.diff(first_of_day, append=len(own))
        dates = own[first_of_day].astype("datetime64[D]")
        missing, extra = _compare(dates, counts, calendar)
        records[str(bars["symbol"][start])] = SymbolRecord(
            rows=end - start,
            first=_iso(bars["timestamp"][start]),
            last=_iso(bars["timestamp"][end - 1]),
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
