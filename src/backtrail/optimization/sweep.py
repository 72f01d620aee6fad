"""Sweeps: one strategy, one dataset, many parameter sets, a row of metrics for each.

A strategy in signal form or step form goes through the compiled account of `kernel`; one in event
form, and bars or settings the kernel has no rules for (gaps, delistings, slippage, margin, lots,
fills at the same close, commissions other than per dollar), go through the event engine. The
metrics are the same, and so are their names; metrics that the strategy defines itself stand behind
them, and where one looks at trades all sets go through the engine.
"""

import logging
import math
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.engine import Bars, EngineConfig, SignalBars, Strategy, run_event, run_signal
from backtrail.engine.blame import is_of_strategy
from backtrail.engine.curve import benchmark_returns
from backtrail.engine.market import Market
from backtrail.engine.schedule import SessionSource
from backtrail.engine.signal import check_weights
from backtrail.engine.stepping import Step
from backtrail.engine.strategy import params_from
from backtrail.errors import StrategyError
from backtrail.metrics.own import RunMaterial, own_value
from backtrail.metrics.risk import risk_free_per_period
from backtrail.metrics.summary import summarize_tables, tables_since
from backtrail.optimization.search import SWEEP_METRICS
from backtrail.optimization.statistics import STATISTICS, ArrayAccount
from backtrail.optimization.stepped import SteppedWeights

if TYPE_CHECKING:
    from backtrail.optimization.compiled_account import CompiledAccount

__all__ = ["SWEEP_METRICS", "Sweep", "SweepResult", "lasting_weights"]

FloatArray = npt.NDArray[np.float64]

_log = logging.getLogger(__name__)

_BLOCK: Final = 256  # sets that go through the kernel in one call
_LARGEST_CURVES: Final = 1 << 21  # values of equity that a block may keep
_RUINED: Final = -1.0
# Seconds that a set takes without Numba, for itself and for each bar and symbol, also when it is a
# step that goes there; and those that Numba takes to start, and to compile a step.
_PER_SET: Final = 7e-4
_PER_BAR: Final = 6e-8
_PER_STEP: Final = 1.5e-6
_START: Final = 0.7
_COMPILING: Final = 1.3
_KERNEL: Final = "backtrail.optimization.kernel"
_DRAWDOWN: Final = STATISTICS.index("max_drawdown")


