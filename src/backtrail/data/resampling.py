"""Longer bars made of shorter ones, none of which knows anything of what comes after it.

A longer bar is labelled by the moment it begins, as any bar. Inside a session, bars are counted
from its opening: hours of XNYS begin at 9:30, and the last one is short. A day is a session, which
for a future begins on the evening before its date; a week begins on Monday and is over with its
last session. A bar whose time is not over at the end of the data is left out, because it would
become another one with the next ingest. A split or dividend inside a longer bar takes effect at its
beginning, and the prices and dividends before it are put into terms of the shares after it.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from backtrail.data.calendars import timeframe_minutes
from backtrail.data.identity import ADJUSTMENT_SCHEMA, BAR_SCHEMA, TIMESTAMP, canonical_order
from backtrail.data.sessions import (
    Calendar,
    calendar_name,
    sessions,
    sessions_around,
    table_range,
)
from backtrail.data.validation import ValidatedPrices
from backtrail.errors import DatasetError

__all__ = ["RESAMPLING_FORM", "resample"]

RESAMPLING_FORM: Final = 2
"""Raised when longer bars come out otherwise, so that no dataset made before is taken for one."""

_US_PER_MINUTE: Final = 60_000_000
_US_PER_DAY: Final = 86_400_000_000
_MONDAY: Final = 3  # 1970 began on a Thursday
_PRICES: Final = ("open", "high", "low", "close")

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """The longer bar of each moment.

    Attributes:
        starts: When it begins, microseconds since 1970 UTC.
        ends: When it is over.
    """

    starts: Int64Array
    ends: Int64Array


def resample(
    prices: ValidatedPrices, *, calendar: Calendar, source: str, target: str
) -> tuple[ValidatedPrices, dict[str, Any]]:
    """Return longer bars with their adjustments, and what the manifest says of them.

    Args:
        prices: Bars of `source`.
        calendar: The trading calendar.
        source: Length of a bar there is.
        target: Length of a bar to make.

    Raises:
        DatasetError: If a bar is in no session, or the calendar does not reach so far.
    """
    moments = prices.bars["timestamp"].to_physical().to_numpy()
    places = _places(moments, calendar, target)
    span = (timeframe_minutes(source) or 0) * _US_PER_MINUTE
    over = int(moments.max()) + span
    frame = prices.bars.with_columns(
        pl.Series("starts", places.starts), pl.Series("ends", places.ends)
    )
    events = _moved_events(prices.adjustments, frame)
    frame = _in_shares_after(frame, events)
    whole, rest = frame.filter(pl.col("ends") <= over), frame.filter(pl.col("ends") > over)
    longer = whole.group_by("symbol", "starts", maintain_order=True)
    bars = longer.agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    ).with_columns(pl.col("starts").cast(TIMESTAMP).alias("timestamp"))
    if not bars.height:
        raise DatasetError(f"no bar of {target} is over in the bars of {source} there are")
    adjustments = events.select(
        "symbol", pl.col("starts").cast(TIMESTAMP).alias("timestamp"), "kind", "value"
    )
    made = replace(
        prices,
        bars=canonical_order(bars.select(list(BAR_SCHEMA)), "bars"),
        adjustments=_merged(adjustments),
    )
    unfinished = rest.select("symbol", "starts").unique().height
    return made, {"from": source, "rows": prices.bars.height, "unfinished": unfinished}


def _places(moments: Int64Array, calendar: Calendar, target: str) -> _Places:
    if target == "1w":
        return _weeks(moments // _US_PER_DAY, calendar)
    first, last = (
        np.datetime64(int(day), "D").astype(object)
        for day in (moments.min() // _US_PER_DAY, moments.max() // _US_PER_DAY)
    )
    known = table_range(calendar)
    if known is not None and (first < known[0] or last > known[1]):
        raise DatasetError(
            f"bars from {first} to {last} are to be put into sessions of "
            f"{calendar_name(calendar)}, which are known from {known[0]} to {known[1]}; take "
            "longer bars from the source itself"
        )
    table = sessions_around(calendar, first, last)
    closes = table.closes
    place = np.searchsorted(table.opens, moments, side="right") - 1
    outside = place < 0 if not len(table) else (place < 0) | (moments >= closes[place])
    if outside.any():
        at = np.datetime64(int(moments[np.argmax(outside)]), "us")
        raise DatasetError(
            f"{int(outside.sum()):,} bars, first at {at}Z, are in no session of "
            f"{calendar_name(calendar)}, so that nobody can say to which longer bar they belong; "
            "drop them from the source, or take another calendar"
        )
    opens, closes = table.opens[place], closes[place]
    if target == "1d":
        return _Places(table.dates[place].astype(np.int64) * _US_PER_DAY, closes)
    step = (timeframe_minutes(target) or 0) * _US_PER_MINUTE
    starts = opens + (moments - opens) // step * step
    return _Places(starts, np.minimum(starts + step, closes))


def _weeks(days: Int64Array, calendar: Calendar) -> _Places:
    mondays = days - (days + _MONDAY) % 7
    ends = mondays + 7
    first, last = (
        np.datetime64(int(day), "D").astype(object) for day in (mondays.min(), ends.max() - 1)
    )
    known = table_range(calendar)
    if known is None or (known[0] <= first and last <= known[1]):
        table = sessions(calendar, first, last).dates.astype(np.int64)
        place = np.searchsorted(table, ends) - 1  # the last session before the next Monday
        held = (place >= 0) & (table[place] >= mondays)
        ends = np.where(held, np.maximum(table[place], days) + 1, ends)
    return _Places(mondays * _US_PER_DAY, ends * _US_PER_DAY)


def _moved_events(adjustments: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """Return adjustments with the beginning of the longer bar in which they take effect."""
    bars = frame.select("symbol", "timestamp", "starts").sort("timestamp")
    events = adjustments.with_columns(pl.col("symbol").cast(frame.schema["symbol"]))
    moved = events.sort("timestamp").join_asof(
        bars, on="timestamp", by="symbol", strategy="forward", check_sortedness=False
    )
    # After the last bar nothing takes effect any more; a delisting stays where it is.
    moved = moved.with_columns(pl.col("starts").fill_null(pl.col("timestamp").to_physical()))
    return _per_share_after(moved)


def _per_share_after(events: pl.DataFrame) -> pl.DataFrame:
    """Return events with each dividend per share as they are after the splits of its longer bar."""
    for symbol, at, starts, ratio in (
        events.filter(pl.col("kind") == "split")
        .select("symbol", "timestamp", "starts", "value")
        .rows()
    ):
        before = (
            (pl.col("kind") == "dividend")
            & (pl.col("symbol") == symbol)
            & (pl.col("starts") == starts)
            & (pl.col("timestamp") < at)
        )
        paid = pl.when(before).then(pl.col("value") / ratio).otherwise(pl.col("value"))
        events = events.with_columns(paid.alias("value"))
    return events


def _in_shares_after(frame: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    splits = events.filter(pl.col("kind") == "split")
    for symbol, at, starts, ratio in splits.select(
        "symbol", pl.col("timestamp").to_physical(), "starts", "value"
    ).rows():
        before = (
            (pl.col("symbol") == symbol)
            & (pl.col("starts") == starts)
            & (pl.col("timestamp").to_physical() < at)
        )
        frame = frame.with_columns(
            *(
                pl.when(before).then(pl.col(n) / ratio).otherwise(pl.col(n)).alias(n)
                for n in _PRICES
            ),
            pl.when(before)
            .then(pl.col("volume") * ratio)
            .otherwise(pl.col("volume"))
            .alias("volume"),
        )
    return frame


def _merged(adjustments: pl.DataFrame) -> pl.DataFrame:
    """Return adjustments with those of one kind at one moment made one."""
    merged = adjustments.group_by("symbol", "timestamp", "kind", maintain_order=True).agg(
        pl.when(pl.col("kind").first() == "split")
        .then(pl.col("value").product())
        .otherwise(pl.col("value").sum())
        .alias("value")
    )
    return canonical_order(merged.select(list(ADJUSTMENT_SCHEMA)), "adjustments")
