"""Ledgers: cash and holdings, and the only place where money is added up.

Both ledgers have the same interface and the same rules. An `Amount` is a `decimal.Decimal` in the
decimal ledger and a `float` in the float64 ledger; a quantity is signed, negative when short.

Rounding of the decimal ledger: prices enter by `repr`, so 1228.099976 is exactly that; money
(value, commission, cash in lieu, dividend) is rounded half-even to 1e-10; a quantity is rounded
towards zero to the lot: 1 share, or 1e-9 for fractional shares. Sums are exact. Arithmetic runs in
a context of its own with 60 digits, whatever the strategy does to the thread's decimal context.
The float64 ledger rounds quantities only; a quotient within 1e-9 of a whole lot counts as that
lot, and a cost counts as affordable up to 1e-9 of the cash.
"""

import math
from collections.abc import Callable
from decimal import (
    ROUND_DOWN,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)

from backtrail.engine._ledger import Amount, Ledger
from backtrail.engine.config import EngineConfig

__all__ = [
    "LOT",
    "MONEY_QUANTUM",
    "Amount",
    "DecimalLedger",
    "Float64Ledger",
    "Ledger",
    "make_ledger",
]

MONEY_QUANTUM = Decimal("1e-10")
LOT = Decimal("1e-9")
_CONTEXT = Context(
    prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow]
)
_TOLERANCE = 1e-9


def money(value: Decimal) -> Decimal:
    """Return an amount of money rounded half-even to ten places."""
    return _CONTEXT.quantize(value, MONEY_QUANTUM)


class DecimalLedger(Ledger):
    """The exact ledger; see the module for its rounding.

    Args:
        config: Capital, commission and kind of shares.
        symbols: Number of symbols.
    """

    def __init__(self, config: EngineConfig, symbols: int) -> None:
        self.cash = money(config.capital_base)
        self.zero = Decimal(0)
        self.quantities = [Decimal(0)] * symbols
        self.average_costs = [Decimal(0)] * symbols
        self._rate = config.commission.cost
        self._lot = Decimal(1) if config.rules.shares == "whole" else LOT
        self._cost_per_dollar = _CONTEXT.add(Decimal(1), self._rate)

    def number(self, value: float | int | Decimal) -> Decimal:
        """Return a value as a decimal; floats enter by `repr`."""
        return value if isinstance(value, Decimal) else Decimal(repr(value))

    def size(self, value: Decimal, price: float) -> Decimal:
        """Return the shares that a signed amount of money stands for, rounded towards zero."""
        return self.round_quantity(_CONTEXT.divide(value, Decimal(repr(price))))

    def round_quantity(self, quantity: Decimal) -> Decimal:
        """Return a quantity rounded towards zero to whole lots."""
        return quantity.quantize(self._lot, ROUND_DOWN, _CONTEXT)

    def value(self, quantity: Decimal, price: float) -> Decimal:
        """Return quantity times price, rounded half-even to 1e-10."""
        return _CONTEXT.quantize(_CONTEXT.multiply(quantity, Decimal(repr(price))), MONEY_QUANTUM)

    def add(self, left: Decimal, right: Decimal) -> Decimal:
        """Return a sum to 60 digits."""
        return _CONTEXT.add(left, right)

    def subtract(self, left: Decimal, right: Decimal) -> Decimal:
        """Return a difference to 60 digits."""
        return _CONTEXT.subtract(left, right)

    def multiply(self, left: Decimal, right: Decimal) -> Decimal:
        """Return a product to 60 digits."""
        return _CONTEXT.multiply(left, right)

    def commission(self, value: Decimal) -> Decimal:
        """Return what a fill of this signed value costs."""
        return _CONTEXT.quantize(_CONTEXT.multiply(value.copy_abs(), self._rate), MONEY_QUANTUM)

    def affords(self, cost: Decimal) -> bool:
        """Return whether the cash covers a cost."""
        return bool(cost <= self.cash)

    def affordable(self, price: float) -> Decimal:
        """Return the most shares that the cash buys at a price, commission included."""
        if self.cash <= 0:
            return Decimal(0)
        each = _CONTEXT.multiply(Decimal(repr(price)), self._cost_per_dollar)
        quantity = self.round_quantity(_CONTEXT.divide(self.cash, each))
        value = self.value(quantity, price)
        if not self.affords(self.add(value, self.commission(value))):  # the roundings added up
            quantity = _CONTEXT.subtract(quantity, self._lot)
        return quantity

    def exactly(self, quantum: Decimal) -> Callable[[Decimal], Decimal]:
        """Return what gives amounts the places of `quantum`."""
        return lambda amount: _CONTEXT.quantize(amount, quantum)

    def average(self, value: Decimal, quantity: Decimal) -> Decimal:
        """Return value over quantity, rounded half-even to 1e-10."""
        return money(_CONTEXT.divide(value, quantity))


class Float64Ledger(Ledger):
    """The fast ledger: the same rules in binary floating point; see the module.

    Args:
        config: Capital, commission and kind of shares.
        symbols: Number of symbols.
    """

    def __init__(self, config: EngineConfig, symbols: int) -> None:
        self.cash = float(config.capital_base)
        self.zero = 0.0
        self.quantities = [0.0] * symbols
        self.average_costs = [0.0] * symbols
        self._rate = float(config.commission.cost)
        self._lots_per_share = 1.0 if config.rules.shares == "whole" else 1e9

    def number(self, value: float | int | Decimal) -> float:
        """Return a value as a float."""
        return float(value)

    def size(self, value: float, price: float) -> float:
        """Return the shares that a signed amount of money stands for, rounded towards zero."""
        return self.round_quantity(value / price)

    def round_quantity(self, quantity: float) -> float:
        """Return a quantity rounded towards zero to whole lots."""
        lots = quantity * self._lots_per_share
        nearest = round(lots)
        if abs(lots - nearest) > _TOLERANCE * max(1.0, abs(lots)):
            nearest = math.trunc(lots)
        return nearest / self._lots_per_share

    def value(self, quantity: float, price: float) -> float:
        """Return quantity times price."""
        return quantity * price

    def add(self, left: float, right: float) -> float:
        """Return a sum."""
        return left + right

    def subtract(self, left: float, right: float) -> float:
        """Return a difference."""
        return left - right

    def multiply(self, left: float, right: float) -> float:
        """Return a product."""
        return left * right

    def commission(self, value: float) -> float:
        """Return what a fill of this signed value costs."""
        return abs(value) * self._rate

    def affords(self, cost: float) -> bool:
        """Return whether the cash covers a cost, up to 1e-9 of it."""
        return bool(cost <= self.cash + _TOLERANCE * max(1.0, self.cash))

    def affordable(self, price: float) -> float:
        """Return the most shares that the cash buys at a price, commission included."""
        if self.cash <= 0.0:
            return 0.0
        return self.round_quantity(self.cash / (price * (1.0 + self._rate)))

    def exactly(self, quantum: Decimal) -> Callable[[float], Decimal]:
        """Return what turns amounts into decimals with the places of `quantum`."""
        return lambda amount: _CONTEXT.quantize(Decimal(repr(float(amount))), quantum)

    def average(self, value: float, quantity: float) -> float:
        """Return value over quantity."""
        return value / quantity


def make_ledger(config: EngineConfig, symbols: int) -> Ledger:
    """Return the ledger that the config asks for."""
    kind = DecimalLedger if config.ledger == "decimal" else Float64Ledger
    return kind(config, symbols)
