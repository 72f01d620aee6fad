"""The exact ledger and the fast one; the package says how they round."""

import math
import operator
from collections.abc import Iterable, Sequence
from decimal import (
    ROUND_DOWN,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.config import EngineConfig
from backtrail.engine.later import Later
from backtrail.engine.ledger.base import Amount, Ledger, Numbers, listed, lots_of

__all__ = [
    "LOT",
    "MONEY_QUANTUM",
    "Amount",
    "DecimalLedger",
    "Float64Ledger",
    "Ledger",
    "make_ledger",
    "money",
]

FloatArray = npt.NDArray[np.float64]

MONEY_QUANTUM = Decimal("1e-10")
LOT = Decimal("1e-9")
_SHARE = Decimal(1)
_CONTEXT = Context(
    prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow]
)
_TOLERANCE = 1e-9
_LARGEST_PART = 1e-3  # of a lot: many small lots are rounded as finely as few large ones
_EXACT_TOLERANCE = Decimal("1e-9")
_add: Final = _CONTEXT.add
_divide: Final = _CONTEXT.divide
_multiply: Final = _CONTEXT.multiply
_quantize: Final = _CONTEXT.quantize


@lru_cache(maxsize=4096)  # a price is met several times within a bar
def _exact(price: float) -> Decimal:
    return Decimal(repr(price))


def money(value: Decimal) -> Decimal:
    """Return an amount of money rounded half-even to ten places."""
    return _CONTEXT.quantize(value, MONEY_QUANTUM)


class DecimalLedger(Ledger):
    """The exact ledger; see the package for its rounding.

    Args:
        config: Capital, commission and kind of shares.
        lots: Smallest quantity of each symbol; one per symbol.
    """

    is_exact = True

    def __init__(self, config: EngineConfig, lots: Sequence[Decimal]) -> None:
        # The context's own functions: sums are what a ledger does most.
        self.add, self.subtract = _CONTEXT.add, _CONTEXT.subtract
        self.multiply, self.absolute = _CONTEXT.multiply, _CONTEXT.abs
        self.cash = money(config.capital_base)
        self.zero = Decimal(0)
        self.quantities = [Decimal(0)] * len(lots)
        self.average_costs = [Decimal(0)] * len(lots)
        self._lots = list(lots)
        self.set_commission(config.commission)

    def number(self, value: float | int | Decimal) -> Decimal:
        """Return a value as a decimal; floats enter by `repr`."""
        if type(value) is float:
            return _exact(value)
        return value if isinstance(value, Decimal) else Decimal(repr(value))

    def size(self, column: int, value: Decimal, price: float) -> Decimal:
        """Return the shares that a signed amount of money stands for, rounded towards zero."""
        return self.round_quantity(column, _divide(value, _exact(price)))

    def round_quantity(self, column: int, quantity: Decimal) -> Decimal:
        """Return a quantity rounded towards zero to whole lots."""
        lot = self._lots[column]
        if lot is _SHARE or lot is LOT:
            return quantity.quantize(lot, ROUND_DOWN, _CONTEXT)
        return _multiply(_CONTEXT.divide_int(quantity, lot), lot)

    def value(self, quantity: Decimal, price: float) -> Decimal:
        """Return quantity times price, rounded half-even to 1e-10."""
        return _quantize(_multiply(quantity, _exact(price)), MONEY_QUANTUM)

    def equity(self, prices: Iterable[tuple[int, float]]) -> Decimal:
        """Return cash plus the value of the holdings at the given (symbol, price) pairs."""
        total: Decimal = self.cash
        for column, price in prices:
            value = _multiply(self.quantities[column], _exact(price))
            total = _add(total, _quantize(value, MONEY_QUANTUM))
        return total

    def fraction(self, value: Decimal, rate: Decimal) -> Decimal:
        """Return a fraction of the absolute value, rounded as money."""
        return _quantize(_multiply(value.copy_abs(), rate), MONEY_QUANTUM)

    def affords(self, cost: Decimal) -> bool:
        """Return whether the cash covers a cost."""
        return bool(cost <= self.cash)

    def misses_by_rounding(self, column: int, cost: Decimal) -> bool:
        """Return whether fractional shares cost more than the cash by at most 1e-9 of it."""
        if self._lots[column] != LOT:
            return False
        most = _multiply(max(self.cash, _SHARE), _EXACT_TOLERANCE)
        return bool(_CONTEXT.subtract(cost, self.cash) <= most)

    def lots_for(self, column: int, cash: Decimal, each: Decimal) -> Decimal:
        """Return the whole lots that cash buys at a cost per share."""
        return self.round_quantity(column, _CONTEXT.divide(cash, each))

    def one_lot_less(self, column: int, quantity: Decimal) -> Decimal:
        """Return a quantity less one lot."""
        return _CONTEXT.subtract(quantity, self._lots[column])

    def floats(self, money: Numbers) -> FloatArray:
        """Return amounts of money as floats."""
        return np.array(money, dtype=np.float64)

    def exactly(self, amounts: Numbers, quantum: Decimal) -> Sequence[Decimal | None]:
        """Return amounts with the places of `quantum`; None stays."""
        return [None if one is None else _quantize(one, quantum) for one in amounts]

    def average(self, value: Decimal, quantity: Decimal) -> Decimal:
        """Return value over quantity, rounded half-even to 1e-10."""
        return money(_CONTEXT.divide(value, quantity))


