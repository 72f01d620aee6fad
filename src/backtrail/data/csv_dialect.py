"""How one CSV file is written: delimiter, columns, form of its timestamps."""

import csv
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl

from backtrail.data.bundles import BundleConfig
from backtrail.data.calendars import is_daily
from backtrail.data.sources import SYMBOL_COLUMNS
from backtrail.errors import ConfigError, DatasetError, Problem

__all__ = [
    "NULL_VALUES",
    "CsvDialect",
    "detect_columns",
    "detect_time",
    "has_time_of_day",
    "parse_timestamps",
]

NULL_VALUES: Final = ("null", "NULL", "Null", "NA", "N/A", "None")
"""Cells that mean no value, besides the empty one."""

REQUIRED: Final = ("timestamp", "open", "high", "low", "close", "volume")
_SYNONYMS: Final[Mapping[str, frozenset[str]]] = {
    "symbol": SYMBOL_COLUMNS,
    "timestamp": frozenset({"date", "datetime", "date_time", "time", "timestamp", "timestamp_utc"}),
    "open": frozenset({"open", "o"}),
    "high": frozenset({"high", "h"}),
    "low": frozenset({"low", "l"}),
    "close": frozenset({"close", "c"}),
    "volume": frozenset({"volume", "vol", "v"}),
    "dividend": frozenset({"dividend", "dividends"}),
    "split": frozenset({"split", "splits", "stock_splits"}),
}
_EPOCHS: Final = {10: "epoch_s", 13: "epoch_ms", 16: "epoch_us"}
_EPOCH_UNITS: Final = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
_DATES: Final = (
    (re.compile(r"\d{4}-\d{2}-\d{2}"), "%Y-%m-%d"),
    (re.compile(r"\d{4}/\d{2}/\d{2}"), "%Y/%m/%d"),
    (re.compile(r"\d{8}"), "%Y%m%d"),
)
_DAY_OR_MONTH_FIRST: Final = re.compile(r"\d{1,2}([/.-])\d{1,2}\1\d{4}")
_REST: Final = re.compile(r"([T ])(\d{1,2}:\d{2})(:\d{2})?(\.\d{1,9})?(Z|[+-]\d{2}:?\d{2})?")
_HAS_TIME: Final = re.compile(r"%(H|I|T|R|X|c|s|\+)")
_HAS_ZONE: Final = re.compile(r"%(z|:z|#z|\+)|(?<!%)Z$")
_SAMPLE: Final = 200
_EARLIEST: Final = datetime(1700, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """What was found, or given, about one file.

    Attributes:
        delimiter: Between cells.
        columns: Canonical name to the file's header name.
        ignored: Header names that were not read, such as `Adj Close`.
        date_format: strptime format, or `epoch_s`, `epoch_ms`, `epoch_us`.
        timezone: Zone of the timestamps; None for plain dates.
        found_by: For each choice that was not plain: the evidence.
    """

    delimiter: str
    columns: Mapping[str, str]
    ignored: tuple[str, ...]
    date_format: str = ""
    timezone: str | None = None
    found_by: str = ""

    def to_mapping(self) -> dict[str, Any]:
        """Return the dialect as plain values for a manifest."""
        return {
            "delimiter": self.delimiter,
            "columns": dict(self.columns),
            "ignored": list(self.ignored),
            "date_format": self.date_format,
            "timezone": self.timezone,
            "found_by": self.found_by,
            "null_values": ["", *NULL_VALUES],
        }


def detect_columns(bundle: BundleConfig, label: str, first_line: str) -> CsvDialect:
    """Return delimiter and columns of a file from its first line and the bundle's options.

    Raises:
        DatasetError: If a needed column is missing, or two could be meant.
        ConfigError: If `options.columns` names a column that the file has not.
    """
    delimiter = bundle.options.get("delimiter") or max(",;\t|", key=first_line.count)
    try:
        header = next(csv.reader([first_line], delimiter=delimiter), [])
    except csv.Error as error:
        raise DatasetError(f"{label}: the header {first_line!r} is no CSV: {error}") from error
    if len(set(header)) != len(header):
        raise DatasetError(f"{label}: the header {header} names a column twice")
    given = {str(key): str(value) for key, value in (bundle.options.get("columns") or {}).items()}
    _check_given(bundle, label, given, header)
    columns = dict(given)
    for name, synonyms in _SYNONYMS.items():
        if name in columns:
            continue
        free = [item for item in header if _plain(item) in synonyms and item not in given.values()]
        if len(free) > 1:
            raise DatasetError(
                f"{label}: {' and '.join(free)} could both be the {name}; "
                f"name one in options.columns, such as {{{name}: {free[0]}}}"
            )
        if free:
            columns[name] = free[0]
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise DatasetError(
            f"{label}: no column for {', '.join(missing)} in the header {header} "
            f"(delimiter {delimiter!r}); name them in options.columns"
        )
    ignored = tuple(item for item in header if item not in columns.values())
    return CsvDialect(delimiter, dict(sorted(columns.items())), ignored)


def detect_time(
    bundle: BundleConfig, label: str, column: str, values: pl.Series
) -> tuple[str, str | None, str]:
    """Return the format of timestamps, their zone, and by what both were found.

    Args:
        bundle: Its `date_format` and `timezone` options come first.
        label: Name of the file in messages.
        column: Header name of the column.
        values: All its cells, as text.

    Raises:
        DatasetError: If the cells could mean different moments; nothing is guessed.
    """
    form = bundle.options.get("date_format")
    evidence = "options.date_format"
    if not form:
        form, evidence = _detect_format(label, column, values)
    zone = bundle.options.get("timezone")
    if form in _EPOCH_UNITS or _HAS_ZONE.search(form):
        evidence += "; options.timezone" if zone else "; zone in the cells"
        return form, zone or "UTC", evidence
    if zone:
        return form, zone, f"{evidence}; options.timezone"
    if column.lower().endswith(("_utc", "(utc)", " utc")):
        return form, "UTC", f"{evidence}; zone from the column name {column}"
    if is_daily(bundle.timeframe):
        return form, None, evidence
    raise DatasetError(
        f"{label}: the times in {column} ({_first(values)!r}) have no zone; "
        "give options.timezone, such as America/New_York or UTC"
    )


def has_time_of_day(form: str) -> bool:
    """Say whether a date format tells more than the date."""
    return form in _EPOCH_UNITS or _HAS_TIME.search(form) is not None


def parse_timestamps(form: str, zone: str | None, *, daily: bool) -> pl.Expr:
    """Return an expression from a text column `timestamp` to canonical timestamps.

    What cannot be parsed, local times that exist twice or never (daylight saving), and years
    outside 1700 to 2200 become null. Daily bars become midnight UTC of the date in their zone.

    Args:
        form: A strptime format or an epoch name.
        zone: Zone of the times; None for plain dates.
        daily: Whether bars are labelled by date.
    """
    text = pl.col("timestamp")
    aware = form in _EPOCH_UNITS or _HAS_ZONE.search(form) is not None
    if form in _EPOCH_UNITS:
        ticks = text.cast(pl.Int64, strict=False) * _EPOCH_UNITS[form]
        moment = ticks.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    elif not _HAS_TIME.search(form):
        moment = text.str.to_date(form, strict=False, cache=False).cast(pl.Datetime("us"))
    else:
        moment = text.str.to_datetime(form, strict=False, time_unit="us", cache=False)
        if aware and form.endswith("Z"):  # a literal Z, which strptime reads as a letter
            moment = moment.dt.replace_time_zone("UTC")
    if daily:
        if aware and zone:
            moment = moment.dt.convert_time_zone(zone)
        utc = moment.dt.date().cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    elif aware:
        utc = moment.dt.convert_time_zone("UTC")
    else:
        local = moment.dt.replace_time_zone(zone or "UTC", ambiguous="null", non_existent="null")
        utc = local.dt.convert_time_zone("UTC")
    return pl.when(utc.is_between(_EARLIEST, _LATEST)).then(utc)


def _plain(header: str) -> str:
    return re.sub(r"[\s_]+", "_", header.strip().lower())


def _first(values: pl.Series) -> str:
    known = values.drop_nulls()
    return str(known[0]) if len(known) else ""


def _check_given(
    bundle: BundleConfig, label: str, given: Mapping[str, str], header: list[str]
) -> None:
    where = f"bundles.{bundle.name}.options.columns"
    problems = []
    for name, item in given.items():
        if name not in _SYNONYMS:
            known = ", ".join(_SYNONYMS)
            problems.append(Problem(f"{where}.{name}", "unknown column", f"known ones: {known}"))
        elif item not in header:
            near = difflib.get_close_matches(item, header, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            listed = ", ".join(header)
            found = f"{item!r} is not in the header of {label}"
            problems.append(Problem(f"{where}.{name}", found, f"{hint}it has: {listed}"))
    if problems:
        raise ConfigError(problems)


def _detect_format(label: str, column: str, values: pl.Series) -> tuple[str, str]:
    known = values.drop_nulls()
    if not len(known):
        raise DatasetError(f"{label}: the column {column} holds no timestamp")
    sample = [str(item).strip() for item in known.head(_SAMPLE).to_list()]
    forms = {_form_of(item) for item in sample}
    unknown = next((item for item in sample if _form_of(item) is None), None)
    if unknown is not None and len(forms) == 1:
        raise DatasetError(
            f"{label}: the form of {unknown!r} in {column} is unknown; give options.date_format, "
            "such as '%Y-%m-%d %H:%M', epoch_s, epoch_ms or epoch_us"
        )
    forms.discard(None)
    if len(forms) > 1:
        listed = " and ".join(sorted(str(form) for form in forms))
        raise DatasetError(f"{label}: {column} mixes {listed}; give options.date_format")
    form = str(forms.pop())
    if "{day_or_month}" not in form:
        return form, "the cells' form"
    return _prove_day_month(label, column, known, form)


def _form_of(cell: str) -> str | None:
    if cell.isascii() and cell.isdigit() and len(cell) in _EPOCHS:
        return _EPOCHS[len(cell)]
    for pattern, form in _DATES:
        if match := pattern.match(cell):
            return _with_time(form, cell[match.end() :])
    if match := _DAY_OR_MONTH_FIRST.match(cell):
        return _with_time(f"{{day_or_month}}{match[1]}%Y", cell[match.end() :])
    return None


def _with_time(form: str, rest: str) -> str | None:
    if not rest:
        return form
    match = _REST.fullmatch(rest)
    if match is None:
        return None
    separator, _, seconds, fraction, zone = match.groups()
    form += f"{separator}%H:%M"
    form += ":%S" if seconds else ""
    form += "%.f" if fraction else ""
    return form + ("Z" if zone == "Z" else "%z" if zone else "")


def _prove_day_month(label: str, column: str, values: pl.Series, form: str) -> tuple[str, str]:
    separator = form.removeprefix("{day_or_month}")[0]
    numbers = values.str.strip_chars().str.extract_groups(r"^(\d{1,2})[/.-](\d{1,2})[/.-]")
    pair = numbers.struct.unnest().select(pl.all().cast(pl.Int32, strict=False).max()).row(0)
    first, second = (int(item or 0) for item in pair)
    if first > 12 >= second:
        order, proof = ("%d", "%m"), f"day first: {column} has {first} in first place"
    elif second > 12 >= first:
        order, proof = ("%m", "%d"), f"month first: {column} has {second} in second place"
    else:
        both = first > 12
        why = "has both orders" if both else "could be day first or month first in every row"
        raise DatasetError(
            f"{label}: {column} ({_first(values)!r}) {why}; give options.date_format, such as "
            f"'%m{separator}%d{separator}%Y' or '%d{separator}%m{separator}%Y', with the time "
            "if there is one"
        )
    return form.replace("{day_or_month}", separator.join(order)), proof
