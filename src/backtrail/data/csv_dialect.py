"""How one CSV file is written: found in its first lines, unless the config says.

Light: a Snakefile that is parsed asks whether a file has a symbol column.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from backtrail.data.column_names import ColumnMap, count_known, known_layout, map_columns
from backtrail.data.csv_options import CsvOptions
from backtrail.data.csv_text import first_lines
from backtrail.errors import DatasetError

__all__ = ["CsvDialect", "Structure", "detect_structure"]

_DELIMITERS: Final = ",;\t|"
_COMMENT: Final = "#"
_PREAMBLE: Final = 20
_SAMPLE: Final = 1000
_VALUE: Final = re.compile(r"[-+]?[$€£]?\d[\d.,:/\-+T Z']*")
_ENOUGH: Final = 4


@dataclass(frozen=True, slots=True)
class Structure:
    """Where the cells of a file are.

    Attributes:
        columns: Which column is which.
        delimiter: Between cells.
        quote: Around cells.
        header: Lines above the one that names the columns; None where none does.
        first_row: Lines before the first row.
        skipped: Lines before the header that are neither comments nor blank.
        comment: How comment lines begin; None when there is none.
        trailing: Whether rows end with a delimiter.
        sample: First rows, as they stand.
        asks_about_comments: Whether nobody stated how comments begin.
    """

    columns: ColumnMap
    delimiter: str
    quote: str
    header: int | None
    first_row: int
    skipped: tuple[str, ...]
    comment: str | None
    trailing: bool
    sample: tuple[tuple[str, ...], ...] = field(repr=False, default=())
    asks_about_comments: bool = True

    @property
    def width(self) -> int:
        """Cells of a row, the empty one behind a trailing delimiter included."""
        return self.columns.width + self.trailing

    def cells(self, name: str) -> list[str]:
        """Return the sample of a canonical column, without surrounding space."""
        at = self.columns.positions[name]
        return [row[at].strip() for row in self.sample if len(row) > at]

    def pairs(self, first: str, second: str) -> list[tuple[str, str]]:
        """Return the sample of two columns, of rows that have both."""
        at, to = self.columns.positions[first], self.columns.positions[second]
        rows = (row for row in self.sample if len(row) > max(at, to))
        return [(row[at].strip(), row[to].strip()) for row in rows if row[at] and row[to]]

    def split(self, line: str) -> list[str]:
        """Return the cells of one line; an empty one for what is no CSV."""
        return _try_split(line, self.delimiter, self.quote)

    def check_comment(self, label: str, line: str) -> None:
        """Refuse a comment line that may be a row: symbols can begin with the same character.

        Raises:
            DatasetError: If it has the cells of a row, and nobody said that it is a comment.
        """
        if self.comment is None or not self.asks_about_comments:
            return
        if line.startswith(self.comment) and (
            len(_try_split(line, self.delimiter, self.quote)) == self.width
        ):
            raise DatasetError(
                f"{label}: the line {line[:100]!r} could be a comment or a row; give "
                "`comment`, '#' or '' for no comments"
            )


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """All that was found, or given, about one file.

    Attributes:
        structure: Where its cells are.
        encoding: Of the text; None for UTF-8 or by a byte order mark.
        decimal: `.` or `,`.
        thousands: Between groups of digits; empty for nothing.
        cleaned: What was taken off numbers: `currency`, `suffix`.
        null_values: Cells that mean no value, besides the empty one.
        date_format: strptime format, or an epoch name.
        timezone: Zone of the timestamps; None for plain dates.
        found_by: The evidence for the form of timestamps and their zone.
        given: Parts that the config stated.
    """

    structure: Structure
    encoding: str | None
    decimal: str
    thousands: str
    cleaned: tuple[str, ...]
    null_values: tuple[str, ...]
    date_format: str
    timezone: str | None
    found_by: str
    given: tuple[str, ...]

    def to_mapping(self) -> dict[str, Any]:
        """Return the dialect as plain values for a manifest."""
        found = self.structure
        return {
            "delimiter": found.delimiter,
            "quote": found.quote,
            "header": found.header is not None,
            "layout": found.columns.layout or None,
            "skip_lines": found.first_row if found.header is None else found.header,
            "first_row": found.first_row,
            "skipped": list(found.skipped),
            "comment": found.comment,
            "trailing_delimiter": found.trailing,
            "columns": dict(found.columns.names),
            "ignored": list(found.columns.ignored),
            "encoding": self.encoding,
            "decimal": self.decimal,
            "thousands": self.thousands,
            "cleaned": list(self.cleaned),
            "null_values": ["", *self.null_values],
            "date_format": self.date_format,
            "timezone": self.timezone,
            "found_by": self.found_by,
            "given": list(self.given),
        }


def detect_structure(where: str, label: str, head: bytes, options: CsvOptions) -> Structure:
    """Return where the cells of a file are.

    Args:
        where: Key of the bundle's options in messages.
        label: Name of the file in messages.
        head: The first quarter megabyte of the file as UTF-8, or all of it.
        options: What the config says.

    Raises:
        DatasetError: If it is no CSV file, or its columns are unclear; nothing is guessed.
        ConfigError: If `options.columns` names what the file has not.
    """
    lines = first_lines(label, head)
    comment = options.comment
    if comment is None and any(line.startswith(_COMMENT) for line in lines):
        comment = _COMMENT
    quote = options.quote or '"'
    candidates = [
        at
        for at, line in enumerate(lines)
        if at >= (options.skip_lines or 0)
        and line.strip()
        and not (comment and line.startswith(comment))
    ]
    if not candidates:
        raise DatasetError(f"{label} has no line of data among its first {len(lines)}")
    header, delimiter = _find_header(lines, candidates, options, quote)
    first = candidates[0] if header is None else header + 1
    cells = _split(label, lines[first if header is None else header], delimiter, quote)
    if header is not None and _is_frame_of_yfinance(lines[header:], cells, delimiter):
        cells, first = ["Date", *cells[1:]], header + 3
    columns = known_layout(cells) if header is None and not options.columns else None
    if columns is None:
        given = options.columns
        columns = map_columns(f"{where}.columns", label, cells, given, header=header is not None)
    sample = tuple(_rows(lines[first:], delimiter, quote, comment))
    structure = Structure(
        columns=columns,
        delimiter=delimiter,
        quote=quote,
        header=header,
        first_row=next((at for at in candidates if at >= first), first),
        skipped=tuple(lines[at][:100] for at in candidates if header is not None and at < header),
        comment=comment or None,
        trailing=_ends_with_delimiter(sample, columns.width),
        sample=sample,
        asks_about_comments=options.comment is None,
    )
    for line in lines[0 if header is None else first :]:
        structure.check_comment(label, line)
    return structure


def _ends_with_delimiter(sample: Sequence[Sequence[str]], width: int) -> bool:
    return bool(sample) and all(len(row) == width + 1 and not row[-1].strip() for row in sample)


def _find_header(
    lines: Sequence[str], candidates: Sequence[int], options: CsvOptions, quote: str
) -> tuple[int | None, str]:
    """Return the line of the header, None without one, and the delimiter."""
    delimiters = options.delimiter or _DELIMITERS
    first = lines[candidates[0]]

    def known(at: int, delimiter: str) -> int:
        return count_known(_try_split(lines[at], delimiter, quote), options.columns)

    def values(at: int, delimiter: str) -> int:
        cells = _try_split(lines[at], delimiter, quote)
        return sum(_VALUE.fullmatch(cell.strip()) is not None for cell in cells)

    by_names = max(delimiters, key=lambda mark: (known(candidates[0], mark), first.count(mark)))
    by_values = max(delimiters, key=lambda mark: (values(candidates[0], mark), first.count(mark)))
    if options.header is False:
        return None, by_values
    if options.header or known(candidates[0], by_names) >= _ENOUGH:
        return candidates[0], by_names
    if options.skip_lines is None:
        for at in candidates[1:_PREAMBLE]:
            mark = max(delimiters, key=lambda mark: known(at, mark))
            if known(at, mark) > _ENOUGH:
                return at, mark
    if values(candidates[0], by_values) >= _ENOUGH:
        return None, by_values
    return candidates[0], by_names


def _is_frame_of_yfinance(lines: Sequence[str], names: Sequence[str], delimiter: str) -> bool:
    """Say whether three lines are a header: names, one symbol in all cells, the index's name."""
    if names[0] != "Price" or len(lines) < 3:
        return False
    tickers, index = (_try_split(line, delimiter, '"') for line in lines[1:3])
    return (
        tickers[0] == "Ticker"
        and len(set(tickers[1:])) == 1
        and index[0] in ("Date", "Datetime")
        and not any(index[1:])
    )


def _try_split(line: str, delimiter: str, quote: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, quotechar=quote), [""])
    except csv.Error:
        return [""]


def _split(label: str, line: str, delimiter: str, quote: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, quotechar=quote), [""])
    except csv.Error as error:
        raise DatasetError(f"{label}: the line {line[:200]!r} is no CSV: {error}") from error


def _rows(
    lines: Sequence[str], delimiter: str, quote: str, comment: str | None
) -> Iterator[tuple[str, ...]]:
    kept = (line for line in lines if line.strip() and not (comment and line.startswith(comment)))
    reader = csv.reader(kept, delimiter=delimiter, quotechar=quote)
    for _ in range(_SAMPLE):
        try:
            row = next(reader, None)
        except csv.Error:
            return
        if row is None:
            return
        yield tuple(row)
