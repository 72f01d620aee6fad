"""Histories that might have been: the stationary bootstrap, and intervals from it.

Politis and Romano (1994), The Stationary Bootstrap: blocks of returns begin anywhere, follow one
another around the end of the series, and have lengths from a geometric distribution, so that what
one bar tells of the next is kept.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backtrail.metrics import cagr, sharpe_ratio, total_return
from backtrail.metrics._series import FloatArray, checked

__all__ = [
    "Interval",
    "ResampledHistories",
    "ResampledPaths",
    "block_length",
    "bootstrap_intervals",
    "count_bars",
    "draw_positions",
    "resample_paths",
]

_AT_ONCE = 1_000_000  # positions drawn at a time, 8 MB
_KEPT_VALUES = 32_000_000  # counts of two bytes that are kept rather than drawn again, 64 MB


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic of a run, and where it lies in resampled histories.

    Attributes:
        statistic: Its name.
        observed: Its value in the history that happened; None where it is undefined.
        low: The lower end of the percentile interval.
        high: The upper end.
        level: Share of the resampled histories between the two.
        samples: Its values in the resampled histories, sorted, undefined ones left out.
    """

    statistic: str
    observed: float | None
    low: float
    high: float
    level: float
    samples: FloatArray


def block_length(returns: npt.ArrayLike) -> float:
    """Return the mean block length that suits the stationary bootstrap of a series of returns.

    Politis and White (2004), Automatic Block-Length Selection, with the correction of Patton,
    Politis and White (2009): b = (2 g^2 / d)^(1/3) n^(1/3), g = sum of l(k/m) |k| c_k, d = 2 (sum
    of l(k/m) c_k)^2, l the flat-top window, c_k the autocovariances, 2 m twice the lag after which
    max(5, log10 n) autocorrelations in a row are below 2 sqrt(log10 n / n). At most the smaller of
    3 sqrt(n) and n / 3, at least 1; 1 for a series of fewer than ten bars or without variance.

    Raises:
        EmptySeriesError: If there is no return.
        ValueError: If a return is not finite.
    """
    series = checked(returns)
    bars = len(series)
    centered = series - series.mean()
    if bars < 10 or not float(np.abs(centered).max()) > 1e-14 * float(np.abs(series).max()):
        return 1.0
    run = max(5, int(math.log10(bars)))
    lags = np.arange(min(math.ceil(math.sqrt(bars)) + run, bars - 2) + 1)
    products = np.array([(centered[lag:] * centered[: bars - lag]).sum() for lag in lags.tolist()])
    squares = np.concatenate([[0.0], np.cumsum(centered**2)])
    sizes = np.sqrt((squares[-1] - squares[lags + 1]) * squares[bars - lags - 1])
    limit = 2.0 * math.sqrt(math.log10(bars) / bars)
    small = np.abs(products) < limit * sizes
    quiet = (lag for lag in lags[:-run].tolist() if small[lag : lag + run].all())
    last = next(quiet, None)
    width = int(lags[-1]) if last is None else min(2 * max(last, 1), int(lags[-1]))
    used = lags[1 : width + 1]
    window = np.minimum(1.0, 2.0 * (1.0 - used / width)) * products[1 : width + 1] / bars
    spectrum = products[0] / bars + 2.0 * float(window.sum())
    slope = 2.0 * float((used * window).sum())
    if not spectrum**2 > 0.0:
        return 1.0
    found = float(np.cbrt(slope**2 / spectrum**2 * bars))
    return max(1.0, min(found, math.ceil(min(3.0 * math.sqrt(bars), bars / 3.0))))


