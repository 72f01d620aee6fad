"""Round trips, one by one in the making and as columns."""

from collections.abc import Sequence
from dataclasses import dataclass

from backtrail.engine.ledger import Amount

__all__ = ["Trade", "Trips"]


@dataclass(slots=True, eq=False)
class Trade:
    """One round trip in the making; quantities are in shares of its end (splits applied).

    Attributes:
        column: Its symbol's column.
        entry_row: Bar of the first fill.
        sign: 1 long, -1 short.
        held: Shares held now, positive.
        largest: Largest holding.
        entered: Shares of all fills that made it larger.
        entry_value: Money of those fills, without commission.
        exited: Shares of all fills that made it smaller.
        exit_value: Money of those fills, without commission.
        commission: Paid for all fills.
        slippage: Lost in all fills against the bars' prices.
        cash: Signed cash flow of fills, dividends and cash in lieu, commission included.
        exit_row: Bar of the last fill; None while open.
        exit_price: Price of the last fill; zero without one.
        saw_exit_bar: Whether it saw its last bar whole (closed at a close by a delisting).
    """

    column: int
    entry_row: int
    sign: int
    held: Amount
    largest: Amount
    entered: Amount
    entry_value: Amount
    exited: Amount
    exit_value: Amount
    commission: Amount
    slippage: Amount
    cash: Amount
    exit_row: int | None = None
    exit_price: float = 0.0
    saw_exit_bar: bool = False


@dataclass(frozen=True, slots=True)
class Trips:
    """Round trips in the order of entry: a column for each attribute of `Trade`."""

    columns: Sequence[int]
    entry_rows: Sequence[int]
    exit_rows: Sequence[int | None]
    signs: Sequence[int]
    held: Sequence[Amount]
    largest: Sequence[Amount]
    entered: Sequence[Amount]
    entry_values: Sequence[Amount]
    exited: Sequence[Amount]
    exit_values: Sequence[Amount]
    commissions: Sequence[Amount]
    slippages: Sequence[Amount]
    cash: Sequence[Amount]
    exit_prices: Sequence[float]
    saw_exit_bar: Sequence[bool]
