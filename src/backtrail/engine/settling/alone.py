"""Decisions about one symbol, without a look for who else is held, or who sells first."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.config import ExecutionRules
from backtrail.engine.decisions import Decisions
from backtrail.engine.journal import Columns, taken
from backtrail.engine.settling.arithmetic import Arithmetic, Number, Sizers
from backtrail.engine.settling.fills import Fills

__all__ = ["Course", "follow_one"]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Outcome = tuple[Number | None, Number, str, str | None]
"""Shares of an order, shares that it fills, its status and the reason."""

_TOO_LATE: Final = ("expired", "no later bar")


@dataclass(slots=True, eq=False)
class Course:
    """What became of the decisions about one symbol.

    Attributes:
        traded: Signed shares of each fill.
        commissions: Of each fill.
        cash: After each fill.
        outcomes: By number of the decision, where its order did not fill as it was placed; None
            where none was placed.
        unfilled: How many decisions led to no fill so far.
    """

    traded: list[Number] = field(default_factory=list)
    commissions: list[Number] = field(default_factory=list)
    cash: list[Number] = field(default_factory=list)
    outcomes: dict[int, Outcome | None] = field(default_factory=dict)
    unfilled: int = 0

    def note(self, outcome: Outcome | None) -> None:
        """Say what became of the decision after those of which something is known."""
        self.outcomes[len(self.traded) + self.unfilled] = outcome
        if outcome is None or not outcome[1]:
            self.unfilled += 1

    def fills(
        self, arithmetic: Arithmetic, decisions: Decisions, prices: npt.NDArray[Any]
    ) -> Fills:
        """Return the fills.

        Args:
            arithmetic: What computed them.
            decisions: That led to them.
            prices: At which they would fill, shape (m,).
        """
        count, rows = len(self.traded), decisions.rows
        # A fill's value is a difference of cash, less its commission.
        amounts = arithmetic.array([arithmetic.capital, *self.cash, *self.commissions])
        order_ids: IntArray = np.arange(1, len(rows) + 1)
        if self.unfilled:
            ordered, filled = self._became(len(rows))
            rows, prices, order_ids = (
                rows[filled],
                prices[filled],
                np.cumsum(ordered, dtype=np.int64)[filled],
            )
        shares: npt.NDArray[Any] = np.fromiter(self.traded, amounts.dtype, count)
        held: npt.NDArray[Any] = np.zeros(count + 1, dtype=amounts.dtype)
        np.cumsum(shares, out=held[1:])
        prices = prices.astype(amounts.dtype, copy=False)
        return Fills(
            rows=rows + 1,
            columns=np.zeros(count, dtype=np.int64),
            order_ids=order_ids,
            shares=shares,
            prices=prices,
            values=shares * prices * arithmetic.unit,
            commissions=amounts[1 + count :],
            cash=amounts[1 : 1 + count],
            before=held[:-1],
        )

    def orders(self, decisions: Decisions, fills: Fills) -> Columns:
        """Return columns of `Placed`.

        Args:
            decisions: That led to them.
            fills: Of them.
        """
        count, rows = len(decisions), decisions.rows
        ordered, filled = self._became(count)
        traded: npt.NDArray[Any] = np.zeros(count, dtype=fills.shares.dtype)
        traded[filled] = fills.shares
        asked, status = traded.tolist(), ["filled"] * count
        reason: list[str | None] = [None] * count
        for number, outcome in self.outcomes.items():
            if outcome is not None:
                asked[number], _, status[number], reason[number] = outcome
        found: Columns = {
            "row": rows,
            "column": decisions.columns,
            "style": ["market"] * count,
            "sizing": ["target_percent"] * count,
            "amount": decisions.weights,
            "limit": [None] * count,
            "stop": [None] * count,
            "quantity": asked,
            "filled": traded,
            "status": status,
            "reason": reason,
            "filled_row": rows + 1 if filled.all() else _where(filled, rows + 1),
        }
        return found if ordered.all() else taken(found, ordered.nonzero()[0])

    def _became(self, count: int) -> tuple[BoolArray, BoolArray]:
        """Return which of the decisions became orders, and which became fills."""
        ordered, filled = np.ones(count, dtype=np.bool_), np.ones(count, dtype=np.bool_)
        for number, outcome in self.outcomes.items():
            ordered[number] = outcome is not None
            filled[number] = outcome is not None and bool(outcome[1])
        return ordered, filled


def _where(known: BoolArray, values: npt.NDArray[Any]) -> list[Any]:
    pairs = zip(known.tolist(), values.tolist(), strict=True)
    return [value if is_known else None for is_known, value in pairs]


def follow_one(
    rules: ExecutionRules,
    arithmetic: Arithmetic,
    decisions: Decisions,
    ticks: npt.NDArray[Any],
    *,
    ends: bool,
) -> Course:
    """Order what leads to each new weight, and fill it at the next bar.

    Args:
        rules: Of execution.
        arithmetic: What computes.
        decisions: About one symbol.
        ticks: Closes of their bars, and prices at which they fill, shape (2, m).
        ends: Whether the last decision has no bar after it.
    """
    weights, (marks, prices) = decisions.weights.tolist(), ticks.tolist()
    course = Course()
    if not ends:
        _walk(course, rules, arithmetic, zip(weights, marks, prices, strict=True))
        return course
    cash, shares = _walk(
        course, rules, arithmetic, zip(weights[:-1], marks[:-1], prices[:-1], strict=True)
    )
    if rules.size_at == "fill":
        course.note((None, 0, *_TOO_LATE))
        return course
    wanted = -shares
    if weights[-1]:
        equity = cash + shares * marks[-1] * arithmetic.unit
        wanted += arithmetic.sizer(weights[-1])(equity, marks[-1])
    course.note((wanted, 0, *_TOO_LATE) if wanted else None)
    return course


def _walk(
    course: Course,
    rules: ExecutionRules,
    arithmetic: Arithmetic,
    days: Iterable[tuple[float, Number, Number]],
) -> tuple[Number, Number]:
    """Follow weights (with closes, and prices of their fills); return cash and shares."""
    unit, sizers = arithmetic.unit, Sizers(arithmetic)
    rate, commission_of = arithmetic.rate, arithmetic.commission
    at_fill, limited = rules.size_at == "fill", rules.cash_policy != "overdraw"
    traded, commissions, left = course.traded, course.commissions, course.cash
    cash, shares = arithmetic.capital, 0
    for weight, mark, price in days:
        wanted = -shares
        if weight:
            at = price if at_fill else mark
            wanted += sizers[weight](cash + shares * at * unit if shares else cash, at)
        if not wanted:
            course.note((0, 0, "canceled", "nothing to trade at the fill") if at_fill else None)
            continue
        exchanged = wanted * price
        value = exchanged * unit
        commission = commission_of(exchanged) if rate is None else abs(exchanged) * rate
        if limited and wanted > 0 and value + commission > cash:
            outcome = arithmetic.within_cash(
                rules.cash_policy, cash, wanted, value + commission, price
            )
            course.note(outcome)
            wanted = outcome[1]
            if not wanted:
                continue
            exchanged = wanted * price
            value, commission = exchanged * unit, commission_of(exchanged)
        cash = cash - value - commission
        traded.append(wanted)
        commissions.append(commission)
        left.append(cash)
        shares += wanted
    return cash, shares
