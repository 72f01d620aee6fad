"""CSV files, one per symbol or one with a symbol column, as raw prices.

Options of the adapter (`bundles.<name>.options`):

- `columns`: mapping of canonical name (`timestamp`, `open`, …, `dividend`, `split`, `symbol`) to
  the header name, where the usual names do not fit.
- `date_format`: strptime format, or `epoch_s`, `epoch_ms`, `epoch_us`.
- `delimiter`: one character.
- `files`: mapping of symbol to file name inside the folder, instead of all files in it.
- `split_adjusted`: true when prices are already adjusted for the splits in the split column
  (Yahoo's are); the splits are then listed in the manifest and not applied again.
- `symbol`: symbol of a single file.
- `timezone`: zone of times without one, and of the session date of daily bars with a time.

Dividend 0 and split 1 mean none; a split of 7 is seven new shares for one old (Zipline's csvdir
has the same meaning). A column `Stock Splits` (yfinance) writes 0 for none.
"""

import io
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from backtrail.canonical import canonical_json
from backtrail.data.bundles import BundleConfig
from backtrail.data.calendars import is_daily
from backtrail.data.csv_cells import NUMBERS, first_line, number_lines, parse_cells, read_bytes
from backtrail.data.csv_dialect import (
    CsvDialect,
    detect_columns,
    detect_time,
    has_time_of_day,
    parse_timestamps,
)
from backtrail.data.manifest import SourceRecord
from backtrail.data.problems import MAX_PROBLEMS, RowProblem, row_problem
from backtrail.data.raw_prices import RawPrices
from backtrail.data.sources import SourceFile, find_source_files
from backtrail.errors import DatasetError

__all__ = ["read_csv_bundle"]

