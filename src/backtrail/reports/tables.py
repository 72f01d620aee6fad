"""What the page computes for showing only: months, drawdown episodes, the shape of returns.

Metric values are never computed here; they come from the `summary` artifact.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DrawdownEpisode",
    "Histogram",
    "Tick",
    "YearRow",
    "drawdown_episodes",
    "monthly_returns",
    "return_histogram",
    "yearly_drawdowns",
]

_US_PER_DAY = 86_400_000_000
_BINS = 60
_Floats = NDArray[np.float64]
_Moments = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class YearRow:
    """The returns of one calendar year, as fractions; None where the run has no value.

    Attributes:
        year: The calendar year, UTC.
        months: Twelve values, January first.
        total: The return over the year's bars.
    """

    year: int
    months: tuple[float | None, ...]
    total: float | None


def _period_returns(keys: _Moments, equity: _Floats, start: float) -> dict[int, float | None]:
    ends = np.append(np.flatnonzero(np.diff(keys)), keys.size - 1)
    base = np.concatenate(([start], equity[ends[:-1]]))
    return {
        int(key): (float(last / start - 1) if start > 0 else None)
        for key, last, start in zip(keys[ends], equity[ends], base, strict=True)
    }


def monthly_returns(
    timestamps: _Moments, equity: _Floats, start: float | None = None
) -> list[YearRow]:
    """Return the return of each month and year, from one period's last bar to the next one's.

    Args:
        timestamps: Microseconds since 1970, UTC, ascending.
        equity: Account value after each bar.
        start: What the account began with; None where that is the first value.

    Returns:
        One row per year, oldest first. A period that starts with no equity has no return.
    """
    if not timestamps.size:
        return []
    months = timestamps.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    begun = float(equity[0]) if start is None else start
    by_month = _period_returns(months, equity, begun)
    by_year = _period_returns(months // 12, equity, begun)
    return [
        YearRow(
            year=1970 + year,
            months=tuple(by_month.get(12 * year + month) for month in range(12)),
            total=total,
        )
        for year, total in by_year.items()
    ]


def yearly_drawdowns(
    timestamps: _Moments, equity: _Floats, start: float | None = None
) -> dict[int, float | None]:
    """Return the deepest fall inside each calendar year, from peaks of the same year.

    Args:
        timestamps: Microseconds since 1970, UTC, ascending.
        equity: Account value after each bar.
        start: What the account began with, a peak of the first year; None where that is the first
            value.

    Returns:
        Zero or negative fractions by year; None for a year that has no equity above zero at first.
        The last bar of the year before counts as the year's first.
    """
    years = timestamps.astype("datetime64[us]").astype("datetime64[Y]").astype(np.int64)
    starts = np.append(0, np.flatnonzero(np.diff(years)) + 1)
    stops = np.append(starts[1:], years.size)
    falls: dict[int, float | None] = {}
    for row, stop in zip(starts[: years.size].tolist(), stops.tolist(), strict=False):
        part = equity[max(row - 1, 0) : stop]
        peak = np.maximum.accumulate(part)
        if start is not None and row == 0:
            peak = np.maximum(peak, start)
        deepest = float((part / peak - 1).min()) if part[0] > 0 else None
        falls[1970 + int(years[row])] = deepest
    return falls


@dataclass(frozen=True, slots=True)
class DrawdownEpisode:
    """A fall from a peak of equity until the peak is reached again.

    Attributes:
        peak: Moment of the last bar at the peak, microseconds since 1970.
        valley: Moment of the lowest bar.
        recovered: Moment of the first bar at or above the peak; None while under water.
        depth: Fall at the valley as a fraction, negative.
        days: Calendar days from the peak to the recovery, or to the last bar.
    """

    peak: int
    valley: int
    recovered: int | None
    depth: float
    days: int


def drawdown_episodes(
    timestamps: _Moments, drawdown: _Floats, count: int = 10
) -> list[DrawdownEpisode]:
    """Return the deepest drawdown episodes, deepest first.

    Args:
        timestamps: Microseconds since 1970, ascending.
        drawdown: Fall from the running peak after each bar, zero or negative.
        count: How many at most.
    """
    under = np.concatenate(([0], (drawdown < 0).astype(np.int8), [0]))
    starts = np.flatnonzero(np.diff(under) == 1)
    stops = np.flatnonzero(np.diff(under) == -1)
    if not starts.size:
        return []
    depths = np.minimum.reduceat(np.append(drawdown, 0.0), np.column_stack((starts, stops)).ravel())
    order = np.argsort(depths[::2], kind="stable")[:count]
    episodes = []
    for start, stop in zip(starts[order].tolist(), stops[order].tolist(), strict=True):
        peak = int(timestamps[max(start - 1, 0)])
        valley = start + int(np.argmin(drawdown[start:stop]))
        recovered = int(timestamps[stop]) if stop < timestamps.size else None
        last = int(timestamps[-1]) if recovered is None else recovered
        episodes.append(
            DrawdownEpisode(
                peak=peak,
                valley=int(timestamps[valley]),
                recovered=recovered,
                depth=float(drawdown[valley]),
                days=(last - peak) // _US_PER_DAY,
            )
        )
    return episodes


@dataclass(frozen=True, slots=True)
class Tick:
    """A labeled position on an axis: percent of its length, and the text."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the histogram; positions in percent of the drawing."""

    x: float
    width: float
    height: float
    count: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """The shape of the returns per bar, ready to draw; positions in percent of the drawing.

    Attributes:
        bars: Filled classes, left to right; class edges are multiples of one width, zero is one.
        curve: Points `x,y` of the normal curve with the same mean and deviation.
        ticks: Labels of the axis.
        mean: Mean of the returns shown, as a position and a text.
        value_at_risk: The summary's value at risk; None when the summary has none.
        shortfall: The summary's conditional value at risk; None when the summary has none.
        shown: How many returns are counted.
        flat: Returns of exactly zero, which are left out.
        outside: Returns beyond the axis, left out of the bars.
    """

    bars: tuple[Bar, ...]
    curve: str
    ticks: tuple[Tick, ...]
    mean: Tick
    value_at_risk: Tick | None
    shortfall: Tick | None
    shown: int
    flat: int
    outside: int


