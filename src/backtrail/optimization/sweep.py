"""Sweeps: one strategy, one dataset, many parameter sets, a row of metrics for each.

A strategy in signal form goes through the compiled account of `kernel`; one in event form, and bars
or settings the kernel has no rules for (gaps, delistings, slippage, margin, lots, fills at the same
close, commissions other than per dollar), go through the event engine. The metrics are the same,
and so are their names.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.engine import Bars, EngineConfig, SignalBars, Strategy, run_event, run_signal
from backtrail.engine.market import Market
from backtrail.engine.strategy import params_from
from backtrail.metrics.summary import summarize_tables
from backtrail.optimization.changes import Changes
from backtrail.optimization.kernel import (
    CLIP,
    CLOSES,
    OPENS,
    OVERDRAW,
    REJECT,
    STATE_SIZE,
    STATISTICS,
    Terms,
    simulate_block,
)

__all__ = ["SWEEP_METRICS", "Sweep", "SweepResult"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SWEEP_METRICS: Final = (
    "total_return",
    "cagr",
    "annual_volatility",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "max_drawdown",
    "total_trades",
    "win_rate",
    "profit_factor",
)
_POLICIES: Final = {"clip": CLIP, "reject": REJECT, "overdraw": OVERDRAW}
_BLOCK: Final = 256  # sets that go through the kernel in one call
_LARGEST_CURVES: Final = 1 << 21  # values of equity that a block may keep
_RUINED: Final = -1.0
_DRAWDOWN: Final = STATISTICS.index("max_drawdown")


@dataclass(frozen=True)
class SweepResult:
    """What became of each parameter set, in the order in which they were given.

    Attributes:
        sets: The parameter sets.
        metrics: A column for each of `SWEEP_METRICS`, shape (m,); NaN where a metric is undefined
            for a set, or the set failed.
        errors: Why a set failed; None for the others.
        returns: Returns per bar of every set, shape (m, n - 1); None when they were not asked for.
    """

    sets: tuple[Mapping[str, Any], ...]
    metrics: Mapping[str, FloatArray]
    errors: tuple[str | None, ...]
    returns: FloatArray | None = None


class Sweep:
    """Evaluates parameter sets of one strategy; prices and indicators are prepared once.

    Args:
        strategy: From `load_strategy`, in any form.
        bars: Prices.
        config: Execution rules, costs and capital. Money is float64 here, whatever `ledger` says.
        periods_per_year: Bars per year, for what is annualised.
    """

    def __init__(
        self, strategy: Strategy, bars: Bars, config: EngineConfig, *, periods_per_year: float
    ) -> None:
        self._strategy = strategy
        self._bars = bars
        self._config = replace(config, ledger="float64")
        self._periods = periods_per_year
        self.is_compiled: Final = (
            strategy.target_weights is not None and _is_plain(bars) and _has_rules_for(config)
        )
        if self.is_compiled:
            self._signal_bars = SignalBars(Market(bars))
            self._prices, self._terms = _prices(bars), _terms(config)

    def evaluate(
        self, sets: Iterable[Mapping[str, Any]], *, keep_returns: bool = False
    ) -> SweepResult:
        """Run the strategy once for each parameter set.

        A set that fails is a row with its error; the others go on.

        Args:
            sets: Parameter values, without those that keep their defaults.
            keep_returns: Keep the return matrix, 8 bytes per set and bar.
        """
        wanted = tuple(sets)
        bars = len(self._bars.timestamps)
        returns = np.full((len(wanted), bars - 1), np.nan) if keep_returns else None
        columns = {name: np.full(len(wanted), np.nan) for name in SWEEP_METRICS}
        states = np.full((len(wanted), STATE_SIZE), np.nan)
        errors: list[str | None] = [None] * len(wanted)
        size = min(_BLOCK, max(1, _LARGEST_CURVES // bars)) if keep_returns else _BLOCK
        for first in range(0, len(wanted), size):
            block = range(first, min(first + size, len(wanted)))
            curves = np.empty((len(block), bars if keep_returns else 0))
            left = list(block)
            if self.is_compiled:
                left = self._run_compiled(wanted, block, curves, states, errors)
            for number in left:
                try:
                    self._run_engine(wanted[number], curves[number - first], columns, number)
                except Exception as error:  # noqa: BLE001  the user's code may raise anything
                    errors[number] = _text(error)
            if returns is not None:
                done = [number for number in block if errors[number] is None]
                kept = curves[[number - first for number in done]]
                returns[done] = kept[:, 1:] / kept[:, :-1] - 1.0
        _fill_metrics(columns, states, bars - 1, self._periods)
        return SweepResult(wanted, columns, tuple(errors), returns)

    def _run_compiled(
        self,
        wanted: tuple[Mapping[str, Any], ...],
        block: range,
        curves: FloatArray,
        states: FloatArray,
        errors: list[str | None],
    ) -> list[int]:
        """Run sets through the kernel; return those that the engine has to run.

        A ruined account has no returns to speak of; the engine says exactly which metrics hold.
        """
        changes = Changes(self._bars, len(block))
        for number in block:
            try:
                changes.add(self._weights(wanted[number]))
            except Exception as error:  # noqa: BLE001  whatever the user's code raises is the row's
                errors[number] = _text(error)
                changes.add_none()
        found = states[block.start : block.stop]
        starts, rows, columns, weights = changes.arrays()
        simulate_block(starts, rows, columns, weights, curves, found, *self._prices, self._terms)
        left = []
        for number, deepest in zip(block, found[:, _DRAWDOWN].tolist(), strict=True):
            if errors[number] is not None:
                states[number] = np.nan
            elif not deepest > _RUINED:
                states[number] = np.nan
                left.append(number)
        return left

    def _weights(self, values: Mapping[str, Any]) -> object:
        function = self._strategy.target_weights
        assert function is not None
        return function(self._signal_bars, params_from(self._strategy, values))

    def _run_engine(
        self,
        values: Mapping[str, Any],
        curve: FloatArray,
        columns: Mapping[str, FloatArray],
        number: int,
    ) -> None:
        runner = run_signal if self._strategy.form == "signal" else run_event
        result = runner(self._strategy, self._bars, self._config, params=values)
        rows = summarize_tables(result.tables, periods_per_year=self._periods)
        found = {row.metric: row.value for row in rows}
        for name, column in columns.items():
            value = found[name]
            column[number] = math.nan if value is None else value
        if len(curve):
            curve[:] = np.asarray(result.tables["backtest_results"]["portfolio_value"])


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _is_plain(bars: Bars) -> bool:
    """Say whether every symbol has a bar in every row and lives to the end."""
    return not np.isnan(bars.close).any() and bool((bars.delisted < 0).all())


def _has_rules_for(config: EngineConfig) -> bool:
    """Say whether the kernel knows every rule and cost of a config."""
    return (
        config.rules.fill != "same_close"
        and config.commission.model in ("none", "per_dollar")
        and config.slippage.model == "none"
        and config.margin.initial is None
        and config.margin.maintenance is None
        and all(item.lot is None for item in config.instruments.values())
    )


def _prices(bars: Bars) -> tuple[FloatArray, IntArray, IntArray]:
    """Return prices, rows with corporate actions, and the order of names, as the kernel takes."""
    columns = (bars.close, bars.open, bars.splits, bars.dividends)
    events = (bars.splits != 1.0) | (bars.dividends != 0.0)
    return (
        np.stack([np.ascontiguousarray(column.T) for column in columns]),
        np.flatnonzero(events.any(axis=1)),
        np.argsort(np.array(bars.symbols), kind="stable"),
    )


def _terms(config: EngineConfig) -> Terms:
    rules = config.rules
    return Terms(
        float(config.commission.cost),
        float(config.capital_base),
        1.0 if rules.shares == "whole" else 1e9,
        rules.size_at == "fill",
        _POLICIES[rules.cash_policy],
        OPENS if rules.fill == "next_open" else CLOSES,
    )


def _fill_metrics(
    columns: Mapping[str, FloatArray], states: FloatArray, count: int, periods: float
) -> None:
    """Turn the kernel's statistics into metrics, where a set has statistics.

    The formulas are those of `backtrail.metrics`; they are written for sums here, because no set
    keeps its returns.
    """
    done = ~np.isnan(states[:, 0])
    if not done.any() or count < 1:
        return
    value = dict(zip(STATISTICS, states[done].T, strict=False))
    growth = value["last_equity"] / value["first_equity"]
    mean = value["sum_returns"] / count
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.maximum(value["sum_squares"] - count * mean**2, 0.0) / (count - 1)
        deviation = np.sqrt(variance)
        deviation[deviation <= 1e-14 * value["largest_return"]] = 0.0
        cagr = growth ** (periods / count) - 1.0
        found = {
            "total_return": growth - 1.0,
            "cagr": cagr,
            "annual_volatility": deviation * math.sqrt(periods),
            "sharpe_ratio": _ratio(mean, deviation) * math.sqrt(periods),
            "sortino_ratio": _ratio(mean, np.sqrt(value["sum_downside_squares"] / count))
            * math.sqrt(periods),
            "calmar_ratio": _ratio(cagr, -value["max_drawdown"]),
            "max_drawdown": value["max_drawdown"],
            "total_trades": value["trades"],
            "win_rate": _ratio(value["wins"], value["trades"]),
            "profit_factor": _ratio(value["gross_profit"], value["gross_loss"]),
        }
    for name, column in columns.items():
        column[done] = found[name]


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Divide; undefined is NaN."""
    ratio: FloatArray = np.full(len(above), np.nan)
    np.divide(above, below, out=ratio, where=below != 0.0)
    return ratio
