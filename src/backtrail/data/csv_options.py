"""Options of the `csv` adapter: what a config states about files, so that nothing is looked for.

Every part of a dialect is found from the files unless it is given here:

- `columns`: mapping of canonical name (`timestamp`, `time`, `open`, …, `dividend`, `split`,
  `symbol`) to the header's name, or to the position from 1. `volume: null` says that the source
  has no volume; it is stored as 0.
- `comment`: how lines begin that are no data, such as `#`; empty for none.
- `date_format`: strptime format, or `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`.
- `decimal`: `.` or `,`.
- `delimiter`: one character between cells.
- `encoding`: of the text, where it is neither UTF-8 nor begins with a byte order mark.
- `files`: mapping of symbol to file name or pattern, or one pattern for all, such as
  `{symbol}.us.txt` or `{symbol}-1m-*.zip`.
- `header`: whether the first line names the columns.
- `null_values`: cells that mean no value, besides the empty one.
- `quote`: the character around cells.
- `skip_lines`: lines before the header, or before the first row where there is none.
- `split_adjusted`: whether prices are already adjusted for the splits in the split column (Yahoo's
  are); the splits are then listed in the manifest and not applied again.
- `symbol`: symbol of a single file.
- `thousands`: the character between groups of three digits.
- `timezone`: zone of times without one, and of the session date of daily bars with a time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from backtrail.errors import Problem

__all__ = [
    "CANONICAL_COLUMNS",
    "CSV_OPTIONS",
    "PARQUET_OPTIONS",
    "CsvOptions",
    "file_option_problems",
]

CANONICAL_COLUMNS: Final = (
    "symbol",
    "timestamp",
    "time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "dividend",
    "split",
)
"""Names that `columns` may map; `time` is the time of day beside a date in `timestamp`."""

_TEXTS: Final = ("date_format", "encoding", "symbol", "timezone")
_CHARACTERS: Final = ("decimal", "delimiter", "quote", "thousands")
_SWITCHES: Final = ("header", "split_adjusted")


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """What a config says about CSV files; None where it is to be found in them."""

    columns: Mapping[str, str | int | None] = field(default_factory=dict)
    comment: str | None = None
    date_format: str | None = None
    decimal: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    files: Mapping[str, str] | str | None = None
    header: bool | None = None
    null_values: tuple[str, ...] | None = None
    quote: str | None = None
    skip_lines: int | None = None
    split_adjusted: bool = False
    symbol: str | None = None
    thousands: str | None = None
    timezone: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "CsvOptions":
        """Return the options of a checked `BundleConfig.options`."""
        values = {key: value for key, value in options.items() if value is not None}
        if "null_values" in values:
            values["null_values"] = tuple(values["null_values"])
        return cls(**values)

    @property
    def given(self) -> tuple[str, ...]:
        """Parts of the dialect that were stated, sorted."""
        naming = {"files", "symbol", "split_adjusted"}
        found = (item.name for item in fields(self) if item.name not in naming)
        return tuple(sorted(name for name in found if getattr(self, name) not in (None, {})))


CSV_OPTIONS: Final = frozenset(item.name for item in fields(CsvOptions))
"""Keys that the options of a `csv` bundle may have."""


PARQUET_OPTIONS: Final = frozenset(
    {"columns", "date_format", "files", "split_adjusted", "symbol", "timezone"}
)
"""Keys that the options of a `parquet` bundle may have; they mean the same."""


def file_option_problems(where: str, options: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the options of a bundle that reads files.

    Args:
        where: Key of the bundle in messages, such as `bundles.prices`.
        options: Keys of `CSV_OPTIONS` with any values.
    """
    problems = []
    for key, remedy in _kind_mistakes(options):
        problems.append(Problem(f"{where}.{key}", repr(options[key]), remedy))
    wrong = {problem.where.rpartition(".")[2] for problem in problems}
    sound = {key: value for key, value in options.items() if key not in wrong}
    for key, remedy in _meaning_mistakes(sound):
        problems.append(Problem(f"{where}.{key}", repr(options[key]), remedy))
    if sound.get("files") and sound.get("symbol"):
        remedy = "give `symbol` for a single file, `files` for a folder"
        problems.append(Problem(where, "both `symbol` and `files`", remedy))
    problems += _column_problems(f"{where}.columns", sound)
    return problems


def _kind_mistakes(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    mistakes = []
    for key, value in options.items():
        if value is None:
            continue
        if key in _TEXTS and not (isinstance(value, str) and value):
            mistakes.append((key, "write a text"))
        elif key == "comment" and not isinstance(value, str):
            mistakes.append((key, "write a text, such as '#'; '' for no comments"))
        elif key in _CHARACTERS and not (isinstance(value, str) and len(value) == 1):
            mistakes.append((key, "write one character"))
        elif key in _SWITCHES and not isinstance(value, bool):
            mistakes.append((key, "write true or false"))
        elif key == "columns" and not (isinstance(value, Mapping) and value):
            mistakes.append((key, "write a mapping"))
        elif key == "files" and not (isinstance(value, Mapping | str) and value):
            mistakes.append((key, "write a mapping, or a pattern such as '{symbol}.txt'"))
        elif key == "skip_lines" and not (type(value) is int and value >= 0):
            mistakes.append((key, "write a number of lines"))
        elif key == "null_values" and not (
            isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        ):
            mistakes.append((key, "write a list of texts, in quotes"))
    return mistakes


def _meaning_mistakes(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    mistakes = []
    decimal, delimiter = options.get("decimal"), options.get("delimiter")
    if decimal is not None and decimal not in ".,":
        mistakes.append(("decimal", "write '.' or ','"))
    if options.get("thousands") is not None:
        if re.match(r"[\w+-]", options["thousands"]):
            mistakes.append(("thousands", "no letter, digit or sign"))
        elif options["thousands"] == (decimal or ""):
            mistakes.append(("thousands", "decimal and thousands are two characters"))
    if delimiter is not None and (delimiter.isalnum() or delimiter in '\r\n".'):
        mistakes.append(("delimiter", "no letter, digit, dot, quote or line break"))
    if options.get("encoding") is not None:
        try:
            "x".encode(options["encoding"])
        except LookupError:
            mistakes.append(("encoding", "unknown; write such as cp1252, latin-1 or utf-16-le"))
    return mistakes


def _column_problems(where: str, options: Mapping[str, Any]) -> list[Problem]:
    problems = []
    for name, value in (options.get("columns") or {}).items():
        if name not in CANONICAL_COLUMNS:
            known = ", ".join(CANONICAL_COLUMNS)
            problems.append(Problem(f"{where}.{name}", "unknown column", f"known ones: {known}"))
        elif value is None and name != "volume":
            remedy = "only `volume` may be missing; write the header's name"
            problems.append(Problem(f"{where}.{name}", "null", remedy))
        elif value is not None and not (
            (isinstance(value, str) and value) or (type(value) is int and value >= 1)
        ):
            remedy = "write the header's name, or the position from 1"
            problems.append(Problem(f"{where}.{name}", repr(value), remedy))
    return problems
