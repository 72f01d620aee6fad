"""The account of one run: orders in, fills and corporate actions out, bar by bar."""

from typing import Final

import numpy as np

from backtrail.engine.bars import Bars
from backtrail.engine.config import EngineConfig
from backtrail.engine.journal import Action, Fill, Holding
from backtrail.engine.ledger import Amount, Ledger, make_ledger
from backtrail.engine.market import Market
from backtrail.engine.orders import Order, OrderBook, check_amount
from backtrail.engine.sizing import sized
from backtrail.errors import OrderError

__all__ = ["Simulation"]


class Simulation:
    """State of one run between two bars.

    Attributes:
        row: The bar that is being worked on; -1 before the first.
        accepting: Whether the strategy may place orders now.
        market: Prices.
        ledger: Cash and holdings.
        book: Orders.
        held: Columns held now, in the order in which they were bought.
        journal: Fills and actions, oldest first.
        holdings: Changes of holdings, oldest first.
        cash_changes: (row, cash after), oldest first.
        next_action: First row from here on with a split or dividend.
        next_delisting: First row from here on that is some symbol's last.
    """

    def __init__(self, bars: Bars, config: EngineConfig) -> None:
        self.row = -1
        self.accepting = False
        self.config: Final = config
        self.market: Final = Market(bars)
        self.ledger: Final[Ledger] = make_ledger(config, len(bars.symbols))
        self.book: Final = OrderBook()
        self.held: dict[int, None] = {}
        self.journal: list[Fill | Action] = []
        self.holdings: list[Holding] = []
        self.cash_changes: list[tuple[int, Amount]] = [(0, self.ledger.cash)]
        self._at_fill: Final = config.rules.size_at == "fill"
        self._fill_prices: Final = (
            self.market.opens if config.rules.fill == "next_open" else self.market.closes
        )
        n = len(bars.timestamps)
        self._action_rows = _event_rows((bars.splits != 1.0) | (bars.dividends != 0.0), n)
        self._delistings: dict[int, list[int]] = {}
        for column in sorted(range(len(bars.symbols)), key=bars.symbols.__getitem__):
            if bars.delisted[column] >= 0:
                self._delistings.setdefault(int(bars.delisted[column]), []).append(column)
        self._delisting_rows = [*sorted(self._delistings, reverse=True)]
        self._delisting_rows.insert(0, n)
        self.next_action = self._action_rows[-1]
        self.next_delisting = self._delisting_rows[-1]

    def place(self, symbol: str, amount: float, sizing: str) -> int | None:
        """Place a market order; return its id, or None when there is nothing to trade.

        Raises:
            OrderError: If the symbol is unknown, the amount not finite, or no bar is running.
        """
        column = self.column(symbol)
        number = check_amount(sizing, symbol, amount)
        if not self.accepting:
            raise OrderError(f"order for {symbol} outside of handle_data; place orders there only")
        delisted = int(self.market.bars.delisted[column])
        mark = self.market.marks[column][self.row]
        refusal = None
        if mark != mark:  # NaN: this symbol had no bar so far
            refusal = "no bar yet"
        elif 0 <= delisted < self.row:
            refusal = "delisted"
        quantity = target = None
        if refusal is None and (sizing == "shares" or not self._at_fill):
            pending = self._pending(column)
            equity = self.equity() if sizing.endswith("percent") else None
            held = self.ledger.quantities[column]
            quantity, target = sized(self.ledger, sizing, number, mark, equity, held, pending)
            if not quantity:
                return None
        order = self.book.place(self.row, column, sizing, number)
        order.quantity, order.target = quantity, target
        if refusal is None:
            self.book.wait(order)
        else:
            order.finish("rejected", refusal)
        return order.order_id

    def column(self, symbol: str) -> int:
        """Return the column of a symbol.

        Raises:
            OrderError: If the bars have no such symbol.
        """
        try:
            return self.market.index[symbol]
        except (KeyError, TypeError):
            known = ", ".join(self.market.bars.symbols[:10])
            raise OrderError(f"unknown symbol {symbol!r}; the bars have {known}") from None

    def equity(self) -> Amount:
        """Return cash plus holdings at the last known closes, as the ledger computes it."""
        marks = self.market.marks
        return self.ledger.equity((column, marks[column][self.row]) for column in self.held)

    def apply_actions(self) -> None:
        """Apply the splits and dividends effective at this bar, and find the next such bar."""
        row = self.row
        bars = self.market.bars
        for column in sorted(range(len(bars.symbols)), key=bars.symbols.__getitem__):
            ratio = float(bars.splits[row, column])
            dividend = float(bars.dividends[row, column])
            if ratio != 1.0:
                self._split(column, ratio)
            if dividend and column in self.held:
                before = self.ledger.quantities[column]
                cash = self.ledger.dividend(column, dividend)
                self.journal.append(Action(row, column, "dividend", before, before, cash, 1.0))
                self.cash_changes.append((row, self.ledger.cash))
        self._action_rows.pop()
        self.next_action = self._action_rows[-1]

    def fill_waiting(self) -> None:
        """Fill every waiting order whose symbol has a bar now.

        Symbols that sell on balance come before symbols that buy; then order ids decide, so the
        orders of one symbol fill as they were placed.
        """
        row = self.row
        prices = self._fill_prices
        waiting = self.book.waiting
        due: list[Order] = []
        for column in list(waiting):
            price = prices[column][row]
            if price == price:
                due += waiting.pop(column)
        if len(due) > 1:
            due.sort(key=_by_id)
        if self._at_fill:
            self._size_at_fill(due)
        if len(due) > 1:
            self._sells_first(due)
        for order in due:
            if order.status == "open":
                self._execute(order, prices[order.column][row])

    def delist(self) -> None:
        """Close what is held of symbols whose last bar this was; expire their orders."""
        row = self.row
        zero = self.ledger.zero
        for column in self._delistings[row]:
            self.book.expire(column, "delisted")
            if column not in self.held:
                continue
            before = self.ledger.quantities[column]
            price = self.market.closes[column][row]
            quantity, value = self.ledger.close(column, price)
            cash = self.ledger.cash
            fill = Fill(row, column, None, quantity, price, value, zero, cash, "delisted")
            self.journal.append(fill)
            action = Action(
                row, column, "delisting", before, zero, self.ledger.subtract(zero, value), 1.0
            )
            self.journal.append(action)
            self._changed(column)
        self._delisting_rows.pop()
        self.next_delisting = self._delisting_rows[-1]

    def finish(self) -> None:
        """Expire what still waits after the last bar."""
        for column in list(self.book.waiting):
            self.book.expire(column, "no later bar")

    def _pending(self, column: int) -> Amount:
        total = self.ledger.zero
        if column not in self.book.waiting:
            return total
        for order in self.book.waiting[column]:
            if order.quantity is not None:
                total = self.ledger.add(total, order.quantity)
        return total

    def _size_at_fill(self, due: list[Order]) -> None:
        row = self.row
        ledger = self.ledger
        prices = self._fill_prices
        marks = self.market.marks
        at_hand = []
        for column in self.held:
            price = prices[column][row]
            at_hand.append((column, price if price == price else marks[column][row]))
        equity = ledger.equity(at_hand)
        planned: dict[int, Amount] = {}
        for order in due:
            column = order.column
            pending = planned.get(column, ledger.zero)
            if order.quantity is None:
                amount = order.amount
                if order.sizing == "target":
                    amount *= order.split_ratio
                held = ledger.quantities[column]
                order.quantity, order.target = sized(
                    ledger, order.sizing, amount, prices[column][row], equity, held, pending
                )
                if not order.quantity:
                    order.finish("canceled", "nothing to trade at the fill")
            planned[column] = ledger.add(pending, order.quantity)

    def _sells_first(self, due: list[Order]) -> None:
        balance: dict[int, Amount] = {}
        for order in due:
            before = balance.get(order.column, self.ledger.zero)
            balance[order.column] = self.ledger.add(before, order.quantity)
        due.sort(key=lambda order: (balance[order.column] > 0, order.order_id))

    def _execute(self, order: Order, price: float) -> None:
        ledger = self.ledger
        column = order.column
        if order.target is not None:  # an order it counted on may have been clipped or canceled
            order.quantity = ledger.subtract(order.target, ledger.quantities[column])
            if not order.quantity:
                order.finish("canceled", "nothing to trade at the fill")
                return
        quantity = order.quantity
        if quantity > 0 and self.config.rules.cash_policy != "overdraw":
            value = ledger.value(quantity, price)
            cost = ledger.add(value, ledger.commission(value))
            if not ledger.affords(cost):
                if self.config.rules.cash_policy == "reject":
                    order.finish("rejected", f"costs {cost:f}, cash is {ledger.cash:f}")
                    return
                quantity = ledger.affordable(price)
                if not quantity:
                    order.finish("rejected", "cash buys less than one lot")
                    return
                order.reason = f"clipped from {order.quantity:f} to what cash buys"
                order.quantity = quantity
        value, commission = ledger.fill(column, quantity, price)
        row = self.row
        order.status = "filled"
        order.filled_row = row
        fill = Fill(
            row, column, order.order_id, quantity, price, value, commission, ledger.cash, "order"
        )
        self.journal.append(fill)
        self._changed(column)

    def _split(self, column: int, ratio: float) -> None:
        row = self.row
        ledger = self.ledger
        if column in self.held:
            price = self.market.opens[column][row]
            if price != price:
                price = self.market.marks[column][row]
            before = ledger.quantities[column]
            cash = ledger.split(column, ratio, price)
            after = ledger.quantities[column]
            self.journal.append(Action(row, column, "split", before, after, cash, ratio))
            self._changed(column)
        self.book.scale(
            column, ratio, lambda q, r: ledger.round_quantity(ledger.multiply(q, ledger.number(r)))
        )

    def _changed(self, column: int) -> None:
        ledger = self.ledger
        quantity = ledger.quantities[column]
        if quantity:
            self.held[column] = None
        else:
            self.held.pop(column, None)
        self.holdings.append(Holding(self.row, column, quantity, ledger.average_costs[column]))
        self.cash_changes.append((self.row, ledger.cash))


def _event_rows(events: "np.typing.NDArray[np.bool_]", n: int) -> list[int]:
    rows: list[int] = np.flatnonzero(events.any(axis=1))[::-1].tolist()
    return [n, *rows]


def _by_id(order: Order) -> int:
    return order.order_id
