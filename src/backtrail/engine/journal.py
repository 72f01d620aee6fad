"""What happens to an account, as it is written down: fills, corporate actions, holdings."""

from dataclasses import dataclass

from backtrail.engine.ledger import Amount

__all__ = ["Action", "Fill", "Holding"]


@dataclass(frozen=True, slots=True)
class Fill:
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
    slippage: Amount = 0


@dataclass(frozen=True, slots=True)
class Action:
    """A split, dividend or delisting that met a holding; `cash` is signed."""

    row: int
    column: int
    kind: str
    before: Amount
    after: Amount
    cash: Amount
    ratio: float


@dataclass(frozen=True, slots=True)
class Holding:
    """A holding after something changed it."""

    row: int
    column: int
    quantity: Amount
    average_cost: Amount
