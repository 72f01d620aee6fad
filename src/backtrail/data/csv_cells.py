"""The cells of one CSV file as canonical columns."""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from backtrail.data.calendars import is_daily
from backtrail.data.cells import NUMBERS, CellPlan, Cells, collect_cells, collect_trusted
from backtrail.data.csv_dialect import Structure
from backtrail.data.csv_lines import wide_rows
from backtrail.data.csv_options import CsvOptions
from backtrail.data.csv_text import CsvText
from backtrail.data.number_forms import (
    NULL_VALUES,
    NumberForm,
    detect_numbers,
    is_plain,
    parse_number,
    shows_point,
)
from backtrail.data.time_detection import detect_time
from backtrail.data.time_forms import TimeForm, largest_day_month
from backtrail.data.unread import wide_cells
from backtrail.errors import DatasetError

__all__ = ["read_cells"]


def read_cells(text: CsvText, structure: Structure, options: CsvOptions, timeframe: str) -> Cells:
    """Return the cells of a file.

    Args:
        text: The whole file.
        structure: Where its cells are.
        options: What the config says about numbers and times.
        timeframe: Length of a bar.

    Raises:
        DatasetError: If it is no CSV file, or its numbers or times could mean two things.
    """
    try:
        reader = _Reader(text, structure, options, timeframe)
        return reader.read_typed() or reader.read_text()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DatasetError(_refusal(text.label, options, str(error))) from error


class _Reader:
    """One file on its way from text to columns."""

    def __init__(
        self, text: CsvText, structure: Structure, options: CsvOptions, timeframe: str
    ) -> None:
        self._label = text.label
        self._text = text
        self._structure = structure
        self._options = options
        self._nulls = NULL_VALUES if options.null_values is None else options.null_values
        self._numbers = [name for name in NUMBERS if name in structure.columns.positions]
        self._timeframe = timeframe
        self._time = self._detect_time()

    def read_typed(self) -> Cells | None:
        """Return the cells, read several times faster; None where one asks for a closer look."""
        if not self._sample_is_plain():
            return None
        types = {name: pl.Float64() for name in self._numbers}
        lazy = self._scan(types, null_values=list(self._nulls))
        plan = self._plan(lazy, NumberForm(), {name: pl.col(name) for name in self._numbers})
        try:
            return collect_trusted(plan)
        except pl.exceptions.PolarsError:
            return None

    def read_text(self) -> Cells:
        """Return the cells, read as text; rows with too many cells are among the unread."""
        wide: list[tuple[int, int]] = []
        try:
            cells = self._read_text(self._scan({}))
        except pl.exceptions.PolarsError:
            wide = wide_rows(self._text, self._structure)
            if not wide:
                raise
            cells = self._read_text(self._scan({}, ragged=True))
        found = wide_cells(wide, self._structure.columns.width)
        unread = pl.concat([found, cells.unread]).sort("row", maintain_order=True)
        return replace(cells, unread=unread)

    def _read_text(self, scan: pl.LazyFrame) -> Cells:
        lazy = self._clean(scan)
        options = self._options
        form = detect_numbers(
            self._label,
            lazy,
            self._numbers,
            decimal=options.decimal,
            thousands=options.thousands,
            delimiter=self._structure.delimiter,
        )
        numbers = {name: parse_number(pl.col(name), form) for name in self._numbers}
        return collect_cells(self._plan(lazy, form, numbers))

    def _plan(
        self, lazy: pl.LazyFrame, form: NumberForm, numbers: Mapping[str, pl.Expr]
    ) -> CellPlan:
        positions = self._structure.columns.positions
        timestamp = pl.col("timestamp")
        if "time" in positions:
            timestamp = pl.concat_str("timestamp", "time", separator=" ")
        return CellPlan(
            lazy=lazy,
            timestamp=timestamp,
            time=self._time,
            numbers=numbers,
            form=form,
            has_symbol="symbol" in positions,
            daily=is_daily(self._timeframe),
            dated=self._options.timezone is not None,
        )

    def _sample_is_plain(self) -> bool:
        options, structure = self._options, self._structure
        if options.decimal == "," or options.thousands is not None:
            return False
        cells = [cell for name in self._numbers for cell in structure.cells(name)]
        known = options.decimal or structure.columns.layout or shows_point(cells)
        return bool(known) and is_plain(cells, self._nulls)

    def _scan(
        self,
        types: Mapping[str, pl.DataType],
        *,
        null_values: list[str] | None = None,
        ragged: bool = False,
    ) -> pl.LazyFrame:
        structure = self._structure
        positions = structure.columns.positions
        by_position = {at: types.get(name, pl.String()) for name, at in positions.items()}
        lazy = pl.scan_csv(
            self._text.source,
            has_header=False,
            separator=structure.delimiter,
            quote_char=structure.quote,
            comment_prefix=structure.comment,
            skip_lines=structure.first_row,
            schema={f"c{at}": by_position.get(at, pl.String()) for at in range(structure.width)},
            null_values=null_values,
            missing_columns="insert",
            extra_columns="ignore" if ragged else "raise",
            truncate_ragged_lines=ragged,
            row_index_name="row",
            raise_if_empty=False,
        )
        return lazy.select("row", *(pl.col(f"c{at}").alias(name) for name, at in positions.items()))

    def _clean(self, lazy: pl.LazyFrame) -> pl.LazyFrame:
        lazy = lazy.with_columns(pl.exclude("row").str.strip_chars())
        filled = pl.exclude("row") != ""
        lazy = lazy.with_columns(pl.when(filled).then(pl.exclude("row")).name.keep())
        valued = pl.exclude("row", "symbol")  # NA is a symbol
        return lazy.with_columns(pl.when(~valued.is_in(list(self._nulls))).then(valued).name.keep())

    def _detect_time(self) -> TimeForm:
        structure, options = self._structure, self._options
        cells = structure.cells("timestamp")
        if "time" in structure.columns.positions:
            cells = [f"{day} {time}" for day, time in structure.pairs("timestamp", "time")]
        return detect_time(
            self._label,
            str(structure.columns.names["timestamp"]),
            [cell for cell in cells if cell and cell not in self._nulls],
            lambda: largest_day_month(self._scan({}, ragged=True), pl.col("timestamp")),
            timeframe=self._timeframe,
            date_format=options.date_format,
            timezone=options.timezone,
        )


def _refusal(label: str, options: CsvOptions, error: str) -> str:
    first = error.strip().splitlines()[0][:200] if error.strip() else "no reason given"
    if "utf-8" in first.lower():
        return f"{label} is not UTF-8 text; give `encoding`, such as cp1252"
    if options.timezone and "time zone" in first.lower():
        return f"{label}: timezone {options.timezone!r} is not known: {first}"
    return f"{label} is no readable CSV file: {first}"
