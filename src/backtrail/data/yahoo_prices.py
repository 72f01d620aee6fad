"""What Yahoo's numbers mean, and the raw prices behind them."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import polars as pl

from backtrail.data.identity import TIMESTAMP
from backtrail.errors import DatasetError

__all__ = ["chart_page", "raw_prices_of"]

_VALUES: Final = ("Open", "High", "Low", "Close", "Volume", "Dividends", "Stock Splits")
_GAINS: Final = "Capital Gains"
_PRICES: Final = ("open", "high", "low", "close")
_COLUMNS: Final = ("at", *_PRICES, "volume", "dividend", "split", "gain")
_CLEAR_SPLIT: Final = math.log(1.25)


def chart_page(
    symbol: str,
    frame: Any,
    chart: Mapping[str, Any],
    meta: Mapping[str, Any],
    *,
    now: datetime,
    step: int | None,
) -> dict[str, Any]:
    """Return the finished bars of a chart as plain values, with every split it tells of.

    Args:
        symbol: As Yahoo writes it.
        frame: What yfinance made of the chart.
        chart: The chart as Yahoo sent it, in which more can be seen.
        meta: What to keep of what Yahoo says about the symbol.
        now: The present. A day is finished when the next has begun where the exchange is.
        step: Seconds of a bar; None for days.

    Raises:
        DatasetError: If dividends are in another currency than prices.
    """
    zone = ZoneInfo(str(meta["exchangeTimezoneName"]))
    events = chart.get("events") or {}
    _check_currency(symbol, events.get("dividends") or {}, meta.get("currency"))
    today = now.astimezone(zone).date().isoformat()
    unknown = _unknown_volumes(chart, zone if step is None else None)
    rows = []
    for stamp, values in zip(frame.index, frame.to_dict("records"), strict=True):
        moment = int(stamp.timestamp())
        day = stamp.date().isoformat()
        if day >= today if step is None else moment + step > now.timestamp():
            continue
        row = [_number(values[name]) for name in _VALUES] + [_number(values.get(_GAINS, 0.0))]
        if (day if step is None else moment) in unknown:
            row[4] = None  # yfinance makes 0 of it
        rows.append([day if step is None else moment, *row])
    splits = [
        [_day(item["date"], zone), item["numerator"] / item["denominator"]]
        for item in (events.get("splits") or {}).values()
    ]
    return {"rows": rows, "splits": sorted(splits), "meta": dict(meta)}


def raw_prices_of(
    symbol: str,
    rows: Sequence[Sequence[Any]],
    *,
    splits: Sequence[tuple[date, float]],
    zone: str | None,
    capital_gains: str | None,
    decimals: int | None,
) -> pl.DataFrame:
    """Return raw prices, as they were paid on their day, from prices divided by later splits.

    Args:
        symbol: As Yahoo writes it.
        rows: Rows of `chart_page`.
        splits: Every split until today: its date, and new shares per old.
        zone: Where a bar has its date; None for days.
        capital_gains: `separate`, `included`, or None if nobody said.
        decimals: To how many places to round prices and dividends; None for not at all.

    Raises:
        DatasetError: If prices are not divided by a split that they should be, or capital gains
            are there and nobody said what they are.
    """
    numbers = dict.fromkeys(_COLUMNS[1:], pl.Float64())
    schema = {"at": pl.String() if zone is None else pl.Int64(), **numbers}
    frame = pl.DataFrame(rows, schema=schema, orient="row").with_row_index("line", offset=1)
    if zone is None:
        stamp = pl.col("at").str.to_date().cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        day = stamp.dt.date()
    else:
        stamp = (pl.col("at") * 1_000_000).cast(TIMESTAMP)
        day = stamp.dt.convert_time_zone(zone).dt.date()
    frame = frame.with_columns(stamp.alias("timestamp"), day.alias("day")).sort("timestamp")
    _check_splits(symbol, frame, splits)
    frame = _with_gains(symbol, frame, capital_gains)
    factor = pl.lit(1.0)
    for when, ratio in splits:
        factor = factor * pl.when(pl.col("day") < when).then(ratio).otherwise(1.0)
    paid = [pl.col(name) * factor for name in (*_PRICES, "dividend")]
    if decimals is not None:
        paid = [price.round(decimals) for price in paid]
    return frame.select(
        pl.lit(symbol, dtype=pl.Enum([symbol])).alias("symbol"),
        "timestamp",
        *paid,
        pl.col("volume") / factor,
        pl.when(pl.col("split") != 0.0).then(pl.col("split")).alias("split"),
        pl.lit(0, dtype=pl.UInt32).alias("file"),
        pl.col("line").cast(pl.UInt32),
    )


def _check_splits(symbol: str, frame: pl.DataFrame, splits: Sequence[tuple[date, float]]) -> None:
    known = frame.filter(pl.col("open").is_not_null() & pl.col("close").is_not_null())
    for when, ratio in splits:
        before, after = known.filter(pl.col("day") < when), known.filter(pl.col("day") >= when)
        if abs(math.log(ratio)) < _CLEAR_SPLIT or not (before.height and after.height):
            continue  # a day's move could be as large, or there is nothing to compare
        step = math.log(before["close"][-1] / after["open"][0])
        if abs(step - math.log(ratio)) < abs(step):
            raise DatasetError(
                f"Yahoo: {symbol} is listed with a split of {ratio:g} on {when}, but the prices "
                f"before ({before['close'][-1]:g} to {after['open'][0]:g}) are not divided by it "
                "as Yahoo's others are; leave the symbol out, or take its prices from elsewhere"
            )


def _with_gains(symbol: str, frame: pl.DataFrame, meaning: str | None) -> pl.DataFrame:
    gains = frame.filter(pl.col("gain") != 0.0)
    if not gains.height or meaning == "included":
        return frame
    if meaning is None:
        raise DatasetError(
            f"Yahoo: {symbol} paid capital gains {gains.height} times, first "
            f"{gains['gain'][0]:g} on {gains['day'][0]}; some of Yahoo's dividends contain them "
            "and some do not: write `capital_gains: separate` to add them, or `included`"
        )
    return frame.with_columns(pl.col("dividend") + pl.col("gain"))


def _check_currency(symbol: str, dividends: Mapping[str, Any], currency: str | None) -> None:
    others = {item.get("currency") for item in dividends.values()} - {None, "", currency}
    if others:
        listed = ", ".join(sorted(str(other) for other in others))
        raise DatasetError(
            f"Yahoo: {symbol} has prices in {currency} and dividends in {listed}, which would be "
            "added as if they were the same; take its prices from elsewhere"
        )


def _unknown_volumes(chart: Mapping[str, Any], zone: ZoneInfo | None) -> set[int | str]:
    quote = chart["indicators"]["quote"][0]
    rows = zip(chart.get("timestamp", ()), quote["volume"], quote["close"], strict=True)
    moments = [moment for moment, volume, close in rows if volume is None and close is not None]
    return {moment if zone is None else _day(moment, zone) for moment in moments}


def _day(moment: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(moment, tz=UTC).astimezone(zone).date().isoformat()


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
