"""The rules that rows of prices must keep, as plain Polars expressions.

`NaN > 0` is true in Polars, so finiteness is always asked by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

__all__ = ["CONTRADICTION", "PRICES", "SPLIT_NOT_IN_PRICES", "Rule", "broken_rules"]

PRICES: Final = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """What a row may not be.

    Attributes:
        name: Name of the rule, which a waiver can give.
        column: The column that is at fault.
        why: What is wrong, in words.
        broken: Says of each row whether it breaks the rule; null is no.
    """

    name: str
    column: str
    why: str
    broken: pl.Expr


CONTRADICTION: Final = Rule(
    "contradicting_duplicate",
    "timestamp",
    "the same symbol and time stand elsewhere with other values",
    pl.lit(True),
)
"""Found beside the rows, not in one."""

SPLIT_NOT_IN_PRICES: Final = Rule(
    "split_not_in_prices",
    "split",
    "prices do not move with this split, they seem to be adjusted for it already; "
    "set `split_adjusted`",
    pl.lit(True),
)
"""Found over two rows, not in one."""


def broken_rules(frame: pl.DataFrame) -> list[Rule]:
    """Return the rules that at least one row breaks."""
    rules = _rules(frame.columns)
    counts = frame.select(
        rule.broken.any(ignore_nulls=True).alias(str(index)) for index, rule in enumerate(rules)
    ).row(0)
    return [rule for rule, broken in zip(rules, counts, strict=True) if broken]


def _null_row() -> pl.Expr:
    return pl.all_horizontal(pl.col(PRICES).is_null())


def _rules(columns: Sequence[str]) -> list[Rule]:
    rules = [
        Rule("null_symbol", "symbol", "no symbol", pl.col("symbol").is_null()),
        Rule("null_timestamp", "timestamp", "no timestamp", pl.col("timestamp").is_null()),
        Rule("null_row", "close", "the row has no price", _null_row()),
    ]
    for name in (*PRICES, "volume"):
        value = pl.col(name)
        label = "null_volume" if name == "volume" else "null_price"
        rules.append(Rule(label, name, "no value", value.is_null() & ~_null_row()))
        rules.append(Rule("non_finite", name, "not finite", ~value.is_finite()))
    for name in PRICES:
        value = pl.col(name)
        wrong = value.is_finite() & (value <= 0)
        rules.append(Rule("non_positive_price", name, "a price is above zero", wrong))
    negative = pl.col("volume").is_finite() & (pl.col("volume") < 0)
    rules.append(Rule("negative_volume", "volume", "volume is zero or above", negative))
    rules += _ohlc_rules()
    for name, floor, why in (
        ("split", pl.col("split") > 0, "new shares for one old, finite and above zero; 1 is none"),
        ("dividend", pl.col("dividend") >= 0, "cash per share, finite; 0 is none"),
    ):
        if name in columns:
            sound = pl.col(name).is_finite() & floor
            rules.append(Rule("bad_adjustment", name, why, ~sound))
    return rules


def _ohlc_rules() -> list[Rule]:
    finite = pl.all_horizontal(pl.col(PRICES).is_finite())
    high, low = pl.col("high"), pl.col("low")
    above = (high < pl.col("open")) | (high < pl.col("close")) | (high < low)
    below = (low > pl.col("open")) | (low > pl.col("close")) | (low > high)
    return [
        Rule("impossible_ohlc", "high", "high is below open, low or close", finite & above),
        Rule("impossible_ohlc", "low", "low is above open, high or close", finite & below),
    ]
