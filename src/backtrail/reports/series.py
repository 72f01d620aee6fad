"""The chart's data: every bar where that is few enough, else honest aggregates that say so.

Numbers travel as base64 of little-endian float32 (seven digits, enough for a chart and quick to
make); a missing value is NaN.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MAX_POINTS",
    "PriceArrays",
    "PricePlan",
    "TimeGrid",
    "pack_counts",
    "pack_floats",
    "pack_moments",
    "point_limit",
    "price_plan",
    "time_grid",
]

MAX_POINTS = 8_000
_MIN_POINTS = 2_000
_MAX_PRICE_VALUES = 48_000
_SECOND = 1_000_000
_STEPS = (
    (1, "1 s"),
    (5, "5 s"),
    (15, "15 s"),
    (30, "30 s"),
    (60, "1 min"),
    (300, "5 min"),
    (900, "15 min"),
    (1_800, "30 min"),
    (3_600, "1 h"),
    (7_200, "2 h"),
    (14_400, "4 h"),
    (28_800, "8 h"),
    (86_400, "1 day"),
)

_Floats = NDArray[np.float64]
_Moments = NDArray[np.int64]


def pack_floats(values: NDArray[Any]) -> str:
    """Return numbers as base64 of little-endian float32."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode("ascii")


def pack_counts(values: NDArray[Any]) -> str:
    """Return whole numbers from zero as base64 of little-endian uint32."""
    return base64.b64encode(values.astype("<u4").tobytes()).decode("ascii")


def pack_moments(moments: _Moments) -> dict[str, Any]:
    """Return ascending moments as their first second since 1970 and packed steps to the next."""
    seconds = moments // _SECOND
    steps = np.diff(seconds, prepend=seconds[:1])
    return {"first": int(seconds[0]) if seconds.size else 0, "steps": pack_counts(steps)}


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """The time axis of the chart: one point per bucket of the run's bars.

    Attributes:
        moments: First bar of each bucket, microseconds since 1970; whole seconds are unique.
        starts: Row of `backtest_results` at which each bucket begins.
        rows: How many rows there are.
        step: Length of a bucket in words; None when each bar is its own bucket.
    """

    moments: _Moments
    starts: NDArray[np.intp]
    rows: int
    step: str | None

    def locate(self, moments: _Moments) -> NDArray[np.intp]:
        """Return the bucket of each moment; a moment before the first bar is in bucket −1."""
        return np.searchsorted(self.moments, moments, side="right") - 1

    def last(self, values: _Floats) -> _Floats:
        """Return the last value of each bucket."""
        return np.asarray(values[np.append(self.starts[1:], self.rows) - 1])

    def lowest(self, values: _Floats) -> _Floats:
        """Return the smallest value of each bucket, NaN where there is none."""
        return np.asarray(np.fmin.reduceat(values, self.starts))

    def highest(self, values: _Floats) -> _Floats:
        """Return the largest value of each bucket, NaN where there is none."""
        return np.asarray(np.fmax.reduceat(values, self.starts))

    def times(self) -> dict[str, Any]:
        """Return the axis for the page: first second since 1970 and packed steps to the next."""
        return pack_moments(self.moments)


def _bucket_keys(timestamps: _Moments) -> Iterator[tuple[str, _Moments]]:
    for seconds, label in _STEPS:
        yield label, timestamps // (seconds * _SECOND)
    days = timestamps // (86_400 * _SECOND)
    yield "1 week", (days + 3) // 7  # 1970-01-01 was a Thursday; weeks begin on Monday
    months = timestamps.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    yield "1 month", months
    yield "1 year", months // 12


def point_limit(rows: int, symbols: int) -> int:
    """Return how many points the chart may have.

    A run that has to be aggregated anyway is aggregated until candles of its symbols fit, so that
    highs and lows are kept; a shorter run keeps every bar.
    """
    if rows <= MAX_POINTS:
        return MAX_POINTS
    return min(MAX_POINTS, max(_MIN_POINTS, _MAX_PRICE_VALUES // (4 * max(symbols, 1))))


def time_grid(timestamps: _Moments, limit: int = MAX_POINTS) -> TimeGrid:
    """Return the chart's time axis for a run's bars.

    Args:
        timestamps: Microseconds since 1970, strictly ascending.
        limit: Most points the chart may have; one point per year is the coarsest choice.
    """
    rows = timestamps.size
    seconds = timestamps // _SECOND
    if rows <= limit and (rows < 2 or bool((np.diff(seconds) > 0).all())):
        return TimeGrid(moments=timestamps, starts=np.arange(rows), rows=rows, step=None)
    starts, step = np.zeros(1, dtype=np.intp), ""
    for label, keys in _bucket_keys(timestamps):
        starts, step = np.append(0, np.flatnonzero(np.diff(keys)) + 1), label
        if starts.size <= limit:
            break
    return TimeGrid(moments=timestamps[starts], starts=starts, rows=rows, step=step)


@dataclass(frozen=True, slots=True)
class PricePlan:
    """Which prices the page holds.

    Attributes:
        symbols: Symbols with prices, the most traded first.
        left_out: Symbols without, to keep the file small.
        candles: Open, high, low and close; else the close only.
    """

    symbols: tuple[str, ...]
    left_out: tuple[str, ...]
    candles: bool


def price_plan(
    symbols: Sequence[str], trades: Mapping[str, int], points: int, limit: int = _MAX_PRICE_VALUES
) -> PricePlan:
    """Return which symbols get prices and in which detail.

    Args:
        symbols: All symbols of the run.
        trades: Number of trades by symbol; the most traded symbols come first.
        points: Points of the time axis.
        limit: Most price values the page may hold.
    """
    ordered = sorted(symbols, key=lambda symbol: (-trades.get(symbol, 0), symbol))
    if 4 * points * len(ordered) <= limit:
        return PricePlan(tuple(ordered), (), candles=True)
    kept = max(1, limit // max(points, 1))
    return PricePlan(tuple(ordered[:kept]), tuple(ordered[kept:]), candles=False)


@dataclass(frozen=True, slots=True)
class PriceArrays:
    """Prices of one symbol at its own bars: ascending moments, and columns of equal length."""

    moments: _Moments
    columns: Mapping[str, _Floats]

    def packed(self, grid: TimeGrid, end: int) -> dict[str, str]:
        """Return the columns on the chart's axis: first open, highest, lowest and last close.

        Args:
            grid: The axis.
            end: Moment of the run's last bar; later bars are left out.
        """
        buckets = grid.locate(self.moments)
        inside = (buckets >= 0) & (self.moments <= end)
        buckets = buckets[inside]
        first = np.append(0, np.flatnonzero(np.diff(buckets)) + 1)[: buckets.size]
        packed = {}
        for name, column in self.columns.items():
            values = np.full(grid.moments.size, np.nan)
            if first.size:
                values[buckets[first]] = _aggregate(name, column[inside], first)
            packed[name] = pack_floats(values)
        return packed


def _aggregate(name: str, values: _Floats, first: NDArray[np.intp]) -> _Floats:
    if name == "open":
        return np.asarray(values[first])
    if name == "high":
        return np.asarray(np.maximum.reduceat(values, first))
    if name == "low":
        return np.asarray(np.minimum.reduceat(values, first))
    return np.asarray(values[np.append(first[1:], values.size) - 1])
