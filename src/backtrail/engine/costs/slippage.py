"""Slippages for `set_slippage`, named and counted as Zipline's, and what they do to a price."""

import math
from decimal import Decimal

from backtrail.engine.config import SlippageConfig
from backtrail.engine.costs.amounts import exact

__all__ = [
    "FixedBasisPointsSlippage",
    "FixedSlippage",
    "NoSlippage",
    "Slipping",
    "VolumeShareSlippage",
]

Number = float | int


class NoSlippage(SlippageConfig):
    """Orders fill whole, at the bar's price."""

    def __init__(self) -> None:
        super().__init__()


class FixedSlippage(SlippageConfig):
    """Half a spread in money, against the order."""

    def __init__(self, spread: Number = 0.0) -> None:
        super().__init__("fixed", spread=exact("slippage.spread", spread))


class FixedBasisPointsSlippage(SlippageConfig):
    """A fraction of the price against the order, and at most a share of a bar's volume."""

    def __init__(self, basis_points: Number = 5.0, volume_limit: Number | None = 0.1) -> None:
        super().__init__(
            "fixed_bps",
            basis_points=exact("slippage.basis_points", basis_points),
            volume_limit=None if volume_limit is None else exact("slippage", volume_limit),
        )


class VolumeShareSlippage(SlippageConfig):
    """At most a share of a bar's volume; the price moves with the square of the share taken."""

    def __init__(self, volume_limit: Number = 0.025, price_impact: Number = 0.1) -> None:
        super().__init__(
            "volume_share",
            volume_limit=exact("slippage.volume_limit", volume_limit),
            price_impact=exact("slippage.price_impact", price_impact),
        )


class Slipping:
    """A slippage at work: prices and capacities in binary floating point.

    Prices are rounded to 1e-10, so that they enter a ledger with few digits, and to the symbol's
    tick where it has one, against the order.

    Attributes:
        limit: Largest share of a bar's volume; None without a limit.
        moves: Whether any price is moved.
    """

    __slots__ = ("_config", "_half", "_impact", "_rate", "limit", "moves")

    def __init__(self, config: SlippageConfig) -> None:
        self._config = config
        self._half = float(config.spread) / 2
        self._rate = float(config.basis_points) / 10_000
        self._impact = float(config.price_impact)
        self.limit = None if config.volume_limit is None else float(config.volume_limit)
        self.moves = config.model != "none"

    def price(
        self, reference: float, side: int, share: float, tick: Decimal | None, limit: float | None
    ) -> float:
        """Return what a share costs.

        Args:
            reference: The bar's price for the order, above zero.
            side: 1 buys, -1 sells.
            share: Of the bar's volume, taken so far and by this fill.
            tick: Step of the symbol's prices.
            limit: The order's limit, which no slippage passes.
        """
        move = self._half + reference * self._rate + reference * self._impact * share * share
        price = round(reference + side * move, 10)
        if tick is not None:
            price = on_tick(price, tick, up=side > 0)
        if price <= 0.0:  # a spread wider than the price
            price = reference
        if limit is not None and (price - limit) * side > 0:
            price = limit
        return price


def on_tick(price: float, tick: Decimal, *, up: bool) -> float:
    """Return a price on a tick: the next above, or below; one within 1e-9 of a tick is on it."""
    ticks = price / float(tick)
    nearest = round(ticks)
    if abs(ticks - nearest) > 1e-9 * max(1.0, abs(ticks)):
        nearest = math.ceil(ticks) if up else math.floor(ticks)
    return round(nearest * float(tick), 10)
