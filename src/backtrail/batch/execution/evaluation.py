"""Evaluating one run: from its identity and bars to tables and metrics, as plain columns."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final

import numpy as np

from backtrail.engine import (
    Bars,
    CommissionConfig,
    EngineConfig,
    ExecutionRules,
    InstrumentConfig,
    MarginConfig,
    RunResult,
    Sessions,
    SlippageConfig,
    params_from,
    run_event,
    run_signal,
)
from backtrail.engine.strategy import Strategy
from backtrail.errors import StrategyError
from backtrail.metrics import OwnMetric, risk_free_of
from backtrail.metrics.attribution import attribution_columns
from backtrail.metrics.summary import MetricRow, summarize_tables, tables_since

__all__ = [
    "about_strategy",
    "calendar_sessions",
    "check_params",
    "costs_in_words",
    "engine_config",
    "evaluate_run",
    "holdout_tables",
]

Columns = dict[str, Sequence[Any]]

SET_BY_STRATEGY: Final = ", set by the strategy"


def check_params(strategy: Strategy, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of a strategy under `values`, or what is wrong under `error`.

    Args:
        strategy: From `load_strategy`.
        given: Those that were given; the rest have their defaults.
    """
    try:
        params = params_from(strategy, given)
    except (StrategyError, ValueError, TypeError) as error:
        return {"error": str(error)}
    if params is None:
        return {"values": {}}
    names = [field.name for field in fields(params) if field.init]
    return {"values": {name: getattr(params, name) for name in names}}