@dataclass(frozen=True)
class SweepResult:
    """What became of each parameter set, in the order in which they were given.

    Attributes:
        sets: The parameter sets.
        metrics: A column for each of `SWEEP_METRICS` and of the strategy's own, shape (m,); NaN
            where a metric is undefined for a set, or the set failed.
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
        periods_per_year: Bars per year, for what is annualized.
        risk_free: Annual risk-free rate, compounded per bar.
        attributes: Set on the context of a strategy in event form before `initialize`.
        sessions: Where such a strategy gets the calendar's sessions from; as in `run_event`.
        benchmark: Symbol with which metrics of the strategy's own compare it; None without one.
        benchmark_bars: Its prices, where it is not part of `bars`.
        first: Row at which the account begins. The bars before it only fill indicators: metrics and
            returns are of the rows from it on. In signal form and step form the account begins in
            cash and takes at this row the weights that last; in event form the strategy trades
            from the first bar, and the rest of its account is looked at.
        compiled: Whether the compiled account is used where it has the rules, and Numba is
            installed; None for where that is worth the time that Numba takes to start. The
            numbers without it are the same to 1e-12. A step that Numba cannot compile is stepped
            in Python, and a warning says so.
    """

    def __init__(
        self,
        strategy: Strategy,
        bars: Bars,
        config: EngineConfig,
        *,
        periods_per_year: float,
        risk_free: float = 0.0,
        attributes: Mapping[str, object] | None = None,
        sessions: SessionSource | None = None,
        benchmark: str | None = None,
        benchmark_bars: Bars | None = None,
        first: int = 0,
        compiled: bool | None = None,
    ) -> None:
        self._strategy = strategy
        self._known = bars
        self._first = first
        self._bars = _from_bar(bars, first) if first else bars
        self._attributes = attributes
        self._sessions = sessions
        self._config = replace(config, ledger="float64")
        self._periods = periods_per_year
        self._risk_free = risk_free
        # An account in event form that began before the first row has another value there.
        begins_here = not first or strategy.gives_weights
        self._capital = float(config.capital_base) if begins_here else None
        self._compared: FloatArray | None = None
        if benchmark and any("benchmark_returns" in own.wants for own in strategy.metrics):
            prices = Market(self._bars if benchmark_bars is None else benchmark_bars)
            self._compared = benchmark_returns(prices, benchmark, self._bars.timestamps)
        # Whether the compiled account has the rules; its numbers can be had without Numba, too.
        self.is_compiled: Final = (
            strategy.target_weights is not None
            and _is_plain(self._bars)
            and _has_rules_for(config)
            and not any("trades" in own.wants for own in strategy.metrics)
        )
        self._steps: SteppedWeights | None = None
        if strategy.target_weights is not None:
            self._signal_bars = SignalBars(Market(bars))
            if isinstance(strategy.target_weights, Step):
                self._steps = SteppedWeights(strategy.target_weights, self._signal_bars)
        self._wants_compiled = compiled
        self._has_numba = False
        self._compiled: CompiledAccount | None = None
        self._arrays: ArrayAccount | None = None

    @property
    def _riskless(self) -> float:
        """What a bar earns without risk."""
        return risk_free_per_period(self._risk_free, self._periods)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the columns of `SweepResult.metrics`."""
        return (*SWEEP_METRICS, *(own.name for own in self._strategy.metrics))

    @property
    def bars(self) -> Bars:
        """The bars of the account."""
        return self._bars

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
        columns = {name: np.full(len(wanted), np.nan) for name in self.metric_names}
        states = np.full((len(wanted), len(STATISTICS)), np.nan)
        self._has_numba = self._has_numba or self._is_worth_numba(len(wanted))
        compiled = self._compiled_account()
        errors: list[str | None] = [None] * len(wanted)
        needs_curves = keep_returns or bool(self._strategy.metrics)
        size = min(_BLOCK, max(1, _LARGEST_CURVES // bars)) if needs_curves else _BLOCK
        for first in range(0, len(wanted), size):
            block = range(first, min(first + size, len(wanted)))
            curves = np.empty((len(block), bars if needs_curves else 0))
            left = list(block)
            if compiled is not None:
                left = self._run_compiled(compiled, wanted, block, curves, states, errors)
            elif self.is_compiled:
                left = self._run_arrays(wanted, block, curves, states, errors)
            if self.is_compiled:
                self._measure(set(block) - set(left), curves, block.start, columns, states, errors)
            for number in left:
                try:
                    self._run_engine(wanted[number], curves[number - first], columns, number)
                except Exception as error:  # noqa: BLE001  `_failure` lets ours go on
                    errors[number] = _failure(error)
            if returns is not None:
                done = [number for number in block if errors[number] is None]
                kept = curves[[number - first for number in done]]
                returns[done] = kept[:, 1:] / kept[:, :-1] - 1.0
                if self._capital is not None and bars > 1:
                    returns[done, 0] = kept[:, 1] / self._capital - 1.0
        _fill_metrics(columns, states, bars - 1, self._periods, self._riskless)
        return SweepResult(wanted, columns, tuple(errors), returns)

    def _is_worth_numba(self, sets: int) -> bool:
        """Say whether so many sets are to be evaluated by Numba, and it is there."""
        if not self.is_compiled and self._steps is None:
            return False
        if self._wants_compiled is False or not sets:
            return False
        if self._wants_compiled is None:
            per_bar = _PER_BAR if self._steps is None else _PER_BAR + _PER_STEP
            seconds = sets * (_PER_SET + per_bar * self._bars.close.size)
            starting = 0.0 if _KERNEL in sys.modules else _START
            if seconds < starting + (0.0 if self._steps is None else _COMPILING):
                return False
        if find_spec("numba") is None:
            _log.warning(
                "Numba is not installed: sweeps give the same numbers some twenty times slower, of"
                " steps some hundred times; install backtrail[sweep]"
            )
            self._wants_compiled = False  # said once
            return False
        return True

    def _compiled_account(self) -> "CompiledAccount | None":
        """Return the compiled account where sets go through it."""
        if self.is_compiled and self._has_numba and self._compiled is None:
            from backtrail.optimization.compiled_account import CompiledAccount  # imports Numba

            self._compiled = CompiledAccount(self._bars, self._config, self._riskless)
        return self._compiled

    def _run_compiled(
        self,
        account: "CompiledAccount",
        wanted: tuple[Mapping[str, Any], ...],
        block: range,
        curves: FloatArray,
        states: FloatArray,
        errors: list[str | None],
    ) -> list[int]:
        """Run sets through the kernel; return those that the engine has to run."""
        changes = account.changes(len(block))
        for number in block:
            try:
                weights = self._weights(wanted[number])
                known = None if self._steps is None or self._first else self._steps.changes
                if known is None:
                    changes.add(weights)
                else:
                    changes.add_known(*known)
            except Exception as error:  # noqa: BLE001  `_failure` lets ours go on
                errors[number] = _failure(error)
                changes.add_none()
        states[block.start : block.stop] = account.run(changes, curves)
        return _without_statistics(block, states, errors)

    def _run_arrays(
        self,
        wanted: tuple[Mapping[str, Any], ...],
        block: range,
        curves: FloatArray,
        states: FloatArray,
        errors: list[str | None],
    ) -> list[int]:
        """Do as `_run_compiled` by NumPy."""
        if self._arrays is None:
            self._arrays = ArrayAccount(self._bars, self._config, self._riskless)
        for number in block:
            try:
                weights = check_weights(self._weights(wanted[number]), self._bars)
            except Exception as error:  # noqa: BLE001  `_failure` lets ours go on
                errors[number] = _failure(error)
            else:  # a fault of the account is none of the set
                states[number] = self._arrays.run(weights, curves[number - block.start])
        return _without_statistics(block, states, errors)

    def _measure(
        self,
        numbers: Collection[int],
        curves: FloatArray,
        first: int,
        columns: Mapping[str, FloatArray],
        states: FloatArray,
        errors: list[str | None],
    ) -> None:
        """Compute the strategy's own metrics of sets that went through the kernel."""
        if not self._strategy.metrics:
            return
        for number in numbers:
            if errors[number] is not None:
                continue
            run = RunMaterial(
                curves[number - first],
                self._bars.timestamps,
                self._periods,
                benchmark_returns=self._compared,
                capital_base=self._capital,
                risk_free=self._risk_free,
            )
            try:
                found = {own.name: own_value(own, run) for own in self._strategy.metrics}
            except StrategyError as error:
                errors[number], states[number] = _failure(error), np.nan
                continue
            for name, value in found.items():
                columns[name][number] = math.nan if value is None else value

    def _weights(self, values: Mapping[str, Any]) -> object:
        function = self._strategy.target_weights
        assert function is not None
        params = params_from(self._strategy, values)
        if self._steps is not None:
            weights = self._steps.of(params, compiled=self._has_numba)
        else:
            weights = function(self._signal_bars, params)
        return lasting_weights(weights, self._known, self._first) if self._first else weights

    def _run_engine(
        self,
        values: Mapping[str, Any],
        curve: FloatArray,
        columns: Mapping[str, FloatArray],
        number: int,
    ) -> None:
        tables: Mapping[str, Mapping[str, Any]]
        if self._strategy.gives_weights:
            weights = self._weights(values)
            tables = run_signal(lambda *_: weights, self._bars, self._config).tables
        else:
            result = run_event(
                self._strategy,
                self._known,
                self._config,
                params=values,
                attributes=self._attributes,
                sessions=self._sessions,
            )
            tables = result.tables
            if self._first:
                tables = tables_since(tables, self._first, int(self._bars.timestamps[0]))
        if self._compared is not None:
            curves = {**tables["backtest_results"], "benchmark_returns": self._compared}
            tables = {**tables, "backtest_results": curves}
        own = self._strategy.metrics
        rows = summarize_tables(
            tables,
            periods_per_year=self._periods,
            risk_free=self._risk_free,
            own=own,
            capital_base=self._capital,
        )
        found = {row.metric: row.value for row in rows}
        for name, column in columns.items():
            value = found[name]
            column[number] = math.nan if value is None else value
        if len(curve):
            curve[:] = np.asarray(tables["backtest_results"]["portfolio_value"])