def draw_positions(
    bars: int, block: float, samples: int, generator: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the positions of resampled histories, shape (some, bars), `samples` rows in all.

    Args:
        bars: Length of the history.
        block: Mean length of a block in bars, one or more.
        samples: Number of histories.
        generator: Source of the draws; the histories do not depend on how many are yielded at once.

    Raises:
        ValueError: If a number is out of its range.
    """
    if bars < 1 or samples < 1 or not block >= 1.0:
        raise ValueError(
            f"{bars} bars, blocks of {block} and {samples} samples; each is one or more"
        )
    streams = generator.spawn(2)
    at_once = max(1, _AT_ONCE // bars)
    for start in range(0, samples, at_once):
        shape = (min(at_once, samples - start), bars)
        begins = streams[0].random(shape) < 1.0 / block
        begins[:, 0] = True
        places = streams[1].integers(0, bars, shape)
        first = np.flatnonzero(begins)  # of each block; a history begins with one
        ahead = places.ravel()[first] - first % bars
        positions = np.repeat(ahead, np.diff(first, append=begins.size)).reshape(shape)
        positions += np.arange(bars)
        positions[positions >= bars] -= bars
        yield positions


def count_bars(positions: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
    """Return how often each bar stands in each history, shape as `positions`."""
    rows, bars = positions.shape
    offsets = np.arange(rows)[:, np.newaxis] * bars
    counts = np.bincount((positions + offsets).ravel(), minlength=rows * bars)
    # A bar that stands in a history 65,536 times does not come up; a wrong count must not either.
    if counts.max() > np.iinfo(np.uint16).max:
        raise ValueError(f"one bar stands {counts.max()} times in a history; take shorter blocks")
    return counts.reshape(rows, bars).astype(np.uint16)


class ResampledHistories:
    """The same resampled histories for everybody who names the same seed.

    Args:
        bars: Length of the history.
        block: Mean length of a block in bars, one or more.
        samples: Number of histories.
        seed: Decides the draws.
    """

    def __init__(self, bars: int, *, block: float, samples: int, seed: int) -> None:
        self.bars, self.block, self.samples, self.seed = bars, block, samples, seed
        self._kept: list[npt.NDArray[np.uint16]] = []

    def counts(self) -> Iterator[npt.NDArray[np.uint16]]:
        """Yield how often each bar stands in each history, shape (some, bars)."""
        if self._kept:
            yield from self._kept
            return
        drawn = []
        generator = np.random.default_rng(self.seed)
        for positions in draw_positions(self.bars, self.block, self.samples, generator):
            counts = count_bars(positions)
            if self.bars * self.samples <= _KEPT_VALUES:
                drawn.append(counts)
            yield counts
        self._kept = drawn


@dataclass(frozen=True, slots=True)
class ResampledPaths:
    """What wealth did on its way through resampled histories; one value per history.

    Attributes:
        growth: Growth of 1 at the bars asked for, shape (samples, bars asked for).
        max_drawdowns: Deepest fall from the running peak, a fraction, zero or negative.
        longest_drawdowns: Bars in a row below the running peak, the start counted as one.
        lowest: Lowest growth of 1.
    """

    growth: FloatArray
    max_drawdowns: FloatArray
    longest_drawdowns: FloatArray
    lowest: FloatArray


def resample_paths(
    returns: npt.ArrayLike,
    *,
    block: float,
    samples: int,
    generator: np.random.Generator,
    rows: npt.NDArray[np.int64],
) -> ResampledPaths:
    """Return the ways of wealth through histories of the stationary bootstrap.

    Other orders of trades say how deep an account could fall that has trades; a book that never
    goes flat has none to reorder, and its returns can be drawn all the same.

    Args:
        returns: Returns per bar, shape (n,); an account that lost everything stays at nothing.
        block: Mean length of a block in bars.
        samples: Number of histories.
        generator: Source of the draws.
        rows: Bars at which growth is kept.

    Raises:
        EmptySeriesError: If there is no return.
        ValueError: If a return is not finite, or a number out of its range.
    """
    factors = np.maximum(1.0 + checked(returns), 0.0)
    found: list[tuple[FloatArray, ...]] = []
    for positions in draw_positions(len(factors), block, samples, generator):
        growth = np.cumprod(factors[positions], axis=1, dtype=np.float64)
        peaks = np.maximum(np.maximum.accumulate(growth, axis=1), 1.0)
        falls = growth / peaks - 1.0
        bars = np.arange(1, growth.shape[1] + 1)
        last_peak = np.maximum.accumulate(np.where(falls < 0.0, 0, bars), axis=1)
        longest = (bars - last_peak).max(axis=1).astype(np.float64)
        found.append((growth[:, rows], falls.min(axis=1), longest, growth.min(axis=1)))
    return ResampledPaths(*(np.concatenate(part) for part in zip(*found, strict=True)))


def bootstrap_intervals(
    returns: npt.ArrayLike,
    *,
    periods_per_year: float,
    risk_free_per_period: float = 0.0,
    block: float,
    samples: int,
    generator: np.random.Generator,
    level: float = 0.95,
) -> tuple[Interval, ...]:
    """Return percentile intervals of Sharpe ratio, total return and CAGR.

    Efron (1979) percentiles over the stationary bootstrap. They say how far the figures could lie
    from what was measured if the future is drawn from the same past; they do not say that it is.

    Args:
        returns: Returns per bar, shape (n,).
        periods_per_year: Bars per year.
        risk_free_per_period: Rate per bar above which the Sharpe ratio is; growth is without it.
        block: Mean length of a block in bars; `block_length` finds one.
        samples: Number of histories.
        generator: Source of the draws.
        level: Share of the histories inside the interval.

    Raises:
        EmptySeriesError: If there is no return.
        ValueError: If a return is not finite, or a number out of its range.
    """
    series = checked(returns)
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it lies between 0 and 1")
    observed = {
        "sharpe_ratio": sharpe_ratio(series, periods_per_year, risk_free_per_period),
        "total_return": total_return(series),
        "cagr": cagr(series, periods_per_year),
    }
    bars = len(series)
    mean = float(series.mean())
    alive = series > -1.0
    logs = np.log1p(np.where(alive, series, 0.0))
    # All three are functions of sums over the drawn bars, so how often each was drawn is enough.
    columns = np.column_stack([series - mean, (series - mean) ** 2, logs, ~alive])
    drawn = draw_positions(bars, block, samples, generator)
    sums = np.concatenate([count_bars(some).astype(np.float64) @ columns for some in drawn])
    growth = np.where(sums[:, 3] > 0.0, -np.inf, sums[:, 2])  # who lost everything stays at nothing
    found = {
        "sharpe_ratio": _sharpes(mean - risk_free_per_period, sums, series)
        * math.sqrt(periods_per_year),
        "total_return": np.expm1(growth),
        "cagr": np.expm1(growth * periods_per_year / bars),
    }
    return tuple(_interval(name, observed[name], values, level) for name, values in found.items())


def _interval(name: str, observed: float | None, values: FloatArray, level: float) -> Interval:
    defined = np.sort(values[np.isfinite(values)])
    if not len(defined):
        return Interval(name, observed, math.nan, math.nan, level, defined)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return Interval(name, observed, float(low), float(high), level, defined)


def _sharpes(mean: float, sums: FloatArray, series: FloatArray) -> FloatArray:
    """Return the ratios per bar from sums of drawn returns less the mean, and of their squares.

    `mean` is that of the returns above the risk-free rate.
    """
    bars = len(series)
    variance = (sums[:, 1] - sums[:, 0] ** 2 / bars) / max(bars - 1, 1)
    moved = variance > 1e-28 * float(np.abs(series).max()) ** 2
    ratio = (mean + sums[:, 0] / bars) / np.sqrt(np.where(moved, variance, 1.0))
    return np.where(moved, ratio, np.nan)
