"""Blocks of parameter sets through the compiled account.

It imports Numba, which takes longer than a small sweep does without it.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.engine import Bars, EngineConfig
from backtrail.optimization.changes import Changes
from backtrail.optimization.kernel import (
    CLIP,
    CLOSES,
    OPENS,
    OVERDRAW,
    REJECT,
    STATE_SIZE,
    Terms,
    simulate_block,
)
from backtrail.optimization.statistics import STATISTICS

__all__ = ["CompiledAccount"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_POLICIES: Final = {"clip": CLIP, "reject": REJECT, "overdraw": OVERDRAW}


class CompiledAccount:
    """Trades a block of sets in one call.

    Args:
        bars: Prices, of every symbol in every row.
        config: Rules and costs that the kernel knows.
        target: Return per bar below which a bar counts as a loss.
    """

    def __init__(self, bars: Bars, config: EngineConfig, target: float = 0.0) -> None:
        self._bars: Final = bars
        self._prices: Final = _prices(bars)
        self._terms: Final = _terms(config, target)

    def changes(self, sets: int) -> Changes:
        """Return what takes the weights of so many sets."""
        return Changes(self._bars, sets)

    def run(self, changes: Changes, curves: FloatArray) -> FloatArray:
        """Return the statistics of a block, shape (m, number of `STATISTICS`).

        Args:
            changes: Of its weights.
            curves: Takes the equity curves, shape (m, n); or (m, 0).
        """
        states = np.empty((len(curves), STATE_SIZE))
        simulate_block(*changes.arrays(), curves, states, *self._prices, self._terms)
        return states[:, : len(STATISTICS)]


def _prices(bars: Bars) -> tuple[FloatArray, IntArray, IntArray]:
    """Return prices, rows with corporate actions, and the order of names, as the kernel takes."""
    columns = (bars.close, bars.open, bars.splits, bars.dividends)
    events = (bars.splits != 1.0) | (bars.dividends != 0.0)
    return (
        np.stack([np.ascontiguousarray(column.T) for column in columns]),
        np.flatnonzero(events.any(axis=1)),
        np.argsort(np.array(bars.symbols), kind="stable"),
    )


def _terms(config: EngineConfig, target: float) -> Terms:
    rules = config.rules
    return Terms(
        float(config.commission.cost),
        float(config.capital_base),
        1.0 if rules.shares == "whole" else 1e9,
        rules.size_at == "fill",
        _POLICIES[rules.cash_policy],
        OPENS if rules.fill == "next_open" else CLOSES,
        target,
    )
