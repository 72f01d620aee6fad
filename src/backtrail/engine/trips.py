"""Round trips as columns."""

from collections.abc import Sequence
from dataclasses import dataclass

from backtrail.engine.ledger import Amount

__all__ = ["Trips"]


@dataclass(frozen=True, slots=True)
class Trips:
    """Round trips in the order of entry; quantities are in shares of a trip's end.

    Attributes:
        columns: Of their symbols.
        entry_rows: Bar of the first fill.
        exit_rows: Bar of the last fill; None while open.
        signs: 1 long, -1 short.
        held: Shares held now, positive.
        largest: Largest holding.
        entered: Shares of all fills that made it larger.
        entry_values: Money of those fills, without commission.
        exited: Shares of all fills that made it smaller.
        exit_values: Money of those fills, without commission.
        commissions: Paid for all fills.
        slippages: Lost in all fills against the bars' prices.
        cash: Signed cash flow of fills, dividends and cash in lieu, commission included.
        exit_prices: Price of the last fill; zero without one.
        saw_exit_bar: Whether a trip saw its last bar whole (closed at a close by a delisting).
    """

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
