"""From decisions to fills, one decision after the other."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from backtrail.engine.config import EngineConfig
from backtrail.engine.journal import Fill, Holding, Later, Record, Steps
from backtrail.engine.market import Market
from backtrail.engine.rebalancing import Decisions
from backtrail.engine.settling.alone import State, follow_one
from backtrail.engine.settling.arithmetic import Arithmetic, Number, arithmetic_for
from backtrail.engine.settling.pairs import paired_trips

__all__ = ["settle"]


def settle(market: Market, config: EngineConfig, decisions: Decisions) -> "Settlement | None":
    """Follow weights; return None where a run asks for more than there are rules for here."""
    if not decisions or not _has_rules_for(market, config):
        return None
    bars = market.bars
    last = len(bars.timestamps) - 1
    rows = np.array(sorted(decisions))
    source = bars.open if config.rules.fill == "next_open" else bars.close
    known = np.stack((bars.close[rows], source[np.minimum(rows + 1, last)]))
    found = arithmetic_for(config, known)
    if found is None:
        return None
    arithmetic, ticks = found
    desk = _Desk(config, arithmetic, len(bars.symbols))
    if len(bars.symbols) == 1:  # without a list for each row
        marks, prices = ticks[:, :, 0].tolist()
        days = list(zip(rows.tolist(), marks, prices, strict=True))
        at_last = days.pop() if rows[-1] == last else None
        desk.take(follow_one(config, arithmetic, decisions, days))
        if at_last is not None:
            desk.decide(last, decisions[last], [at_last[1]], None)
        return Settlement(market, config, desk)
    marks, prices = ticks.tolist()
    for row, mark, price in zip(rows.tolist(), marks, prices, strict=True):
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

    def take(self, state: State) -> None:
        """Go on from what `follow_one` has come to."""
        self.orders, self.fills, self._cash, self._shares[0] = state
        if self._shares[0]:
            self._held[0] = None

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

    def _end(self, place: int, shares: Number | None, status: str, reason: str | None) -> None:
        """Say how an order ended that did not fill."""
        self.orders[place] = (*self.orders[place][:7], shares, 0, status, reason, None)

    def _execute(self, place: int, row: int, column: int, wanted: Number, price: Number) -> None:
        traded = wanted * price
        value, commission = traded * self._unit, self._commission(traded)
        cash, before = self._cash, self._shares[column]
        if wanted > 0 and value + commission > cash and self._policy != "overdraw":
            asked, wanted, status, reason = self.arithmetic.within_cash(
                self._policy, cash, wanted, value + commission, price
            )
            if not wanted:
                self._end(place, asked, status, reason)
                return
            order = self.orders[place]
            self.orders[place] = (*order[:7], asked, wanted, status, reason, order[11])
            traded = wanted * price
            value, commission = traded * self._unit, self._commission(traded)
        self._cash = cash = cash - value - commission
        self._shares[column] = after = before + wanted
        if after:
            self._held[column] = None
        else:
            del self._held[column]
        self.fills.append((row, column, place + 1, wanted, price, value, commission, cash, before))


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
        self._alone: Sequence[Sequence[Any]] | None = None  # columns of one symbol's fills
        if desk.fills and len(market.bars.symbols) == 1:
            self._alone = list(zip(*desk.fills, strict=True))

    def steps(self) -> tuple[Steps, Mapping[int, Steps]]:
        """Return cash and the shares of every column ever held."""
        amounts, capital = self._desk.arithmetic.amounts, self._desk.arithmetic.capital
        rows, cash = [0], [capital]
        held: dict[int, tuple[list[int], list[float]]] = {}
        if self._alone is not None:
            changed, _, _, shares, _, _, _, left, before = self._alone
            after = list(map(float, map(operator.add, before, shares)))
            return ([*rows, *changed], amounts.floats([*cash, *left])), {0: (changed, after)}
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
        amounts, trips = desk.arithmetic.amounts, None
        if self._alone is not None:
            trips = paired_trips(self._alone, self._prices[0], amounts.zero)
        return Record(
            market, amounts, self._rules, desk.orders, Later(self._journal),
            Later(self._holdings), (), trips,
        )  # fmt: skip

    @property
    def _prices(self) -> Sequence[memoryview]:
        return self.market.opens if self._rules.fill == "next_open" else self.market.closes

    def _journal(self) -> list[Fill]:
        prices, zero = self._prices, self._desk.arithmetic.amounts.zero
        return [
            Fill(row, column, number, shares, prices[column][row], value, cost, cash, "order", zero)
            for row, column, number, shares, _, value, cost, cash, _ in self._desk.fills
        ]

    def _holdings(self) -> list[Holding]:
        amounts, unit = self._desk.arithmetic.amounts, self._desk.arithmetic.unit
        found, averages = [], [amounts.zero] * len(self.market.bars.symbols)
        for row, column, _, shares, price, _, _, _, before in self._desk.fills:
            average = amounts.moved_average(averages[column], before, shares, price * unit)
            averages[column] = average
            found.append(Holding(row, column, before + shares, average))
        return found


def _has_rules_for(market: Market, config: EngineConfig) -> bool:
    """Say whether nothing can happen between an order and its fill, and shares are whole."""
    rules, bars = config.rules, market.bars
    return (
        rules.fill != "same_close"
        and rules.shares == "whole"
        and config.commission.model in ("none", "per_dollar")
        and config.slippage.model == "none"
        and config.margin.initial is None
        and config.margin.maintenance is None
        and not any(item.lot is not None for item in config.instruments.values())
        and bool((bars.delisted < 0).all())
        and all(counts is None for counts in market.counts)
        and all(factor is None for factor in market.factors)
        and not bars.dividends.any()
    )
