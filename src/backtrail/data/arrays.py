"""Bars of a dataset as the engine's arrays, with splits, dividends and delistings in place."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from backtrail.data.datasets import Dataset
from backtrail.engine import Bars
from backtrail.errors import DatasetError

__all__ = ["load_bars"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

_FIELDS = ("open", "high", "low", "close", "volume")


def load_bars(dataset: Dataset, symbols: Sequence[str], start: date, end: date) -> Bars:
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
    frame = dataset.bars(symbols, start, end)
    parts = {str(key[0]): part for key, part in frame.partition_by("symbol", as_dict=True).items()}
    _check_window(dataset, symbols, parts, start, end)
    own = {name: _stamps(parts[name]) for name in symbols}
    timestamps = _union([own[name] for name in symbols])
    shape = (len(timestamps), len(symbols))
    fields = {field: np.full(shape, np.nan, order="F") for field in _FIELDS}
    splits, dividends = np.ones(shape, order="F"), np.zeros(shape, order="F")
    delisted = np.full(len(symbols), -1, dtype=np.int64)
    adjustments = dataset.adjustments()
    for column, name in enumerate(symbols):
        rows = np.searchsorted(timestamps, own[name])
        for field, array in fields.items():
            array[rows, column] = parts[name][field].to_numpy()
        mine = adjustments.filter(pl.col("symbol") == name)
        for stamp, kind, value in _events(mine, own[name], end):
            if kind == "delisting":
                delisted[column] = rows[-1]
            elif kind == "split":
                splits[rows[stamp], column] *= value
            else:
                dividends[rows[stamp], column] += value
    return Bars(
        symbols=tuple(symbols),
        timestamps=timestamps,
        splits=splits,
        dividends=dividends,
        delisted=delisted,
        calendar=dataset.manifest.calendar,
        timeframe=dataset.manifest.timeframe,
        **fields,
    )


def _check_window(
    dataset: Dataset,
    symbols: Sequence[str],
    parts: dict[str, pl.DataFrame],
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


def _stamps(part: pl.DataFrame) -> IntArray:
    return part["timestamp"].to_physical().to_numpy()


def _union(stamps: Sequence[IntArray]) -> IntArray:
    first = stamps[0]
    if all(np.array_equal(first, other) for other in stamps[1:]):
        return np.array(first)
    return np.unique(np.concatenate(stamps))


def _events(adjustments: pl.DataFrame, own: IntArray, end: date) -> list[tuple[int, str, float]]:
    # Position in the symbol's own bars; what lies outside the window's bars has no effect in it.
    events = []
    adjustments = adjustments.filter(pl.col("timestamp").dt.date() <= end)
    rows = adjustments.with_columns(pl.col("timestamp").to_physical()).iter_rows(named=True)
    for row in rows:
        moment, kind = row["timestamp"], row["kind"]
        if kind == "delisting":
            if moment >= own[-1]:
                events.append((len(own) - 1, kind, row["value"]))
        elif own[0] <= moment <= own[-1]:
            position = int(np.searchsorted(own, moment))
            events.append((position, kind, row["value"]))
    return events
