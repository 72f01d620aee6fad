"""Prices adjusted for splits and dividends: a view of raw bars, computed when they are read.

Nothing adjusted is stored, so that a view can be of any day: what was not known then has no effect.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final, Literal

import polars as pl

from backtrail.data.datasets import Dataset
from backtrail.data.identity import BAR_SCHEMA
from backtrail.errors import DatasetError

__all__ = ["adjusted_bars"]

_KINDS: Final = {
    "none": (),
    "split": ("split",),
    "dividend": ("dividend",),
    "both": ("dividend", "split"),
}
_PRICES: Final = ("open", "high", "low", "close")
_KEY: Final = ["symbol", "timestamp"]


def adjusted_bars(
    dataset: Dataset,
    symbols: Sequence[str] | None = None,
    start: date | None = None,
    end: date | None = None,
    *,
    adjust: Literal["none", "split", "dividend", "both"] = "both",
    as_of: date | None = None,
) -> pl.DataFrame:
    """Return bars on the scale of the last one that is known, so that they can be compared.

    A split of r new shares per old divides earlier prices by r and multiplies earlier volumes by
    it. A dividend multiplies earlier prices by 1 - dividend / close before it, so that a fall by
    the dividend is no loss (the method of CRSP's and Yahoo's adjusted closes). Both take effect at
    the first bar of their symbol on or after their day, splits first: dividends are per new share.

    Args:
        dataset: Where to read.
        symbols: Symbols wanted; None means all.
        start: First UTC date.
        end: Last UTC date, included.
        adjust: What to adjust for.
        as_of: UTC date on which the view is taken: later bars are not returned, and later splits
            and dividends unknown. None means that of the last bar.

    Returns:
        Columns of the bars in canonical order; bars without a later event are the raw ones.

    Raises:
        DatasetError: If a symbol is not in the dataset, the file is damaged, or a dividend is not
            below the close before it.
        ValueError: If `adjust` is none of the four words.
    """
    if adjust not in _KINDS:
        raise ValueError(f"adjust is {adjust!r}; it can be {', '.join(_KINDS)}")
    bars = dataset.bars(symbols, start, as_of)
    events = dataset.adjustments().filter(pl.col("kind").is_in(_KINDS[adjust]))
    events = events.filter(pl.col("symbol").is_in(bars["symbol"].unique().to_list()))
    if events.height:
        bars = _adjusted(dataset, bars, events)
    if end is not None:
        bars = bars.filter(pl.col("timestamp").dt.date() <= end)
    return bars


def _adjusted(dataset: Dataset, bars: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    known = bars.join(_by_bar(bars, events), on=_KEY, how="left", maintain_order="left")
    split, dividend = pl.col("split").fill_null(1.0), pl.col("dividend").fill_null(0.0)
    paid = dividend * split / pl.col("close").shift(1).over("symbol")
    known = known.with_columns(split, paid.fill_null(0.0).alias("paid"))
    too_large = known.filter(pl.col("paid") >= 1.0)
    if too_large.height:
        symbol, timestamp = too_large.select(_KEY).row(0)
        raise DatasetError(
            f"dataset {dataset.manifest.dataset_id} has a dividend of {symbol} that takes effect "
            f"on {timestamp:%Y-%m-%d} and is not below the close before it; prices cannot be "
            "adjusted for it: read them with adjust='split', or correct the source"
        )
    later_splits = _of_later_bars(pl.col("split"))
    later = later_splits.pow(-1) * _of_later_bars(1.0 - pl.col("paid"))
    return known.with_columns(
        *(pl.col(name) * later for name in _PRICES), pl.col("volume") * later_splits
    ).select(list(BAR_SCHEMA))


def _by_bar(bars: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Return splits and dividends by the bar at which they take effect, one row each."""
    own = bars.select("symbol", "timestamp", pl.col("timestamp").alias("bar"))
    placed = events.sort("timestamp").join_asof(
        own.sort("timestamp"),
        on="timestamp",
        by="symbol",
        strategy="forward",
        check_sortedness=False,
    )
    value = pl.col("value")
    return (
        placed.drop_nulls("bar")
        .group_by("symbol", pl.col("bar").alias("timestamp"))
        .agg(
            value.filter(pl.col("kind") == "split").product().alias("split"),
            value.filter(pl.col("kind") == "dividend").sum().alias("dividend"),
        )
    )


def _of_later_bars(step: pl.Expr) -> pl.Expr:
    """Return at each bar the product over all later bars of the same symbol."""
    return step.cum_prod(reverse=True).shift(-1, fill_value=1.0).over("symbol")
