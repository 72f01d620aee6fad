"""Round trips: what happened to a symbol from flat to flat."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from backtrail.engine.journal import Action, Fill
from backtrail.engine.ledger import LOT, MONEY_QUANTUM, Amount, Ledger
from backtrail.engine.result import Table
from backtrail.engine.simulation import Simulation

__all__ = ["Trade", "round_trips", "trade_table"]

_COLUMNS: Final = (
    "trade_id",
    "symbol",
    "side",
    "entry_at",
    "exit_at",
    "entry_price",
    "exit_price",
    "quantity",
    "pnl",
    "commission",
    "slippage",
    "return",
    "bars_held",
    "mae",
    "mfe",
    "is_open",
)


@dataclass(slots=True, eq=False)
class Trade:
    """One round trip in the making; quantities are in shares of its end (splits applied).

    Attributes:
        column: Its symbol's column.
        entry_row: Bar of the first fill.
        sign: 1 long, -1 short.
        held: Shares held now, positive.
        largest: Largest holding.
        entered: Shares of all fills that made it larger.
        entry_value: Money of those fills, without commission.
        exited: Shares of all fills that made it smaller.
        exit_value: Money of those fills, without commission.
        commission: Paid for all fills.
        slippage: Lost in all fills against the bars' prices.
        cash: Signed cash flow of fills, dividends and cash in lieu, commission included.
        exit_row: Bar of the last fill; None while open.
        exit_price: Price of the last fill.
        closed_after_bar: Whether it saw its last bar whole (closed at a close).
    """

    column: int
    entry_row: int
    sign: int
    held: Amount
    largest: Amount
    entered: Amount
    entry_value: Amount
    exited: Amount
    exit_value: Amount
    commission: Amount
    slippage: Amount
    cash: Amount
    exit_row: int | None = None
    exit_price: float = 0.0
    closed_after_bar: bool = False


Costs = tuple[Amount, ...]  # commission, slippage


class _Builder:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._open: dict[int, Trade] = {}
        self.trades: list[Trade] = []

    def fill(self, fill: Fill) -> None:
        subtract = self._ledger.subtract
        trade = self._open.get(fill.column)
        absolute = self._ledger.absolute
        size, paid = absolute(fill.quantity), absolute(fill.value)
        costs = (fill.commission, fill.slippage)
        if trade is None:
            self._enter(fill, size, paid, costs)
        elif (fill.quantity > 0) == (trade.sign > 0):
            self._grow(trade, size, paid, costs)
        elif size <= trade.held:
            self._shrink(trade, size, paid, costs, fill)
        else:  # turned around: one fill closes this trip and begins the next
            closing = trade.held
            part_paid = self._ledger.value(closing, fill.price)
            part = tuple(self._part(cost, closing, size) for cost in costs)
            self._shrink(trade, closing, part_paid, part, fill)
            rest = tuple(map(subtract, costs, part))
            self._enter(fill, subtract(size, closing), subtract(paid, part_paid), rest)
        if trade is not None and trade.exit_row is None:
            trade.largest = max(trade.largest, trade.held)

    def action(self, action: Action) -> None:
        trade = self._open.get(action.column)
        if trade is None or action.kind == "delisting":
            return
        trade.cash = self._ledger.add(trade.cash, action.cash)
        if action.kind == "split":
            ratio = self._ledger.number(action.ratio)
            for name in ("entered", "exited", "largest"):
                scaled = self._ledger.multiply(getattr(trade, name), ratio)
                setattr(trade, name, scaled)
            trade.held = self._ledger.absolute(action.after)
            if not trade.held:  # nothing but cash in lieu is left
                trade.exit_row = action.row
                del self._open[action.column]

    def _part(self, cost: Amount, closing: Amount, size: Amount) -> Amount:
        """Return the share of a fill's cost that falls on the part which closes a trip."""
        if not cost:
            return self._ledger.zero
        return self._ledger.average(self._ledger.multiply(cost, closing), size)

    def _enter(self, fill: Fill, size: Amount, paid: Amount, costs: Costs) -> None:
        zero = self._ledger.zero
        sign = 1 if fill.quantity > 0 else -1
        trade = Trade(fill.column, fill.row, sign, *[zero] * 9)
        self._open[fill.column] = trade
        self.trades.append(trade)
        self._grow(trade, size, paid, costs)
        trade.largest = size

    def _grow(self, trade: Trade, size: Amount, paid: Amount, costs: Costs) -> None:
        add = self._ledger.add
        trade.held = add(trade.held, size)
        trade.entered = add(trade.entered, size)
        trade.entry_value = add(trade.entry_value, paid)
        self._book(trade, paid, costs, buys=trade.sign > 0)

    def _shrink(self, trade: Trade, size: Amount, paid: Amount, costs: Costs, fill: Fill) -> None:
        add = self._ledger.add
        trade.held = self._ledger.subtract(trade.held, size)
        trade.exited = add(trade.exited, size)
        trade.exit_value = add(trade.exit_value, paid)
        self._book(trade, paid, costs, buys=trade.sign < 0)
        if not trade.held:
            trade.exit_row = fill.row
            trade.exit_price = fill.price
            trade.closed_after_bar = fill.reason == "delisted"
            del self._open[fill.column]

    def _book(self, trade: Trade, paid: Amount, costs: Costs, *, buys: bool) -> None:
        add, subtract = self._ledger.add, self._ledger.subtract
        commission, slippage = costs
        trade.commission = add(trade.commission, commission)
        trade.slippage = add(trade.slippage, slippage)
        trade.cash = subtract(trade.cash, paid) if buys else add(trade.cash, paid)
        trade.cash = subtract(trade.cash, commission)


