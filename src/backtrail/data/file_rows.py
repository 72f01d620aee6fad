"""What the adapters of files share: many files read at once, each with its rows and its record."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import polars as pl

from backtrail.data.bundles import BundleConfig
from backtrail.data.cells import Cells
from backtrail.data.column_names import ColumnMap, plain_name
from backtrail.data.manifest import SourceRecord
from backtrail.data.problems import MAX_PROBLEMS, BadRowsError
from backtrail.data.raw_prices import RawPrices, as_problems, join_files, unread_rows
from backtrail.data.sources import SourceFile, find_source_files
from backtrail.errors import DatasetError

__all__ = [
    "PART_BYTES",
    "FileRows",
    "finish_rows",
    "of_one_symbol",
    "read_parts",
    "refuse_unclear_times",
]

_ZERO_MEANS_NO_SPLIT: Final = "stock_splits"

PART_BYTES: Final = 1 << 26
"""Bytes of files in a part, for each thread."""


@dataclass(frozen=True, slots=True, eq=False)
class FileRows:
    """One file that was read.

    Attributes:
        frame: Its rows in canonical columns, with `symbol`, `file` and `line`.
        unread: Cells that could not be read, columns of `UNREAD_ROWS`.
        record: Its checksum.
        dialect: How it was read, as plain values.
    """

    frame: pl.DataFrame
    unread: pl.DataFrame
    record: SourceRecord
    dialect: Mapping[str, Any]


def read_parts(
    bundle: BundleConfig,
    root: Path,
    read: Callable[[SourceFile, int], FileRows],
    *,
    threads: int,
    part_bytes: int,
) -> Iterator[RawPrices]:
    """Yield the rows of a bundle's files in parts that hold whole symbols, in lexical order.

    What is yielded depends neither on the number of threads nor on which file is read first, but
    for where one part ends and the next begins.

    Args:
        bundle: What to read.
        root: Project root, to which the bundle's path is relative.
        read: Reads one file, given its index in its part.
        threads: Files read at the same time.
        part_bytes: Bytes of files after which a part ends, for each thread.

    Raises:
        DatasetError: If a file cannot be read.
    """
    files = find_source_files(bundle, root)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for part in _parts(files, threads * part_bytes):
            jobs = [pool.submit(read, file, index) for index, file in enumerate(part)]
            try:
                rows = [job.result() for job in jobs]
            finally:
                for job in jobs:
                    job.cancel()
            yield _join(part, rows)


def _parts(files: Sequence[SourceFile], most: int) -> Iterator[list[SourceFile]]:
    part: list[SourceFile] = []
    size = 0
    for symbol, group in groupby(files, key=lambda file: file.symbol):
        if part and size >= most and symbol is not None:
            yield part
            part, size = [], 0
        own = list(group)
        part += own
        size += sum(file.path.stat().st_size for file in own if file.path.exists())
    yield part


def _join(files: Sequence[SourceFile], rows: Sequence[FileRows]) -> RawPrices:
    return RawPrices(
        frame=join_files([item.frame for item in rows]),
        files=tuple(file.label for file in files),
        unread=pl.concat([item.unread for item in rows]),
        sources=tuple(item.record for item in rows),
        dialect=tuple({**item.dialect, "files": [item.record.path]} for item in rows),
    )


def finish_rows(
    file: SourceFile,
    index: int,
    frame: pl.DataFrame,
    cells: Cells,
    columns: ColumnMap,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of a file as they are handed over, and its unread cells.

    Args:
        file: Where they come from.
        index: Of the file.
        frame: Rows with `row`, `line` and `symbol`.
        cells: What was read.
        columns: Where it was read.

    Raises:
        DatasetError: If there is no row.
        BadRowsError: If more cells could not be read than a report takes.
    """
    if not frame.height:
        raise DatasetError(f"{file.label} has no rows")
    if plain_name(columns.names.get("split") or "") == _ZERO_MEANS_NO_SPLIT:
        frame = frame.with_columns(pl.col("split").replace(0.0, None))
    frame = frame.with_columns(pl.lit(index, dtype=pl.UInt32).alias("file"))
    unread = unread_rows(cells.unread, frame)
    if cells.unread_rows > MAX_PROBLEMS:
        counts = {"unparsable": cells.unread_rows}
        raise BadRowsError(as_problems(unread, {index: file.label}), counts)
    return frame.drop("row"), unread


def of_one_symbol(
    file: SourceFile, symbol: str, frame: pl.DataFrame, columns: ColumnMap
) -> tuple[pl.DataFrame, ColumnMap]:
    """Return rows with the symbol of their file, once a symbol column does not contradict it.

    A symbol that the config states may stand under another name in the column; one that was read
    from the file's name may not.

    Raises:
        DatasetError: If the column says something else, or has several symbols.
    """
    if "symbol" in frame.columns:
        header = columns.names["symbol"]
        found = sorted(frame["symbol"].drop_nulls().unique().cast(pl.String).str.strip_chars())
        others = [name for name in found if name != symbol]
        if len(found) > 1 or (others and not file.stated):
            raise DatasetError(
                f"{file.label} is the file of {symbol}, but its column {header} has "
                f"{', '.join(others[:5])}; name its symbol in `files`, or give its path "
                "alone to read a file of many symbols"
            )
        columns = columns.without("symbol")
    return frame.with_columns(pl.lit(symbol, dtype=pl.Enum([symbol])).alias("symbol")), columns


def refuse_unclear_times(cells: Cells, place: Callable[[int], str]) -> None:
    """Refuse times that could mean two things, which only all rows together show.

    Args:
        cells: What was read of a file.
        place: File and line of a row, given its number.

    Raises:
        DatasetError: If daily bars have a time of day and nobody stated their zone, or epochs are
            in two units.
    """
    if cells.late is not None:
        row, text = cells.late
        raise DatasetError(
            f"{place(row)}: daily bars with a time of day ({text!r}); give `timezone`, "
            "in which the date is the session's"
        )
    if cells.mixed is not None:
        row, text = cells.mixed
        raise DatasetError(
            f"{place(row)}: the timestamp {text!r} has too few digits for {cells.time.form}, in "
            "which others of the file are; write all of them in one unit"
        )
