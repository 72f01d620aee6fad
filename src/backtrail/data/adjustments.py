"""Splits and dividends found beside prices, and whether prices agree with them."""

import math
from typing import Final

import polars as pl

from backtrail.data.identity import ADJUSTMENT_SCHEMA

__all__ = ["extract_adjustments", "splits_not_in_prices"]

_CLEAR_SPLIT: Final = math.log(1.25)


def extract_adjustments(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the splits (value not 1) and dividends (value not 0) of raw rows.

    Args:
        frame: Raw rows; columns `split` and `dividend` may be absent.

    Returns:
        Columns `symbol`, `timestamp`, `kind`, `value`, `file`, `line`.
    """
    parts = []
    for kind, none in (("dividend", 0.0), ("split", 1.0)):
        if kind in frame.columns:
            rows = frame.filter(
                pl.col(kind).is_not_null()
                & (pl.col(kind) != none)
                & pl.col("symbol").is_not_null()
                & pl.col("timestamp").is_not_null()
            )
            parts.append(
                rows.select(
                    "symbol",
                    "timestamp",
                    pl.lit(kind).alias("kind"),
                    pl.col(kind).alias("value"),
                    "file",
                    "line",
                )
            )
    if parts:
        return pl.concat(parts)
    schema = {**ADJUSTMENT_SCHEMA, "symbol": frame.schema["symbol"]}
    return pl.DataFrame(schema={**schema, "file": pl.UInt32(), "line": pl.UInt32()})


def splits_not_in_prices(ordered: pl.DataFrame, adjustments: pl.DataFrame) -> pl.DataFrame:
    """Return the splits over which raw prices do not move as a split must move them.

    A split of r new shares per old divides the raw price by r. When the step from the last close
    to the open is nearer to no move than to that, the prices are adjusted already, and applying
    the split again would multiply a holding by r. Ratios within a quarter of 1 cannot be told
    from a day's move and pass.

    Args:
        ordered: Bars sorted by symbol and timestamp.
        adjustments: What `extract_adjustments` returned.
    """
    splits = adjustments.filter(pl.col("kind") == "split")
    if not splits.height:
        return splits
    touched = ordered.filter(pl.col("symbol").is_in(splits["symbol"].unique().to_list()))
    former = (
        pl.when(pl.col("symbol") == pl.col("symbol").shift(1))
        .then(pl.col("close").shift(1))
        .otherwise(None)
    )
    steps = touched.select("symbol", "timestamp", (former / pl.col("open")).log().alias("step"))
    joined = splits.join(steps, on=["symbol", "timestamp"], how="left", maintain_order="left")
    size, step = pl.col("value").log(), pl.col("step")
    wrong = (size.abs() >= _CLEAR_SPLIT) & ((step - size).abs() > step.abs())
    return joined.filter(wrong.fill_null(value=False)).drop("step")
