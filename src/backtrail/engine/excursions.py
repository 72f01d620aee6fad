"""How far prices went against round trips, and with them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from backtrail.engine.journal import Record
from backtrail.engine.trips import Trips

__all__ = ["excursions"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def excursions(
    record: Record, trips: Trips, entry_prices: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Return worst and best move of each trip from its entry price, as fractions; see `trades`.

    Args:
        record: Whose trips they are.
        trips: In the order of entry.
        entry_prices: Average price of the shares that each one bought (or sold short).
    """
    if not entry_prices:
        return [], []
    firsts, ends, finals = _spans(record, trips)
    if len(record.market.bars.symbols) == 1:
        lows, highs = _extremes(record, 0, firsts, ends, finals)
    else:
        lows, highs = np.empty(len(firsts)), np.empty(len(firsts))
        columns = np.array(trips.columns)
        # Not by `np.unique`, whose first call imports `numpy.ma`: longer than many a run.
        for column in sorted(set(trips.columns)):
            own = columns == column
            lows[own], highs[own] = _extremes(record, column, firsts[own], ends[own], finals[own])
    entered, left = np.array(entry_prices), np.array(trips.exit_prices)
    left = np.where(left == 0.0, entered, left)
    fall = np.minimum(np.minimum(entered, left), lows) / entered - 1.0
    rise = np.maximum(np.maximum(entered, left), highs) / entered - 1.0
    is_long = np.array(trips.signs) > 0
    worst, best = np.where(is_long, fall, -rise), np.where(is_long, rise, -fall)
    return worst.tolist(), best.tolist()


def _spans(record: Record, trips: Trips) -> tuple[IntArray, IntArray, IntArray]:
    """Return the first bars that trips saw, those after the last, and the bars of their ends."""
    opens = record.rules.fill == "next_open"
    firsts = np.array(trips.entry_rows, dtype=np.int64)
    last = len(record.market.bars.timestamps) - 1
    finals = np.array([last if row is None else row for row in trips.exit_rows], dtype=np.int64)
    if not opens:
        return firsts + 1, finals + 1, finals
    whole = [
        row is None or seen for row, seen in zip(trips.exit_rows, trips.saw_exit_bar, strict=True)
    ]
    return firsts, finals + np.array(whole), finals


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
        lows[empty], highs[empty] = np.inf, -np.inf
        return lows, highs
    found: tuple[list[float], list[float]] = ([], [])
    spans = zip(firsts.tolist(), ends.tolist(), finals.tolist(), strict=True)
    for first, end, last in spans:  # in prices of the trip's end
        ratio = factor[first:end] / factor[last]
        found[0].append(float(np.fmin.reduce(low[first:end] * ratio, initial=np.inf)))
        found[1].append(float(np.fmax.reduce(high[first:end] * ratio, initial=-np.inf)))
    return found
