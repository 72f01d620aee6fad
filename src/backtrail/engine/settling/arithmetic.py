"""The rules of the two ledgers for whole shares at prices in ticks, as plain numbers."""

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from decimal import Context, Decimal, localcontext
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.config import EngineConfig
from backtrail.engine.indicators import fitting_places
from backtrail.engine.later import Later
from backtrail.engine.ledger import LOT, MONEY_QUANTUM, Amounts, Numbers, listed, make_ledger, money
from backtrail.engine.settling.fills import Fills

__all__ = ["Arithmetic", "Binary", "Exact", "Number", "Sizers", "arithmetic_for"]

FloatArray = npt.NDArray[np.float64]
Number = Any  # int or float
Sizer = Callable[[Number, Number], Number]
"""From equity and a price to shares."""

_MONEY: Final = 10  # decimal places
_PLACES: Final = (2, 4, 6, _MONEY)
_ONE_SHARE: Final = Decimal("1.000000000")
_CONTEXT: Final = Context(prec=60)
_SAFE: Final = 2**60  # of cash; values are up to three times as much, and sums of two below 2^63
_EXACT: Final = 2**53  # whole numbers below it are floats
_LARGEST: Final = 1e15  # an integer below it over a power of ten has that quotient as its `repr`


class Arithmetic(ABC):
    """How orders are sized and filled.

    Attributes:
        capital: Cash at the start.
        unit: Money of one share at a price of one.
        rate: Commission of one share at a price of one, where none is ever rounded; else None.
        whole: How a text shows shares.
        amounts: How the numbers get into tables.
    """

    capital: Number
    unit: Number
    rate: Number | None
    whole: str
    amounts: Amounts

    @abstractmethod
    def sizer(self, weight: float) -> Sizer:
        """Return what says how many shares a fraction of equity stands for at a price.

        They are rounded towards zero.
        """

    @abstractmethod
    def commission(self, traded: Number) -> Number:
        """Return what a fill costs, from signed shares times price."""

    @abstractmethod
    def affords(self, cash: Number, cost: Number) -> bool:
        """Return whether cash covers a cost."""

    @abstractmethod
    def affordable(self, cash: Number, price: Number) -> Number:
        """Return the most shares that cash buys, commission included."""

    @abstractmethod
    def text(self, amount: Number) -> str:
        """Return money as the ledger writes it."""

    @abstractmethod
    def array(self, amounts: Sequence[Number]) -> npt.NDArray[Any]:
        """Return amounts as an array of a type that holds sums of a few of them, too."""

    @abstractmethod
    def averages(self, fills: Fills) -> npt.NDArray[Any]:
        """Return the average price of each fill's shares, as money."""

    def within_cash(
        self, policy: str, cash: Number, wanted: Number, cost: Number, price: Number
    ) -> tuple[Number, Number, str, str | None]:
        """Return what becomes of a purchase that costs more than the cash.

        Args:
            policy: `clip` or `reject`.
            cash: What there is.
            wanted: Shares.
            cost: Of them, commission included.
            price: Of one.

        Returns:
            Shares of the order, shares that it fills, its status and the reason.
        """
        if self.affords(cash, cost):  # up to a rounding of floats
            return wanted, wanted, "filled", None
        if policy == "reject":
            text = self.text
            return wanted, 0, "rejected", f"costs {text(cost)}, cash is {text(cash)}"
        most = self.affordable(cash, price)
        if not most:
            return wanted, 0, "rejected", "cash buys less than one lot"
        return most, most, "filled", f"clipped from {wanted:{self.whole}} to what cash buys"


class Sizers(dict[float, Sizer]):
    """Sizers by weight, each made when it is first asked for; strategies have few weights.

    Args:
        arithmetic: Whose they are.
    """

    def __init__(self, arithmetic: Arithmetic) -> None:
        self._make = arithmetic.sizer

    def __missing__(self, weight: float) -> Sizer:
        self[weight] = sizer = self._make(weight)
        return sizer