_ZERO_MEANS_NO_SPLIT: Final = re.compile(r"\s*stock[\s_]+splits\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class _FileRows:
    frame: pl.DataFrame
    problems: list[RowProblem]
    record: SourceRecord
    dialect: CsvDialect


def read_csv_bundle(bundle: BundleConfig, root: Path) -> RawPrices:
    """Read every file of a bundle.

    Raises:
        DatasetError: If a file cannot be read, or its dialect is unclear; nothing is guessed.
        BadRowsError: If lines have more cells than the header.
        ConfigError: If an option names what the file has not.
    """
    files = find_source_files(bundle, root)
    read = [_read_file(bundle, file, index) for index, file in enumerate(files)]
    frames = [rows.frame for rows in read]
    names: set[str] = set()
    for frame in frames:
        names.update(frame["symbol"].drop_nulls().unique().to_list())
    symbols = pl.Enum(sorted(names))
    frames = [frame.with_columns(pl.col("symbol").cast(symbols)) for frame in frames]
    return RawPrices(
        frame=pl.concat(frames, how="diagonal", rechunk=True),
        files=tuple(file.label for file in files),
        problems=tuple(problem for rows in read for problem in rows.problems),
        sources=tuple(rows.record for rows in read),
        dialect=_dialects(read),
    )


def _dialects(read: list[_FileRows]) -> tuple[dict[str, Any], ...]:
    grouped: dict[str, dict[str, Any]] = {}
    for rows in read:
        mapping = rows.dialect.to_mapping()
        entry = grouped.setdefault(canonical_json(mapping), {**mapping, "files": []})
        entry["files"].append(rows.record.path)
    return tuple(grouped.values())


def _read_file(bundle: BundleConfig, file: SourceFile, index: int) -> _FileRows:
    data, record = read_bytes(file)
    dialect = detect_columns(bundle, file.label, first_line(file.label, data))
    if file.symbol is not None and "symbol" in dialect.columns:
        _check_symbol_column(file, data, dialect)
        kept = {name: item for name, item in dialect.columns.items() if name != "symbol"}
        dialect = replace(
            dialect, columns=kept, ignored=(*dialect.ignored, dialect.columns["symbol"])
        )
    elif file.symbol is None and "symbol" not in dialect.columns:
        raise DatasetError(f"{file.label}: no symbol column; give options.symbol")
    cells, bad = parse_cells(file.label, data, dialect)
    if not cells.height:
        raise DatasetError(f"{file.label} has a header and no rows")
    cells, blank = number_lines(file.label, data, cells, dialect)
    column = dialect.columns["timestamp"]
    form, zone, evidence = detect_time(bundle, file.label, column, cells["timestamp"])
    dialect = replace(dialect, date_format=form, timezone=zone, found_by=evidence)
    frame, late = _with_timestamps(bundle, file, cells, dialect)
    if file.symbol is not None:
        frame = frame.with_columns(pl.lit(file.symbol).alias("symbol"))
    if _ZERO_MEANS_NO_SPLIT.fullmatch(dialect.columns.get("split", "")):
        frame = frame.with_columns(pl.col("split").replace(0.0, None))
    frame = frame.with_columns(pl.lit(index, dtype=pl.UInt32).alias("file"))
    problems = [*_bad_cells(file, cells, bad), *late]
    return _FileRows(frame.drop("row"), problems, replace(record, blank_lines=blank), dialect)


def _with_timestamps(
    bundle: BundleConfig, file: SourceFile, cells: pl.DataFrame, dialect: CsvDialect
) -> tuple[pl.DataFrame, list[RowProblem]]:
    form, zone = dialect.date_format, dialect.timezone
    daily = is_daily(bundle.timeframe)
    try:
        if daily and has_time_of_day(form) and not bundle.options.get("timezone"):
            _refuse_time_of_day(file.label, cells, form, zone)
        parsed = cells.with_columns(parse_timestamps(form, zone, daily=daily).alias("parsed"))
        failed = pl.col("parsed").is_null() & pl.col("timestamp").is_not_null()
        if parsed.select(failed.any()).item():
            stripped = cells.with_columns(pl.col("timestamp").str.strip_chars())
            parsed = stripped.with_columns(
                parse_timestamps(form, zone, daily=daily).alias("parsed")
            )
    except pl.exceptions.PolarsError as error:
        raise DatasetError(
            f"{file.label}: timestamps cannot be read with date_format {form!r} and timezone "
            f"{zone!r}: {str(error).splitlines()[0]}"
        ) from error
    why = f"not of the form {form} in the years 1700 to 2200"
    if zone not in (None, "UTC") and not daily:
        why += f", or a local time that {zone} has twice or never (daylight saving): give UTC"
    bad = parsed.filter(failed)
    problems = [
        row_problem(
            file=file.label,
            line=row["line"],
            symbol=file.symbol or row.get("symbol") or "",
            at="",
            column="timestamp",
            value=row["timestamp"],
            rule="unparsable",
            why=why,
        )
        for row in bad.head(MAX_PROBLEMS).iter_rows(named=True)
    ]
    return parsed.filter(~failed).drop("timestamp").rename({"parsed": "timestamp"}), problems


def _refuse_time_of_day(label: str, cells: pl.DataFrame, form: str, zone: str | None) -> None:
    moments = cells.with_columns(parse_timestamps(form, zone, daily=False).alias("moment"))
    late = moments.filter(pl.col("moment").dt.time() != pl.time(0, 0))
    if late.height:
        line, text = late.select("line", "timestamp").row(0)
        raise DatasetError(
            f"{label}:{line}: daily bars with a time of day ({text!r}); give options.timezone, "
            "in which the date is the session's"
        )


def _bad_cells(
    file: SourceFile, cells: pl.DataFrame, text: pl.DataFrame | None
) -> list[RowProblem]:
    if text is None:
        return []
    problems = []
    lines = cells.select("row", "line")
    for name in (item for item in NUMBERS if item in text.columns):
        unread = text.filter(text[name].is_not_null()).select("row", name, "timestamp")
        unread = unread.join(
            cells.filter(pl.col(name).is_null()).select("row"), on="row", how="semi"
        )
        for row in unread.join(lines, on="row").head(MAX_PROBLEMS).iter_rows(named=True):
            problems.append(
                row_problem(
                    file=file.label,
                    line=row["line"],
                    symbol=file.symbol or "",
                    at=row["timestamp"] or "",
                    column=name,
                    value=row[name],
                    rule="unparsable",
                    why="not a number",
                )
            )
    return problems


def _check_symbol_column(file: SourceFile, data: bytes, dialect: CsvDialect) -> None:
    header = dialect.columns["symbol"]
    try:
        found = pl.read_csv(
            io.BytesIO(data),
            separator=dialect.delimiter,
            columns=[header],
            infer_schema=False,
            truncate_ragged_lines=True,
        )[header]
    except pl.exceptions.PolarsError as error:
        raise DatasetError(f"{file.label} is no readable CSV file: {error}") from error
    others = sorted(set(found.drop_nulls().unique().to_list()) - {file.symbol})
    if others:
        raise DatasetError(
            f"{file.label} is the file of {file.symbol}, but its column {header} has "
            f"{', '.join(others[:5])}; rename the file, or give its path alone to read a file "
            "of many symbols"
        )
