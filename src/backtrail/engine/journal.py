"""What happens to an account, as it is written down: fills, corporate actions, holdings."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from backtrail.engine.config import CommissionConfig, ExecutionRules, SlippageConfig
from backtrail.engine.ledger import Amount, Amounts, Numbers
from backtrail.engine.market import Market
from backtrail.engine.notices import RiskViolation
from backtrail.engine.trips import Trips

__all__ = [
    "Action",
    "Columns",
    "Fill",
    "Finished",
    "Holding",
    "Placed",
    "Record",
    "Steps",
    "columns_of",
    "steps_of",
    "taken",
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


Columns = Mapping[str, Numbers]
"""What was written down, by name of the fields of one of the kinds above."""


def columns_of(kind: type[tuple[Any, ...]], entries: Iterable[tuple[Any, ...]]) -> Columns:
    """Return entries of a kind as columns."""
    names: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]
    columns = list(map(list, zip(*entries, strict=True))) or [[] for _ in names]
    return dict(zip(names, columns, strict=True))


def taken(columns: Columns, places: npt.NDArray[np.int64]) -> Columns:
    """Return columns with what stands at some places, in their order."""
    at = places.tolist()
    return {
        name: values[places] if isinstance(values, np.ndarray) else [values[place] for place in at]
        for name, values in columns.items()
    }


class Record(Protocol):
    """All that a finished account leaves behind; the tables but the curve are made of it.

    Attributes:
        market: Prices.
        amounts: What computed them.
        rules: How orders became fills.
        violations: (row, violation), oldest first.
    """

    @property
    def market(self) -> Market: ...  # noqa: D102

    @property
    def amounts(self) -> Amounts: ...  # noqa: D102

    @property
    def rules(self) -> ExecutionRules: ...  # noqa: D102

    @property
    def violations(self) -> Sequence[tuple[int, RiskViolation]]: ...  # noqa: D102

    def orders(self) -> Columns:
        """Return columns of `Placed`, by order id."""

    def fills(self) -> Columns:
        """Return columns of `Fill`, oldest first."""

    def actions(self) -> Columns:
        """Return columns of `Action`, oldest first."""

    def positions(self) -> Columns:
        """Return columns of `Holding`: the last of each bar and symbol, by bar and name."""

    def trips(self) -> Trips:
        """Return the round trips."""


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
