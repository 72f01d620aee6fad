"""The form and the zone of timestamps, found from cells, and proved where it could be two."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from backtrail.data.calendars import is_daily
from backtrail.data.time_forms import TimeForm
from backtrail.errors import DatasetError

__all__ = ["detect_time", "find_zone"]

_EPOCH_DIGITS: Final = ((11, "epoch_s"), (14, "epoch_ms"), (17, "epoch_us"), (20, "epoch_ns"))
_EPOCH: Final = re.compile(r"-?(\d{1,20})(\.\d+)?")
_DATES: Final = (
    (re.compile(r"\d{4}-\d{1,2}-\d{1,2}"), "%Y-%m-%d"),
    (re.compile(r"\d{4}/\d{1,2}/\d{1,2}"), "%Y/%m/%d"),
    (re.compile(r"\d{4}\.\d{1,2}\.\d{1,2}"), "%Y.%m.%d"),
    (re.compile(r"\d{8}(?!\d)"), "%Y%m%d"),
    (re.compile(r"\d{1,2}-[A-Za-z]{3}-\d{4}"), "%d-%b-%Y"),
    (re.compile(r"\d{1,2} [A-Za-z]{3} \d{4}"), "%d %b %Y"),
    (re.compile(r"\d{1,2} [A-Za-z]{4,9} \d{4}"), "%d %B %Y"),
    (re.compile(r"[A-Za-z]{3} \d{1,2}, \d{4}"), "%b %d, %Y"),
    (re.compile(r"[A-Za-z]{4,9} \d{1,2}, \d{4}"), "%B %d, %Y"),
)
_DAY_OR_MONTH_FIRST: Final = re.compile(r"\d{1,2}([/.-])\d{1,2}\1\d{4}")
_TIME: Final = re.compile(
    r"([T ])(\d{1,2}:\d{2}|\d{4}(?=\d{2}$|$))(:\d{2}|\d{2})?(\.\d{1,9})?( ?[AaPp][Mm])?"
    r"(Z| ?UTC| ?GMT| ?[+-]\d{2}:?\d{2})?"
)
_UTC_NAME: Final = re.compile(
    r"[\s_(](utc|gmt)\)?$|^(utc|gmt)[\s_](?![\s_]*[-+]?\d)", re.IGNORECASE
)
_PACKED: Final = {10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_PACKED_YEARS: Final = range(1900, 2100)


def detect_time(
    label: str,
    column: str,
    cells: Sequence[str],
    largest: Callable[[], tuple[int, int]],
    *,
    timeframe: str,
    date_format: str | None = None,
    timezone: str | None = None,
) -> TimeForm:
    """Return the form and the zone of timestamps.

    Args:
        label: Name of the file in messages.
        column: Header name of the column.
        cells: The first of its cells that are not empty.
        largest: Returns the largest first and second number of all cells such as `3/4/2020`.
        timeframe: Length of a bar.
        date_format: The option; None to look at the cells.
        timezone: The option.

    Raises:
        DatasetError: If the cells could mean different moments; nothing is guessed.
    """
    form, evidence = date_format, "options.date_format"
    if not form:
        form, evidence = _detect_form(label, column, cells, largest)
    first = cells[0] if cells else ""
    return find_zone(label, column, form, evidence, first, timeframe=timeframe, timezone=timezone)


def find_zone(
    label: str,
    column: str,
    form: str,
    evidence: str,
    cell: str,
    *,
    timeframe: str,
    timezone: str | None,
) -> TimeForm:
    """Return a form with the zone of its times.

    Args:
        label: Name of the file in messages.
        column: Header name of the column.
        form: As in `TimeForm`.
        evidence: How the form was found.
        cell: One of the cells, for a message.
        timeframe: Length of a bar.
        timezone: The option; None to look.

    Raises:
        DatasetError: If bars shorter than a day have no time of day, or their times no zone.
    """
    found = TimeForm(form, timezone, evidence)
    if not found.has_time and not is_daily(timeframe):
        raise DatasetError(
            f"{label}: {column} ({cell!r}) has dates without a time of day, and bars of "
            f"{timeframe} need one; write timeframe: 1d, or name the column with the time in "
            "`columns.time`"
        )
    if found.has_zone:
        evidence += "; options.timezone" if timezone else "; zone in the cells"
        as_written = is_daily(timeframe) and not found.counts_from_utc
        return TimeForm(form, timezone or (None if as_written else "UTC"), evidence)
    if timezone:
        return TimeForm(form, timezone, f"{evidence}; options.timezone")
    if _UTC_NAME.search(column) and found.has_time:
        return TimeForm(form, "UTC", f"{evidence}; zone from the column name {column}")
    if is_daily(timeframe):
        return found
    raise DatasetError(
        f"{label}: the times in {column} ({cell!r}) have no zone; "
        "give `timezone`, such as America/New_York or UTC"
    )


def _detect_form(
    label: str, column: str, cells: Sequence[str], largest: Callable[[], tuple[int, int]]
) -> tuple[str, str]:
    if not cells:
        raise DatasetError(f"{label}: the column {column} holds no timestamp")
    epoch = _epoch_form(cells)
    packed = _packed_form(cells)
    if packed == _PACKED[14]:
        return packed, "the cells' form"  # as an epoch, years beyond 2500
    if packed is not None:
        raise DatasetError(_could_be_epoch(label, column, cells[0], packed, str(epoch)))
    if epoch is not None:
        return epoch, "the number of digits"
    forms = {cell: _form_of(cell) for cell in cells}
    unknown = next((cell for cell, form in forms.items() if form is None), None)
    known = {form for form in forms.values() if form is not None}
    if unknown is not None and not known:
        raise DatasetError(
            f"{label}: the form of {unknown[:80]!r} in {column} is unknown; give "
            "`date_format`, such as '%Y-%m-%d %H:%M', epoch_s, epoch_ms or epoch_us"
        )
    if len(known) > 1:
        listed = " and ".join(sorted(known)).replace("{day_or_month}", "%d/%m ")
        raise DatasetError(f"{label}: {column} mixes {listed}; give `date_format`")
    form = known.pop()
    if "{day_or_month}" not in form:
        return form, "the cells' form"
    return _prove_day_month(label, column, cells[0], form, largest())


def _epoch_form(cells: Sequence[str]) -> str | None:
    matches = [_EPOCH.fullmatch(cell) for cell in cells]
    digits = [len(match[1]) for match in matches if match is not None]
    if len(digits) < len(cells) or max(digits) < 9:  # eight digits are a date
        return None
    return next(name for most, name in _EPOCH_DIGITS if max(digits) <= most)


def _packed_form(cells: Sequence[str]) -> str | None:
    """Return the form of cells such as 202001020930, when each of them is such a date and time."""
    form = _PACKED.get(len(cells[0]))
    same = all(cell.isascii() and cell.isdigit() and len(cell) == len(cells[0]) for cell in cells)
    if form is None or not same:
        return None
    try:
        years = {datetime.strptime(cell, form).replace(tzinfo=UTC).year for cell in cells}
    except ValueError:
        return None
    return form if years <= set(_PACKED_YEARS) else None


def _could_be_epoch(label: str, column: str, cell: str, packed: str, epoch: str) -> str:
    unit = 1 if epoch == "epoch_s" else 1000
    moment = datetime.fromtimestamp(int(cell) / unit, tz=UTC)
    remedy = f"give `date_format`, {packed!r} or {epoch}"
    if packed == _PACKED[10]:
        remedy = f"give `date_format`: {epoch}, or write hours as 2020-01-02 09:00"
    return (
        f"{label}: {cell!r} in {column} could be year, month, day and time ({cell[:4]}-{cell[4:6]}-"
        f"{cell[6:8]}) or count from 1970 ({moment:%Y-%m-%d}); {remedy}"
    )


def _form_of(cell: str) -> str | None:
    for pattern, form in _DATES:
        if match := pattern.match(cell):
            return _with_time(form, cell[match.end() :])
    if match := _DAY_OR_MONTH_FIRST.match(cell):
        return _with_time(f"{{day_or_month}}{match[1]}%Y", cell[match.end() :])
    return None


def _with_time(form: str, rest: str) -> str | None:
    if not rest:
        return form
    match = _TIME.fullmatch(rest)
    if match is None:
        return None
    separator, clock, seconds, fraction, half, zone = match.groups()
    form += f"{separator}{'%I' if half else '%H'}{':' if ':' in clock else ''}%M"
    form += f"{':' if seconds.startswith(':') else ''}%S" if seconds else ""
    form += "%.f" if fraction else ""
    form += f"{' ' if half.startswith(' ') else ''}%p" if half else ""
    if zone is None or zone in ("Z", "UTC", "GMT", " UTC", " GMT"):
        return form + (zone or "")
    return form + ("" if not zone.startswith(" ") else " ") + "%z"


def _prove_day_month(
    label: str, column: str, cell: str, form: str, largest: tuple[int, int]
) -> tuple[str, str]:
    separator = form.removeprefix("{day_or_month}")[0]
    first, second = largest
    if first > 12 >= second:
        order, proof = ("%d", "%m"), f"day first: {column} has {first} in first place"
    elif second > 12 >= first:
        order, proof = ("%m", "%d"), f"month first: {column} has {second} in second place"
    else:
        both = first > 12
        why = "has both orders" if both else "could be day first or month first in every row"
        raise DatasetError(
            f"{label}: {column} ({cell!r}) {why}; give `date_format`, such as "
            f"'%m{separator}%d{separator}%Y' or '%d{separator}%m{separator}%Y', with the time "
            "if there is one"
        )
    return form.replace("{day_or_month}", separator.join(order)), proof
