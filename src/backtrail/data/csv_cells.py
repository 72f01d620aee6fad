"""The cells of one CSV file as text and numbers, each row with its line."""

import csv
import gzip
import io
import zlib
from collections.abc import Mapping
from typing import Final

import polars as pl

from backtrail.canonical import sha256_bytes
from backtrail.data.csv_dialect import NULL_VALUES, CsvDialect
from backtrail.data.manifest import SourceRecord
from backtrail.data.problems import MAX_PROBLEMS, BadRowsError, row_problem
from backtrail.data.sources import SourceFile
from backtrail.errors import DatasetError

__all__ = ["NUMBERS", "first_line", "number_lines", "parse_cells", "read_bytes"]

NUMBERS: Final = ("open", "high", "low", "close", "volume", "dividend", "split")
"""Canonical columns that hold numbers."""

_LONGEST_HEADER: Final = 1 << 16


def read_bytes(file: SourceFile) -> tuple[bytes, SourceRecord]:
    """Return the text bytes of a file, unpacked, and the record of the bytes on disk.

    Raises:
        DatasetError: If it cannot be read, or is no complete gzip file.
    """
    try:
        data = file.path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{file.label} cannot be read: {error}") from error
    record = SourceRecord(file.label, sha256_bytes(data), len(data), file.symbol)
    if file.path.name.lower().endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise DatasetError(f"{file.label} is no complete gzip file: {error}") from error
    return data.removeprefix(b"\xef\xbb\xbf"), record


def first_line(label: str, data: bytes) -> str:
    """Return the header line.

    Raises:
        DatasetError: If there is none, or it is not UTF-8.
    """
    line = data[:_LONGEST_HEADER].partition(b"\n")[0]
    if not line.strip():
        raise DatasetError(f"{label} is empty or begins with an empty line; it needs a header")
    try:
        return line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{label} is not UTF-8 text: {error}") from error


def parse_cells(
    label: str, data: bytes, dialect: CsvDialect
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Return the cells in canonical columns with their `row`, and the same as text if any is bad.

    A number that cannot be read is null in the first frame and its text stands in the second.

    Raises:
        DatasetError: If it is no CSV file.
        BadRowsError: If a line has more cells than the header.
    """
    # Reading numbers at once is several times faster; text is read only to say what is wrong.
    to_canonical = {header: name for name, header in dialect.columns.items()}
    overrides = {
        header: pl.Float64() if name in NUMBERS else pl.String()
        for header, name in to_canonical.items()
    }
    try:
        typed = _read(data, dialect, overrides).rename(to_canonical)
        return typed.with_row_index("row"), None
    except pl.exceptions.PolarsError:
        pass
    try:
        text = _read(data, dialect, {}).rename(to_canonical).with_row_index("row")
    except pl.exceptions.PolarsError as error:
        _raise_for_ragged_lines(label, data, dialect)
        raise DatasetError(f"{label} is no readable CSV file: {error}") from error
    stripped = text.with_columns(pl.exclude("row").str.strip_chars())
    stripped = stripped.with_columns(
        pl.when(pl.exclude("row").is_in(["", *NULL_VALUES]))
        .then(None)
        .otherwise(pl.exclude("row"))
        .name.keep()
    )
    numbers = [name for name in NUMBERS if name in stripped.columns]
    return stripped.with_columns(pl.col(numbers).cast(pl.Float64, strict=False)), stripped


def _read(data: bytes, dialect: CsvDialect, overrides: Mapping[str, pl.DataType]) -> pl.DataFrame:
    return pl.read_csv(
        io.BytesIO(data),
        separator=dialect.delimiter,
        columns=list(dialect.columns.values()),
        schema_overrides=overrides,
        infer_schema=False,
        null_values=list(NULL_VALUES),
    )


def _csv_lines(data: bytes, delimiter: str) -> "list[tuple[int, list[str]]]":
    reader = csv.reader(
        io.StringIO(data.decode("utf-8", "replace"), newline=""), delimiter=delimiter
    )
    next(reader)
    lines, former = [], reader.line_num
    for cells in reader:
        lines.append((former + 1, cells))
        former = reader.line_num
    return lines


def _raise_for_ragged_lines(label: str, data: bytes, dialect: CsvDialect) -> None:
    try:
        width = len(next(csv.reader([first_line(label, data)], delimiter=dialect.delimiter)))
        lines = _csv_lines(data, dialect.delimiter)
    except csv.Error:
        return
    ragged = [(line, cells) for line, cells in lines if len(cells) > width]
    if ragged:
        raise BadRowsError(
            [
                row_problem(
                    file=label,
                    line=line,
                    symbol="",
                    at=cells[0],
                    column="cells",
                    value=str(len(cells)),
                    rule="ragged_row",
                    why=f"the header has {width}",
                )
                for line, cells in ragged[:MAX_PROBLEMS]
            ],
            len(ragged),
        )


def number_lines(
    label: str, data: bytes, cells: pl.DataFrame, dialect: CsvDialect
) -> tuple[pl.DataFrame, int]:
    """Return the rows with their `line`, without blank lines, and the number of those.

    Raises:
        DatasetError: If rows and lines cannot be matched.
    """
    text_lines = data.count(b"\n") + (not data.endswith(b"\n"))
    if text_lines == cells.height + 1:
        numbered = cells.with_columns((pl.col("row") + 2).alias("line"))
    else:  # quoted line breaks: only the csv module can tell
        try:
            lines = [line for line, _ in _csv_lines(data, dialect.delimiter)]
        except csv.Error:
            lines = []
        if len(lines) != cells.height:
            raise DatasetError(f"{label}: rows cannot be matched with lines; is a quote unclosed?")
        numbered = cells.with_columns(pl.Series("line", lines, dtype=pl.UInt32))
    empty = pl.all_horizontal(pl.col(sorted(dialect.columns)).is_null())
    candidates = numbered.filter(empty)["line"].to_list()
    if not candidates:
        return numbered, 0
    text = data.split(b"\n")
    blank = [line for line in candidates if not text[line - 1].strip()]
    return numbered.filter(~pl.col("line").is_in(blank)), len(blank)
