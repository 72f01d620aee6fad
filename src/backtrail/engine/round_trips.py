"""Round trips of a journal: what happened to a symbol from flat to flat."""

from collections.abc import Iterable

import numpy as np

from backtrail.engine.journal import Action, Fill
from backtrail.engine.ledger import Amount, Amounts
from backtrail.engine.trips import Trade, Trips

__all__ = ["round_trips"]

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


def round_trips(journal: Iterable[Fill | Action], amounts: Amounts) -> Trips:
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
    trades, average = builder.trades, amounts.average
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
