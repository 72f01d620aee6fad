"""The answer of a validation child to a grid of costs: the run, executed again at each of them.

Every cell is a run of the engine with nothing changed but its costs. Stored fills are not priced
again: sizes, clipped buys and all that follows from them depend on what was paid before.
"""

import random
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, Final

import numpy as np

from backtrail.batch.execution.evaluation import SET_BY_STRATEGY, costs_in_words
from backtrail.batch.execution.laboratory import Laboratory, VariantFailedError
from backtrail.engine import RunResult
from backtrail.errors import ConfigError, Problem
from backtrail.metrics.summary import summarize_tables
from backtrail.validation import Costs, break_even, costs_at, has_costs, most_level

__all__ = ["costs_answer"]

Figures = dict[str, float | int | None]

_METRICS: Final = (
    "total_return",
    "cagr",
    "sharpe_ratio",
    "max_drawdown",
    "total_commission",
    "total_slippage",
    "total_trades",
)
_COLUMNS: Final = (*_METRICS, "final_equity", "fills")
_NAMES: Final = ("commission", "slippage")
_KEEPS_STATE: Final = (
    "two runs at the run's own costs ended differently: the strategy keeps something from one run "
    "to the next, so no comparison can be made"
)


def costs_answer(lab: Laboratory) -> dict[str, Any]:
    """Return what the selected set earns at other costs, and at which its profit is gone.

    Raises:
        ConfigError: If multiples are asked for of a cost that the run has not.
    """
    options = lab.options["costs"]
    grid = _Grid(lab)
    _check_multiples(options, grid.own)
    commissions, slippages = (sorted(map(float, options[name])) for name in _NAMES)
    rows: list[dict[str, Any]] = [{"own": True, **grid.figures}]
    for commission, slippage in product(commissions, slippages):
        figures, error = grid.cell(commission, slippage)
        levels = {"commission": commission, "slippage": slippage}
        rows.append({"own": False, **levels, **figures, "error": error})
    found = grid.break_even()
    refused = _KEEPS_STATE if grid.keeps_state() else None
    if refused is not None:
        rows[1:] = [{**row, **dict.fromkeys(_COLUMNS), "error": refused} for row in rows[1:]]
        found = {"level": None, "upper": None, "why": None}
    columns = ("commission", "slippage", "own", *_COLUMNS, "error")
    return {
        "cells": {name: [row.get(name) for row in rows] for name in columns},
        "own": grid.own_words,
        "break_even": found,
        "refused": refused,
    }


def _check_multiples(options: Mapping[str, Any], own: Costs) -> None:
    if options["unit"] != "multiples":
        return
    commission, slippage = own
    has = {"commission": has_costs(commission), "slippage": has_costs(slippage)}
    lacking = [name for name in _NAMES if not has[name]]
    problems = [
        Problem(
            f"validate.costs.{name}",
            f"multiples are asked for, and neither config nor strategy gives the run a {name}",
            "name one level, or use unit: basis_points",
        )
        for name in lacking
        if len(options[name]) > 1 or len(lacking) == len(_NAMES)
    ]
    if problems:
        raise ConfigError(problems)


class _Grid:
    """Runs of one set that differ in costs; a cost that was met before is not run again."""

    def __init__(self, lab: Laboratory) -> None:
        self._lab = lab
        self._unit: str = lab.options["costs"]["unit"]
        # Chance that a strategy takes from shared generators is that of the run, each time.
        self._chance = random.getstate(), np.random.get_state()  # noqa: NPY002
        self._result = self._run(None)
        self.own: Costs = (self._result.commission, self._result.slippage)
        self.figures = self._measured(self._result)
        self._known: dict[Costs, Figures] = {}
        traded = set(self._result.tables["fills"]["symbol"]) or set(lab.bars.symbols)
        columns = [column for column, name in enumerate(lab.bars.symbols) if name in traded]
        self._lowest = float(np.nanmin(lab.bars.low[:, columns]))
        self._most = most_level(self._unit, self.own, self._lowest)

    def _run(self, costs: Costs | None) -> RunResult:
        random.setstate(self._chance[0])
        np.random.set_state(self._chance[1])  # noqa: NPY002
        return self._lab.run(self._lab.bars, benchmark=self._lab.identity["benchmark"], costs=costs)

    def cell(self, commission: float, slippage: float) -> tuple[Figures, str | None]:
        """Return the figures at a pair of levels, or none and why there are none."""
        if self._unit == "multiples" and slippage > self._most:
            return {}, (
                f"above {self._most:g} times its own, slippage takes the whole price of a sale: "
                f"the lowest price of what it trades is {self._lowest:g}"
            )
        try:
            costs = costs_at(self._unit, self.own, commission, slippage)
            if costs not in self._known:
                self._known[costs] = self._measured(self._run(costs))
            return self._known[costs], None
        except Exception as error:
            if not self._lab.is_of_strategy(error):
                raise
            return {}, f"{type(error).__name__}: {error}"

    def _measured(self, result: RunResult) -> Figures:
        curve, capital = result.tables["backtest_results"], float(self._lab.config.capital_base)
        rows = {
            row.metric: row.value
            for row in summarize_tables(
                result.tables,
                periods_per_year=self._lab.periods,
                risk_free=self._lab.risk_free,
                capital_base=capital,
            )
        }
        return {
            **{name: rows[name] for name in _METRICS},
            "total_trades": round(rows["total_trades"] or 0.0),
            "final_equity": float(curve["portfolio_value"][-1]),
            "fills": len(result.tables["fills"]["fill_id"]),
        }

    def break_even(self) -> dict[str, Any]:
        """Return at which cost the profit ends; `why` says why that could not be asked."""
        asked = {"level": None, "upper": None, "why": None}
        if not self.figures["fills"]:
            return {**asked, "why": "nothing was traded"}
        try:
            found = break_even(self._gain(), most=self._most)
        except VariantFailedError as error:
            return {**asked, "why": str(error)}
        return {**asked, "level": found.level, "upper": found.upper}

    def _gain(self) -> Callable[[float], float]:
        capital = float(self._lab.config.capital_base)
        both = self._unit == "multiples"

        def gain(level: float) -> float:
            figures, error = self.cell(level, level if both else 0.0)
            if error is not None:
                raise VariantFailedError(f"the strategy failed at level {level:g} ({error})")
            return float(figures["final_equity"] or 0.0) - capital

        return gain

    def keeps_state(self) -> bool:
        """Say whether the run ends differently now than when it was first."""
        again = self._run(None).tables["backtest_results"]["portfolio_value"]
        first = self._result.tables["backtest_results"]["portfolio_value"]
        return not np.array_equal(np.asarray(again), np.asarray(first), equal_nan=True)

    @property
    def own_words(self) -> dict[str, Any]:
        """The run's own costs: in words, which of them the strategy set, and what was paid."""
        words = costs_in_words(self._result, self._lab.config)
        values = [abs(float(value)) for value in self._result.tables["fills"]["value"]]
        paid = float(self.figures["total_commission"] or 0.0)
        paid += float(self.figures["total_slippage"] or 0.0)
        traded = sum(values)
        return {
            **{name: words[name].removesuffix(SET_BY_STRATEGY) for name in _NAMES},
            "set_by_strategy": [name for name in _NAMES if words[name].endswith(SET_BY_STRATEGY)],
            "paid_basis_points": paid / traded * 10_000 if traded else None,
        }