def about_strategy(strategy: Strategy, params: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what planning asks of a strategy: its form, parameters and own metrics.

    Args:
        strategy: From `load_strategy`.
        params: Parameter sets to check, as `check_params` takes them.
    """
    return {
        "form": strategy.form,
        "params": [check_params(strategy, given) for given in params],
        "metrics": [own.name for own in strategy.metrics],
        "needs_trades": any("trades" in own.wants for own in strategy.metrics),
    }


def evaluate_run(
    strategy: Strategy,
    identity: Mapping[str, Any],
    bars: Bars,
    benchmark_bars: Bars | None,
    *,
    seed: int,
    periods_per_year: float,
    attributes: Mapping[str, object] | None = None,
) -> dict[str, Columns]:
    """Run a strategy and return the engine's tables, `attribution` and `summary`, the metrics.

    Args:
        strategy: From `load_strategy`.
        identity: Of the run spec: parameters, capital, costs, execution rules.
        bars: Prices of the universe.
        benchmark_bars: Prices of a benchmark outside the universe.
        seed: Derived from the run's identity.
        periods_per_year: Bars per year, for annual metrics.
        attributes: Set on the context and the instance before `initialize`; the signal form and the
            step form have neither.

    Returns:
        Lists, and arrays of the standard library, so that who reads them needs no NumPy. Of a
        holdout `holdout_metrics` has the strategy's own metrics of these dates alone, if any.
    """
    params = params_from(strategy, identity["params"])
    config = engine_config(identity, seed)
    benchmark = identity["benchmark"]
    if strategy.gives_weights:
        result = run_signal(
            strategy,
            bars,
            config,
            benchmark=benchmark,
            benchmark_bars=benchmark_bars,
            params=params,
        )
    else:
        result = run_event(
            strategy,
            bars,
            config,
            benchmark=benchmark,
            benchmark_bars=benchmark_bars,
            params=params,
            attributes=attributes,
            sessions=partial(calendar_sessions, bars),
        )
    rate = risk_free_of(identity)
    tables = _with_analysis(result, config, periods_per_year, strategy.metrics, rate)
    if "holdout" in identity and strategy.metrics:
        tables["holdout_metrics"] = _holdout_metrics(
            result, identity["holdout"]["start"], strategy.metrics, periods_per_year, rate
        )
    return tables


def _with_analysis(
    result: RunResult,
    config: EngineConfig,
    periods_per_year: float,
    own: Sequence[OwnMetric],
    risk_free: float,
) -> dict[str, Columns]:
    metrics = summarize_tables(
        result.tables,
        periods_per_year=periods_per_year,
        risk_free=risk_free,
        costs=costs_in_words(result, config),
        own=own,
        capital_base=float(config.capital_base),
    )
    summary = {
        field.name: [getattr(row, field.name) for row in metrics] for field in fields(MetricRow)
    }
    tables: dict[str, Mapping[str, Any]] = {
        **result.tables,
        "attribution": attribution_columns(result.tables, float(config.capital_base)),
        "summary": summary,
    }
    return {
        name: {column: _plain(values) for column, values in table.items()}
        for name, table in tables.items()
    }


def _holdout_metrics(
    result: RunResult,
    begins: str,
    own: Sequence[OwnMetric],
    periods_per_year: float,
    risk_free: float,
) -> Columns:
    """Return a strategy's own metrics of a holdout alone: no process but this has its functions."""
    rows = summarize_tables(
        holdout_tables(result.tables, begins),
        periods_per_year=periods_per_year,
        risk_free=risk_free,
        own=own,
    )[-len(own) :]
    return {"metric": [row.metric for row in rows], "value": [row.value for row in rows]}


def holdout_tables(
    tables: Mapping[str, Mapping[str, Any]], begins: str
) -> dict[str, Mapping[str, Any]]:
    """Return what the metrics of a holdout alone need of a run.

    The curve begins with the value at the last close before the holdout, so that what the account
    earned by then is not in it.

    Args:
        tables: Of the whole run; times in microseconds.
        begins: First date of the holdout.
    """
    moment = datetime.fromisoformat(begins).replace(tzinfo=UTC)
    begins_at = int(moment.timestamp()) * 1_000_000
    times = np.asarray(tables["backtest_results"]["timestamp"], dtype=np.int64)
    return tables_since(tables, max(int(np.searchsorted(times, begins_at)) - 1, 0), begins_at)


def engine_config(identity: Mapping[str, Any], seed: int) -> EngineConfig:
    """Return the engine's settings that a run's identity asks for."""
    return EngineConfig(
        ledger=identity["ledger"],
        rules=ExecutionRules(**identity["execution"]),
        commission=CommissionConfig(**_exact(identity["commission"])),
        capital_base=Decimal(identity["capital_base"]),
        seed=seed,
        slippage=SlippageConfig(**_exact(identity.get("slippage", {}))),
        margin=MarginConfig(**_exact(identity.get("margin", {}))),
        instruments={
            symbol: InstrumentConfig(**_exact(values))
            for symbol, values in identity.get("instruments", {}).items()
        },
    )


def costs_in_words(result: RunResult, config: EngineConfig) -> dict[str, str]:
    """Return what the run's costs rest on; a strategy may have set what the config leaves open."""
    words = {}
    for name in ("commission", "slippage"):
        used = getattr(result, name)
        values = {field.name: getattr(used, field.name) for field in fields(used)}
        given = [f"{key} {value}" for key, value in values.items() if key != "model" and value]
        words[name] = " ".join([used.model, *given])
        if used is not getattr(config, name):
            words[name] += SET_BY_STRATEGY
    if result.benchmark is not None:
        words["benchmark"] = f"{result.benchmark}{SET_BY_STRATEGY}"
    return words


def _exact(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if name == "model" or value is None else Decimal(value)
        for name, value in values.items()
    }


def calendar_sessions(bars: Bars) -> Sessions:
    """Return the sessions of the bars' calendar, with whole weeks and months at both ends.

    A calendar whose table begins or ends within gives what it has.
    """
    if bars.sessions is not None:
        return bars.sessions
    from backtrail.data.sessions import (  # for those that ask, a file is read
        SESSION_MARGIN,
        sessions_around,
    )

    first, last = (
        date(1970, 1, 1) + timedelta(microseconds=int(bars.timestamps[row])) for row in (0, -1)
    )
    found = sessions_around(bars.calendar, first, last, SESSION_MARGIN)
    days = found.dates.astype("datetime64[D]").astype(np.int64)
    return Sessions(days, found.opens, found.closes)


def _plain(values: Any) -> Sequence[Any]:
    if not isinstance(values, np.ndarray):
        return list(values)
    return array("q" if values.dtype.kind == "i" else "d", values.tobytes())
