"""What both ledgers have in common: the interface, and the rules that no rounding touches."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from backtrail.engine.config import CommissionConfig, EngineConfig

__all__ = ["Amount", "Amounts", "Ledger", "Numbers", "listed", "lots_of"]

FloatArray = npt.NDArray[np.float64]

Amount = Any  # Decimal or float, by ledger
Numbers = Sequence[Any] | npt.NDArray[Any]
"""Amounts in a row; None among them is missing."""


class Amounts(ABC):
    """How money and quantities are computed with, and written into tables.

    Attributes:
        zero: Nothing, as an amount.
        add: Returns a sum, exact unless amounts are floats.
        subtract: Returns a difference, likewise.
        multiply: Returns a product without rounding it as money.
        absolute: Returns an amount without its sign.
    """

    zero: Amount
    add: Callable[[Amount, Amount], Amount]
    subtract: Callable[[Amount, Amount], Amount]
    multiply: Callable[[Amount, Amount], Amount]
    absolute: Callable[[Amount], Amount]

    @abstractmethod
    def number(self, value: float | int | Decimal) -> Amount:
        """Return a value as an amount; floats enter by `repr`."""

    def numbers(self, values: Numbers) -> Numbers:
        """Return values as amounts."""
        return [self.number(value) for value in listed(values)]

    @abstractmethod
    def value(self, quantity: Amount, price: float) -> Amount:
        """Return quantity times price, rounded as money."""

    @abstractmethod
    def average(self, value: Amount, quantity: Amount) -> Amount:
        """Return value over quantity, rounded as money."""

    @abstractmethod
    def floats(self, money: Numbers) -> FloatArray:
        """Return amounts of money as floats."""

    @abstractmethod
    def exactly(self, amounts: Numbers, quantum: Decimal) -> Sequence[Decimal | None]:
        """Return amounts as decimals with the places of `quantum`, for the tables; None stays.

        A decimal for each amount costs more than all sums of a run, so where amounts are no
        decimals the cells are made when somebody looks at them.

        Args:
            amounts: All of them money, or all of them quantities.
            quantum: `MONEY_QUANTUM` or `LOT`.
        """

    def moved_average(
        self, average: Amount, before: Amount, quantity: Amount, price: Amount
    ) -> Amount:
        """Return the average cost of a holding after a fill.

        Args:
            average: Average cost before.
            before: Shares held before.
            quantity: Signed shares of the fill.
            price: Of one, as an amount.
        """
        after = self.add(before, quantity)
        if not after:
            return self.zero
        if not before or (before > 0) != (after > 0):
            return price
        if (after > before) != (before > 0):
            return average
        total = self.add(self.multiply(average, before), self.multiply(price, quantity))
        return self.average(total, after)


class Ledger(Amounts):
    """Cash and holdings of one account.

    Attributes:
        cash: Money not invested; negative when overdrawn.
        quantities: Signed shares held, one per symbol.
        average_costs: Average price paid per share held, without commission, one per symbol;
            zero when flat. Reducing a holding leaves it, turning it around starts it anew, a
            split divides it.
        is_exact: Whether sums are exact.
    """

    is_exact: bool
    cash: Amount
    quantities: list[Amount]
    average_costs: list[Amount]
    _per_dollar: bool
    _cost: Amount
    _each: Amount
    _minimum: Amount
    _model: str

    @abstractmethod
    def size(self, column: int, value: Amount, price: float) -> Amount:
        """Return the shares that a signed amount of money stands for, rounded towards zero."""

    @abstractmethod
    def round_quantity(self, column: int, quantity: Amount) -> Amount:
        """Return a quantity rounded towards zero to whole lots."""

    @abstractmethod
    def fraction(self, value: Amount, rate: Amount) -> Amount:
        """Return a fraction of the absolute value, rounded as money."""

    @abstractmethod
    def affords(self, cost: Amount) -> bool:
        """Return whether the cash covers a cost."""

    @abstractmethod
    def misses_by_rounding(self, column: int, cost: Amount) -> bool:
        """Return whether a cost that the cash does not cover is above it by a rounding alone.

        Weights such as 1/6 and 5/6 add up to a little more than one. An order that is rejected for
        what it costs is then cut to what cash buys, or the two ledgers would decide differently.
        """

    @abstractmethod
    def lots_for(self, column: int, cash: Amount, each: Amount) -> Amount:
        """Return the whole lots that cash buys at a cost per share."""

    @abstractmethod
    def one_lot_less(self, column: int, quantity: Amount) -> Amount:
        """Return a quantity less one lot."""

    def equity(self, prices: Iterable[tuple[int, float]]) -> Amount:
        """Return cash plus the value of the holdings at the given (symbol, price) pairs."""
        total = self.cash
        for column, price in prices:
            total = self.add(total, self.value(self.quantities[column], price))
        return total

    def set_commission(self, config: CommissionConfig) -> None:
        """Take fills' costs from a config, from now on."""
        self._model = config.model
        self._per_dollar = config.model in ("none", "per_dollar")
        self._cost = self.number(config.cost)
        self._each = self.add(self.number(1), self._cost)
        self._minimum = self.number(config.min_trade_cost)

    def commission(
        self, quantity: Amount, value: Amount, filled: Amount = 0, paid: Amount = 0
    ) -> Amount:
        """Return what a fill costs.

        Args:
            quantity: Signed shares.
            value: Their signed price.
            filled: Shares that the order filled before, without sign.
            paid: Commission of those.
        """
        if self._per_dollar:
            return self.fraction(value, self._cost)
        if self._model == "per_trade":
            return self.zero if filled else self._cost
        shares = self.add(self.absolute(quantity), self.number(filled))
        total = max(self.fraction(shares, self._cost), self._minimum)
        return self.subtract(total, self.number(paid))

    def affordable(self, column: int, price: float, filled: Amount = 0, paid: Amount = 0) -> Amount:
        """Return the most shares that the cash buys at a price, commission included."""
        if self.cash <= 0:
            return self.zero
        each = self.number(price)
        if self._per_dollar:
            quantity = self.lots_for(column, self.cash, self.multiply(each, self._each))
        elif self._model == "per_trade":
            free = self.cash if filled else self.subtract(self.cash, self._cost)
            quantity = self.lots_for(column, free, each)
        else:
            free = self.add(self.cash, self.number(paid))
            rest = self.subtract(free, self.multiply(self._cost, self.number(filled)))
            by_share = self.lots_for(column, rest, self.add(each, self._cost))
            quantity = min(
                by_share, self.lots_for(column, self.subtract(free, self._minimum), each)
            )
        if quantity <= 0:
            return self.zero
        value = self.value(quantity, price)
        cost = self.add(value, self.commission(quantity, value, filled, paid))
        if self.is_exact and not self.affords(cost):  # the roundings added up
            quantity = self.one_lot_less(column, quantity)
        return quantity

    def fill(
        self, column: int, quantity: Amount, price: float, filled: Amount = 0, paid: Amount = 0
    ) -> tuple[Amount, Amount]:
        """Buy (or sell, below zero) at a price; return the signed value and the commission.

        Args:
            column: Of what.
            quantity: Signed shares.
            price: Of one.
            filled: Shares that the order filled before, without sign.
            paid: Commission of those.
        """
        value = self.value(quantity, price)
        commission = self.commission(quantity, value, filled, paid)
        self.book(column, quantity, price, value, commission)
        return value, commission

    def book(
        self, column: int, quantity: Amount, price: float, value: Amount, commission: Amount
    ) -> None:
        """Book a fill whose value and commission are known."""
        self.cash = self.subtract(self.subtract(self.cash, value), commission)
        self._move(column, quantity, self.number(price))

    def close(self, column: int, price: float) -> tuple[Amount, Amount]:
        """Close a holding at a price without commission; return signed quantity and value."""
        quantity = self.subtract(self.zero, self.quantities[column])
        value = self.value(quantity, price)
        self.cash = self.subtract(self.cash, value)
        self._move(column, quantity, self.number(price))
        return quantity, value

    def split(self, column: int, ratio: float, price: float) -> Amount:
        """Turn a holding into `ratio` new shares per old; return the cash paid in lieu.

        What is left of a lot is paid out at `price`, which is per new share; a short position
        pays it in.
        """
        exact = self.multiply(self.quantities[column], self.number(ratio))
        quantity = self.round_quantity(column, exact)
        cash = self.value(self.subtract(exact, quantity), price)
        self.cash = self.add(self.cash, cash)
        self.quantities[column] = quantity
        average = self.average_costs[column] if quantity else self.zero
        self.average_costs[column] = self.average(average, self.number(ratio))
        return cash

    def dividend(self, column: int, cash_per_share: float) -> Amount:
        """Receive a dividend on a holding (pay it when short); return the signed cash."""
        cash = self.value(self.quantities[column], cash_per_share)
        self.cash = self.add(self.cash, cash)
        return cash

    def _move(self, column: int, quantity: Amount, price: Amount) -> None:
        before = self.quantities[column]
        self.average_costs[column] = self.moved_average(
            self.average_costs[column], before, quantity, price
        )
        self.quantities[column] = self.add(before, quantity)


def lots_of(config: EngineConfig, symbols: Sequence[str], usual: Decimal) -> list[Decimal]:
    """Return the smallest quantity of each symbol: its own, or the usual one."""
    own = {name: item.lot for name, item in config.instruments.items() if item.lot is not None}
    return [own.get(symbol, usual) for symbol in symbols]


def listed(amounts: Numbers) -> list[Any]:
    """Return amounts one by one, as Python's numbers."""
    found: list[Any] = amounts.tolist() if isinstance(amounts, np.ndarray) else list(amounts)
    return found
