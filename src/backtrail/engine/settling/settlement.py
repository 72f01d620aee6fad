"""From decisions to what became of them."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import Bars
from backtrail.engine.config import EngineConfig, ExecutionRules
from backtrail.engine.decisions import Decisions
from backtrail.engine.journal import (
    Action,
    Columns,
    Fill,
    Placed,
    Record,
    Steps,
    columns_of,
    taken,
)
from backtrail.engine.ledger import Numbers, listed
from backtrail.engine.market import Market
from backtrail.engine.round_trips import round_trips
from backtrail.engine.settling.alone import follow_one
from backtrail.engine.settling.arithmetic import Arithmetic, arithmetic_for
from backtrail.engine.settling.fills import Fills
from backtrail.engine.settling.pairs import paired_trips
from backtrail.engine.settling.several import follow_several
from backtrail.engine.trips import Trips

__all__ = ["Settlement", "settle"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def settle(market: Market, config: EngineConfig, decisions: Decisions) -> "Settlement | None":
    """Follow weights; return None where a run asks for more than there are rules for here."""
    bars, rules = market.bars, config.rules
    if not len(decisions) or not _has_rules_for(bars, config):
        return None
    is_alone = len(bars.symbols) == 1
    rows = decisions.rows
    if not is_alone:  # each once; the first call of `np.unique` would import `numpy.ma`
        rows = rows[np.diff(rows, prepend=-1) > 0]
    found = arithmetic_for(config, _known_prices(bars, rules, rows))
    if found is None:
        return None
    arithmetic, ticks = found
    ends = bool(rows[-1] == len(bars.timestamps) - 1)
    if not is_alone:
        fills, orders = follow_several(rules, arithmetic, decisions, ticks, ends=ends)
        return Settlement(market, config, arithmetic, fills, lambda: columns_of(Placed, orders))
    course = follow_one(rules, arithmetic, decisions, ticks, ends=ends)
    fills = course.fills(arithmetic, decisions, ticks[1])
    return Settlement(market, config, arithmetic, fills, lambda: course.orders(decisions, fills))


def _known_prices(bars: Bars, rules: ExecutionRules, rows: IntArray) -> FloatArray:
    """Return closes of rows, and prices at which they fill: (2, r, k), of one symbol (2, r).

    The last row of all fills at its own bar, which nobody looks at.
    """
    close, source = bars.close, bars.open if rules.fill == "next_open" else bars.close
    if len(bars.symbols) == 1:
        close, source = close[:, 0], source[:, 0]
    known = np.empty((2, len(rows), *close.shape[1:]))
    close.take(rows, axis=0, out=known[0], mode="clip")
    source.take(rows + 1, axis=0, out=known[1], mode="clip")
    return known


class Settlement:
    """What became of decisions: a finished account, and its record.

    Args:
        market: Prices.
        config: Rules and costs.
        arithmetic: What computed.
        fills: Oldest first.
        orders: Returns columns of `Placed`, by order id.

    Attributes:
        market: Prices.
        commission: What fills cost.
        slippage: What fills lost: nothing.
        rules: How orders became fills.
        amounts: What computed them.
        violations: Of rules of risk: none.
    """

    def __init__(
        self,
        market: Market,
        config: EngineConfig,
        arithmetic: Arithmetic,
        fills: Fills,
        orders: Callable[[], Columns],
    ) -> None:
        self.market: Final = market
        self.commission: Final = config.commission
        self.slippage: Final = config.slippage
        self.rules: Final = config.rules
        self.amounts: Final = arithmetic.amounts
        self.violations: Final = ()
        self._arithmetic: Final = arithmetic
        self._fills: Final = fills
        self._orders: Final = orders

    def steps(self) -> tuple[Steps, Mapping[int, Steps]]:
        """Return cash and the shares of every column ever held."""
        fills, arithmetic = self._fills, self._arithmetic
        cash = arithmetic.amounts.floats(np.concatenate(((arithmetic.capital,), fills.cash)))
        rows = np.concatenate(((0,), fills.rows))
        held, after = {}, (fills.before + fills.shares).astype(np.float64)
        if len(self.market.bars.symbols) == 1:
            if len(fills):
                held[0] = (rows, np.concatenate(((0.0,), after)))
            return (rows, cash), held
        for column in sorted(set(fills.columns.tolist())):
            own = fills.columns == column
            own_rows = np.concatenate(((0,), fills.rows[own]))
            held[column] = (own_rows, np.concatenate(((0.0,), after[own])))
        return (rows, cash), held

    def record(self) -> Record:
        """Return what the tables are made of."""
        return self

    def orders(self) -> Columns:
        """Return columns of `Placed`, by order id."""
        return self._orders()

    def fills(self) -> Columns:
        """Return columns of `Fill`, oldest first."""
        fills, bars = self._fills, self.market.bars
        prices = bars.open if self.rules.fill == "next_open" else bars.close
        return {
            "row": fills.rows,
            "column": fills.columns,
            "order_id": fills.order_ids,
            "quantity": fills.shares,
            "price": prices[fills.rows, fills.columns],
            "value": fills.values,
            "commission": fills.commissions,
            "cash_after": fills.cash,
            "reason": ["order"] * len(fills),
            "slippage": np.zeros_like(fills.values),
        }

    def actions(self) -> Columns:
        """Return columns of `Action`: there are none."""
        return columns_of(Action, ())

    def positions(self) -> Columns:
        """Return columns of `Holding`, by bar and name; a symbol has one fill a bar at most."""
        fills, symbols = self._fills, self.market.bars.symbols
        after = fills.before + fills.shares
        found = {
            "row": fills.rows,
            "column": fills.columns,
            "quantity": after,
            "average_cost": self._average_costs(after),
        }
        if len(symbols) == 1:
            return found
        ranks = np.empty(len(symbols), dtype=np.int64)
        ranks[sorted(range(len(symbols)), key=symbols.__getitem__)] = np.arange(len(symbols))
        return taken(found, np.lexsort((ranks[fills.columns], fills.rows)))

    def trips(self) -> Trips:
        """Return the round trips."""
        found, columns = None, self.fills()
        if len(self._fills) and len(self.market.bars.symbols) == 1:
            found = paired_trips(self._fills, np.asarray(columns["price"]), self._arithmetic)
        if found is not None:
            return found
        fills = zip(*(listed(columns[name]) for name in Fill._fields), strict=True)
        return round_trips(map(Fill._make, fills), self.amounts)

    def _average_costs(self, after: npt.NDArray[Any]) -> Numbers:
        fills, arithmetic = self._fills, self._arithmetic
        before = fills.before
        if not (((before > 0) & (after > 0)) | ((before < 0) & (after < 0))).any():
            prices: npt.NDArray[Any] = fills.prices * arithmetic.unit
            return prices
        amounts, unit = arithmetic.amounts, arithmetic.unit
        found, averages = [], [amounts.zero] * len(self.market.bars.symbols)
        for _, column, _, shares, price, _, _, _, held in fills:
            average = amounts.moved_average(averages[column], held, shares, price * unit)
            averages[column] = average
            found.append(average)
        return found


def _has_rules_for(bars: Bars, config: EngineConfig) -> bool:
    """Say whether nothing can happen between an order and its fill, and shares are whole."""
    rules = config.rules
    return (
        rules.fill != "same_close"
        and rules.shares == "whole"
        and config.commission.model in ("none", "per_dollar")
        and config.slippage.model == "none"
        and config.margin.initial is None
        and config.margin.maintenance is None
        and not any(item.lot is not None for item in config.instruments.values())
        and not bars.pays
        and all(bars.gapless)
        and not any(bars.is_split)
        and bool((bars.delisted < 0).all())
    )
