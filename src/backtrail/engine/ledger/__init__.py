"""Ledgers: cash and holdings, and the only place where money is added up.

Both ledgers have the same interface and the same rules. An `Amount` is a `decimal.Decimal` in the
decimal ledger and a `float` in the float64 ledger; a quantity is signed, negative when short.

Rounding of the decimal ledger: prices enter by `repr`, so 1228.099976 is exactly that; money
(value, commission, cash in lieu, dividend) is rounded half-even to 1e-10; a quantity is rounded
towards zero to the lot: the symbol's own, or else 1 share, or 1e-9 for fractional shares. Sums are
exact. Arithmetic runs in a context of its own with 60 digits, whatever the strategy does to the
thread's decimal context. The float64 ledger rounds quantities only; a quotient within 1e-9 of a
whole lot, and within a thousandth of one, counts as that lot, and a cost counts as affordable up to
1e-9 of the cash. As much is a rounding in the decimal ledger, too: with `cash_policy: reject`
fractional shares are then cut to what cash buys.
"""

from backtrail.engine.ledger.base import Amount, Amounts, Ledger, Numbers, listed, lots_of
from backtrail.engine.ledger.both import (
    LOT,
    MONEY_QUANTUM,
    DecimalLedger,
    Float64Ledger,
    make_ledger,
    money,
)

__all__ = [
    "LOT",
    "MONEY_QUANTUM",
    "Amount",
    "Amounts",
    "DecimalLedger",
    "Float64Ledger",
    "Ledger",
    "Numbers",
    "listed",
    "lots_of",
    "make_ledger",
    "money",
]