class Exact(Arithmetic, Amounts):
    """The decimal ledger in whole numbers: prices in ticks, money in 1e-10.

    Args:
        config: Capital and commission.
        places: Decimal places of a tick, ten or fewer.
    """

    unit: int
    whole = "d"
    zero = 0

    def __init__(self, config: EngineConfig, places: int) -> None:
        self.add, self.subtract = operator.add, operator.sub
        self.multiply, self.absolute = operator.mul, operator.abs
        self.amounts = self
        self.capital = _quanta(config.capital_base)
        self.unit = 10 ** (_MONEY - places)
        self._scale = 10**places
        # Commission is `traded` times the first over the second.
        self._rate, self._whole = (config.commission.cost * self.unit).as_integer_ratio()
        self.rate = self._rate if self._whole == 1 else None

    def sizer(self, weight: float) -> Sizer:  # noqa: D102
        above, below = Decimal(repr(weight)).as_integer_ratio()
        below *= self.unit

        def size(equity: int, price: int) -> int:
            part, each = above * equity, below * price
            return part // each if part >= 0 else -(-part // each)

        return size

    def commission(self, traded: int) -> int:  # noqa: D102
        if self._whole == 1:
            return abs(traded) * self._rate
        return _half_even(abs(traded) * self._rate, self._whole)

    def affords(self, cash: int, cost: int) -> bool:  # noqa: D102
        return cost <= cash

    def affordable(self, cash: int, price: int) -> int:  # noqa: D102
        if cash <= 0:
            return 0
        shares = cash * self._whole // (price * (self.unit * self._whole + self._rate))
        if self._whole == 1:  # no commission was rounded up
            return shares
        traded = shares * price
        cost = traded * self.unit + self.commission(traded)
        return shares - 1 if shares and cost > cash else shares

    def text(self, amount: int) -> str:  # noqa: D102
        return f"{_CONTEXT.scaleb(amount, -_MONEY):f}"

    def array(self, amounts: Sequence[int]) -> npt.NDArray[Any]:  # noqa: D102
        try:
            found = np.fromiter(amounts, np.int64, len(amounts))
        except OverflowError:
            return np.array(amounts, dtype=object)
        return found if np.abs(found).max(initial=0) < _SAFE else found.astype(object)

    def averages(self, fills: Fills) -> npt.NDArray[Any]:  # noqa: D102
        return fills.prices * self.unit

    def number(self, value: float | int | Decimal) -> int:  # noqa: D102
        ticks = self._ticks(value)
        return _quanta(Decimal(str(value))) if ticks is None else ticks * self.unit

    def numbers(self, values: Numbers) -> Numbers:  # noqa: D102
        known: FloatArray = np.asarray(values, dtype=np.float64)
        ticks = np.rint(known * self._scale)
        largest = np.abs(ticks).max(initial=0.0)
        is_small = largest < _LARGEST and largest * self.unit <= _SAFE
        if not is_small or (ticks / self._scale != known).any():
            return super().numbers(values)
        numbers: npt.NDArray[Any] = ticks.astype(np.int64) * self.unit
        return numbers

    def value(self, quantity: int, price: float) -> int:  # noqa: D102
        ticks = self._ticks(price)
        if ticks is None:
            return _quanta(_CONTEXT.multiply(Decimal(quantity), Decimal(str(price))))
        return quantity * ticks * self.unit

    def _ticks(self, price: float | int | Decimal) -> int | None:
        """Return a price in ticks.

        None where it is no multiple: a holding is also valued at closes at which nothing was
        decided or filled.
        """
        ticks: int = round(price * self._scale)
        return ticks if ticks < _LARGEST and ticks / self._scale == price else None

    def average(self, value: int, quantity: int) -> int:  # noqa: D102
        if quantity < 0:
            value, quantity = -value, -quantity
        return _half_even(value, quantity)

    def floats(self, amounts: Numbers) -> FloatArray:  # noqa: D102
        quanta = 10**_MONEY
        if isinstance(amounts, np.ndarray) and amounts.dtype == np.int64:
            largest = int(np.abs(amounts).max(initial=0))
            if largest < _EXACT:  # then one division rounds once, as Python's does
                return amounts / quanta
            if largest < 10 * _EXACT and not (amounts % 10).any():
                return amounts // 10 / (quanta // 10)
        return np.array([amount / quanta for amount in listed(amounts)], dtype=np.float64)

    def exactly(  # noqa: D102
        self, amounts: Numbers, quantum: Decimal
    ) -> Sequence[Decimal | None]:
        each = _ONE_SHARE if quantum is LOT else MONEY_QUANTUM

        def cells() -> list[Decimal | None]:
            with localcontext(_CONTEXT):  # operators take half the time of a context's functions
                return [None if one is None else one * each for one in listed(amounts)]

        return Later(cells)


class Binary(Arithmetic):
    """The float64 ledger.

    Args:
        config: Capital and commission.
    """

    whole = "f"

    def __init__(self, config: EngineConfig) -> None:
        self.amounts = self._ledger = make_ledger(config, 1)
        self.capital = self._ledger.cash
        self.unit = 1.0
        self.rate = float(config.commission.cost)

    def sizer(self, weight: float) -> Sizer:  # noqa: D102
        size = self._ledger.size
        return lambda equity, price: size(0, weight * equity, price)

    def commission(self, traded: float) -> float:  # noqa: D102
        found: float = self._ledger.commission(0.0, traded)
        return found

    def affords(self, cash: float, cost: float) -> bool:  # noqa: D102
        self._ledger.cash = cash
        return self._ledger.affords(cost)

    def affordable(self, cash: float, price: float) -> float:  # noqa: D102
        self._ledger.cash = cash
        shares: float = self._ledger.affordable(0, price)
        return shares

    def text(self, amount: float) -> str:  # noqa: D102
        return f"{amount:f}"

    def array(self, amounts: Sequence[float]) -> npt.NDArray[Any]:  # noqa: D102
        return np.fromiter(amounts, np.float64, len(amounts))

    def averages(self, fills: Fills) -> npt.NDArray[Any]:  # noqa: D102
        averages: FloatArray = fills.values / fills.shares
        return averages


def arithmetic_for(
    config: EngineConfig, prices: FloatArray
) -> tuple[Arithmetic, npt.NDArray[Any]] | None:
    """Return the arithmetic of a config's ledger with prices as its numbers.

    None where it has no numbers for these prices.
    """
    if config.ledger == "float64":
        return Binary(config), prices
    for places in fitting_places(prices.ravel(), _PLACES):
        scale = 10.0**places
        ticks = np.rint(prices * scale)
        # A price has so few decimal places, as `repr` shows it, when their quotient is the price.
        if (ticks / scale == prices).all() and ticks.max() < _LARGEST:
            return Exact(config, places), ticks.astype(np.int64)
    return None


def _quanta(amount: Decimal) -> int:
    """Return money as a whole number of the least there is of it."""
    return int(_CONTEXT.scaleb(money(amount), _MONEY))


def _half_even(above: int, below: int) -> int:
    quotient, rest = divmod(above, below)
    if 2 * rest > below or (2 * rest == below and quotient & 1):
        quotient += 1
    return quotient
