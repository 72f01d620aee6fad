"""How far prices went against round trips, and with them."""

import numpy as np
import numpy.typing as npt

from backtrail.engine.journal import Record
from backtrail.engine.trips import Trips

__all__ = ["excursions"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def excursions(
    record: Record, trips: Trips, entry_prices: FloatArray
) -> tuple[list[float], list[float]]:
    """Return worst and best move of each trip from its entry price, as fractions; see `trades`.

    Args:
        record: Whose trips they are.
        trips: In the order of entry.
        entry_prices: Average price of the shares that each one bought (or sold short).
    """
    if not len(entry_prices):
        return [], []
    firsts, ends, finals = _spans(record, trips)
    if len(record.market.bars.symbols) == 1:
        lows, highs = _extremes(record, 0, firsts, ends, finals)
    else:
        lows, highs = np.empty(len(firsts)), np.empty(len(firsts))
        # Not by `np.unique`, whose first call imports `numpy.ma`: longer than many a run.
        for column in sorted(set(trips.columns.tolist())):
            own = trips.columns == column
            lows[own], highs[own] = _extremes(record, column, firsts[own], ends[own], finals[own])
    left = trips.exit_prices
    left = np.where(left == 0.0, entry_prices, left)
    fall = np.minimum(np.minimum(entry_prices, left), lows) / entry_prices - 1.0
    rise = np.maximum(np.maximum(entry_prices, left), highs) / entry_prices - 1.0
    is_long = trips.signs > 0
    worst, best = np.where(is_long, fall, -rise), np.where(is_long, rise, -fall)
    return worst.tolist(), best.tolist()


def _spans(record: Record, trips: Trips) -> tuple[IntArray, IntArray, IntArray]:
    """Return the first bars that trips saw, those after the last, and the bars of their ends."""
    firsts, is_open = trips.entry_rows, trips.exit_rows < 0
    last = len(record.market.bars.timestamps) - 1
    finals = np.where(is_open, last, trips.exit_rows)
    if record.rules.fill != "next_open":
        return firsts + 1, finals + 1, finals
    return firsts, finals + (is_open | trips.saw_exit_bar), finals


def _extremes(
    record: Record, column: int, firsts: IntArray, ends: IntArray, finals: IntArray
) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    """Return the lowest low and the highest high of each span; without a bar, inf and -inf."""
    bars, factor = record.market.bars, record.market.factors[column]
    low, high = bars.low[:, column], bars.high[:, column]
    if factor is None:
        bounds = np.empty(2 * len(firsts), dtype=np.int64)
        bounds[::2], bounds[1::2] = firsts, ends
        if bounds[-1] == len(low):  # a last span may end nowhere, but none may begin behind the end
            bounds = bounds[:-1]
        if bounds.max() == len(low):
            low, high = np.append(low, np.inf), np.append(high, -np.inf)
        lows, highs = (np.fmin.reduceat(low, bounds)[::2], np.fmax.reduceat(high, bounds)[::2])
        empty = firsts >= ends
        if record.market.counts[column] is not None:
            empty |= np.isnan(lows)
        if empty.any():
            lows[empty], highs[empty] = np.inf, -np.inf
        return lows, highs
    found: tuple[list[float], list[float]] = ([], [])
    spans = zip(firsts.tolist(), ends.tolist(), finals.tolist(), strict=True)
    for first, end, last in spans:  # in prices of the trip's end
        ratio = factor[first:end] / factor[last]
        found[0].append(float(np.fmin.reduce(low[first:end] * ratio, initial=np.inf)))
        found[1].append(float(np.fmax.reduce(high[first:end] * ratio, initial=-np.inf)))
    return found
