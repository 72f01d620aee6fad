"""Fills and costs as a run's execution rules say, for zipline's blotter."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from zipline.finance import commission, slippage

from backtrail.crosscheck.zipline_account import Account, whole
from backtrail.engine import CommissionConfig

__all__ = ["Filled", "PolicyFills", "commission_of"]


@dataclass(frozen=True)
class Filled:
    """One execution; `session` is in nanoseconds since 1970."""

    session: int
    symbol: str
    quantity: int
    price: float
    commission: float


class Commission(commission.EquityCommissionModel):
    """A commission that keeps what it was asked about.

    Args:
        config: The run's commission.
        filled: Takes every fill.
    """

    def __init__(self, config: CommissionConfig, filled: list[Filled]) -> None:
        self._config, self._filled = config, filled
        self.session = (
            0  # where a calendar's day ends at midnight, a fill's time is of the next day
        )
        self._least = float(config.min_trade_cost)
        self._cost = float(config.cost)

    def of(self, quantity: int, price: float, filled: int = 0, paid: float = 0.0) -> float:
        """Return what one more fill of an order costs."""
        model = self._config.model
        if model == "per_dollar":
            return abs(quantity) * price * self._cost
        if model == "per_share":
            total = max((abs(filled) + abs(quantity)) * self._cost, self._least)
            return total - paid
        if model == "per_trade":
            return 0.0 if filled else self._cost
        return 0.0

    def calculate(self, order: Any, transaction: Any) -> float:
        """Return the commission of a fill; zipline calls this."""
        cost = self.of(transaction.amount, transaction.price, order.filled, order.commission)
        self._filled.append(
            Filled(
                self.session,
                transaction.asset.symbol,
                int(transaction.amount),
                float(transaction.price),
                float(cost),
            )
        )
        return cost


def commission_of(
    configured: Mapping[str, str], chosen: CommissionConfig | None, filled: list[Filled]
) -> Commission:
    """Return the commission that the config or the strategy has."""
    from decimal import Decimal

    least = Decimal(configured.get("min_trade_cost", "0"))
    own = CommissionConfig(configured["model"], Decimal(configured["cost"]), least)
    return Commission(chosen or own, filled)


class PolicyFills(slippage.SlippageModel):
    """Fills whole orders at the open or close of a bar, within the run's cash policy.

    Args:
        account: Where zipline's cash is read.
        rules: The run's execution rules.
        costs: What fills cost.
    """

    def __init__(self, account: Account, rules: Mapping[str, str], costs: Commission) -> None:
        super().__init__()
        self._account, self._costs = account, costs
        self._field = "open" if rules["fill"] == "next_open" else "close"
        self._policy = rules["cash_policy"]
        self._planned_at: Any = None
        self._plan: dict[str, int] = {}

    def process_order(self, data: Any, order: Any) -> Any:
        """Return price and amount of an order at this bar; zipline calls this for each."""
        self._costs.session = pd.Timestamp(data.current_session).value
        if data.current_dt != self._planned_at:
            self._planned_at = data.current_dt
            self._plan = self._fill_in_turn(data)
        amount = self._plan.get(order.id, 0)
        if not amount:
            self._account.refused.append(order.id)
            return None, None
        order.amount = order.filled + amount  # what was cut does not wait
        return float(data.current(order.asset, self._field)), amount

    def _fill_in_turn(self, data: Any) -> dict[str, int]:
        """Decide all orders of a bar: symbols that sell on balance before those that buy."""
        account = self._account
        orders = []
        for asset, waiting in account.algorithm.blotter.open_orders.items():
            if pd.isna(data.current(asset, self._field)):
                continue
            live = [one for one in waiting if one.id not in account.refused]
            balance = sum(one.open_amount for one in live)
            orders += [(balance > 0, account.number(one.id), one) for one in live]
        # Not `algorithm.portfolio`: that marks holdings, once a bar, and fills are still to come.
        booked = account.algorithm.metrics_tracker.portfolio
        cash = float(booked.cash)
        held: dict[Any, int] = {}
        plan = {}
        for _, _, order in sorted(orders, key=lambda item: item[:2]):
            price = float(data.current(order.asset, self._field))
            holding = held.get(order.asset, int(booked.positions[order.asset].amount))
            amount = int(order.open_amount)
            if order.id in account.targets:
                amount = account.targets[order.id] - holding
            amount = self._within_cash(amount, price, cash)
            plan[order.id] = amount
            held[order.asset] = holding + amount
            if amount:
                cash -= amount * price + self._costs.of(amount, price)
        return plan

    def _within_cash(self, amount: int, price: float, cash: float) -> int:
        if amount <= 0 or self._policy == "overdraw":
            return amount
        if amount * price + self._costs.of(amount, price) <= cash * (1 + 1e-12):
            return amount
        if self._policy == "reject" or cash <= 0:
            return 0
        most = whole(cash / price)
        while most > 0 and most * price + self._costs.of(most, price) > cash * (1 + 1e-12):
            # Each step is as large as the excess asks for; there are few.
            excess = most * price + self._costs.of(most, price) - cash
            most -= max(1, int(excess / (2 * price)))
        return most
