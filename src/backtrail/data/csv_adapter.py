"""CSV files, one per symbol or one with a symbol column, as raw prices.

Options are explained in `backtrail.data.csv_options`. Dividend 0 and split 1 mean none; a split of
7 is seven new shares for one old (Zipline's csvdir has the same meaning). A column `Stock Splits`
(yfinance) writes 0 for none.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from backtrail.data.bundles import BundleConfig
from backtrail.data.cells import Cells
from backtrail.data.csv_cells import read_cells
from backtrail.data.csv_dialect import CsvDialect, Structure, detect_structure
from backtrail.data.csv_lines import blank_lines, number_lines, refuse_cut_row
from backtrail.data.csv_options import CsvOptions
from backtrail.data.csv_text import CsvText, read_text
from backtrail.data.file_rows import (
    PART_BYTES,
    FileRows,
    finish_rows,
    of_one_symbol,
    read_parts,
    refuse_unclear_times,
)
from backtrail.data.manifest import SourceRecord
from backtrail.data.number_forms import NULL_VALUES
from backtrail.data.raw_prices import RawPrices
from backtrail.data.sources import SourceFile
from backtrail.errors import DatasetError

__all__ = ["read_csv_bundle"]


def read_csv_bundle(
    bundle: BundleConfig, root: Path, *, threads: int = 1, part_bytes: int = PART_BYTES
) -> Iterator[RawPrices]:
    """Yield the rows of a bundle's files, in parts of whole symbols.

    Args:
        bundle: What to read.
        root: Project root, to which the bundle's path is relative.
        threads: Files read at the same time.
        part_bytes: Bytes of files after which a part ends, for each thread.

    Raises:
        DatasetError: If a file cannot be read, or its dialect is unclear; nothing is guessed.
        ConfigError: If an option names what the file has not.
    """
    options = CsvOptions.of(bundle.options)
    read = partial(_read_file, bundle, options)
    return read_parts(bundle, root, read, threads=threads, part_bytes=part_bytes)


def _read_file(bundle: BundleConfig, options: CsvOptions, file: SourceFile, index: int) -> FileRows:
    text = read_text(file.path, file.label, options.encoding)
    where = f"bundles.{bundle.name}.options"
    structure = detect_structure(where, file.label, text.head, options)
    if not structure.sample:
        raise DatasetError(f"{file.label} has a header and {_why_no_rows(text.head, structure)}")
    if file.symbol is None and "symbol" not in structure.columns.positions:
        raise DatasetError(f"{file.label}: no symbol column; give `symbol`")
    cells = read_cells(text, structure, options, bundle.timeframe)
    numbers = number_lines(text, structure, cells.frame.height)
    refuse_unclear_times(cells, lambda row: f"{file.label}:{numbers.of_row(row)}")
    refuse_cut_row(text, structure)
    frame = cells.frame.with_columns(pl.Series("line", numbers.of(cells.frame["row"].to_numpy())))
    frame, blank = _without_blank_lines(frame, text)
    columns = structure.columns
    if file.symbol is not None:
        frame, columns = of_one_symbol(file, file.symbol, frame, columns)
    frame, unread = finish_rows(file, index, frame, cells, columns)
    text.check_unchanged()
    record = SourceRecord(
        path=file.label,
        sha256=text.sha256,
        size=text.size,
        symbol=file.symbol,
        blank_lines=blank,
        comment_lines=numbers.comments,
    )
    dialect = _dialect(replace(structure, columns=columns), options, cells)
    return FileRows(frame, unread, record, dialect.to_mapping())


def _why_no_rows(head: bytes, structure: Structure) -> str:
    lines = head.split(b"\n")[structure.first_row :]
    if any(b"\r" in line.rstrip(b"\r") for line in lines):
        return (
            f"no row that can be read: line {structure.first_row + 1} holds a carriage return "
            "that ends no line; save the file with one kind of line end"
        )
    return "no rows"


def _without_blank_lines(frame: pl.DataFrame, text: CsvText) -> tuple[pl.DataFrame, int]:
    empty = pl.all_horizontal(pl.exclude("row", "line", "volume").is_null())
    if not frame.select(empty.any()).item():
        return frame, 0
    blank = empty & pl.col("line").is_in(blank_lines(text).tolist())
    kept = frame.filter(~blank)
    return kept, frame.height - kept.height


def _dialect(structure: Structure, options: CsvOptions, cells: Cells) -> CsvDialect:
    return CsvDialect(
        structure=structure,
        encoding=options.encoding,
        decimal=cells.form.decimal,
        thousands=cells.form.thousands,
        cleaned=cells.form.cleaned,
        null_values=NULL_VALUES if options.null_values is None else options.null_values,
        date_format=cells.time.form,
        timezone=cells.time.zone,
        found_by=cells.time.found_by,
        given=options.given,
    )
