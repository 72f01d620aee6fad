"""Which line of the file a row stands on, with comments, blank lines and quoted line breaks."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.data.csv_dialect import Structure
from backtrail.data.csv_text import LONGEST_LINE, CsvText
from backtrail.errors import DatasetError

__all__ = ["LineNumbers", "blank_lines", "number_lines", "refuse_cut_row", "wide_rows"]

_BLANK: Final = re.compile(rb"\n[ \t\r]*(?=\n|\Z)")


@dataclass(frozen=True, slots=True, eq=False)
class LineNumbers:
    """The line of every row of one file.

    Attributes:
        first: Line of row 0.
        listed: Line of each row, where rows and lines do not run in step; None otherwise.
        comments: Comment lines among the rows.
    """

    first: int
    listed: npt.NDArray[np.uint32] | None
    comments: int

    def of(self, rows: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        """Return the lines of some rows."""
        found = rows + self.first if self.listed is None else self.listed[rows]
        return found.astype(np.uint32)

    def of_row(self, row: int) -> int:
        """Return the line of one row."""
        return int(self.of(np.array([row], dtype=np.uint32))[0])


def number_lines(text: CsvText, structure: Structure, rows: int) -> LineNumbers:
    """Return on which lines the rows of a file stand.

    Args:
        text: The whole file.
        structure: Where its cells are.
        rows: How many rows were read, blank lines included.

    Raises:
        DatasetError: If rows and lines cannot be matched.
    """
    lines = text.newlines + text.is_open - structure.first_row
    first = structure.first_row + 1
    comments = _comment_rows(text, structure)
    if lines - len(comments) == rows:
        if not comments:
            return LineNumbers(first, None, 0)
        # Comment k is on the line with the rows before it and k comments above.
        before = np.array(comments) - np.arange(len(comments))
        numbers = np.arange(rows)
        listed = numbers + first + np.searchsorted(before, numbers, side="right")
        return LineNumbers(first, listed.astype(np.uint32), len(comments))
    found = [line for line, _ in _records(text, structure)]
    if len(found) != rows:
        raise DatasetError(f"{text.label}: rows cannot be matched with lines; is a quote unclosed?")
    return LineNumbers(first, np.array(found, dtype=np.uint32), len(comments))


def blank_lines(text: CsvText) -> npt.NDArray[np.uint32]:
    """Return the numbers of lines after the first that hold nothing but space."""
    found, line, at = [], 1, 0
    with text.buffer() as buffer:
        for match in _BLANK.finditer(buffer):
            line += buffer[at : match.start() + 1].count(b"\n")
            at = match.start() + 1
            found.append(line)
            del match  # it holds the buffer
    return np.array(found, dtype=np.uint32)


def refuse_cut_row(text: CsvText, structure: Structure) -> None:
    """Refuse a file that ends within a row, whose last cell may be part of a number.

    Raises:
        DatasetError: If the last line does not end and has fewer cells than the rows above it, or
            than the header where there are none.
    """
    if not text.is_open:
        return
    with text.buffer() as buffer:
        start = buffer.rfind(b"\n") + 1
        line = buffer[start : start + LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")
    if not line.strip() or (structure.comment and line.startswith(structure.comment)):
        return
    cells = structure.split(line)
    sample, columns = structure.sample, structure.columns
    named = sum(name is not None for name in columns.names.values()) + len(columns.ignored)
    whole = min(len(sample[0]), columns.width) if len(sample) > 1 else named
    if cells and line.count(structure.quote) % 2 == 0 and len(cells) < whole:
        raise DatasetError(
            f"{text.label}:{text.newlines + 1}: the file ends within a row ({line[:100]!r} has "
            f"{len(cells)} of {whole} cells and no line end), so that {cells[-1]!r} may be part of "
            "a number; get the file again, or end the line if nothing is missing"
        )


def wide_rows(text: CsvText, structure: Structure) -> list[tuple[int, int]]:
    """Return the number and the width of rows with more cells than the header."""
    return [
        (row, len(cells))
        for row, (_, cells) in enumerate(_records(text, structure))
        if len(cells) > structure.width
        or (structure.trailing and len(cells) == structure.width and cells[-1].strip())
    ]


def _offset(head: bytes, lines: int) -> int:
    at = 0
    for _ in range(lines):
        at = head.find(b"\n", at) + 1
        if at == 0:
            return len(head)
    return at


def _comment_rows(text: CsvText, structure: Structure) -> list[int]:
    """Return for each comment line how many lines of data and comments stand above it."""
    if structure.comment is None:
        return []
    start = _offset(text.head, structure.first_row)
    mark = b"\n" + structure.comment.encode()
    found, above, at = [], 0, start
    with text.buffer() as buffer:
        begin = buffer.find(mark, max(start - 1, 0))
        while begin >= 0:
            above += buffer[at : begin + 1].count(b"\n")
            found.append(above)
            line = buffer[begin + 1 : begin + LONGEST_LINE].partition(b"\n")[0]
            structure.check_comment(text.label, line.decode("utf-8", "replace").rstrip("\r"))
            at = begin + 1
            begin = buffer.find(mark, at)
    return found


def _records(text: CsvText, structure: Structure) -> Iterator[tuple[int, list[str]]]:
    start, first = _offset(text.head, structure.first_row), structure.first_row + 1
    with (
        text.open(start) as raw,
        io.TextIOWrapper(raw, encoding="utf-8", errors="replace", newline="") as stream,
    ):
        reader = csv.reader(stream, delimiter=structure.delimiter, quotechar=structure.quote)
        former = 0
        try:
            for cells in reader:
                line, former = first + former, reader.line_num
                if not (structure.comment and cells and cells[0].startswith(structure.comment)):
                    yield line, cells
        except csv.Error:
            return
