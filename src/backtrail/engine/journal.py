"""What happens to an account, as it is written down: fills, corporate actions, holdings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from backtrail.engine.config import CommissionConfig, ExecutionRules, SlippageConfig
from backtrail.engine.ledger import Amount, Amounts
from backtrail.engine.market import Market
from backtrail.engine.notices import RiskViolation

__all__ = ["Action", "Fill", "Holding", "Placed", "Record"]


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


class Placed(NamedTuple):
    """An order, and how it ended.

    `style` is its name; `quantity` is None for one that was never sized.
    """

    row: int
    column: int
    style: str
    sizing: str
    amount: float
    limit: float | None
    stop: float | None
    quantity: Amount | None
    filled: Amount
    status: str
    reason: str | None
    filled_row: int | None


@dataclass(frozen=True, slots=True)
class Record:
    """All that a finished account leaves behind; the tables are made of it.

    Attributes:
        market: Prices.
        amounts: What computed them.
        rules: How orders became fills.
        commission: What fills cost.
        slippage: What fills lost.
        orders: Values of `Placed` for each order, by id.
        journal: Fills and corporate actions, oldest first.
        holdings: Changes of holdings, oldest first.
        cash_changes: (row, cash after), oldest first; the first one is the capital.
        violations: (row, violation), oldest first.
    """

    market: Market
    amounts: Amounts
    rules: ExecutionRules
    commission: CommissionConfig
    slippage: SlippageConfig
    orders: Sequence[tuple[Any, ...]]
    journal: Sequence[Fill | Action]
    holdings: Sequence[Holding]
    cash_changes: Sequence[tuple[int, Amount]]
    violations: Sequence[tuple[int, RiskViolation]]
