"""Parquet files, one per symbol or with a symbol column, as raw prices.

Options, each as for CSV files: `columns`, `date_format`, `files`, `split_adjusted`, `symbol`,
`timezone`. Columns of any number type are taken; text is read as the cells of a CSV file are.
Rows are named by their number from 1 in the file.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from backtrail.canonical import sha256_file
from backtrail.data.bundles import BundleConfig
from backtrail.data.calendars import is_daily
from backtrail.data.cells import NUMBERS, CellPlan, Cells, collect_cells
from backtrail.data.column_names import ColumnMap, map_columns
from backtrail.data.file_rows import (
    PART_BYTES,
    FileRows,
    finish_rows,
    of_one_symbol,
    read_parts,
    refuse_unclear_times,
)
from backtrail.data.manifest import SourceRecord
from backtrail.data.number_forms import NULL_VALUES, NumberForm, detect_numbers, parse_number
from backtrail.data.raw_prices import RawPrices
from backtrail.data.sources import SourceFile, symbol_of
from backtrail.data.time_detection import detect_time, find_zone
from backtrail.data.time_forms import TimeForm, largest_day_month
from backtrail.errors import DatasetError

__all__ = ["read_parquet_bundle"]

_SAMPLE: Final = 1000


def read_parquet_bundle(
    bundle: BundleConfig, root: Path, *, threads: int = 1, part_bytes: int = PART_BYTES
) -> Iterator[RawPrices]:
    """Yield the rows of a bundle's files, in parts of whole symbols; only the columns needed.

    Args:
        bundle: What to read.
        root: Project root, to which the bundle's path is relative.
        threads: Files read at the same time.
        part_bytes: Bytes of files after which a part ends, for each thread.

    Raises:
        DatasetError: If a file cannot be read, or its columns are unclear; nothing is guessed.
        ConfigError: If an option names what the file has not.
    """
    read = partial(_read_file, bundle)
    return read_parts(bundle, root, read, threads=threads, part_bytes=part_bytes)


def _read_file(bundle: BundleConfig, file: SourceFile, index: int) -> FileRows:
    try:
        before = file.path.stat()
        record = SourceRecord(file.label, sha256_file(file.path), before.st_size, file.symbol)
        schema = pl.read_parquet_schema(file.path)
        columns = map_columns(
            f"bundles.{bundle.name}.columns",
            file.label,
            list(schema),
            bundle.options.get("columns") or {},
        )
        types = {name: schema[text] for name, text in columns.names.items() if text is not None}
        cells = collect_cells(_plan(bundle, file, columns, types))
        after = file.path.stat()
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0][:200]
        raise DatasetError(f"{file.label} is no readable Parquet file: {reason}") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DatasetError(f"{file.label} was written to while it was read; ingest it again")
    refuse_unclear_times(cells, lambda row: f"{file.label}:{row + 1}")
    frame = cells.frame.with_columns((pl.col("row") + 1).alias("line"))
    symbol = file.symbol
    if symbol is None and "symbol" not in types:
        symbol = symbol_of(bundle, file.path.name)
        if symbol is None or bundle.options.get("files"):
            raise DatasetError(f"{file.label}: no symbol column; give `symbol`")
    if symbol is not None:
        frame, columns = of_one_symbol(file, symbol, frame, columns)
    frame, unread = finish_rows(file, index, frame, cells, columns)
    return FileRows(frame, unread, record, _dialect(bundle, columns, types, cells))


def _plan(
    bundle: BundleConfig, file: SourceFile, columns: ColumnMap, types: Mapping[str, pl.DataType]
) -> CellPlan:
    named = [pl.col(text).alias(name) for name, text in columns.names.items() if text is not None]
    lazy = pl.scan_parquet(file.path).select(named).with_row_index("row")
    texts = [name for name, kind in types.items() if _is_text(kind)]
    lazy = lazy.with_columns(pl.col(texts).cast(pl.String).str.strip_chars())
    if "symbol" in types:
        lazy = lazy.with_columns(pl.col("symbol").cast(pl.String).replace("", None))
    lazy, numbers, form = _numbers(file, lazy, types)
    timestamp = pl.col("timestamp")
    if "time" in types:
        timestamp = pl.concat_str(
            timestamp.cast(pl.String), pl.col("time").cast(pl.String), separator=" "
        )
    elif types["timestamp"].is_integer():
        timestamp = timestamp.cast(pl.String)
    return CellPlan(
        lazy=lazy,
        timestamp=timestamp,
        time=_time_form(bundle, file, columns, types, lazy.select("row", timestamp.alias("text"))),
        numbers=numbers,
        form=form,
        has_symbol="symbol" in types,
        daily=is_daily(bundle.timeframe),
        dated=bool(bundle.options.get("timezone")),
    )


def _is_text(kind: pl.DataType) -> bool:
    return isinstance(kind, pl.String | pl.Categorical | pl.Enum)


def _numbers(
    file: SourceFile, lazy: pl.LazyFrame, types: Mapping[str, pl.DataType]
) -> tuple[pl.LazyFrame, dict[str, pl.Expr], NumberForm]:
    names = [name for name in NUMBERS if name in types]
    texts = [name for name in names if _is_text(types[name])]
    wrong = [name for name in names if not types[name].is_numeric() and name not in texts]
    if wrong:
        listed = ", ".join(f"{name} is {types[name]}" for name in wrong)
        raise DatasetError(f"{file.label}: {listed}; numbers are needed, name others in columns")
    form = NumberForm()
    if texts:
        value = pl.col(texts)
        null = value.is_in(["", *NULL_VALUES])
        lazy = lazy.with_columns(pl.when(~null).then(value).name.keep())
        form = detect_numbers(
            file.label,
            lazy,
            texts,
            decimal=None,
            thousands=None,
            delimiter=",",
            remedy=f"store {', '.join(texts)} as numbers",
        )
    numbers = {
        name: parse_number(pl.col(name), form) if name in texts else pl.col(name).cast(pl.Float64)
        for name in names
    }
    return lazy, numbers, form


def _time_form(
    bundle: BundleConfig,
    file: SourceFile,
    columns: ColumnMap,
    types: Mapping[str, pl.DataType],
    texts: pl.LazyFrame,
) -> TimeForm:
    kind, column = types["timestamp"], str(columns.names["timestamp"])
    zone, form = bundle.options.get("timezone"), bundle.options.get("date_format")
    if "time" in types or kind.is_integer() or _is_text(kind):
        cells = texts.filter(pl.col("text").is_not_null() & (pl.col("text") != ""))
        return detect_time(
            file.label,
            column,
            cells.head(_SAMPLE).collect()["text"].to_list(),
            lambda: largest_day_month(texts, pl.col("text")),
            timeframe=bundle.timeframe,
            date_format=form,
            timezone=zone,
        )
    if form is not None:
        raise DatasetError(f"{file.label}: {column} is {kind} and needs no date_format; drop it")
    if kind == pl.Date:
        found = "date"
    elif isinstance(kind, pl.Datetime):
        found = "datetime" if kind.time_zone is None else "datetime with zone"
    else:
        raise DatasetError(
            f"{file.label}: {column} is {kind}; timestamps are dates, datetimes, text, or whole "
            "numbers since 1970"
        )
    cell = texts.select(pl.col("text").drop_nulls().first().cast(pl.String)).collect().item()
    return find_zone(
        file.label,
        column,
        found,
        f"the column's type {kind}",
        str(cell),
        timeframe=bundle.timeframe,
        timezone=zone,
    )


def _dialect(
    bundle: BundleConfig,
    columns: ColumnMap,
    types: Mapping[str, pl.DataType],
    cells: Cells,
) -> dict[str, Any]:
    given = {"columns", "date_format", "timezone"} & set(bundle.options)
    return {
        "columns": dict(columns.names),
        "ignored": list(columns.ignored),
        "types": {name: str(kind) for name, kind in sorted(types.items())},
        "decimal": cells.form.decimal,
        "thousands": cells.form.thousands,
        "cleaned": list(cells.form.cleaned),
        "date_format": cells.time.form,
        "timezone": cells.time.zone,
        "found_by": cells.time.found_by,
        "given": sorted(given),
    }
