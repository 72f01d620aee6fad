"""Decisions about several symbols that share the cash."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.config import ExecutionRules
from backtrail.engine.decisions import Decisions
from backtrail.engine.settling.arithmetic import Arithmetic, Number, Sizers
from backtrail.engine.settling.fills import Fills

__all__ = ["follow_several"]


def follow_several(
    rules: ExecutionRules,
    arithmetic: Arithmetic,
    decisions: Decisions,
    ticks: npt.NDArray[Any],
    *,
    ends: bool,
) -> tuple[Fills, list[tuple[Any, ...]]]:
    """Order what leads to new weights, and fill it at the next bar.

    Args:
        rules: Of execution.
        arithmetic: What computes.
        decisions: About symbols of which there are k.
        ticks: Closes of their r bars, and prices at which they fill, shape (2, r, k).
        ends: Whether the last decisions have no bar after them.

    Returns:
        Fills, and values of `Placed` for each order.
    """
    desk = _Desk(rules, arithmetic, ticks.shape[2])
    marks, prices = ticks.tolist()
    given = decisions.by_row().items()
    for (row, weights), mark, price in zip(given, marks, prices, strict=True):
        desk.decide(row, weights, mark, None if ends and mark is marks[-1] else price)
    return desk.filled(), desk.orders


class _Desk:
    """Places and fills orders; cash and holdings between two decisions.

    Attributes:
        arithmetic: What computes.
        orders: Values of `Placed`, by order id.
        fills: Row, column, order id, signed shares, price, signed value, commission, cash after and
            shares before, oldest first.
    """

    def __init__(self, rules: ExecutionRules, arithmetic: Arithmetic, symbols: int) -> None:
        self.arithmetic: Final = arithmetic
        self._unit: Final = arithmetic.unit
        self._commission: Final = arithmetic.commission
        self._sizers: Final = Sizers(arithmetic)
        self._at_fill: Final = rules.size_at == "fill"
        self._policy: Final = rules.cash_policy
        self._held: dict[int, None] = {}  # in the order in which they were bought
        self._shares: list[Number] = [0] * symbols
        self._cash: Number = arithmetic.capital
        self.orders: list[tuple[Any, ...]] = []
        self.fills: list[tuple[Any, ...]] = []

    def filled(self) -> Fills:
        """Return the fills as columns."""
        columns = list(zip(*self.fills, strict=True)) or [()] * len(Fills.__slots__)
        kind = self.arithmetic.array([self.arithmetic.capital, *columns[6], *columns[7]]).dtype
        places = (np.array(column, dtype=np.int64) for column in columns[:3])
        return Fills(*places, *(np.array(column, dtype=kind) for column in columns[3:]))

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
            wanted = self._sizers[weight](equity, at[column]) if weight else 0
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
