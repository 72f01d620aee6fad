"""Decisions about one symbol, without a look for who else is held, or who sells first."""

from collections.abc import Sequence
from typing import Any

from backtrail.engine.config import EngineConfig
from backtrail.engine.rebalancing import Decisions
from backtrail.engine.settling.arithmetic import Arithmetic, Number

__all__ = ["State", "follow_one"]

State = tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], Number, Number]
"""Orders and fills, oldest first; cash, and shares held."""


def follow_one(
    config: EngineConfig,
    arithmetic: Arithmetic,
    decisions: Decisions,
    days: Sequence[tuple[int, Number, Number]],
) -> State:
    """Order what leads to each new weight, and fill it at the next bar.

    Args:
        config: Rules.
        arithmetic: What computes.
        decisions: By row.
        days: Row, close, and price at which an order fills, of each decision that has a bar after
            it, oldest first.
    """
    unit, size, commission_of = arithmetic.unit, arithmetic.size, arithmetic.commission
    at_fill, limited = config.rules.size_at == "fill", config.rules.cash_policy != "overdraw"
    cash, shares = arithmetic.capital, 0
    orders: list[tuple[Any, ...]] = []
    fills: list[tuple[Any, ...]] = []

    def end(row: int, weight: float, *how: Any) -> None:
        orders.append((row, 0, "market", "target_percent", weight, None, None, *how))

    for row, mark, price in days:
        weight, wanted = decisions[row][0][1], -shares
        if weight:
            at = price if at_fill else mark
            wanted += size(weight, cash + shares * at * unit if shares else cash, at)
        if not wanted:
            if at_fill:
                end(row, weight, 0, 0, "canceled", "nothing to trade at the fill", None)
            continue
        traded = wanted * price
        value, commission = traded * unit, commission_of(traded)
        asked, status = wanted, "filled"
        reason: str | None = None
        if limited and wanted > 0 and value + commission > cash:
            asked, wanted, status, reason = arithmetic.within_cash(
                config.rules.cash_policy, cash, wanted, value + commission, price
            )
            if not wanted:
                end(row, weight, asked, 0, status, reason, None)
                continue
            traded = wanted * price
            value, commission = traded * unit, commission_of(traded)
        cash = cash - value - commission
        orders.append(
            (row, 0, "market", "target_percent", weight, None, None,
             asked, wanted, status, reason, row + 1)
        )  # fmt: skip
        fills.append((row + 1, 0, len(orders), wanted, price, value, commission, cash, shares))
        shares += wanted
    return orders, fills, cash, shares
