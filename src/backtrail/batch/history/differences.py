"""The first place at which two artifacts differ: row, column and both values."""

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import polars as pl

__all__ = ["FirstDifference", "first_difference", "first_table_difference", "plain_value"]

_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """Where two artifacts part.

    Attributes:
        row: Row of a table, or line of a text; 1 is the first. None where there are no rows.
        column: Column of a table, path inside JSON, or position of a byte; None for a whole row.
        before: What the first one has there; None for nothing.
        after: What the second one has there.
        at: Time and symbol of the row, where the table has them.
        unit: What is counted: `row`, or `line` of a text.
    """

    row: int | None
    column: str | None
    before: Any
    after: Any
    at: str | None = None
    unit: str = "row"

    def __str__(self) -> str:
        row = "" if self.row is None else f"{self.unit} {self.row}"
        row += f" ({self.at})" if self.at else ""
        where = ", ".join(part for part in (row, self.column) if part)
        return f"{where}: {_shown(self.before)} -> {_shown(self.after)}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else value if isinstance(value, str) else repr(value)


def first_difference(before: Path, after: Path) -> FirstDifference | None:
    """Compare two files by what they hold, and return where they part; None for equal content.

    Parquet and CSV are compared value by value, JSON by its values, everything else by lines. So
    layout, compression, spacing, and `1.0` for `1` are no difference; bytes are not looked at.
    A file that cannot be read as what its name says is compared as text.
    """
    readers: dict[str, Callable[[Path, Path], FirstDifference | None]] = {
        ".parquet": _parquet_difference,
        ".csv": _csv_difference,
        ".json": _json_difference,
    }
    reader = readers.get(before.suffix)
    if reader is not None:
        with suppress(pl.exceptions.PolarsError, ValueError, OSError, csv.Error):
            return reader(before, after)
    return _text_difference(before.read_bytes(), after.read_bytes())


def _parquet_difference(before: Path, after: Path) -> FirstDifference | None:
    return first_table_difference(pl.read_parquet(before), pl.read_parquet(after))


def first_table_difference(
    before: pl.DataFrame, after: pl.DataFrame, columns: Sequence[str] | None = None
) -> FirstDifference | None:
    """Return the first row, and in it the first column, whose values differ.

    A missing value equals a missing one; −0.0 equals 0.0; NaN equals NaN.

    Args:
        before: A table.
        after: Another one.
        columns: Columns that count; all when None, and then their types and order count as well.
    """
    if columns is None:
        types = [[f"{name} {dtype}" for name, dtype in f.schema.items()] for f in (before, after)]
        for number, (old, new) in enumerate(zip_longest(*types), start=1):
            if old != new:
                return FirstDifference(None, f"column {number}", old, new)
    names = list(before.columns if columns is None else columns)
    common = min(before.height, after.height)
    rows: list[tuple[int, str]] = []
    for name in names:
        differs = before[name].head(common).ne_missing(after[name].head(common))
        if differs.any():
            rows.append((int(differs.arg_true()[0]), name))
    if rows:
        row = min(row for row, _ in rows)
        name = next(name for found, name in rows if found == row)
        old, new = (plain_value(frame[name][row]) for frame in (before, after))
        return FirstDifference(row + 1, name, old, new, _row_label(before, row))
    if before.height != after.height:
        longer = before if before.height > common else after
        whole = ", ".join(f"{name}={longer[name][common]}" for name in names)
        old, new = (whole, None) if longer is before else (None, whole)
        return FirstDifference(common + 1, None, old, new, _row_label(longer, common))
    return None


def _row_label(frame: pl.DataFrame, row: int) -> str | None:
    moments = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    parts = [plain_value(frame[name][row]) for name in moments[:1]]
    if "symbol" in frame.columns:
        parts.append(frame["symbol"][row])
    return " ".join(str(part) for part in parts if part is not None) or None


def plain_value(value: Any) -> Any:
    """Return a value of a table as JSON can hold it: numbers as they are, the rest as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        text = value.isoformat().replace("+00:00", "Z")
        return text.removesuffix("T00:00:00Z")
    if isinstance(value, Decimal):  # exact, without the zeros that the column's scale adds
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(value)


def _csv_difference(before: Path, after: Path) -> FirstDifference | None:
    with (
        before.open(newline="", encoding="utf-8") as old,
        after.open(newline="", encoding="utf-8") as new,
    ):
        rows = zip_longest(csv.reader(old), csv.reader(new))
        header: list[str] = []
        for number, (one, other) in enumerate(rows):
            if one is None or other is None:
                before_row, after_row = (
                    None if row is None else ",".join(row) for row in (one, other)
                )
                return FirstDifference(number, None, before_row, after_row)
            header = header or one
            for index, (left, right) in enumerate(zip_longest(one, other)):
                if not _same_cell(left, right):
                    column = header[index] if index < len(header) else f"column {index + 1}"
                    return FirstDifference(number or None, column, left, right)
    return None


def _same_cell(left: str | None, right: str | None) -> bool:
    if left == right:
        return True
    try:
        return float(left or "") == float(right or "")
    except ValueError:
        return False


def _json_difference(before: Path, after: Path) -> FirstDifference | None:
    old, new = json.loads(before.read_bytes()), json.loads(after.read_bytes())
    return next(_value_differences(old, new, ""), None)


def _value_differences(old: Any, new: Any, path: str) -> Iterator[FirstDifference]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            left, right = old.get(key, _ABSENT), new.get(key, _ABSENT)
            yield from _value_differences(left, right, f"{path}.{key}".lstrip("."))
    elif isinstance(old, list) and isinstance(new, list):
        for index, pair in enumerate(zip_longest(old, new, fillvalue=_ABSENT)):
            yield from _value_differences(*pair, f"{path}[{index}]")
    elif not _same_value(old, new):
        before, after = (None if value is _ABSENT else json.dumps(value) for value in (old, new))
        yield FirstDifference(None, path, before, after)


def _same_value(old: Any, new: Any) -> bool:
    if _is_number(old) and _is_number(new):
        return bool(old == new)
    return type(old) is type(new) and bool(old == new)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text_difference(before: bytes, after: bytes) -> FirstDifference | None:
    if before == after:
        return None
    try:
        old, new = before.decode().splitlines(), after.decode().splitlines()
    except UnicodeDecodeError:
        position = next(i for i, pair in enumerate(zip_longest(before, after)) if len({*pair}) > 1)
        left, right = (data[position : position + 1].hex() or None for data in (before, after))
        return FirstDifference(None, f"byte {position + 1}", left, right)
    for number, (left, right) in enumerate(zip_longest(old, new), start=1):
        if left != right:
            return FirstDifference(number, None, left, right, unit="line")
    return FirstDifference(None, "line ends", repr(before[-2:]), repr(after[-2:]))
