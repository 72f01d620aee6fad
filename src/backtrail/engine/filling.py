"""From waiting orders to fills: what a bar fills, in which order, at which price, how much."""

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from backtrail.engine.config import SlippageConfig
from backtrail.engine.costs.slippage import Slipping
from backtrail.engine.journal import Fill
from backtrail.engine.ledger import Amount
from backtrail.engine.orders import MARKET, Order, sized
from backtrail.engine.orders.styles import touch

if TYPE_CHECKING:
    from backtrail.engine.simulation import Simulation

__all__ = ["Filling"]


class Filling:
    """Fills the orders of one account.

    Attributes:
        ticks: Step of prices by column; None for a symbol without one.
    """

    def __init__(self, simulation: "Simulation") -> None:
        rules = simulation.config.rules
        market = simulation.market
        self._account: Final = simulation
        self._at_fill: Final = rules.size_at == "fill"
        self._policy: Final = rules.cash_policy
        self._at_open: Final = rules.fill == "next_open"
        self.prices: Final = market.opens if self._at_open else market.closes
        own = simulation.config.instruments
        self.ticks: Final[list[Decimal | None]] = [
            own[symbol].tick if symbol in own else None for symbol in market.bars.symbols
        ]
        self._taken: dict[int, Amount] = {}
        self.set_slippage(simulation.config.slippage)

    def set_slippage(self, config: SlippageConfig) -> None:
        """Take prices and capacities from a slippage, from now on."""
        self._slipping = Slipping(config)

    def fill_waiting(self) -> None:
        """Fill every waiting order that the bar of its symbol fills, then tell of the fills.

        What fills at the bar's beginning comes before what fills within it. In each of the two,
        symbols that sell on balance come before symbols that buy; then order ids decide, so the
        orders of one symbol fill as they were placed.
        """
        account = self._account
        row = account.row
        prices = self.prices
        waiting = account.book.waiting
        account.accepting = False
        first: list[Order] = []
        later: list[Order] = []
        met: list[tuple[int, list[Order]]] = []
        for column in list(waiting):
            price = prices[column][row]
            if price == price:
                orders = waiting.pop(column)
                met.append((column, orders))
                for order in orders:
                    if order.style is MARKET:
                        order.reference = price
                        first.append(order)
                    else:
                        self._touch(order, first, later)
        self._taken.clear()
        if first:
            self._fill(first)
        if later:
            self._fill(later)
        for column, orders in met:
            rest = [order for order in orders if order.status == "open"]
            if rest:
                waiting[column] = rest
        account.accepting = True
        if account.notices.queue:
            account.notices.deliver()

    def _touch(self, order: Order, first: list[Order], later: list[Order]) -> None:
        row, column = self._account.row, order.column
        market = self._account.market
        close: float = market.closes[column][row]
        bar = (close, close, close, close)
        if self._at_open:
            bars = market.bars
            high, low = float(bars.high[row, column]), float(bars.low[row, column])
            bar = (market.opens[column][row], high, low, close)
        side = 1 if order.quantity > 0 else -1
        found, order.triggered = touch(order.style, side, triggered=order.triggered, bar=bar)
        if found is not None:
            order.reference = found.price
            (first if found.at_start else later).append(order)

    def _fill(self, due: list[Order]) -> None:
        if len(due) > 1:
            due.sort(key=_by_id)
        if self._at_fill:
            self._size(due)
        if len(due) > 1:
            self._sells_first(due)
        for order in due:
            if order.status == "open":
                self._execute(order)

    def _size(self, due: list[Order]) -> None:
        account = self._account
        ledger, guard = account.ledger, account.guard
        equity: Amount = None
        planned: dict[int, Amount] = {}
        for order in due:
            column = order.column
            pending = planned.get(column, ledger.zero)
            if order.quantity is None:
                if equity is None:
                    equity = self.equity_at_fill()
                amount = order.amount
                if order.sizing == "target":
                    amount *= order.split_ratio
                held = ledger.quantities[column]
                order.quantity, order.target = sized(
                    ledger, column, order.sizing, amount, order.reference, equity, held, pending
                )
                if not order.quantity:
                    order.finish("canceled", "nothing to trade at the fill")
            if order.status != "open":
                continue
            if guard.is_set and not order.is_checked and not guard.passes(order, pending):
                continue
            planned[column] = ledger.add(pending, ledger.subtract(order.quantity, order.filled))

    def equity_at_fill(self) -> Amount:
        """Return cash plus holdings at this bar's fill prices, the last known ones without."""
        return self._account.ledger.equity(self.marks_at_fill())

    def marks_at_fill(self) -> list[tuple[int, float]]:
        """Return the held columns with this bar's fill prices, the last known ones without."""
        row = self._account.row
        marks = self._account.market.marks
        at_hand: list[tuple[int, float]] = []
        for column in self._account.held:
            price = self.prices[column][row]
            at_hand.append((column, price if price == price else marks[column][row]))
        return at_hand

    def _sells_first(self, due: list[Order]) -> None:
        ledger = self._account.ledger
        balance: dict[int, Amount] = {}
        for order in due:
            if order.status == "open":
                before = balance.get(order.column, ledger.zero)
                rest = ledger.subtract(order.quantity, order.filled)
                balance[order.column] = ledger.add(before, rest)
        due.sort(key=lambda order: (balance.get(order.column, 0) > 0, order.order_id))

    def _execute(self, order: Order) -> None:
        account = self._account
        ledger = account.ledger
        column = order.column
        wanted = self._wanted(order)
        if not wanted:
            return
        slipping = self._slipping
        if slipping.limit is not None:
            wanted = self._within_volume(column, wanted, slipping.limit)
            if not wanted:
                return  # it waits for the next bar
        price = self._price(order, wanted) if slipping.moves else order.reference
        if wanted > 0 and self._policy != "overdraw":
            allowed = self._within_cash(order, wanted, price)
            if allowed is not wanted:
                if not allowed:
                    return
                wanted = allowed
                price = self._price(order, wanted) if slipping.moves else price
        if account.guard.initial_margin is not None:
            wanted = self._within_margin(order, wanted, price)
            if not wanted:
                return
        filled = ledger.absolute(order.filled)
        value, commission = ledger.fill(column, wanted, price, filled, order.paid)
        order.filled = ledger.add(wanted, order.filled)
        order.paid = ledger.add(commission, order.paid)
        order.filled_row = row = account.row
        if order.filled == order.quantity:
            order.status = "filled"
        lost = ledger.zero
        if slipping.moves:
            lost = ledger.subtract(value, ledger.value(wanted, order.reference))
        if slipping.limit is not None:
            taken = self._taken.get(column, ledger.zero)
            self._taken[column] = ledger.add(taken, ledger.absolute(wanted))
        cash, number = ledger.cash, order.order_id
        account.filled(
            Fill(row, column, number, wanted, price, value, commission, cash, "order", lost)
        )

    def _wanted(self, order: Order) -> Amount:
        """Return what is left to fill; a target counts from what is held now."""
        ledger = self._account.ledger
        if order.target is None:
            return ledger.subtract(order.quantity, order.filled)
        # An order that it counted on may have been clipped or canceled.
        wanted = ledger.subtract(order.target, ledger.quantities[order.column])
        turned = order.style is not MARKET and (wanted > 0) != (order.quantity > 0)
        if not wanted or turned:  # the other side has no such limit or stop
            order.finish("canceled", "nothing to trade at the fill")
            return ledger.zero
        order.quantity = ledger.add(wanted, order.filled)
        return wanted

    def _within_volume(self, column: int, wanted: Amount, limit: float) -> Amount:
        ledger = self._account.ledger
        volume = float(self._account.market.bars.volume[self._account.row, column])
        most = ledger.round_quantity(column, ledger.number(limit * volume))
        most = ledger.subtract(most, self._taken.get(column, ledger.zero))
        if most <= 0:
            return ledger.zero
        if ledger.absolute(wanted) <= most:
            return wanted
        return most if wanted > 0 else ledger.subtract(ledger.zero, most)

    def _price(self, order: Order, wanted: Amount) -> float:
        account, column = self._account, order.column
        volume = float(account.market.bars.volume[account.row, column])
        taken = float(self._taken.get(column, 0)) + abs(float(wanted))
        share = min(taken / volume, 1.0) if volume > 0 else 0.0
        side = 1 if wanted > 0 else -1
        tick, limit = self.ticks[column], order.style.limit
        return self._slipping.price(order.reference, side, share, tick, limit)

    def _within_cash(self, order: Order, wanted: Amount, price: float) -> Amount:
        ledger = self._account.ledger
        filled, paid = order.filled, order.paid
        value = ledger.value(wanted, price)
        cost = ledger.add(value, ledger.commission(wanted, value, filled, paid))
        if ledger.affords(cost):
            return wanted
        if self._policy == "reject" and not ledger.misses_by_rounding(order.column, cost):
            self._refuse(order, f"costs {cost:f}, cash is {ledger.cash:f}")
            return ledger.zero
        quantity = ledger.affordable(order.column, price, filled, paid)
        if not quantity:
            self._refuse(order, "cash buys less than one lot")
        else:
            self._clip(order, quantity, "what cash buys")
        return quantity

    def _within_margin(self, order: Order, wanted: Amount, price: float) -> Amount:
        account = self._account
        ledger, column = account.ledger, order.column
        held = ledger.quantities[column]
        after = ledger.absolute(ledger.add(held, wanted))
        if after <= ledger.absolute(held):
            return wanted
        marks = [pair for pair in self.marks_at_fill() if pair[0] != column]
        own = ledger.value(held, price)
        value = ledger.value(wanted, price)
        filled = ledger.absolute(order.filled)
        equity = ledger.add(ledger.equity(marks), own)
        equity = ledger.subtract(equity, ledger.commission(wanted, value, filled, order.paid))
        most = account.guard.margin_room(column, equity, marks, price)
        if after <= most:
            return wanted
        if self._policy == "reject":
            self._refuse(order, f"leaves less equity than the initial margin, {equity:f}")
            return ledger.zero
        goal = most if wanted > 0 else ledger.subtract(ledger.zero, most)
        allowed = ledger.subtract(goal, held)
        if not allowed or (allowed > 0) != (wanted > 0):
            self._refuse(order, "the initial margin allows less than one lot")
            return ledger.zero
        self._clip(order, allowed, "what the initial margin allows")
        return allowed

    def _clip(self, order: Order, quantity: Amount, what: str) -> None:
        order.explain(f"clipped from {order.quantity:f} to {what}")
        order.quantity = self._account.ledger.add(quantity, order.filled)

    def _refuse(self, order: Order, reason: str) -> None:
        if order.filled:
            order.finish("canceled", f"the rest: {reason}")
        else:
            order.finish("rejected", reason)


def _by_id(order: Order) -> int:
    return order.order_id
