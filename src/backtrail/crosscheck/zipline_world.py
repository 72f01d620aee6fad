"""Bars in the shape zipline reads them: asset table, price readers, adjustments, calendar.

Runs in zipline's own environment. Prices are served as float64 from memory. Zipline's files would
round prices to a thousandth and lose every bar whose volume does not fit 32 bits.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import sqlalchemy
from exchange_calendars import ExchangeCalendar
from zipline.assets import AssetDBWriter, AssetFinder
from zipline.data.adjustments import SQLiteAdjustmentReader, SQLiteAdjustmentWriter
from zipline.data.bar_reader import NoDataOnDate
from zipline.data.data_portal import DataPortal
from zipline.data.session_bars import SessionBarReader
from zipline.utils.calendar_utils import get_calendar

__all__ = ["World", "make_world"]

_FIELDS = ("open", "high", "low", "close", "volume")
_DAY = 86_400_000_000_000
# Zipline refuses a history that begins before its first session, so it gets empty ones before.
_EMPTY_DAYS = {True: 2_000, False: 30}


class _EveryDay(ExchangeCalendar):
    """Sessions that end before midnight.

    Zipline looks daily bars up by the date of a session's close. With its own calendars of 24 hours
    that is the next day, and a strategy is shown the bar of another session.
    """

    name = "24/7"
    tz = ZoneInfo("UTC")
    open_times = ((None, time(0)),)
    close_times = ((None, time(23)),)
    weekmask = "1111111"


class _Weekdays(_EveryDay):
    name = "24/5"
    weekmask = "1111100"


_AROUND_THE_CLOCK = {"24/7": _EveryDay, "24/5": _Weekdays}


class MemoryReader(SessionBarReader):
    """Serves columns from memory to zipline, daily or by minute.

    Args:
        calendar: Zipline's calendar.
        labels: All sessions of the range without a zone, or all trading minutes in UTC.
        columns: `open` to `volume`, shape (labels, symbols), NaN where a symbol has no bar.
        is_daily: Whether labels are sessions.
    """

    def __init__(
        self, calendar: Any, labels: Any, columns: Mapping[str, Any], *, is_daily: bool
    ) -> None:
        self._calendar, self._labels, self._is_daily = calendar, labels, is_daily
        self._columns = columns
        self._values = labels.as_unit("ns").asi8
        self._rows = {value: row for row, value in enumerate(self._values.tolist())}
        # The row of each symbol's last bar at or before a row; -1 before its first.
        present = ~np.isnan(columns["close"])
        rows = np.arange(len(labels))[:, None]
        self._last = np.maximum.accumulate(np.where(present, rows, -1), axis=0)

    @property
    def data_frequency(self) -> str:
        """`daily` readers are called `session`."""
        return "session" if self._is_daily else "minute"

    @property
    def sessions(self) -> Any:
        """Labels of all sessions."""
        return self._labels if self._is_daily else self._labels.tz_localize(None).normalize()

    @property
    def trading_calendar(self) -> Any:
        """Zipline's calendar."""
        return self._calendar

    @property
    def first_trading_day(self) -> Any:
        """The first session."""
        return self.sessions[0]

    @property
    def last_available_dt(self) -> Any:
        """The last label."""
        return self._labels[-1]

    def load_raw_arrays(self, columns: Any, start_date: Any, end_date: Any, assets: Any) -> Any:
        """Return one array for each column, shape (labels, assets)."""
        first = int(np.searchsorted(self._values, _stamp(start_date)))
        end = int(np.searchsorted(self._values, _stamp(end_date), side="right"))
        sids = [int(asset) for asset in assets]
        return [self._columns[name][first:end, sids] for name in columns]

    def get_value(self, sid: Any, dt: Any, field: str) -> float:
        """Return one value; NaN where the symbol has no bar."""
        row = self._rows.get(_stamp(dt))
        if row is None:
            raise NoDataOnDate(f"no bar at {dt}")
        value = self._columns[field][row, int(sid)]
        return 0.0 if field == "volume" and np.isnan(value) else value

    def get_last_traded_dt(self, asset: Any, dt: Any) -> Any:
        """Return the label of the asset's last bar at or before `dt`."""
        row = int(np.searchsorted(self._values, _stamp(dt), side="right")) - 1
        last = self._last[row, int(asset)] if row >= 0 else -1
        return self._labels[last] if last >= 0 else pd.NaT


def _stamp(moment: Any) -> int:
    return int(pd.Timestamp(moment).value)


@dataclass(frozen=True)
class World:
    """What a zipline algorithm runs in.

    Attributes:
        calendar: Its trading calendar.
        portal: Its data.
        finder: Its assets; sids are columns.
        first: First session.
        last: Last session.
        labels: All sessions, or all minutes.
        notes: What makes zipline differ on these bars.
    """

    calendar: Any
    portal: Any
    finder: Any
    first: Any
    last: Any
    labels: Any
    notes: list[str]


