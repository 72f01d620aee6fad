"""Reading a window of a dataset: some symbols, some dates, splits and dividends in their place."""

from array import array
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import polars as pl

from backtrail.arrow import column_bytes
from backtrail.data.datasets import Dataset
from backtrail.data.packed_bars import PackedBars, Spans
from backtrail.errors import DatasetError

__all__ = ["read_window"]

_US_PER_MINUTE: Final = 60_000_000
_LAST_DAY: Final = 2**31 - 1
_FIELDS: Final = ("open", "high", "low", "close", "volume")


def read_window(dataset: Dataset, symbols: Sequence[str], start: date, end: date) -> PackedBars:
    """Return raw bars of some symbols on the union of their timestamps.

    A split or dividend on a day without a bar of its symbol takes effect at the next bar.

    Args:
        dataset: Where to read.
        symbols: Names, in the order wanted; each once.
        start: First UTC date.
        end: Last UTC date, included.

    Raises:
        DatasetError: If a symbol is not in the dataset, stands twice, or has no bar in the window.
    """
    if not symbols or len(set(symbols)) != len(symbols):
        raise DatasetError(f"symbols asked: {list(symbols)}; name at least one, each once")
    frame = dataset.bars(symbols, start, end).with_columns(pl.col("timestamp").to_physical())
    parts = {str(key[0]): part for key, part in frame.partition_by("symbol", as_dict=True).items()}
    _check_window(dataset, symbols, parts, start, end)
    grid = _union([parts[name]["timestamp"] for name in symbols])
    events = _events(dataset, end)
    columns: dict[str, list[bytes]] = {name: [] for name in (*_FIELDS, "splits", "dividends")}
    delisted = array("q")
    for name in symbols:
        on_grid = _on_grid(parts[name], grid)
        for field in _FIELDS:
            columns[field].append(column_bytes(on_grid[field]))
        splits, dividends, last = _place(events.get(name), parts[name]["timestamp"], grid)
        columns["splits"].append(splits.tobytes())
        columns["dividends"].append(dividends.tobytes())
        delisted.append(last)
    joined = {name: b"".join(values) for name, values in columns.items()}
    return PackedBars(
        symbols=tuple(symbols),
        calendar=dataset.manifest.calendar,
        timeframe=dataset.manifest.timeframe,
        columns={
            "timestamps": column_bytes(grid),
            "delisted": delisted.tobytes(),
            **joined,
            **_sessions(dataset),
        },
        members=_members(dataset, symbols),
    )


def _sessions(dataset: Dataset) -> dict[str, bytes]:
    frame = dataset.session_rows()
    if frame is None:
        return {}
    opens = frame["open"].to_physical()
    return {
        "session_days": column_bytes(frame["date"].to_physical().cast(pl.Int64)),
        "session_opens": column_bytes(opens),
        "session_closes": column_bytes(opens + frame["minutes"] * _US_PER_MINUTE),
    }


def _members(dataset: Dataset, symbols: Sequence[str]) -> Spans | None:
    frame = dataset.universe()
    if frame is None:
        return None
    days = frame.with_columns(
        pl.col("first").to_physical(), pl.col("last").to_physical().fill_null(_LAST_DAY)
    )
    spans: dict[str, tuple[tuple[int, int], ...]] = dict.fromkeys(symbols, ())
    for symbol, first, last in days.iter_rows():
        if symbol in spans:
            spans[symbol] += ((first, last),)
    return spans


def _check_window(
    dataset: Dataset,
    symbols: Sequence[str],
    parts: Mapping[str, pl.DataFrame],
    start: date,
    end: date,
) -> None:
    empty = [name for name in symbols if name not in parts]
    if empty:
        ranges = ", ".join(
            f"{name} from {dataset.manifest.symbols[name].first} to "
            f"{dataset.manifest.symbols[name].last}"
            for name in empty
        )
        raise DatasetError(
            f"no bar from {start} to {end} in dataset {dataset.manifest.dataset_id} "
            f"({dataset.manifest.bundle}); it has {ranges}"
        )


def _union(stamps: Sequence[pl.Series]) -> pl.Series:
    first = stamps[0]
    if all(first.equals(other) for other in stamps[1:]):
        return first
    return pl.concat(stamps).unique().sort()


def _on_grid(part: pl.DataFrame, grid: pl.Series) -> pl.DataFrame:
    """Return a symbol's fields in every row of the grid, NaN where it has no bar."""
    if len(part) == len(grid):
        return part.select(_FIELDS)
    joined = grid.to_frame().join(part, on=grid.name, how="left", maintain_order="left")
    return joined.select(pl.col(_FIELDS).fill_null(float("nan")))


def _events(dataset: Dataset, end: date) -> dict[str, pl.DataFrame]:
    frame = dataset.adjustments().filter(pl.col("timestamp").dt.date() <= end)
    frame = frame.with_columns(pl.col("timestamp").to_physical())
    return {str(key[0]): part for key, part in frame.partition_by("symbol", as_dict=True).items()}


def _place(
    events: pl.DataFrame | None, own: pl.Series, grid: pl.Series
) -> "tuple[array[float], array[float], int]":
    """Return splits and dividends by row of the grid, and the row of a delisting or -1.

    What lies outside the symbol's own bars has no effect in the window.
    """
    splits, dividends = array("d", [1.0]) * len(grid), array("d", [0.0]) * len(grid)
    if events is None:
        return splits, dividends, -1
    first, last, ends = own[0], own[-1], pl.col("kind") == "delisting"
    inside = events.filter(~ends & pl.col("timestamp").is_between(first, last))
    effective = own.gather(own.search_sorted(inside["timestamp"], side="left"))
    rows = grid.search_sorted(effective, side="left")
    for row, kind, value in zip(rows, inside["kind"], inside["value"], strict=True):
        if kind == "split":
            splits[row] *= value
        else:
            dividends[row] += value
    if events.filter(ends & (pl.col("timestamp") >= last)).is_empty():
        return splits, dividends, -1
    return splits, dividends, grid.search_sorted(last, side="left")