def _digits(value: float) -> int:
    """Return the decimals of a percentage; a return of minutes needs more than two to be seen."""
    percent = abs(value * 100)
    return 2 if percent >= 0.1 or percent == 0 else min(6, 1 - math.floor(math.log10(percent)))


def _tick_values(low: float, high: float) -> list[float]:
    raw = (high - low) / 8
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step)
    return [index * step for index in range(first, math.floor(high / step) + 1)]


def return_histogram(
    returns: _Floats,
    value_at_risk: float | None,
    shortfall: float | None = None,
    *,
    outermost: float = 0.001,
) -> Histogram | None:
    """Return the histogram of returns with its normal curve.

    Args:
        returns: Simple returns per bar; NaN where there is none.
        value_at_risk: The return drawn as the VaR line, from the summary.
        shortfall: The return drawn as the CVaR line, from the summary.
        outermost: Share of the returns at each end that may lie beyond the axis.

    Returns:
        None when fewer than two different returns are left to draw.
    """
    finite = returns[np.isfinite(returns)]
    moving = finite[finite != 0]
    if moving.size < 2 or not np.ptp(moving) > 0:
        return None
    low, high = (float(bound) for bound in np.quantile(moving, (outermost, 1 - outermost)))
    for line in (value_at_risk, shortfall):
        if line is not None:
            low, high = min(low, line), max(high, line)
    low, high = min(low, 0.0), max(high, 0.0)
    width = (high - low) / min(_BINS, max(12, round(2 * math.sqrt(moving.size))))
    first, last = math.floor(low / width), math.ceil(high / width)
    edges = np.arange(first, last + 1) * width
    counts, _ = np.histogram(moving, edges)
    mean, deviation = float(np.mean(moving)), float(np.std(moving, ddof=1))
    xs = np.linspace(edges[0], edges[-1], 101)
    normal = np.exp(-0.5 * ((xs - mean) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
    curve = normal * moving.size * width
    top = max(float(counts.max()), float(curve.max())) * 1.15
    span = float(edges[-1] - edges[0])

    def position(value: float) -> float:
        return round((value - float(edges[0])) / span * 100, 3)

    def tick(value: float, digits: int) -> Tick:
        return Tick(at=position(value), text=f"{value * 100 + 0.0:.{digits}f}%")

    values = _tick_values(float(edges[0]), float(edges[-1]))
    step = values[1] - values[0] if len(values) > 1 else 0.01
    digits = max(0, -math.floor(math.log10(step * 100) + 1e-9))
    bars = tuple(
        Bar(
            x=position(float(edges[index])),
            width=round(100 / (last - first), 3),
            height=round(int(count) / top * 100, 2),
            count=int(count),
            low=float(edges[index]),
            high=float(edges[index + 1]),
        )
        for index, count in enumerate(counts)
        if count
    )
    heights = zip(np.linspace(0, 100, 101), 100 - curve / top * 100, strict=True)
    return Histogram(
        bars=bars,
        curve=" ".join(f"{x:.0f},{y:.2f}" for x, y in heights),
        ticks=tuple(tick(value, digits) for value in values),
        mean=tick(mean, _digits(mean)),
        value_at_risk=(
            None if value_at_risk is None else tick(value_at_risk, _digits(value_at_risk))
        ),
        shortfall=None if shortfall is None else tick(shortfall, _digits(shortfall)),
        shown=int(moving.size),
        flat=int(finite.size - moving.size),
        outside=int(moving.size - counts.sum()),
    )
