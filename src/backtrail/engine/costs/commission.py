"""Commissions for `set_commission`, named and counted as Zipline's."""

from backtrail.engine.config import CommissionConfig
from backtrail.engine.costs.amounts import exact

__all__ = ["NoCommission", "PerDollar", "PerShare", "PerTrade"]

Number = float | int


class NoCommission(CommissionConfig):
    """Fills cost nothing."""

    def __init__(self) -> None:
        super().__init__()


class PerDollar(CommissionConfig):
    """A fraction of the traded value; 0.0015 is fifteen cents per hundred."""

    def __init__(self, cost: Number = 0.0015) -> None:
        super().__init__("per_dollar", exact("commission.cost", cost))


class PerShare(CommissionConfig):
    """An amount for every share, and a least amount for an order."""

    def __init__(self, cost: Number = 0.001, min_trade_cost: Number | None = 0) -> None:
        least = exact("commission.min_trade_cost", min_trade_cost or 0)
        super().__init__("per_share", exact("commission.cost", cost), least)


class PerTrade(CommissionConfig):
    """An amount for an order, taken at its first fill."""

    def __init__(self, cost: Number = 0) -> None:
        super().__init__("per_trade", exact("commission.cost", cost))
