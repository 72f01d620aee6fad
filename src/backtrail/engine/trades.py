"""The table of round trips."""

import numpy as np
import numpy.typing as npt

from backtrail.engine.excursions import excursions
from backtrail.engine.journal import Record
from backtrail.engine.ledger import LOT, MONEY_QUANTUM, Numbers, listed
from backtrail.engine.market import Market
from backtrail.engine.result import Table
from backtrail.engine.trips import Trips

__all__ = ["trade_table"]

IntArray = npt.NDArray[np.int64]


def trade_table(record: Record) -> Table:
    """Return the `trades` table of a finished account.

    `pnl` is all cash that the trip brought (fills, commission, dividends, cash in lieu) plus, while
    open, its value at the last close: the sum over all trips is the change of equity. Prices are
    averages per share of the trip's end. `mae` and `mfe` compare lows and highs, adjusted for
    splits, with the average entry price over the bars that the holding saw: with `next_open` from
    the entry bar to the bar before the exit, with `next_close` from the bar after the entry to
    the exit bar; the exit's own price counts too. An entry within a bar counts the whole bar,
    because the bar does not say what came after it.
    """
    amounts, market = record.amounts, record.market
    trips = record.trips()
    is_open = trips.exit_rows < 0
    ends = np.where(is_open, len(market.bars.timestamps) - 1, trips.exit_rows)
    profits = _profits(record, trips, is_open)
    paid = amounts.floats(trips.entry_values)
    entry_prices = paid / np.array(trips.entered, dtype=np.float64)
    times = market.bars.timestamps
    exits: list[int | None] = times[ends].tolist()
    for place in np.flatnonzero(is_open).tolist():
        exits[place] = None
    worst, best = excursions(record, trips, entry_prices)
    return {
        "trade_id": list(range(1, len(ends) + 1)),
        "symbol": [market.bars.symbols[column] for column in trips.columns.tolist()],
        "side": ["long" if sign > 0 else "short" for sign in trips.signs.tolist()],
        "entry_at": times[trips.entry_rows].tolist(),
        "exit_at": exits,
        "entry_price": amounts.exactly(trips.entry_averages, MONEY_QUANTUM),
        "exit_price": amounts.exactly(trips.exit_averages, MONEY_QUANTUM),
        "quantity": amounts.exactly(trips.largest, LOT),
        "pnl": amounts.exactly(profits, MONEY_QUANTUM),
        "commission": amounts.exactly(trips.commissions, MONEY_QUANTUM),
        "slippage": amounts.exactly(trips.slippages, MONEY_QUANTUM),
        "return": (amounts.floats(profits) / paid).tolist(),
        "bars_held": _bars_held(market, trips, ends),
        "mae": worst,
        "mfe": best,
        "is_open": is_open.tolist(),
    }


def _profits(record: Record, trips: Trips, is_open: npt.NDArray[np.bool_]) -> Numbers:
    """Return the cash of the trips, with the value of those that are open."""
    if not is_open.any():
        return trips.cash
    held, profits = listed(trips.held), listed(trips.cash)
    for place in np.flatnonzero(is_open).tolist():
        marks = record.market.marks[trips.columns[place]]
        value = record.amounts.value(held[place], marks[len(marks) - 1])
        add = record.amounts.add if trips.signs[place] > 0 else record.amounts.subtract
        profits[place] = add(profits[place], value)
    return profits


def _bars_held(market: Market, trips: Trips, ends: IntArray) -> list[int]:
    if all(counts is None for counts in market.counts):
        found: list[int] = (ends - trips.entry_rows).tolist()
        return found
    held = []
    spans = zip(trips.columns.tolist(), trips.entry_rows.tolist(), ends.tolist(), strict=True)
    for column, start, end in spans:
        counts = market.counts[column]
        held.append(end - start if counts is None else int(counts[end] - counts[start]))
    return held
