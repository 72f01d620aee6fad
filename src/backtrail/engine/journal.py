"""What happens to an account, as it is written down: fills, corporate actions, holdings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from backtrail.engine.config import CommissionConfig, ExecutionRules, SlippageConfig
from backtrail.engine.ledger import Amount, Amounts
from backtrail.engine.market import Market
from backtrail.engine.notices import RiskViolation
from backtrail.engine.trips import Trips

__all__ = [
    "Action",
    "Fill",
    "Finished",
    "Holding",
    "Placed",
    "Record",
    "Steps",
    "steps_of",
]


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


Steps = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]
"""Rows, the first one and ascending, and the value from each on; the last one of a row counts."""


@dataclass(frozen=True, slots=True)
class Record:
    """All that a finished account leaves behind; the tables but the curve are made of it.

    Attributes:
        market: Prices.
        amounts: What computed them.
        rules: How orders became fills.
        orders: Values of `Placed` for each order, by id.
        journal: Fills and corporate actions, oldest first.
        holdings: Changes of holdings, oldest first.
        violations: (row, violation), oldest first.
        trips: Round trips, where they are known without the journal.
    """

    market: Market
    amounts: Amounts
    rules: ExecutionRules
    orders: Sequence[tuple[Any, ...]]
    journal: Sequence[Fill | Action]
    holdings: Sequence[Holding]
    violations: Sequence[tuple[int, RiskViolation]]
    trips: Trips | None = None


class Finished(Protocol):
    """An account after its last bar.

    Attributes:
        market: Prices.
        commission: What fills cost.
        slippage: What fills lost.
    """

    @property
    def market(self) -> Market: ...  # noqa: D102

    @property
    def commission(self) -> CommissionConfig: ...  # noqa: D102

    @property
    def slippage(self) -> SlippageConfig: ...  # noqa: D102

    def steps(self) -> tuple[Steps, Mapping[int, Steps]]:
        """Return cash, and the shares of every column ever held."""

    def record(self) -> Record:
        """Return what the other tables are made of."""


def steps_of(
    amounts: Amounts, cash_changes: Sequence[tuple[int, Amount]], holdings: Sequence[Holding]
) -> tuple[Steps, Mapping[int, Steps]]:
    """Return changes of cash and holdings as steps.

    Args:
        amounts: What computed them.
        cash_changes: (row, cash after), oldest first, from the first row on.
        holdings: Oldest first.
    """
    rows, values = zip(*cash_changes, strict=True)
    held: dict[int, tuple[list[int], list[float]]] = {}
    for holding in holdings:
        own = held.setdefault(holding.column, ([0], [0.0]))
        own[0].append(holding.row)
        own[1].append(float(holding.quantity))
    steps = {column: (np.array(at), np.array(shares)) for column, (at, shares) in held.items()}
    return (np.array(rows), amounts.floats(values)), steps
