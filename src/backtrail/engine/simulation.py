"""The account of one run: orders in, fills and corporate actions out, bar by bar."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from backtrail.engine.bars import Bars
from backtrail.engine.config import CommissionConfig, EngineConfig, SlippageConfig
from backtrail.engine.filling import Filling
from backtrail.engine.guard import Guard
from backtrail.engine.journal import Action, Fill, Holding, Record, Steps, steps_of
from backtrail.engine.ledger import Amount, Ledger, make_ledger
from backtrail.engine.market import Market
from backtrail.engine.notices import Notices, TradeExecutionData, moment
from backtrail.engine.orders import MARKET, Order, OrderBook, Style, check_amount, sized
from backtrail.engine.record import Journaled
from backtrail.errors import ConfigError, OrderError, Problem

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
        commission: What fills cost.
        slippage: What fills lose.
        notices: Who wants to know what.
        guard: Trading controls, margin, risk hook.
        filling: How orders become fills.
    """

    def __init__(self, bars: Bars, config: EngineConfig) -> None:
        self.row = -1
        self.accepting = False
        self.config: Final = config
        self.market: Final = Market(bars)
        self.ledger: Final[Ledger] = make_ledger(config, bars.symbols)
        self.book: Final = OrderBook()
        self.held: dict[int, None] = {}
        self.journal: list[Fill | Action] = []
        self.holdings: list[Holding] = []
        self.cash_changes: list[tuple[int, Amount]] = [(0, self.ledger.cash)]
        self.commission: CommissionConfig = config.commission
        self.slippage: SlippageConfig = config.slippage
        self.notices: Final = Notices()
        self.guard: Final = Guard(self)
        self.filling: Final = Filling(self)
        self._at_fill: Final = config.rules.size_at == "fill"
        self._equity: Amount = self.ledger.cash
        self._equity_at = (-1, 1)
        self._set_events(bars)

    def place(self, symbol: str, amount: float, sizing: str, style: Style = MARKET) -> int | None:
        """Place an order; return its id, or None when there is nothing to trade.

        Raises:
            OrderError: If the symbol is unknown, the amount not finite, or no bar is running.
            RiskViolationError: If it breaks a trading control that ends the run.
        """
        column = self.column(symbol)
        number = check_amount(sizing, symbol, amount)
        if not self.accepting:
            raise OrderError(
                f"order for {symbol} outside of handle_data and scheduled functions; place orders"
                " there only"
            )
        refusal = self._refusal(column)
        quantity = target = None
        if refusal is None and (sizing == "shares" or not self._at_fill or style is not MARKET):
            mark = self.market.marks[column][self.row]
            pending = self.pending(column)
            equity = self.equity() if sizing.endswith("percent") else None
            held = self.ledger.quantities[column]
            quantity, target = sized(
                self.ledger, column, sizing, number, mark, equity, held, pending
            )
            if not quantity:
                return None
            if style is not MARKET:
                tick = self.filling.ticks[column]
                style = style if tick is None else style.on_ticks(tick, buys=quantity > 0)
        order = self.book.place(self.row, column, sizing, number, style)
        order.quantity, order.target = quantity, target
        if refusal is not None:
            order.finish("rejected", refusal)
        elif not self.guard.is_set or self._passes(order, style):
            self.book.wait(order)
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
        moment = self.row, len(self.cash_changes)  # whatever moves the account moves its cash
        if moment != self._equity_at:
            marks = self.market.marks
            prices = ((column, marks[column][self.row]) for column in self.held)
            self._equity, self._equity_at = self.ledger.equity(prices), moment
        return self._equity

    def exposures(self) -> tuple[float, float]:
        """Return net and gross value of the holdings at the last known closes."""
        net = gross = 0.0
        row = self.row
        quantities, marks = self.ledger.quantities, self.market.marks
        for column in self.held:
            value = float(quantities[column]) * marks[column][row]
            net += value
            gross += abs(value)
        return net, gross

    def pending(self, column: int) -> Amount:
        """Return the signed shares that a symbol's open orders will still add."""
        total = self.ledger.zero
        for order in self.book.waiting.get(column, ()):
            if order.quantity is not None:
                total = self.ledger.add(total, order.quantity)
                if order.filled:
                    total = self.ledger.subtract(total, order.filled)
        return total

    def set_costs(
        self, commission: CommissionConfig | None = None, slippage: SlippageConfig | None = None
    ) -> None:
        """Take the strategy's costs in place of the config's.

        Raises:
            ConfigError: If the config has costs of its own.
        """
        for name, own, given in (
            ("commission", self.config.commission, commission),
            ("slippage", self.config.slippage, slippage),
        ):
            if given is not None and own.model != "none":
                found = f"the strategy sets {given.model}, the config {own.model}"
                raise ConfigError([Problem(name, found, "say it in one place")])
        self.replace_costs(commission, slippage)

    def replace_costs(
        self, commission: CommissionConfig | None, slippage: SlippageConfig | None
    ) -> None:
        """Take other costs from now on, whoever said those that held before."""
        if commission is not None:
            self.commission = commission
            self.ledger.set_commission(commission)
        if slippage is not None:
            self.slippage = slippage
            self.filling.set_slippage(slippage)

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
            self.filled(
                Fill(row, column, None, quantity, price, value, zero, cash, "delisted", zero)
            )
            action = Action(
                row, column, "delisting", before, zero, self.ledger.subtract(zero, value), 1.0
            )
            self.journal.append(action)
        self._delisting_rows.pop()
        self.next_delisting = self._delisting_rows[-1]

    def finish(self) -> None:
        """Expire what still waits after the last bar."""
        for column in list(self.book.waiting):
            self.book.expire(column, "no later bar")

    def steps(self) -> tuple[Steps, Mapping[int, Steps]]:
        """Return cash and the shares of every column ever held."""
        return steps_of(self.ledger, self.cash_changes, self.holdings)

    def record(self) -> Record:
        """Return what the tables are made of."""
        return Journaled(
            self.market,
            self.ledger,
            self.config.rules,
            [order.placed() for order in self.book.orders],
            self.journal,
            self.holdings,
            self.guard.violations,
        )

    def filled(self, fill: Fill) -> None:
        """Write down a fill that the ledger has booked."""
        self.journal.append(fill)
        self.changed(fill.column)
        if self.notices.wants("trade_executed"):
            bars = self.market.bars
            self.notices.put(
                "trade_executed",
                TradeExecutionData(
                    moment(bars.timestamps, fill.row),
                    bars.symbols[fill.column],
                    fill.order_id,
                    float(fill.quantity),
                    fill.price,
                    float(fill.value),
                    float(fill.commission),
                    float(fill.slippage),
                ),
            )

    def changed(self, column: int) -> None:
        """Write down what is held after a change."""
        ledger = self.ledger
        quantity = ledger.quantities[column]
        if quantity:
            self.held[column] = None
        else:
            self.held.pop(column, None)
        self.holdings.append(Holding(self.row, column, quantity, ledger.average_costs[column]))
        self.cash_changes.append((self.row, ledger.cash))

    def close_all(self, reason: str) -> list[Order]:
        """Cancel all orders, and order the closing of all holdings at their next bars."""
        self.book.cancel_all(reason)
        orders = []
        for column in sorted(self.held, key=self.market.bars.symbols.__getitem__):
            order = self.book.place(self.row, column, "target", 0.0)
            order.quantity = self.ledger.subtract(self.ledger.zero, self.ledger.quantities[column])
            order.target = self.ledger.zero
            order.reason, order.is_checked = reason, True
            self.book.wait(order)
            orders.append(order)
        return orders

    def _passes(self, order: Order, style: Style) -> bool:
        if self._at_fill and style is MARKET:  # looked at when it fills: its size is known then
            return True
        return self.guard.passes(order, self.pending(order.column))

    def _refusal(self, column: int) -> str | None:
        delisted = int(self.market.bars.delisted[column])
        mark = self.market.marks[column][self.row]
        if mark != mark:  # NaN: this symbol had no bar so far
            return "no bar yet"
        return "delisted" if 0 <= delisted < self.row else None

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
            self.changed(column)
        self.book.scale(
            column,
            ratio,
            lambda q, r: ledger.round_quantity(column, ledger.multiply(q, ledger.number(r))),
        )

    def _set_events(self, bars: Bars) -> None:
        n = len(bars.timestamps)
        self._action_rows = _event_rows((bars.splits != 1.0) | (bars.dividends != 0.0), n)
        self._delistings: dict[int, list[int]] = {}
        for column in sorted(range(len(bars.symbols)), key=bars.symbols.__getitem__):
            if bars.delisted[column] >= 0:
                self._delistings.setdefault(int(bars.delisted[column]), []).append(column)
        self._delisting_rows = [n, *sorted(self._delistings, reverse=True)]
        self.next_action = self._action_rows[-1]
        self.next_delisting = self._delisting_rows[-1]


def _event_rows(events: "np.typing.NDArray[np.bool_]", n: int) -> list[int]:
    rows: list[int] = np.flatnonzero(events.any(axis=1))[::-1].tolist()
    return [n, *rows]