def make_world(
    folder: Path,
    *,
    symbols: Sequence[str],
    timestamps: Any,
    columns: Mapping[str, Any],
    splits: Any,
    dividends: Any,
    delisted: Sequence[int],
    calendar: str,
) -> World:
    """Return bars as zipline wants them.

    Args:
        folder: Where the tables of assets and adjustments go.
        symbols: Names; k of them.
        timestamps: Microseconds UTC, shape (n,): sessions at midnight, or minutes.
        columns: `open` to `volume`, raw, float64, shape (n, k).
        splits: New shares per old, shape (n, k).
        dividends: Cash per share, shape (n, k).
        delisted: Row of a delisted symbol's last bar, or -1.
        calendar: Name of the trading calendar.

    Raises:
        ValueError: If a bar is not on a session or minute of zipline's calendar of that name.
    """
    stamps = timestamps.astype(np.int64) * 1000
    is_daily = bool((stamps % _DAY == 0).all())
    first, last = (pd.Timestamp(int(stamps[row])).normalize() for row in (0, -1))
    start = first - pd.Timedelta(days=_EMPTY_DAYS[is_daily])
    begin = start - pd.Timedelta(days=30)
    if calendar in _AROUND_THE_CLOCK:
        known = _AROUND_THE_CLOCK[calendar](start=begin, side="right")
    else:
        known = get_calendar(calendar, start=begin, side="right")
    labels, stored = _on_calendar(known, start, last, stamps, columns, is_daily)
    finder = _finder(folder / "assets.sqlite", symbols, labels, stored, delisted, stamps)
    reader = MemoryReader(known, labels, stored, is_daily=is_daily)
    adjustments = _adjustments(folder / "adjustments.sqlite", reader, stamps, splits, dividends)
    named = "equity_daily_reader" if is_daily else "equity_minute_reader"
    portal = DataPortal(
        finder,
        trading_calendar=known,
        first_trading_day=reader.first_trading_day,
        adjustment_reader=adjustments,
        **{named: reader},
    )
    empty = int((columns["volume"] == 0.0).sum())
    notes = [f"{empty} bars have no volume; zipline fills nothing there"] if empty else []
    return World(known, portal, finder, first, last, labels, notes)


def _on_calendar(
    calendar: Any, start: Any, last: Any, stamps: Any, columns: Mapping[str, Any], is_daily: bool
) -> tuple[Any, dict[str, Any]]:
    if is_daily:
        labels = calendar.sessions_in_range(start, last)
    else:
        end = last + pd.Timedelta(days=1)
        labels = calendar.minutes_in_range(start.tz_localize("UTC"), end.tz_localize("UTC"))
    values = labels.as_unit("ns").asi8
    rows = np.searchsorted(values, stamps)
    off = (rows == len(values)) | (values[np.minimum(rows, len(values) - 1)] != stamps)
    if off.any():
        stamp = pd.Timestamp(int(stamps[int(np.argmax(off))]))
        raise ValueError(
            f"zipline's calendar {calendar.name} has no bar at {stamp}; {int(off.sum())} of"
            f" {len(stamps)} bars are not on it"
        )
    stored = {}
    for name in _FIELDS:
        grid = np.full((len(values), columns[name].shape[1]), np.nan)
        grid[rows] = columns[name]
        stored[name] = grid
    return labels, stored


def _finder(
    path: Path, symbols: Sequence[str], labels: Any, stored: Any, delisted: Any, stamps: Any
) -> Any:
    present = ~np.isnan(stored["close"])
    days = labels.tz_localize(None).normalize() if labels.tz is not None else labels
    starts = [days[int(np.argmax(column))] for column in present.T]
    ends = [days[-1] if row < 0 else pd.Timestamp(int(stamps[row])).normalize() for row in delisted]
    equities = pd.DataFrame(
        {
            "symbol": list(symbols),
            "asset_name": list(symbols),
            "start_date": starts,
            "end_date": ends,
            "first_traded": starts,
            "auto_close_date": [end + pd.Timedelta(days=1) for end in ends],
            "exchange": "BACKTRAIL",
        },
        index=range(len(symbols)),
    )
    exchanges = pd.DataFrame(
        {"exchange": ["BACKTRAIL"], "canonical_name": ["BACKTRAIL"], "country_code": ["US"]}
    )
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    AssetDBWriter(engine).write(equities=equities, exchanges=exchanges)
    return AssetFinder(engine)


def _adjustments(path: Path, reader: MemoryReader, stamps: Any, splits: Any, dividends: Any) -> Any:
    day = lambda row: pd.Timestamp(int(stamps[row])).normalize()  # noqa: E731
    split_rows = [
        {"sid": int(column), "effective_date": day(row), "ratio": 1.0 / splits[row, column]}
        for row, column in zip(*np.nonzero(splits != 1.0), strict=True)
    ]
    paid_rows = [
        {
            "sid": int(column),
            "amount": dividends[row, column],
            **{name: day(row) for name in ("ex_date", "record_date", "declared_date", "pay_date")},
        }
        for row, column in zip(*np.nonzero(dividends), strict=True)
    ]
    with SQLiteAdjustmentWriter(str(path), reader, overwrite=True) as writer:
        writer.write(
            splits=pd.DataFrame(split_rows) if split_rows else None,
            dividends=pd.DataFrame(paid_rows) if paid_rows else None,
        )
    # Dividends are paid in cash; zipline's histories would also be adjusted for them.
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM dividends")
    connection.close()
    return SQLiteAdjustmentReader(str(path))
