"""Round trips, one by one in the making and as columns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backtrail.engine.ledger import Amount, Numbers

__all__ = ["Trade", "Trips"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


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


@dataclass(frozen=True, slots=True, eq=False)
class Trips:
    """Round trips in the order of entry, as columns; what is not said here is as in `Trade`.

    Attributes:
        exit_rows: Bars of the last fills; -1 while open.
        entry_averages: Average price of the shares that each one entered with.
        exit_averages: Average price of the shares that left it; None while it is open, or when
            none left it.
    """

    columns: IntArray
    entry_rows: IntArray
    exit_rows: IntArray
    signs: IntArray
    held: Numbers
    largest: Numbers
    entered: Numbers
    entry_values: Numbers
    entry_averages: Numbers
    exit_averages: Numbers
    commissions: Numbers
    slippages: Numbers
    cash: Numbers
    exit_prices: FloatArray
    saw_exit_bar: npt.NDArray[np.bool_]