class Float64Ledger(Ledger):
    """The fast ledger: the same rules in binary floating point; see the package.

    Args:
        config: Capital, commission and kind of shares.
        lots: Smallest quantity of each symbol; one per symbol.
    """

    is_exact = False

    def __init__(self, config: EngineConfig, lots: Sequence[Decimal]) -> None:
        self.add, self.subtract = operator.add, operator.sub
        self.multiply, self.absolute = operator.mul, operator.abs
        self.cash = float(config.capital_base)
        self.zero = 0.0
        self.quantities = [0.0] * len(lots)
        self.average_costs = [0.0] * len(lots)
        self._lots_per_share = [float(1 / lot) for lot in lots]
        self.set_commission(config.commission)

    def number(self, value: float | int | Decimal) -> float:
        """Return a value as a float."""
        return float(value)

    def size(self, column: int, value: float, price: float) -> float:
        """Return the shares that a signed amount of money stands for, rounded towards zero."""
        return self.round_quantity(column, value / price)

    def round_quantity(self, column: int, quantity: float) -> float:
        """Return a quantity rounded towards zero to whole lots."""
        lots = quantity * self._lots_per_share[column]
        nearest = round(lots)
        if abs(lots - nearest) > min(_TOLERANCE * max(1.0, abs(lots)), _LARGEST_PART):
            nearest = math.trunc(lots)
        return nearest / self._lots_per_share[column]

    def value(self, quantity: float, price: float) -> float:
        """Return quantity times price."""
        return quantity * price

    def fraction(self, value: float, rate: float) -> float:
        """Return a fraction of the absolute value."""
        return abs(value) * rate

    def affords(self, cost: float) -> bool:
        """Return whether the cash covers a cost, up to 1e-9 of it."""
        return bool(cost <= self.cash + _TOLERANCE * max(1.0, self.cash))

    def misses_by_rounding(self, column: int, cost: float) -> bool:
        """Return False: what is missing by a rounding is affordable here."""
        return False

    def lots_for(self, column: int, cash: float, each: float) -> float:
        """Return the whole lots that cash buys at a cost per share."""
        return self.round_quantity(column, cash / each)

    def one_lot_less(self, column: int, quantity: float) -> float:
        """Return a quantity less one lot."""
        return quantity - 1.0 / self._lots_per_share[column]

    def floats(self, money: Numbers) -> FloatArray:
        """Return amounts of money as they are."""
        return np.array(money, dtype=np.float64)

    def exactly(self, amounts: Numbers, quantum: Decimal) -> Sequence[Decimal | None]:
        """Return amounts as decimals with the places of `quantum`, made when looked at."""
        return Later(
            lambda: [
                None if one is None else _quantize(Decimal(repr(float(one))), quantum)
                for one in listed(amounts)
            ]
        )

    def average(self, value: float, quantity: float) -> float:
        """Return value over quantity."""
        return value / quantity


def make_ledger(config: EngineConfig, symbols: Sequence[str] | int) -> Ledger:
    """Return the ledger that the config asks for.

    Args:
        config: Kind of ledger, capital, commission, lots.
        symbols: Names, one per column; or how many, when none has a lot of its own.
    """
    usual = _SHARE if config.rules.shares == "whole" else LOT
    lots = [usual] * symbols if isinstance(symbols, int) else lots_of(config, symbols, usual)
    kind = DecimalLedger if config.ledger == "decimal" else Float64Ledger
    return kind(config, lots)
