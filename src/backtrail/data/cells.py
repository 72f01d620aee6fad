"""Canonical columns out of a scan of one file; what cannot be read is kept with its row."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import polars as pl

from backtrail.data.folds import resolve_folds
from backtrail.data.number_forms import NumberForm
from backtrail.data.problems import MAX_PROBLEMS
from backtrail.data.time_forms import TimeForm, other_unit, parse_times, wall_clock
from backtrail.data.unread import UNREAD_SCHEMA, unread_cells, why_no_time

__all__ = ["NUMBERS", "CellPlan", "Cells", "collect_cells", "collect_trusted"]

NUMBERS: Final = ("open", "high", "low", "close", "volume", "dividend", "split")
"""Canonical columns that hold numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class CellPlan:
    """How the cells of a file become values.

    Attributes:
        lazy: The scan: `row` (number from 0) and canonical columns as they stand.
        timestamp: Expression of the cells that tell the time.
        time: How those are written.
        numbers: Expression of the value of each column of numbers.
        form: How numbers are written.
        has_symbol: Whether a column says the symbol.
        daily: Whether bars are labelled by date.
        dated: Whether daily bars may have a time of day, because their zone is stated.
    """

    lazy: pl.LazyFrame
    timestamp: pl.Expr
    time: TimeForm
    numbers: Mapping[str, pl.Expr]
    form: NumberForm
    has_symbol: bool
    daily: bool
    dated: bool


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The rows of one file, blank lines included.

    Attributes:
        frame: `row` (number from 0), `symbol` (where a column says it), `timestamp` and numbers;
            null where there is no value or it could not be read.
        form: How numbers are written.
        time: How timestamps are written.
        late: First row of a daily bar with a time of day that no zone explains, and its text.
        mixed: First row of an epoch in another unit than the others, and its text.
        unread: Cells that could not be read, columns of `UNREAD_SCHEMA`, of so many rows as
            problems are kept.
        unread_rows: How many rows have such cells.
    """

    frame: pl.DataFrame
    form: NumberForm
    time: TimeForm
    late: tuple[int, str] | None = None
    mixed: tuple[int, str] | None = None
    unread: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=UNREAD_SCHEMA))
    unread_rows: int = 0


def collect_cells(plan: CellPlan) -> Cells:
    """Return the cells of a file, with every one that says something and could not be read.

    Raises:
        polars.exceptions.PolarsError: If the scan fails.
    """
    parsed = {**plan.numbers, "timestamp": _parsed_time(plan)}
    raw = {**{name: pl.col(name) for name in plan.numbers}, "timestamp": plan.timestamp}
    unread = [raw[name].is_not_null() & value.is_null() for name, value in parsed.items()]
    frame = _collect(plan, pl.any_horizontal(unread))
    if plan.time.zone and not plan.time.has_zone and not plan.daily:
        frame = _with_folds(plan, frame)
    rows = frame.filter("unread")
    cells = pl.DataFrame(schema=UNREAD_SCHEMA)
    if rows.height:
        kept = rows.head(MAX_PROBLEMS)
        wanted = pl.col("row").is_in(kept["row"].to_list())
        texts = [raw[name].cast(pl.String).alias(name) for name in parsed]
        text = plan.lazy.filter(wanted).select("row", *texts).collect()
        why = why_no_time(plan.time, daily=plan.daily)
        cells = unread_cells(kept, text, list(plan.numbers), why).sort("row", maintain_order=True)
    return replace(_read(plan, frame), unread=cells, unread_rows=rows.height)


def collect_trusted(plan: CellPlan) -> Cells | None:
    """Return the cells of a file whose numbers are read as such; None where a row lacks its key.

    Blank lines are rows of nulls.

    Raises:
        polars.exceptions.PolarsError: If a number cannot be read.
    """
    frame = _collect(plan, pl.lit(False))
    needed = pl.col("timestamp").is_null()
    if plan.has_symbol:
        needed |= pl.col("symbol").is_null() | (pl.col("symbol").cast(pl.String) == "")
    values = [*(["symbol"] if plan.has_symbol else []), "timestamp", *plan.numbers]
    blank = pl.all_horizontal(pl.col(name).is_null() for name in values)
    if frame.select((needed & ~blank).any()).item():
        return None
    return _read(plan, frame)


def _read(plan: CellPlan, frame: pl.DataFrame) -> Cells:
    return Cells(
        frame=frame.drop("late", "unread"),
        form=plan.form,
        time=plan.time,
        late=_late(plan, frame),
        mixed=_mixed(plan, frame),
    )


def _parsed_time(plan: CellPlan) -> pl.Expr:
    return parse_times(plan.timestamp, plan.time, daily=plan.daily)


def _collect(plan: CellPlan, unread: pl.Expr) -> pl.DataFrame:
    late = pl.lit(False)
    if plan.daily and plan.time.has_time and not plan.dated:
        late = wall_clock(plan.timestamp, plan.time).dt.time() != pl.time()
    lazy = plan.lazy.select(
        "row",
        *([pl.col("symbol").cast(pl.Categorical)] if plan.has_symbol else []),
        _parsed_time(plan).alias("timestamp"),
        *(value.alias(name) for name, value in plan.numbers.items()),
        *([] if "volume" in plan.numbers else [pl.lit(0.0).alias("volume")]),
        late.alias("late"),
        unread.alias("unread"),
    )
    columns = lazy.collect(engine="streaming").get_columns()
    for at in range(len(columns)):  # one after the other: a frame at once would be there twice
        columns[at] = columns[at].rechunk()
    return pl.DataFrame(columns)


def _late(plan: CellPlan, frame: pl.DataFrame) -> tuple[int, str] | None:
    rows = frame.filter("late").head(1)
    if not rows.height:
        return None
    row = rows["row"][0]
    return row, _text_of_time(plan, row)


def _mixed(plan: CellPlan, frame: pl.DataFrame) -> tuple[int, str] | None:
    at = other_unit(frame["timestamp"], plan.time.form) if plan.time.is_epoch else None
    if at is None:
        return None
    row = frame["row"][at]
    return row, _text_of_time(plan, row)


def _text_of_time(plan: CellPlan, row: int) -> str:
    text = plan.lazy.filter(pl.col("row") == row).select(plan.timestamp.cast(pl.String))
    return str(text.collect().item()).strip()


def _with_folds(plan: CellPlan, frame: pl.DataFrame) -> pl.DataFrame:
    missing = frame.select(pl.col("unread") & pl.col("timestamp").is_null()).to_series()
    if not missing.any():
        return frame
    symbol = pl.col("symbol").cast(pl.Categorical) if plan.has_symbol else pl.lit("")
    local = wall_clock(plan.timestamp, plan.time)
    rows = plan.lazy.select("row", symbol.alias("symbol"), local.alias("local"))
    decided = resolve_folds(rows.collect(engine="streaming"), str(plan.time.zone))
    return frame.update(decided, on="row", how="left")
