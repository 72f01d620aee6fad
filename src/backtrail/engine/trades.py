"""Round trips: what happened to a symbol from flat to flat."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from backtrail.engine.excursions import excursions
from backtrail.engine.journal import Action, Fill, Record
from backtrail.engine.ledger import LOT, MONEY_QUANTUM, Amount, Amounts, Numbers, listed
from backtrail.engine.market import Market
from backtrail.engine.result import Table
from backtrail.engine.trips import Trade, Trips

__all__ = ["round_trips", "trade_table", "trips_of"]

IntArray = npt.NDArray[np.int64]

Costs = tuple[Amount, ...]  # commission, slippage


class _Builder:
    def __init__(self, amounts: Amounts) -> None:
        self._amounts = amounts
        self._open: dict[int, Trade] = {}
        self.trades: list[Trade] = []

    def fill(self, fill: Fill) -> None:
        amounts = self._amounts
        trade = self._open.get(fill.column)
        size, paid = amounts.absolute(fill.quantity), amounts.absolute(fill.value)
        costs = (fill.commission, fill.slippage)
        if trade is None:
            self._enter(fill, size, paid, costs)
        elif (fill.quantity > 0) == (trade.sign > 0):
            self._grow(trade, size, paid, costs)
        elif size <= trade.held:
            self._shrink(trade, size, paid, costs, fill)
        else:  # turned around: one fill closes this trip and begins the next
            closing = trade.held
            part_paid = amounts.value(closing, fill.price)
            part = tuple(self._part(cost, closing, size) for cost in costs)
            self._shrink(trade, closing, part_paid, part, fill)
            rest = tuple(map(amounts.subtract, costs, part))
            self._enter(
                fill, amounts.subtract(size, closing), amounts.subtract(paid, part_paid), rest
            )

    def action(self, action: Action) -> None:
        trade = self._open.get(action.column)
        if trade is None or action.kind == "delisting":
            return
        trade.cash = self._amounts.add(trade.cash, action.cash)
        if action.kind == "split":
            ratio = self._amounts.number(action.ratio)
            for name in ("entered", "exited", "largest"):
                scaled = self._amounts.multiply(getattr(trade, name), ratio)
                setattr(trade, name, scaled)
            trade.held = self._amounts.absolute(action.after)
            if not trade.held:  # nothing but cash in lieu is left
                trade.exit_row = action.row
                del self._open[action.column]

    def _part(self, cost: Amount, closing: Amount, size: Amount) -> Amount:
        """Return the share of a fill's cost that falls on the part which closes a trip."""
        if not cost:
            return self._amounts.zero
        return self._amounts.average(self._amounts.multiply(cost, closing), size)

    def _enter(self, fill: Fill, size: Amount, paid: Amount, costs: Costs) -> None:
        zero = self._amounts.zero
        commission, slippage = costs
        sign = 1 if fill.quantity > 0 else -1
        cash = self._amounts.subtract(zero, paid) if sign > 0 else paid
        cash = self._amounts.subtract(cash, commission)
        trade = Trade(
            fill.column, fill.row, sign, size, size, size, paid, zero, zero,
            commission, slippage, cash,
        )  # fmt: skip
        self._open[fill.column] = trade
        self.trades.append(trade)

    def _grow(self, trade: Trade, size: Amount, paid: Amount, costs: Costs) -> None:
        add = self._amounts.add
        trade.held = add(trade.held, size)
        trade.largest = max(trade.largest, trade.held)
        trade.entered = add(trade.entered, size)
        trade.entry_value = add(trade.entry_value, paid)
        self._book(trade, paid, costs, buys=trade.sign > 0)

    def _shrink(self, trade: Trade, size: Amount, paid: Amount, costs: Costs, fill: Fill) -> None:
        add = self._amounts.add
        trade.held = self._amounts.subtract(trade.held, size)
        trade.exited = add(trade.exited, size)
        trade.exit_value = add(trade.exit_value, paid)
        self._book(trade, paid, costs, buys=trade.sign < 0)
        if not trade.held:
            trade.exit_row = fill.row
            trade.exit_price = fill.price
            trade.saw_exit_bar = fill.reason == "delisted"
            del self._open[fill.column]

    def _book(self, trade: Trade, paid: Amount, costs: Costs, *, buys: bool) -> None:
        add, subtract = self._amounts.add, self._amounts.subtract
        commission, slippage = costs
        trade.commission = add(trade.commission, commission)
        trade.slippage = add(trade.slippage, slippage)
        trade.cash = subtract(trade.cash, paid) if buys else add(trade.cash, paid)
        trade.cash = subtract(trade.cash, commission)


def round_trips(journal: Iterable[Fill | Action], amounts: Amounts) -> list[Trade]:
    """Return the round trips of a journal in the order of entry.

    A fill that turns a holding around closes one trip and begins the next; its commission is
    divided in proportion. A split scales the trip's shares.
    """
    builder = _Builder(amounts)
    for entry in journal:
        if isinstance(entry, Fill):
            builder.fill(entry)
        else:
            builder.action(entry)
    return builder.trades


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
    trips = trips_of(record)
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


def trips_of(record: Record) -> Trips:
    """Return the round trips of a finished account as columns."""
    if record.trips is not None:
        return record.trips
    trades, average = round_trips(record.journal, record.amounts), record.amounts.average
    exit_rows = [-1 if trade.exit_row is None else trade.exit_row for trade in trades]
    return Trips(
        columns=np.array([trade.column for trade in trades], dtype=np.int64),
        entry_rows=np.array([trade.entry_row for trade in trades], dtype=np.int64),
        exit_rows=np.array(exit_rows, dtype=np.int64),
        signs=np.array([trade.sign for trade in trades], dtype=np.int64),
        held=[trade.held for trade in trades],
        largest=[trade.largest for trade in trades],
        entered=[trade.entered for trade in trades],
        entry_values=[trade.entry_value for trade in trades],
        entry_averages=[average(trade.entry_value, trade.entered) for trade in trades],
        exit_averages=[
            None
            if trade.exit_row is None or not trade.exited
            else average(trade.exit_value, trade.exited)
            for trade in trades
        ],
        commissions=[trade.commission for trade in trades],
        slippages=[trade.slippage for trade in trades],
        cash=[trade.cash for trade in trades],
        exit_prices=np.array([trade.exit_price for trade in trades], dtype=np.float64),
        saw_exit_bar=np.array([trade.saw_exit_bar for trade in trades], dtype=np.bool_),
    )


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
