"""The record of an account that kept a journal."""

from collections.abc import Sequence
from typing import Any, Final

from backtrail.engine.config import ExecutionRules
from backtrail.engine.journal import Action, Columns, Fill, Holding, Placed, columns_of
from backtrail.engine.ledger import Amounts
from backtrail.engine.market import Market
from backtrail.engine.notices import RiskViolation
from backtrail.engine.round_trips import round_trips
from backtrail.engine.trips import Trips

__all__ = ["Journaled"]


class Journaled:
    """What an account wrote down one by one, as columns; a `backtrail.engine.journal.Record`.

    Args:
        market: Prices.
        amounts: What computed them.
        rules: How orders became fills.
        orders: Values of `Placed` for each order, by id.
        journal: Fills and corporate actions, oldest first.
        holdings: Changes of holdings, oldest first.
        violations: (row, violation), oldest first.
    """

    def __init__(
        self,
        market: Market,
        amounts: Amounts,
        rules: ExecutionRules,
        orders: Sequence[tuple[Any, ...]],
        journal: Sequence[Fill | Action],
        holdings: Sequence[Holding],
        violations: Sequence[tuple[int, RiskViolation]] = (),
    ) -> None:
        self.market: Final = market
        self.amounts: Final = amounts
        self.rules: Final = rules
        self.violations: Final = violations
        self._orders: Final = orders
        self._journal: Final = journal
        self._holdings: Final = holdings

    def orders(self) -> Columns:
        """Return columns of `Placed`, by order id."""
        return columns_of(Placed, self._orders)

    def fills(self) -> Columns:
        """Return columns of `Fill`, oldest first."""
        return columns_of(Fill, (entry for entry in self._journal if isinstance(entry, Fill)))

    def actions(self) -> Columns:
        """Return columns of `Action`, oldest first."""
        return columns_of(Action, (entry for entry in self._journal if isinstance(entry, Action)))

    def positions(self) -> Columns:
        """Return columns of `Holding`: the last of each bar and symbol, by bar and name."""
        symbols = self.market.bars.symbols
        last = {(one.row, symbols[one.column]): one for one in self._holdings}
        return columns_of(Holding, (last[key] for key in sorted(last)))

    def trips(self) -> Trips:
        """Return the round trips."""
        return round_trips(self._journal, self.amounts)
