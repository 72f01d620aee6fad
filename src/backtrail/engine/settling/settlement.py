"""From decisions to fills, one decision after the other."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from backtrail.engine.bars import Bars
from backtrail.engine.config import EngineConfig
from backtrail.engine.journal import Fill, Holding, Record, Steps
from backtrail.engine.market import Market
from backtrail.engine.rebalancing import Decisions
from backtrail.engine.settling.arithmetic import Arithmetic, Number, arithmetic_for

__all__ = ["settle"]


def settle(market: Market, config: EngineConfig, decisions: Decisions) -> "Settlement | None":
    """Follow weights; return None where a run asks for more than there are rules for here."""
    if not decisions or not _has_rules_for(market.bars, config):
        return None
    bars = market.bars
    last = len(bars.timestamps) - 1
    rows = np.array(sorted(decisions))
    source = bars.open if config.rules.fill == "next_open" else bars.close
    marks, prices = bars.close[rows], source[np.minimum(rows + 1, last)]
    arithmetic = arithmetic_for(config, marks, prices)
    if arithmetic is None:
        return None
    desk = _Desk(config, arithmetic, len(bars.symbols))
    for row, mark, price in zip(
        rows.tolist(), arithmetic.prices(marks), arithmetic.prices(prices), strict=True
    ):
        desk.decide(row, decisions[row], mark, None if row == last else price)
    return Settlement(market, config, desk)


class _Desk:
    """Places and fills orders; cash and holdings between two decisions.

    Attributes:
        arithmetic: What computes.
        orders: Values of `Placed`, by order id.
        fills: Row, column, order id, signed shares, price, signed value, commission, cash after and
            shares before, oldest first.
    """

    def __init__(self, config: EngineConfig, arithmetic: Arithmetic, symbols: int) -> None:
        self.arithmetic: Final = arithmetic
        self._unit: Final = arithmetic.unit
        self._commission: Final = arithmetic.commission
        self._at_fill: Final = config.rules.size_at == "fill"
        self._policy: Final = config.rules.cash_policy
        self._held: dict[int, None] = {}  # in the order in which they were bought
        self._shares: list[Number] = [0] * symbols
        self._cash: Number = arithmetic.capital
        self.orders: list[tuple[Any, ...]] = []
        self.fills: list[tuple[Any, ...]] = []

    def decide(
        self,
        row: int,
        weights: Sequence[tuple[int, float]],
        marks: Sequence[Number],
        prices: Sequence[Number] | None,
    ) -> None:
        """Order what leads to new weights, and fill it at the next bar's prices.

        Args:
            row: Of the decision.
            weights: (column, weight), by name of the symbol.
            marks: Closes of that row.
            prices: Prices at which orders fill; None when there is no later bar.
        """
        at = prices if self._at_fill else marks
        if at is None:
            for column, weight in weights:
                self._order(row, column, weight, None)
                self._end(-1, None, "expired", "no later bar")
            return
        equity = self._cash
        for column in self._held:
            equity += self._shares[column] * at[column] * self._unit
        due = []
        for column, weight in weights:
            wanted = self.arithmetic.size(weight, equity, at[column]) if weight else 0
            wanted -= self._shares[column]
            if wanted:
                due.append((wanted > 0, len(self.orders), column, wanted))
                self._order(row, column, weight, wanted)
            elif self._at_fill:
                self._order(row, column, weight, 0)
                self._end(-1, 0, "canceled", "nothing to trade at the fill")
        if len(due) > 1:
            due.sort()  # who sells comes first
        for _, place, column, wanted in due:
            if prices is None:
                self._end(place, wanted, "expired", "no later bar")
            else:
                self._execute(place, row + 1, column, wanted, prices[column])

    def _order(self, row: int, column: int, weight: float, shares: Number | None) -> None:
        self.orders.append(
            (row, column, "market", "target_percent", weight, None, None,
             shares, shares, "filled", None, row + 1)
        )  # fmt: skip

    def _end(self, place: int, shares: Number | None, status: str, reason: str) -> None:
        """Say how an order ended that did not fill."""
        self.orders[place] = (*self.orders[place][:7], shares, 0, status, reason, None)

    def _execute(self, place: int, row: int, column: int, wanted: Number, price: Number) -> None:
        traded = wanted * price
        value, commission = traded * self._unit, self._commission(traded)
        cash, before = self._cash, self._shares[column]
        if wanted > 0 and value + commission > cash and self._policy != "overdraw":
            wanted = self._within_cash(place, wanted, value + commission, price)
            if not wanted:
                return
            traded = wanted * price
            value, commission = traded * self._unit, self._commission(traded)
        self._cash = cash = cash - value - commission
        self._shares[column] = after = before + wanted
        if after:
            self._held[column] = None
        else:
            del self._held[column]
        self.fills.append((row, column, place + 1, wanted, price, value, commission, cash, before))

    def _within_cash(self, place: int, wanted: Number, cost: Number, price: Number) -> Number:
        arithmetic, cash = self.arithmetic, self._cash
        if arithmetic.affords(cash, cost):
            return wanted
        if self._policy == "reject":
            text = arithmetic.text
            self._end(place, wanted, "rejected", f"costs {text(cost)}, cash is {text(cash)}")
            return 0
        most = arithmetic.affordable(cash, price)
        if not most:
            self._end(place, wanted, "rejected", "cash buys less than one lot")
            return 0
        reason = f"clipped from {wanted:{arithmetic.whole}} to what cash buys"
        asked = self.orders[place]
        self.orders[place] = (*asked[:7], most, most, "filled", reason, asked[11])
        return most


class Settlement:
    """What became of decisions.

    Attributes:
        market: Prices.
        commission: What fills cost.
        slippage: What fills lost: nothing.
    """

    def __init__(self, market: Market, config: EngineConfig, desk: _Desk) -> None:
        self.market: Final = market
        self.commission: Final = config.commission
        self.slippage: Final = config.slippage
        self._rules: Final = config.rules
        self._desk: Final = desk

    def steps(self) -> tuple[Steps, Mapping[int, Steps]]:
        """Return cash and the shares of every column ever held."""
        amounts, capital = self._desk.arithmetic.amounts, self._desk.arithmetic.capital
        rows, cash = [0], [capital]
        held: dict[int, tuple[list[int], list[float]]] = {}
        for row, column, _, shares, _, _, _, left, before in self._desk.fills:
            rows.append(row)
            cash.append(left)
            own = held.setdefault(column, ([], []))
            own[0].append(row)
            own[1].append(float(before + shares))
        return (rows, amounts.floats(cash)), dict(held)

    def record(self) -> Record:
        """Return what the tables are made of."""
        market, desk = self.market, self._desk
        amounts, unit = desk.arithmetic.amounts, desk.arithmetic.unit
        prices = market.opens if self._rules.fill == "next_open" else market.closes
        zero = amounts.zero
        journal, holdings = [], []
        averages = [zero] * len(market.bars.symbols)
        for row, column, number, shares, price, value, commission, cash, before in desk.fills:
            paid = prices[column][row]
            journal.append(
                Fill(row, column, number, shares, paid, value, commission, cash, "order", zero)
            )
            average = amounts.moved_average(averages[column], before, shares, price * unit)
            averages[column] = average
            holdings.append(Holding(row, column, before + shares, average))
        return Record(market, amounts, self._rules, desk.orders, journal, holdings, ())


def _has_rules_for(bars: Bars, config: EngineConfig) -> bool:
    """Say whether nothing can happen between an order and its fill, and shares are whole."""
    rules = config.rules
    return (
        rules.fill != "same_close"
        and rules.shares == "whole"
        and config.commission.model in ("none", "per_dollar")
        and config.slippage.model == "none"
        and config.margin.initial is None
        and config.margin.maintenance is None
        and not any(item.lot is not None for item in config.instruments.values())
        and bool((bars.delisted < 0).all())
        and not np.isnan(bars.close).any()
        and bool((bars.splits == 1.0).all())
        and not bars.dividends.any()
    )
