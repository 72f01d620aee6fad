"""What happens to an account, as it is written down: fills, corporate actions, holdings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from backtrail.engine.config import CommissionConfig, ExecutionRules, SlippageConfig
from backtrail.engine.ledger import Amount, Ledger
from backtrail.engine.market import Market
from backtrail.engine.notices import RiskViolation
from backtrail.engine.orders import Order

__all__ = ["Action", "Fill", "Holding", "Record"]


class Fill(NamedTuple):
    """One execution; `order_id` is None and `reason` `delisted` when a delisting closed it.

    `slippage` is the money lost against the bar's price.
    """

    row: int
    column: int
    order_id: int | None
    quantity: Amount
    price: float
    value: Amount
    commission: Amount
    cash_after: Amount
    reason: str
    slippage: Amount


class Action(NamedTuple):
    """A split, dividend or delisting that met a holding; `cash` is signed."""

    row: int
    column: int
    kind: str
    before: Amount
    after: Amount
    cash: Amount
    ratio: float


class Holding(NamedTuple):
    """A holding after something changed it."""

    row: int
    column: int
    quantity: Amount
    average_cost: Amount


@dataclass(frozen=True, slots=True)
class Record:
    """All that a finished account leaves behind; the tables are made of it.

    Attributes:
        market: Prices.
        ledger: What computed the amounts.
        rules: How orders became fills.
        commission: What fills cost.
        slippage: What fills lost.
        orders: All orders, by id.
        journal: Fills and corporate actions, oldest first.
        holdings: Changes of holdings, oldest first.
        cash_changes: (row, cash after), oldest first; the first one is the capital.
        violations: (row, violation), oldest first.
    """

    market: Market
    ledger: Ledger
    rules: ExecutionRules
    commission: CommissionConfig
    slippage: SlippageConfig
    orders: Sequence[Order]
    journal: Sequence[Fill | Action]
    holdings: Sequence[Holding]
    cash_changes: Sequence[tuple[int, Amount]]
    violations: Sequence[tuple[int, RiskViolation]]
