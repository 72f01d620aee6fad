"""`context` and what hangs on it: portfolio, account, positions."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from backtrail.engine.simulation import Simulation
from backtrail.errors import StrategyError

__all__ = ["Account", "Context", "Portfolio", "Position"]


class Position:
    """A holding as a strategy sees it, always as it is now.

    Attributes:
        symbol: Of what.
    """

    __slots__ = ("_column", "_simulation", "_whole", "symbol")

    def __init__(self, simulation: Simulation, symbol: str) -> None:
        self._simulation = simulation
        self._column = simulation.column(symbol)
        self._whole = simulation.config.rules.shares == "whole"
        self.symbol = symbol

    @property
    def amount(self) -> float:
        """Signed shares, negative when short; an int with whole shares."""
        quantity = self._simulation.ledger.quantities[self._column]
        return int(quantity) if self._whole else float(quantity)

    @property
    def cost_basis(self) -> float:
        """Average price paid per share, without commission; 0.0 when flat."""
        return float(self._simulation.ledger.average_costs[self._column])

    @property
    def last_sale_price(self) -> float:
        """Last known close; NaN before the symbol's first bar."""
        simulation = self._simulation
        if simulation.row < 0:
            return float("nan")
        price: float = simulation.market.marks[self._column][simulation.row]
        return price

    @property
    def value(self) -> float:
        """Amount times last known close; zero when flat."""
        amount = self.amount
        return amount * self.last_sale_price if amount else 0.0


class Positions(Mapping[str, Position]):
    """Holdings by symbol: contains and iterates over what is held now.

    Looking up a symbol that is not held gives a position of amount 0.
    """

    __slots__ = ("_seen", "_simulation")

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._seen: dict[str, Position] = {}

    def __getitem__(self, symbol: str) -> Position:
        position = self._seen.get(symbol)
        if position is None:
            position = self._seen[symbol] = Position(self._simulation, symbol)
        return position

    def __contains__(self, symbol: object) -> bool:
        simulation = self._simulation
        return simulation.market.index.get(symbol) in simulation.held  # type: ignore[call-overload]

    def __iter__(self) -> Iterator[str]:
        symbols = self._simulation.market.bars.symbols
        return iter([symbols[column] for column in self._simulation.held])

    def __len__(self) -> int:
        return len(self._simulation.held)


class Portfolio:
    """The account's money, marked at the last known closes; all values are floats.

    Attributes:
        positions: Holdings by symbol.
        starting_cash: Capital at the start.
    """

    __slots__ = ("_simulation", "positions", "starting_cash")

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.positions = Positions(simulation)
        self.starting_cash = float(simulation.config.capital_base)

    @property
    def cash(self) -> float:
        """Money not invested; negative when overdrawn."""
        return float(self._simulation.ledger.cash)

    @property
    def positions_value(self) -> float:
        """Signed sum of amount times last known close."""
        return self._simulation.exposures()[0]

    @property
    def portfolio_value(self) -> float:
        """Cash plus `positions_value`."""
        return self.cash + self.positions_value

    @property
    def pnl(self) -> float:
        """`portfolio_value` less `starting_cash`."""
        return self.portfolio_value - self.starting_cash

    @property
    def returns(self) -> float:
        """`pnl` as a fraction of `starting_cash`."""
        return self.pnl / self.starting_cash


class Account:
    """Exposures as fractions of the portfolio value; NaN when that is not above zero."""

    __slots__ = ("_simulation",)

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    @property
    def gross_exposure(self) -> float:
        """Sum of the absolute position values over the portfolio value."""
        return self._fraction(1)

    @property
    def net_exposure(self) -> float:
        """Signed sum of the position values over the portfolio value."""
        return self._fraction(0)

    @property
    def leverage(self) -> float:
        """The same as `gross_exposure`."""
        return self._fraction(1)

    def _fraction(self, which: int) -> float:
        exposures = self._simulation.exposures()
        total = float(self._simulation.ledger.cash) + exposures[0]
        return exposures[which] / total if total > 0 else float("nan")


class Context:
    """What a strategy keeps between bars; attributes may be added freely.

    Attributes:
        params: The strategy's `Params` instance; None without a `Params` class.
        portfolio: Cash, positions, value.
        account: Exposures.
        universe: Symbols of the run's bars.
    """

    params: Any
    portfolio: Portfolio
    account: Account
    universe: tuple[str, ...]

    def __init__(self, simulation: Simulation, params: object) -> None:
        self.params = params
        self.portfolio = Portfolio(simulation)
        self.account = Account(simulation)
        self.universe = simulation.market.bars.symbols
        self._seed = simulation.config.seed
        self._rng: np.random.Generator | None = None

    @property
    def rng(self) -> np.random.Generator:
        """The run's random generator, seeded from its config; the only randomness to use."""
        if self._rng is None:
            self._rng = np.random.default_rng(self._seed)
        return self._rng

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"context has no attribute {name!r}; set it in initialize")


def check_record_value(name: str, value: object) -> float | None:
    """Return a recorded value as a float, None for NaN and None.

    Raises:
        StrategyError: If it is neither a finite number, NaN nor None.
    """
    if value is None:
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise StrategyError(f"record({name}={value!r}); the value has to be a number") from None
    if number in (float("inf"), float("-inf")):
        raise StrategyError(f"record({name}={value!r}); the value has to be finite")
    return None if number != number else number
