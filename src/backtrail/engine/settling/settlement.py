"""From decisions to what became of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import Bars
from backtrail.engine.config import EngineConfig, ExecutionRules
from backtrail.engine.decisions import Decisions
from backtrail.engine.journal import Fill, Holding, Record, Steps
from backtrail.engine.later import Later
from backtrail.engine.market import Market
from backtrail.engine.settling.alone import follow_one
from backtrail.engine.settling.arithmetic import Arithmetic, arithmetic_for
from backtrail.engine.settling.fills import Fills
from backtrail.engine.settling.pairs import paired_trips
from backtrail.engine.settling.several import follow_several

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
        return Settlement(market, config, arithmetic, fills, orders)
    course = follow_one(rules, arithmetic, decisions, ticks, ends=ends)
    fills = course.fills(arithmetic, decisions, ticks[1])
    return Settlement(market, config, arithmetic, fills, Later(lambda: course.orders(decisions)))


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
    """What became of decisions.

    Args:
        market: Prices.
        config: Rules and costs.
        arithmetic: What computed.
        fills: Oldest first.
        orders: Values of `Placed`, by order id.

    Attributes:
        market: Prices.
        commission: What fills cost.
        slippage: What fills lost: nothing.
    """

    def __init__(
        self,
        market: Market,
        config: EngineConfig,
        arithmetic: Arithmetic,
        fills: Fills,
        orders: Sequence[tuple[Any, ...]],
    ) -> None:
        self.market: Final = market
        self.commission: Final = config.commission
        self.slippage: Final = config.slippage
        self._rules: Final = config.rules
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
        market, amounts, trips = self.market, self._arithmetic.amounts, None
        if len(self._fills) and len(market.bars.symbols) == 1:
            trips = paired_trips(self._fills, np.asarray(self._prices[0]), self._arithmetic)
        return Record(
            market, amounts, self._rules, self._orders, Later(self._journal),
            Later(self._holdings), (), trips,
        )  # fmt: skip

    @property
    def _prices(self) -> Sequence[memoryview]:
        return self.market.opens if self._rules.fill == "next_open" else self.market.closes

    def _journal(self) -> list[Fill]:
        prices, zero = self._prices, self._arithmetic.amounts.zero
        return [
            Fill(row, column, number, shares, prices[column][row], value, cost, cash, "order", zero)
            for row, column, number, shares, _, value, cost, cash, _ in self._fills
        ]

    def _holdings(self) -> list[Holding]:
        amounts, unit = self._arithmetic.amounts, self._arithmetic.unit
        found, averages = [], [amounts.zero] * len(self.market.bars.symbols)
        for row, column, _, shares, price, _, _, _, before in self._fills:
            average = amounts.moved_average(averages[column], before, shares, price * unit)
            averages[column] = average
            found.append(Holding(row, column, before + shares, average))
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
