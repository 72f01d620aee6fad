"""Forms of timestamps, and how text or typed columns of a form are read as UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import polars as pl

__all__ = [
    "TYPED_FORMS",
    "TimeForm",
    "largest_day_month",
    "other_unit",
    "parse_times",
    "wall_clock",
]

TYPED_FORMS: Final = ("date", "datetime", "datetime with zone")
"""Forms of columns that hold timestamps rather than text."""

_EPOCH_UNITS: Final = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1, "epoch_ns": 0}
_POWERS: Final = 10 ** np.arange(19, dtype=np.int64)
_FEWEST_DIGITS: Final = 9
_HAS_TIME: Final = re.compile(r"%(H|I|T|R|X|c|s|\+)")
_HAS_ZONE: Final = re.compile(r"%(z|:z|#z|\+)|(?<!%)(Z|UTC|GMT)$")
_LITERAL_ZONE: Final = re.compile(r"(?<!%)(Z| ?UTC| ?GMT)$")
_OFFSET_FORM: Final = re.compile(r" ?%[:#]?z$")
_OFFSET: Final = r" ?[+-]\d{2}(:?\d{2})?$"
_DAY_MONTH: Final = r"^\s*(\d{1,2})[/.-](\d{1,2})[/.-]"
_EARLIEST: Final = datetime(1700, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TimeForm:
    """How the timestamps of one file are written.

    Attributes:
        form: strptime format, or `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, or one of
            `TYPED_FORMS`.
        zone: Zone of the times, or the one in which a daily bar has its date; None for dates.
        found_by: The evidence for both.
    """

    form: str
    zone: str | None
    found_by: str

    @property
    def is_epoch(self) -> bool:
        """Whether cells count from 1970."""
        return self.form in _EPOCH_UNITS

    @property
    def counts_from_utc(self) -> bool:
        """Whether cells are in UTC, rather than in the zone that each of them names."""
        return self.is_epoch or _LITERAL_ZONE.search(self.form) is not None

    @property
    def has_time(self) -> bool:
        """Whether cells tell more than a date."""
        if self.form in TYPED_FORMS:
            return self.form != "date"
        return self.is_epoch or _HAS_TIME.search(self.form) is not None

    @property
    def has_zone(self) -> bool:
        """Whether cells tell their zone."""
        if self.form in TYPED_FORMS:
            return self.form == "datetime with zone"
        return self.is_epoch or _HAS_ZONE.search(self.form) is not None


def parse_times(text: pl.Expr, time: TimeForm, *, daily: bool) -> pl.Expr:
    """Return an expression from text to canonical timestamps.

    What cannot be parsed, local times that exist twice or never (daylight saving), and years
    outside 1700 to 2200 become null. Daily bars become midnight UTC of the date in their zone,
    or of the date as written where there is none.

    Args:
        text: The cells.
        time: How they are written.
        daily: Whether bars are labelled by date.
    """
    if daily and (time.zone is None or not time.has_zone):
        utc = wall_clock(text, time).dt.date().cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    elif time.has_zone:
        moment = _moment(text, time)
        if daily and time.zone:
            dates = moment.dt.convert_time_zone(time.zone).dt.date()
            moment = dates.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        utc = moment.dt.convert_time_zone("UTC")
    else:
        local = wall_clock(text, time).dt.replace_time_zone(
            time.zone or "UTC", ambiguous="null", non_existent="null"
        )
        utc = local.dt.convert_time_zone("UTC")
    return pl.when(utc.is_between(_EARLIEST, _LATEST)).then(utc)


def largest_day_month(lazy: pl.LazyFrame, text: pl.Expr) -> tuple[int, int]:
    """Return the largest first and second number of all texts such as `3/4/2020`; 0 for none.

    Args:
        lazy: A scan of all rows.
        text: The texts.
    """
    pair = text.str.extract_groups(_DAY_MONTH).struct.unnest()
    first, second = lazy.select(pair).cast(pl.Int32).max().collect(engine="streaming").row(0)
    return int(first or 0), int(second or 0)


def other_unit(times: pl.Series, form: str) -> int | None:
    """Return the first row whose epoch is in another unit than the largest ones; None without one.

    Seconds beside milliseconds would be days in 1970. Epochs of one unit pass through every number
    of digits, so that a number of digits between others that no row has tells of two units.

    Args:
        times: Moments as read, UTC.
        form: Name of the epoch.
    """
    ticks = times.to_physical()
    least, most = ticks.min(), ticks.max()
    if least is None or (least > 0 and most < 100 * least):  # type: ignore[operator]
        return None
    moments, unit = np.abs(ticks.fill_null(0).to_numpy()), _EPOCH_UNITS[form]
    counts = moments // unit if unit else moments * 1000
    digits = np.searchsorted(_POWERS, counts, side="right")
    large = digits >= _FEWEST_DIGITS  # below, a step is as large as what it steps to
    seen = set(np.unique(digits[large]).tolist())
    gaps = set(range(min(seen, default=0), max(seen, default=0))) - seen
    return int(np.argmax(large & (digits < max(gaps)))) if gaps else None


def wall_clock(text: pl.Expr, time: TimeForm) -> pl.Expr:
    """Return an expression from text to the date and time as written, without any zone."""
    if time.form in TYPED_FORMS:
        return _moment(text, time).dt.replace_time_zone(None)
    if time.is_epoch:
        return _moment(text, time).dt.replace_time_zone(None)
    if not time.has_time:
        return text.str.to_date(time.form, strict=False, cache=False).cast(pl.Datetime("us"))
    form = _OFFSET_FORM.sub("", time.form)
    if form != time.form:
        text = text.str.replace(_OFFSET, "")
    moment = text.str.to_datetime(form, strict=False, time_unit="us", cache=False)
    return moment if _LITERAL_ZONE.search(form) else moment.dt.replace_time_zone(None)


def _moment(text: pl.Expr, time: TimeForm) -> pl.Expr:
    if time.form in TYPED_FORMS:
        if not time.has_time:
            return text.cast(pl.Datetime("us"))
        whole = text.dt.nanosecond() % 1000 == 0  # what is finer than a microsecond is not read
        return pl.when(whole).then(text.dt.cast_time_unit("us"))
    if time.is_epoch:
        whole = text.cast(pl.Int64, strict=False)
        if time.form == "epoch_ns":
            ticks: pl.Expr = pl.when(whole % 1000 == 0).then(whole // 1000)
        else:
            unit = _EPOCH_UNITS[time.form]
            broken = (text.cast(pl.Float64, strict=False) * unit).round().cast(pl.Int64)
            ticks = pl.when(whole.is_not_null()).then(whole * unit).otherwise(broken)
        return ticks.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if _LITERAL_ZONE.search(time.form):  # letters, which strptime does not read as a zone
        return wall_clock(text, time).dt.replace_time_zone("UTC")
    return text.str.to_datetime(time.form, strict=False, time_unit="us", cache=False)
