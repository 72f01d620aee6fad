"""Evaluating one run: from its identity and bars to tables and metrics, as plain columns."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any

import numpy as np

from backtrail.engine import (
    Bars,
    CommissionConfig,
    EngineConfig,
    ExecutionRules,
    params_from,
    run_event,
    run_signal,
)
from backtrail.engine.strategy import Strategy
from backtrail.errors import StrategyError
from backtrail.metrics.summary import MetricRow, summarize_tables

__all__ = ["check_params", "engine_config", "evaluate_run"]

Columns = dict[str, Sequence[Any]]


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
    """Run a strategy and return the engine's tables and `summary`, the metrics.

    Args:
        strategy: From `load_strategy`.
        identity: Of the run spec: parameters, capital, costs, execution rules.
        bars: Prices of the universe.
        benchmark_bars: Prices of a benchmark outside the universe.
        seed: Derived from the run's identity.
        periods_per_year: Bars per year, for annual metrics.
        attributes: Set on the context and the instance before `initialize`; the signal form has
            neither.

    Returns:
        Lists, and arrays of the standard library, so that who reads them needs no NumPy.
    """
    params = params_from(strategy, identity["params"])
    config = engine_config(identity, seed)
    benchmark = identity["benchmark"]
    if strategy.form == "signal":
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
        )
    metrics = summarize_tables(result.tables, periods_per_year=periods_per_year)
    summary = {
        field.name: [getattr(row, field.name) for row in metrics] for field in fields(MetricRow)
    }
    tables: dict[str, Mapping[str, Any]] = {**result.tables, "summary": summary}
    return {
        name: {column: _plain(values) for column, values in table.items()}
        for name, table in tables.items()
    }


def engine_config(identity: Mapping[str, Any], seed: int) -> EngineConfig:
    """Return the engine's settings that a run's identity asks for."""
    commission = identity["commission"]
    return EngineConfig(
        ledger=identity["ledger"],
        rules=ExecutionRules(**identity["execution"]),
        commission=CommissionConfig(commission["model"], Decimal(commission["cost"])),
        capital_base=Decimal(identity["capital_base"]),
        seed=seed,
    )


def _plain(values: Any) -> Sequence[Any]:
    if not isinstance(values, np.ndarray):
        return list(values)
    return array("q" if values.dtype.kind == "i" else "d", values.tobytes())
