"""How far bars agree with their calendar: counted, recorded, refused where a config says so."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from backtrail.data.bundles import WAIVABLE_RULES, BundleConfig, Waiver
from backtrail.data.calendars import is_daily, timeframe_minutes
from backtrail.data.manifest import SymbolRecord
from backtrail.data.problems import MAX_PROBLEMS, BadRowsError, RowProblem, row_problem
from backtrail.data.sessions import Calendar, Sessions, sessions, sessions_around, table_range
from backtrail.data.stored_sessions import sessions_facts
from backtrail.errors import DatasetError

__all__ = ["check_sessions", "check_steps", "session_summary", "symbol_records", "waived_sessions"]

Int64Array = npt.NDArray[np.int64]

_US_PER_DAY: Final = 86_400_000_000
_US_PER_MINUTE: Final = 60_000_000
_FEWEST_STEPS: Final = 3
_MISSING: Final = "missing_session"
_EXTRA: Final = "off_session_bar"


@dataclass(frozen=True, slots=True, eq=False)
class _Attendance:
    """What a calendar says to the bars of one symbol.

    Attributes:
        missing: Sessions between first and last bar without any bar, datetime64[D].
        extra: Indices of the bars that are in no session.
    """

    missing: npt.NDArray[np.datetime64]
    extra: npt.NDArray[np.intp]


def symbol_records(
    bars: pl.DataFrame, calendar: Calendar, timeframe: str
) -> dict[str, SymbolRecord]:
    """Return rows, range and session counts of every symbol.

    Daily bars belong to the session of their date, shorter ones to the session between whose first
    and last minute they begin, whatever the zone: an evening bar of a future belongs to the next
    day's session, and half days end early. Bars longer than a day are not compared.

    Args:
        bars: Canonical bars in canonical order.
        calendar: The trading calendar.
        timeframe: Length of a bar.
    """
    records = {}
    for name, moments in _by_symbol(bars):
        found = _attendance(moments, calendar, timeframe)
        records[name] = SymbolRecord(
            rows=len(moments),
            first=_iso(int(moments[0])),
            last=_iso(int(moments[-1])),
            missing_sessions=None if found is None else len(found.missing),
            off_session_bars=None if found is None else len(found.extra),
        )
    return records


def session_summary(calendar: Calendar, records: Mapping[str, SymbolRecord]) -> dict[str, Any]:
    """Return the sessions a dataset was compared with, so that another calendar can be told.

    Args:
        calendar: The trading calendar.
        records: What there is of each symbol.

    Returns:
        `first` and `last` date of the bars, number of sessions (`count`), `early_closes` with their
        dates, and the `checksum` of all dates, openings and lengths; nothing where the calendar
        does not reach. For a table that the dataset stores also its `reach` and usual `year`.
    """
    first = date.fromisoformat(min(record.first for record in records.values())[:10])
    last = date.fromisoformat(max(record.last for record in records.values())[:10])
    facts = sessions_facts(calendar) if isinstance(calendar, Sessions) else {}
    known = table_range(calendar)
    if known is not None and (first < known[0] or last > known[1]):
        return facts
    table = sessions(calendar, first, last)
    columns = (table.dates.astype("<i8"), table.opens.astype("<i8"), table.minutes.astype("<i8"))
    # Beside their neighbors, for bars of a half day alone would make it a whole one.
    around = sessions_around(calendar, first, last)
    early = table.dates[table.minutes < around.minutes.max(initial=0)]
    return {
        "first": first.isoformat(),
        "last": last.isoformat(),
        "count": len(table),
        "early_closes": [str(day) for day in early],
        "checksum": hashlib.sha256(b"".join(item.tobytes() for item in columns)).hexdigest(),
        **facts,
    }


def check_sessions(
    bundle: BundleConfig, calendar: Calendar, bars: pl.DataFrame
) -> dict[int, list[dict[str, Any]]]:
    """Refuse gaps and bars off session when a bundle's `gaps` is `fail`.

    Args:
        bundle: With its policy and waivers.
        calendar: Its trading calendar.
        bars: Canonical bars in canonical order.

    Returns:
        What each waiver took, by the waiver's index.

    Raises:
        BadRowsError: Naming symbol and date of every session without a bar, and every bar in no
            session, that is not waived.
        DatasetError: If the calendar does not reach as far as the bars, or bars are longer than
            a day, so that nobody can tell.
    """
    taken: dict[int, list[dict[str, Any]]] = {}
    if bundle.gaps == "allow":
        return taken
    problems: list[RowProblem] = []
    counts: dict[str, int] = {}
    for symbol, moments in _by_symbol(bars):
        for rule, at, why in _faults(bundle, calendar, moments):
            index = _waiver_of(bundle.waivers, rule, symbol, at)
            if index is not None:
                row = {"file": bundle.name, "line": 0, "symbol": symbol, "at": at, "values": {}}
                taken.setdefault(index, []).append(row)
                continue
            counts[rule] = counts.get(rule, 0) + 1
            if len(problems) < MAX_PROBLEMS:
                problems.append(
                    row_problem(
                        file=bundle.name,
                        line=0,
                        symbol=symbol,
                        at=at,
                        column="timestamp",
                        value=None if rule == _MISSING else at,
                        rule=rule,
                        why=why,
                    )
                )
    if problems:
        raise BadRowsError(problems, counts)
    return taken


def check_steps(bundle: BundleConfig, bars: pl.DataFrame) -> None:
    """Refuse bars of a shorter timeframe than the bundle says.

    A single short step is usual: the first hour of a session may have thirty minutes, the last week
    a few days.

    Args:
        bundle: With its timeframe.
        bars: Canonical bars in canonical order.

    Raises:
        DatasetError: If most bars of a symbol begin before the one before them is over.
    """
    length = (timeframe_minutes(bundle.timeframe) or 0) * _US_PER_MINUTE
    for symbol, moments in _by_symbol(bars):
        steps = np.diff(moments)
        short = int((steps < length).sum())
        if len(steps) >= _FEWEST_STEPS and 2 * short > len(steps):
            usual = _in_words(float(np.median(steps)) / _US_PER_MINUTE)
            raise DatasetError(
                f"bundle {bundle.name!r} has the timeframe {bundle.timeframe}, and the bars of "
                f"{symbol} stand {usual} apart ({short:,} of {len(steps):,} steps are "
                "shorter than a bar); write the timeframe of the source, and `resample_from` to "
                "make longer bars of them"
            )


def _in_words(minutes: float) -> str:
    count, unit = (minutes / 1440, "day") if minutes >= 1440 else (minutes, "minute")
    return f"{count:g} {unit}{'' if count == 1 else 's'}"


def waived_sessions(
    reports: Sequence[Mapping[str, Any]], taken: Mapping[int, list[dict[str, Any]]]
) -> tuple[Mapping[str, Any], ...]:
    """Return the reports of waivers with what `check_sessions` let pass."""
    return tuple(
        {**report, "action": WAIVABLE_RULES[report["rule"]], "rows": taken[index]}
        if index in taken
        else report
        for index, report in enumerate(reports)
    )


def _by_symbol(bars: pl.DataFrame) -> Iterator[tuple[str, Int64Array]]:
    if not bars.height:
        return
    symbols = bars["symbol"]
    coded = symbols.cast(pl.Categorical) if symbols.dtype == pl.String else symbols
    codes = coded.to_physical().to_numpy()
    moments = bars["timestamp"].to_physical().to_numpy()
    bounds = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist(), len(codes)]
    for start, end in pairwise(bounds):
        yield str(symbols[start]), moments[start:end]


def _faults(
    bundle: BundleConfig, calendar: Calendar, moments: Int64Array
) -> Iterator[tuple[str, str, str]]:
    found = _attendance(moments, calendar, bundle.timeframe)
    if found is None:
        known = table_range(calendar)
        reach = f"{known[0]} to {known[1]}" if known is not None else "every day"
        raise DatasetError(
            f"bundle {bundle.name!r} has gaps: fail, and nobody can tell gaps in bars of "
            f"{bundle.timeframe} from {_iso(int(moments[0]))} to {_iso(int(moments[-1]))}: "
            f"{bundle.calendar} is known from {reach}, for bars of a day and shorter; write "
            "gaps: allow"
        )
    for day in found.missing:
        yield _MISSING, str(day), f"a session of {bundle.calendar} has no bar"
    for index in found.extra:
        at = _iso(int(moments[index])).replace("T00:00:00Z", "")
        yield _EXTRA, at, f"no session of {bundle.calendar} has this bar"


def _waiver_of(waivers: Sequence[Waiver], rule: str, symbol: str, at: str) -> int | None:
    for index, waiver in enumerate(waivers):
        dates = [day.isoformat() for day in waiver.dates]
        if (
            waiver.rule == rule
            and (not waiver.symbols or symbol in waiver.symbols)
            and (not dates or at[:10] in dates)
        ):
            return index
    return None


def _iso(microseconds: int) -> str:
    moment = datetime.fromtimestamp(microseconds // 1_000_000, tz=UTC)
    moment = moment.replace(microsecond=microseconds % 1_000_000)
    return moment.isoformat().replace("+00:00", "Z")


def _attendance(moments: Int64Array, calendar: Calendar, timeframe: str) -> _Attendance | None:
    """Compare a symbol's bars with the sessions; None where the calendar does not reach."""
    days = moments // _US_PER_DAY
    first, last = (np.datetime64(int(day), "D").astype(object) for day in (days[0], days[-1]))
    known = table_range(calendar)
    if known is not None and (first < known[0] or last > known[1]):
        return None
    if is_daily(timeframe):
        if timeframe != "1d":
            return None
        expected = sessions(calendar, first, last)
        dates = days.astype("datetime64[D]")
        extra = np.flatnonzero(~np.isin(dates, expected.dates))
        return _Attendance(np.setdiff1d(expected.dates, dates), extra)
    # A bar is in the last session that opened before it, if that has not closed.
    expected = sessions_around(calendar, first, last)
    place = np.searchsorted(expected.opens, moments, side="right") - 1
    if not len(expected):
        return _Attendance(expected.dates, np.arange(len(moments)))
    closes = expected.closes
    inside = (place >= 0) & (moments < closes[np.maximum(place, 0)])
    attended = np.zeros(len(expected), dtype=np.bool_)
    attended[place[inside]] = True
    between = (expected.opens <= moments[-1]) & (closes > moments[0])
    return _Attendance(expected.dates[~attended & between], np.flatnonzero(~inside))
