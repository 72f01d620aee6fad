"""Who was in a universe when: a file of symbol, from and to, checked before it is believed."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from backtrail.canonical import sha256_bytes
from backtrail.data.bundles import BundleConfig
from backtrail.data.identity import UNIVERSE_SCHEMA
from backtrail.data.problems import MAX_PROBLEMS, BadRowsError, RowProblem, row_problem
from backtrail.errors import DatasetError

__all__ = ["Membership", "read_membership"]

_COLUMNS: Final = ("symbol", "from", "to")
_RULE: Final = "membership"


@dataclass(frozen=True, slots=True, eq=False)
class Membership:
    """The members of a universe.

    Attributes:
        frame: Columns of `UNIVERSE_SCHEMA`, in canonical order.
        path: The file, as configured.
        sha256: Checksum of its bytes.
    """

    frame: pl.DataFrame
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class _Span:
    line: int
    symbol: str
    first: date
    last: date | None


def read_membership(bundle: BundleConfig, root: Path) -> Membership | None:
    """Read the membership file of a bundle; None for a bundle without one.

    The file is a CSV with the columns `symbol`, `from` (first date in the universe) and `to` (last
    date, included; empty while the symbol is still in it), dates as YYYY-MM-DD. A symbol may come
    back: each time is a row.

    Args:
        bundle: The bundle.
        root: Project root, to which the file's path is relative.

    Raises:
        BadRowsError: If a row has no symbol or no date, ends before it begins, or overlaps another
            one of its symbol; every row is named.
        DatasetError: If the file is not there, is no such CSV, or has no row.
    """
    if bundle.universe is None:
        return None
    path = root / bundle.universe
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"bundle {bundle.name!r} names the universe {bundle.universe}, which cannot be read "
            f"(looked for {path}): {error.strerror}; paths are relative to the project root"
        ) from error
    problems: list[RowProblem] = []
    spans = list(_spans(bundle.universe, _rows(bundle.universe, data), problems))
    problems += _overlaps(bundle.universe, spans)
    if problems:
        raise BadRowsError(problems[:MAX_PROBLEMS], {_RULE: len(problems)})
    if not spans:
        raise DatasetError(f"the universe {bundle.universe} has no row; list its members")
    frame = pl.DataFrame(
        [(span.symbol, span.first, span.last) for span in spans],
        schema=dict(UNIVERSE_SCHEMA),
        orient="row",
    )
    return Membership(frame.sort("symbol", "first"), bundle.universe, sha256_bytes(data))


def _rows(name: str, data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of the rows below the header, in the order of `_COLUMNS`."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"the universe {name} is no UTF-8 text: {error}") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        if sorted(header) != sorted(_COLUMNS):
            raise DatasetError(
                f"the universe {name} has the columns {', '.join(header) or 'none'}; it needs "
                f"{', '.join(_COLUMNS)}, named in its first line and separated by commas"
            )
        for cells in reader:
            if any(cell.strip() for cell in cells[len(header) :]):
                raise DatasetError(
                    f"the universe {name}, line {reader.line_num}, has {len(cells)} cells; its "
                    f"header has {len(header)}: put a text with commas in quotes"
                )
            if any(cell.strip() for cell in cells):
                row = dict(zip(header, cells, strict=False))
                yield reader.line_num, [row.get(column, "").strip() for column in _COLUMNS]
    except csv.Error as error:
        raise DatasetError(f"the universe {name}, line {reader.line_num}: {error}") from error


def _spans(
    name: str, rows: Iterator[tuple[int, list[str]]], problems: list[RowProblem]
) -> Iterator[_Span]:
    for line, (symbol, begin, end) in rows:
        dates: dict[str, date | None] = {"to": None}
        wrong: list[tuple[str, str, str]] = (
            [("symbol", symbol, "has no symbol")] if not symbol else []
        )
        for column, text in (("from", begin), ("to", end)):
            if column == "to" and not text:
                continue
            try:
                dates[column] = date.fromisoformat(text)
            except ValueError:
                wrong.append((column, text, "is no date as YYYY-MM-DD"))
        first, last = dates.get("from"), dates["to"]
        if first is not None and last is not None and last < first:
            wrong.append(("to", end, f"is before its beginning, {begin}"))
        problems += [_problem(name, line, symbol, *item) for item in wrong]
        if not wrong and first is not None:
            yield _Span(line, symbol, first, last)


def _overlaps(name: str, spans: Sequence[_Span]) -> list[RowProblem]:
    found = []
    latest: dict[str, _Span] = {}
    for span in sorted(spans, key=lambda item: (item.symbol, item.first, item.line)):
        before = latest.get(span.symbol)
        if before is not None and (before.last is None or span.first <= before.last):
            until = "ever" if before.last is None else str(before.last)
            why = f"overlaps line {before.line}, which says {before.first} to {until}"
            found.append(_problem(name, span.line, span.symbol, "from", str(span.first), why))
        else:
            latest[span.symbol] = span
    return found


def _problem(name: str, line: int, symbol: str, column: str, value: str, why: str) -> RowProblem:
    return row_problem(
        file=name,
        line=line,
        symbol=symbol,
        at="",
        column=column,
        value=value,
        rule=_RULE,
        why=why,
    )
