"""The account of target weights: worked on at the bars where something happens, and at no other.

The rules are those of `Simulation` for market orders to a fraction of the portfolio, with the same
ledger, so amounts are equal to the last digit. Between two events nothing changes but prices, and
the tables mark those bars all at once.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import Bars
from backtrail.engine.config import EngineConfig
from backtrail.engine.costs.slippage import Slipping
from backtrail.engine.decisions import Decisions
from backtrail.engine.journal import Action, Fill, Holding, Record, Steps, steps_of
from backtrail.engine.ledger import Amount, make_ledger
from backtrail.engine.market import Market
from backtrail.engine.orders import Order
from backtrail.engine.record import Journaled

__all__ = ["Rebalancing", "rebalance"]


def rebalance(market: Market, config: EngineConfig, decisions: Decisions) -> "Rebalancing | None":
    """Follow weights; return None where a run asks for more than there are rules for here."""
    if not _has_rules_for(market.bars, config):
        return None
    account = Rebalancing(market, config)
    account.run(decisions)
    return account


def _has_rules_for(bars: Bars, config: EngineConfig) -> bool:
    """Say whether `Rebalancing` knows every rule that a run needs.

    It needs a bar of every symbol from its first to its last one, which is that of the grid or of
    its delisting; no margin, and no limit on the share of a bar's volume.
    """
    if config.margin.initial is not None or config.margin.maintenance is not None:
        return False
    return config.slippage.volume_limit is None and _is_gapless(bars)


def _is_gapless(bars: Bars) -> bool:
    present = ~np.isnan(bars.close)
    if present.all():
        return bool(((bars.delisted < 0) | (bars.delisted == len(present) - 1)).all())
    first = np.argmax(present, axis=0)
    last = np.where(bars.delisted >= 0, bars.delisted, len(present) - 1)
    return bool(
        (present.sum(axis=0) == last - first + 1).all() and present[last, range(len(last))].all()
    )


class Rebalancing:
    """One account that follows weights.

    Attributes:
        market: Prices.
        ledger: Cash and holdings.
        config: Rules and costs.
        commission: What fills cost.
        slippage: What fills lose.
        orders: All orders, by id.
        journal: Fills and corporate actions, oldest first.
        holdings: Changes of holdings, oldest first.
        cash_changes: (row, cash after), oldest first.
    """

    def __init__(self, market: Market, config: EngineConfig) -> None:
        bars = market.bars
        self.market: Final = market
        self.config: Final = config
        self.commission: Final = config.commission
        self.slippage: Final = config.slippage
        self.ledger: Final = make_ledger(config, bars.symbols)
        self.orders: list[Order] = []
        self.journal: list[Fill | Action] = []
        self.holdings: list[Holding] = []
        self.cash_changes: list[tuple[int, Amount]] = [(0, self.ledger.cash)]
        rules = config.rules
        self._prices: Final = market.opens if rules.fill == "next_open" else market.closes
        self._fills_last: Final = rules.fill == "same_close"
        self._at_fill: Final = rules.size_at == "fill"
        self._policy: Final = rules.cash_policy
        self._slipping: Final = Slipping(config.slippage)
        self._ticks: Final = [
            config.instruments[symbol].tick if symbol in config.instruments else None
            for symbol in bars.symbols
        ]
        self._held: dict[int, None] = {}  # in the order in which they were bought
        self._waiting: list[Order] = []
        self._by_name: Final = sorted(range(len(bars.symbols)), key=bars.symbols.__getitem__)

    def run(self, decisions: Decisions) -> None:
        """Follow weights from the first bar to the last."""
        bars, weights = self.market.bars, decisions.by_row()
        end = len(bars.timestamps)
        deciding = [end, *sorted(weights, reverse=True)]
        acting = [end, *_rows_with((bars.splits != 1.0) | (bars.dividends != 0.0))]
        delisting = [
            end,
            *sorted({row for row in bars.delisted.tolist() if row >= 0}, reverse=True),
        ]
        row = -1
        while True:
            row = row + 1 if self._waiting else min(deciding[-1], acting[-1], delisting[-1])
            if row >= end:
                break
            if row == acting[-1]:
                acting.pop()
                self._act(row)
            if self._waiting:
                self._fill(row)
            if row == deciding[-1]:
                deciding.pop()
                self._decide(row, weights[row])
                if self._fills_last and self._waiting:
                    self._fill(row)
            if row == delisting[-1]:
                delisting.pop()
                self._delist(row)
        for order in self._waiting:
            order.finish("expired", "no later bar")

    def steps(self) -> tuple[Steps, Mapping[int, Steps]]:
        """Return cash and the shares of every column ever held."""
        return steps_of(self.ledger, self.cash_changes, self.holdings)

    def record(self) -> Record:
        """Return what the tables are made of."""
        return Journaled(
            self.market,
            self.ledger,
            self.config.rules,
            [order.placed() for order in self.orders],
            self.journal,
            self.holdings,
        )

    def _decide(self, row: int, weights: Sequence[tuple[int, float]]) -> None:
        ledger, market = self.ledger, self.market
        equity: Amount = None
        for column, weight in weights:
            quantity = target = None
            refused = 0 <= market.bars.delisted[column] < row
            if not refused and not self._at_fill:
                held = ledger.quantities[column]
                if weight == 0.0:
                    target = ledger.zero
                else:
                    if equity is None:
                        marks = market.marks
                        equity = ledger.equity((one, marks[one][row]) for one in self._held)
                    price = market.marks[column][row]
                    target = ledger.size(
                        column, ledger.multiply(ledger.number(weight), equity), price
                    )
                quantity = ledger.subtract(target, held)
                if not quantity:
                    continue
            order = Order(
                len(self.orders) + 1, row, column, "target_percent", weight, quantity, target
            )
            self.orders.append(order)
            if refused:
                order.finish("rejected", "delisted")
            else:
                self._waiting.append(order)

    def _fill(self, row: int) -> None:
        due, self._waiting = self._waiting, []
        if self._at_fill:
            due = self._sized(row, due)
        if len(due) > 1:  # who sells comes first
            due.sort(key=lambda order: (order.quantity > 0, order.order_id))
        for order in due:
            self._execute(row, order)

    def _sized(self, row: int, due: list[Order]) -> list[Order]:
        ledger, prices = self.ledger, self._prices
        equity = ledger.equity((column, prices[column][row]) for column in self._held)
        rest = []
        for order in due:
            column = order.column
            amount = ledger.multiply(ledger.number(order.amount), equity)
            order.target = ledger.size(column, amount, prices[column][row])
            order.quantity = ledger.subtract(order.target, ledger.quantities[column])
            if order.quantity:
                rest.append(order)
            else:
                order.finish("canceled", "nothing to trade at the fill")
        return rest

    def _execute(self, row: int, order: Order) -> None:
        ledger, column = self.ledger, order.column
        wanted = ledger.subtract(order.target, ledger.quantities[column])
        if not wanted:  # a split took what there was to trade
            order.finish("canceled", "nothing to trade at the fill")
            return
        order.quantity = wanted
        reference: float = self._prices[column][row]
        price = reference
        moves = self._slipping.moves
        if moves:
            side = 1 if wanted > 0 else -1
            price = self._slipping.price(reference, side, 0.0, self._ticks[column], None)
        value = ledger.value(wanted, price)
        commission = ledger.commission(wanted, value)
        if wanted > 0 and self._policy != "overdraw":
            cost = ledger.add(value, commission)
            if not ledger.affords(cost):
                wanted = self._within_cash(order, cost, price)
                if not wanted:
                    return
                value = ledger.value(wanted, price)
                commission = ledger.commission(wanted, value)
        ledger.book(column, wanted, price, value, commission)
        order.filled, order.filled_row, order.status = wanted, row, "filled"
        lost = ledger.zero
        if moves:
            lost = ledger.subtract(value, ledger.value(wanted, reference))
        cash = ledger.cash
        self.journal.append(
            Fill(row, column, order.order_id, wanted, price, value, commission, cash, "order", lost)
        )
        self._changed(row, column)

    def _within_cash(self, order: Order, cost: Amount, price: float) -> Amount:
        ledger = self.ledger
        if self._policy == "reject" and not ledger.misses_by_rounding(order.column, cost):
            order.finish("rejected", f"costs {cost:f}, cash is {ledger.cash:f}")
            return ledger.zero
        quantity = ledger.affordable(order.column, price)
        if not quantity:
            order.finish("rejected", "cash buys less than one lot")
        else:
            order.explain(f"clipped from {order.quantity:f} to what cash buys")
            order.quantity = quantity
        return quantity

    def _changed(self, row: int, column: int) -> None:
        ledger = self.ledger
        quantity = ledger.quantities[column]
        if quantity:
            self._held[column] = None
        else:
            self._held.pop(column, None)
        self.holdings.append(Holding(row, column, quantity, ledger.average_costs[column]))
        self.cash_changes.append((row, ledger.cash))

    def _act(self, row: int) -> None:
        ledger, bars = self.ledger, self.market.bars
        for column in self._by_name:
            ratio = float(bars.splits[row, column])
            dividend = float(bars.dividends[row, column])
            if ratio != 1.0:
                self._split(row, column, ratio)
            if dividend and column in self._held:
                before = ledger.quantities[column]
                cash = ledger.dividend(column, dividend)
                self.journal.append(Action(row, column, "dividend", before, before, cash, 1.0))
                self.cash_changes.append((row, ledger.cash))

    def _split(self, row: int, column: int, ratio: float) -> None:
        ledger = self.ledger
        if column in self._held:
            before = ledger.quantities[column]
            cash = ledger.split(column, ratio, self.market.opens[column][row])
            after = ledger.quantities[column]
            self.journal.append(Action(row, column, "split", before, after, cash, ratio))
            self._changed(row, column)
        for order in list(self._waiting):
            if order.column == column and order.quantity is not None:
                number = ledger.number(ratio)
                order.quantity = ledger.round_quantity(
                    column, ledger.multiply(order.quantity, number)
                )
                order.target = ledger.round_quantity(column, ledger.multiply(order.target, number))
                order.reason = f"scaled by a split of {ratio:g}"
                if not order.quantity:
                    self._waiting.remove(order)
                    order.finish("canceled", "less than one lot is left")

    def _delist(self, row: int) -> None:
        ledger = self.ledger
        for column in self._by_name:
            if self.market.bars.delisted[column] != row:
                continue
            for order in [order for order in self._waiting if order.column == column]:
                self._waiting.remove(order)
                order.finish("expired", "delisted")
            if column not in self._held:
                continue
            before, zero = ledger.quantities[column], ledger.zero
            price = self.market.closes[column][row]
            quantity, value = ledger.close(column, price)
            self.journal.append(
                Fill(row, column, None, quantity, price, value, zero, ledger.cash, "delisted", zero)
            )
            self._changed(row, column)
            cash = ledger.subtract(zero, value)
            self.journal.append(Action(row, column, "delisting", before, zero, cash, 1.0))


def _rows_with(events: npt.NDArray[np.bool_]) -> list[int]:
    rows: list[int] = np.flatnonzero(events.any(axis=1))[::-1].tolist()
    return rows
