"""Other costs for the same strategy, and the least of them at which its profit is gone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Final

from backtrail.engine.config import CommissionConfig, SlippageConfig

__all__ = ["COST_UNITS", "BreakEven", "Costs", "break_even", "costs_at", "has_costs", "most_level"]

Costs = tuple[CommissionConfig, SlippageConfig]

COST_UNITS: Final = ("basis_points", "multiples")
_LADDER: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
_LARGEST_PART: Final = Decimal("0.9999")  # of a price
# Rounded down, to so few digits that the float is written with the same ones.
_FLOOR: Final = Context(prec=15, rounding=ROUND_FLOOR)
_PRECISION: Final = 1e-3


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Where a profit ends, in the unit of the levels.

    Attributes:
        level: The greatest level found at which there is still a profit; None when there is none
            even without costs.
        upper: The least level found above it at which there is none; None when there was a profit
            at every level that was tried.
    """

    level: float | None
    upper: float | None


def costs_at(unit: str, own: Costs, commission: float, slippage: float) -> Costs:
    """Return the costs of a pair of levels.

    Args:
        unit: `basis_points` of the value of each fill, in place of the own costs, or `multiples` of
            every amount of them: rate, cost of a share or an order, least commission, spread, basis
            points, price impact. A volume limit stays as it is in both.
        own: Commission and slippage of the run.
        commission: Level of the commission, zero or positive.
        slippage: Level of the slippage, likewise.

    Raises:
        ConfigError: If there is no such slippage: 10,000 basis points or more.
        ValueError: If the unit is another one.
    """
    if unit == "multiples":
        return _multiplied(own, _exact(commission), _exact(slippage))
    if unit != "basis_points":
        raise ValueError(f"there is no unit {unit!r} of costs; use {' or '.join(COST_UNITS)}")
    limit = own[1].volume_limit
    rate = _exact(commission) / 10_000
    moved = SlippageConfig("fixed_bps", basis_points=_exact(slippage), volume_limit=limit)
    return (
        CommissionConfig("per_dollar", rate) if rate else CommissionConfig(),
        moved if slippage or limit is not None else SlippageConfig(),
    )


def has_costs(costs: CommissionConfig | SlippageConfig) -> bool:
    """Say whether multiples of a commission or a slippage differ."""
    if isinstance(costs, CommissionConfig):
        return bool(costs.cost or costs.min_trade_cost)
    return bool(costs.spread or costs.basis_points or costs.price_impact)


def break_even(
    gain: Callable[[float], float], *, most: float = _LADDER[-1], precision: float = _PRECISION
) -> BreakEven:
    """Return the lowest level at which a profit ends.

    Levels are tried upward from 0 on, along 1, 2, 5, 10, 20, 50 and so on, until one has no profit;
    between it and the one before the end is then halved in. A profit that ends and comes back
    between two of them is not seen.

    Args:
        gain: Returns the profit at a level; zero is none.
        most: Levels above it are not tried.
        precision: When to stop: how far `level` and `upper` may be apart, relative to `upper`, or
            absolute below 1.

    Source: bisection.
    """
    if gain(0.0) <= 0.0:
        return BreakEven(None, 0.0)
    low = 0.0
    for high in _steps(most):
        if gain(high) <= 0.0:
            break
        low = high
    else:
        return BreakEven(low, None)
    while high - low > precision * max(1.0, high):
        middle = (low + high) / 2.0
        if gain(middle) > 0.0:
            low = middle
        else:
            high = middle
    return BreakEven(low, high)


def most_level(unit: str, own: Costs, lowest: float) -> float:
    """Return the greatest level of both costs together that there is, from 1 up to 1000.

    A greater multiple of a spread or of basis points would take the whole price of a sale, and a
    fill where nothing is left of the price has no slippage: costs that rise would seem to fall.

    Args:
        unit: As for `costs_at`.
        own: Commission and slippage of the run.
        lowest: Price of a share, the lowest of the run.
    """
    lost = own[1]
    if unit == "basis_points":
        return _LADDER[-1]
    # Of the lowest price. How much an impact on prices takes depends on what the orders are.
    part = lost.basis_points / 10_000 + lost.spread / 2 / _exact(lowest)
    most = _FLOOR.divide(_LARGEST_PART, part) if part else Decimal("inf")
    return min(_LADDER[-1], max(1.0, float(most)))


def _steps(most: float) -> Iterator[float]:
    for step in _LADDER:
        if step >= most:
            yield most
            return
        yield step


def _multiplied(own: Costs, commission: Decimal, slippage: Decimal) -> Costs:
    paid, lost = own  # those of a strategy are of subclasses, which take other arguments
    return (
        CommissionConfig(paid.model, paid.cost * commission, paid.min_trade_cost * commission),
        SlippageConfig(
            lost.model,
            spread=lost.spread * slippage,
            basis_points=lost.basis_points * slippage,
            volume_limit=lost.volume_limit,
            price_impact=lost.price_impact * slippage,
        ),
    )


def _exact(level: float) -> Decimal:
    return Decimal(str(level))