def lasting_weights(weights: object, bars: Bars, first: int) -> FloatArray:
    """Return the weights from a row on, that row with those that last until then.

    Args:
        weights: What a signal function returned for the bars.
        bars: Its bars.
        first: The row.

    Raises:
        StrategyError: If it is no array of finite numbers and NaN of the right shape.
    """
    checked = check_weights(weights, bars)
    rows = np.arange(first + 1)[:, np.newaxis]
    given = np.where(np.isnan(checked[: first + 1]), -1, rows).max(axis=0)
    kept = checked[first:].copy()
    columns = np.arange(checked.shape[1])
    kept[0] = np.where(given >= 0, checked[given, columns], np.nan)
    return kept


def _without_statistics(
    block: range, states: FloatArray, errors: Sequence[str | None]
) -> list[int]:
    """Clear the statistics of failed sets and ruined accounts; return the latter.

    A ruined account has no returns to speak of; the engine says exactly which metrics hold.
    """
    left = []
    for number in block:
        if errors[number] is not None:
            states[number] = np.nan
        elif not states[number, _DRAWDOWN] > _RUINED:
            states[number] = np.nan
            left.append(number)
    return left


def _from_bar(bars: Bars, first: int) -> Bars:
    # The package of validation takes as long to import as NumPy; few sweeps begin late.
    from backtrail.validation.histories import without_first

    return without_first(bars, first)


