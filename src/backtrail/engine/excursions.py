"""How far prices went against round trips, and with them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from backtrail.engine.journal import Record

if TYPE_CHECKING:
    from backtrail.engine.trades import Trade

__all__ = ["excursions"]

FloatArray = npt.NDArray[np.float64]


def excursions(
    record: Record, trades: Sequence["Trade"], entry_prices: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Return worst and best move of each trip from its entry price, as fractions; see `trades`.

    Args:
        record: Whose trips they are.
        trades: In the order of entry.
        entry_prices: Average price of the shares that each one bought (or sold short).
    """
    lows, highs = np.empty(len(trades)), np.empty(len(trades))
    places: dict[int, list[int]] = {}
    for place, trade in enumerate(trades):
        places.setdefault(trade.column, []).append(place)
    for column, own in places.items():
        spans = [_span(record, trades[place]) for place in own]
        lows[own], highs[own] = _extremes(record, column, spans)
    entered = np.array(entry_prices)
    left = np.array([trade.exit_price for trade in trades])
    left[left == 0.0] = entered[left == 0.0]
    fall = np.minimum(np.minimum(entered, left), lows) / entered - 1.0
    rise = np.maximum(np.maximum(entered, left), highs) / entered - 1.0
    is_long = np.array([trade.sign > 0 for trade in trades], dtype=np.bool_)
    worst, best = np.where(is_long, fall, -rise), np.where(is_long, rise, -fall)
    return worst.tolist(), best.tolist()


def _span(record: Record, trade: "Trade") -> tuple[int, int, int]:
    """Return the first bar that a trip saw, the one after the last, and the bar of its end."""
    opens = record.rules.fill == "next_open"
    first = trade.entry_row if opens else trade.entry_row + 1
    if trade.exit_row is None:
        final = len(record.market.bars.timestamps) - 1
        return first, final + 1, final
    whole = trade.closed_after_bar or not opens
    return first, trade.exit_row + 1 if whole else trade.exit_row, trade.exit_row


def _extremes(
    record: Record, column: int, spans: Sequence[tuple[int, int, int]]
) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    """Return the lowest low and the highest high of each span; without a bar, inf and -inf."""
    bars, factor = record.market.bars, record.market.factors[column]
    low, high = bars.low[:, column], bars.high[:, column]
    if factor is None:
        bounds = np.array([span[:2] for span in spans]).ravel()
        empty = bounds[::2] >= bounds[1::2]
        lows = np.fmin.reduceat(np.append(low, np.inf), bounds)[::2]
        highs = np.fmax.reduceat(np.append(high, -np.inf), bounds)[::2]
        lows[empty | np.isnan(lows)] = np.inf
        highs[empty | np.isnan(highs)] = -np.inf
        return lows, highs
    found: tuple[list[float], list[float]] = ([], [])
    for first, end, last in spans:  # in prices of the trip's end
        ratio = factor[first:end] / factor[last]
        found[0].append(float(np.fmin.reduce(low[first:end] * ratio, initial=np.inf)))
        found[1].append(float(np.fmax.reduce(high[first:end] * ratio, initial=-np.inf)))
    return found