def round_trips(journal: Iterable[Fill | Action], ledger: Ledger) -> list[Trade]:
    """Return the round trips of a journal in the order of entry.

    A fill that turns a holding around closes one trip and begins the next; its commission is
    divided in proportion. A split scales the trip's shares.
    """
    builder = _Builder(ledger)
    for entry in journal:
        if isinstance(entry, Fill):
            builder.fill(entry)
        else:
            builder.action(entry)
    return builder.trades


def trade_table(simulation: Simulation) -> Table:
    """Return the `trades` table of a finished simulation.

    `pnl` is all cash that the trip brought (fills, commission, dividends, cash in lieu) plus, while
    open, its value at the last close: the sum over all trips is the change of equity. Prices are
    averages per share of the trip's end. `mae` and `mfe` compare lows and highs, adjusted for
    splits, with the average entry price over the bars that the holding saw: with `next_open` from
    the entry bar to the bar before the exit, with `next_close` from the bar after the entry to
    the exit bar; the exit's own price counts too. An entry within a bar counts the whole bar,
    because the bar does not say what came after it.
    """
    trades = round_trips(simulation.journal, simulation.ledger)
    rows = list(_rows(simulation, trades))
    if not rows:
        return {name: [] for name in _COLUMNS}
    return {
        name: list(values) for name, values in zip(_COLUMNS, zip(*rows, strict=True), strict=True)
    }


def _rows(simulation: Simulation, trades: list[Trade]) -> Iterator[tuple[Any, ...]]:
    ledger, market = simulation.ledger, simulation.market
    shares, money = ledger.exactly(LOT), ledger.exactly(MONEY_QUANTUM)
    at = market.bars.timestamps.item
    final = len(market.bars.timestamps) - 1
    for number, trade in enumerate(trades, start=1):
        is_open = trade.exit_row is None
        end = final if trade.exit_row is None else trade.exit_row
        pnl = trade.cash
        if is_open:
            value = ledger.value(trade.held, market.marks[trade.column][final])
            pnl = ledger.add(pnl, value) if trade.sign > 0 else ledger.subtract(pnl, value)
        entry_price = float(trade.entry_value) / float(trade.entered)
        mae, mfe = _excursions(simulation, trade, entry_price, end)
        yield (
            number,
            market.bars.symbols[trade.column],
            "long" if trade.sign > 0 else "short",
            at(trade.entry_row),
            None if is_open else at(end),
            money(ledger.average(trade.entry_value, trade.entered)),
            None
            if is_open or not trade.exited
            else money(ledger.average(trade.exit_value, trade.exited)),
            shares(trade.largest),
            money(pnl),
            money(trade.commission),
            money(trade.slippage),
            float(pnl) / float(trade.entry_value),
            _bars_between(simulation, trade.column, trade.entry_row, end),
            mae,
            mfe,
            is_open,
        )


def _bars_between(simulation: Simulation, column: int, start: int, end: int) -> int:
    counts = simulation.market.counts[column]
    return end - start if counts is None else int(counts[end] - counts[start])


def _excursions(
    simulation: Simulation, trade: Trade, entry_price: float, end: int
) -> tuple[float, float]:
    market = simulation.market
    opens = simulation.config.rules.fill == "next_open"
    first = trade.entry_row if opens else trade.entry_row + 1
    whole_end = trade.exit_row is None or trade.closed_after_bar or not opens
    rows = slice(first, end + 1 if whole_end else end)
    low, high = market.bars.low[rows, trade.column], market.bars.high[rows, trade.column]
    factor = market.factors[trade.column]
    if factor is not None:
        ratio = factor[rows] / factor[end]
        low, high = low * ratio, high * ratio
    if market.counts[trade.column] is not None:
        low, high = low[~np.isnan(low)], high[~np.isnan(high)]
    prices = [entry_price]
    if trade.exit_price:
        prices.append(trade.exit_price)
    if len(low):
        prices += [float(low.min()), float(high.max())]
    worst, best = min(prices) / entry_price - 1.0, max(prices) / entry_price - 1.0
    return (worst, best) if trade.sign > 0 else (-best, -worst)