def _failure(error: Exception) -> str:
    """Return what made a set fail; a fault of ours is none of the set and goes on."""
    if not is_of_strategy(error):
        raise error
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


def _fill_metrics(
    columns: Mapping[str, FloatArray],
    states: FloatArray,
    count: int,
    periods: float,
    riskless: float,
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
    excess = mean - riskless
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.maximum(value["sum_squares"] - count * mean**2, 0.0) / (count - 1)
        deviation = np.sqrt(variance)
        deviation[deviation <= 1e-14 * value["largest_return"]] = 0.0
        cagr = growth ** (periods / count) - 1.0
        found = {
            "total_return": growth - 1.0,
            "cagr": cagr,
            "annual_volatility": deviation * math.sqrt(periods),
            "sharpe_ratio": _ratio(excess, deviation) * math.sqrt(periods),
            "sortino_ratio": _ratio(excess, np.sqrt(value["sum_downside_squares"] / count))
            * math.sqrt(periods),
            "calmar_ratio": _ratio(cagr, -value["max_drawdown"]),
            "max_drawdown": value["max_drawdown"],
            "total_trades": value["trades"],
            "win_rate": _ratio(value["wins"], value["trades"]),
            "profit_factor": _ratio(value["gross_profit"], value["gross_loss"]),
        }
    for name, values in found.items():
        columns[name][done] = values


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Divide; undefined is NaN."""
    ratio: FloatArray = np.full(len(above), np.nan)
    np.divide(above, below, out=ratio, where=below != 0.0)
    return ratio
