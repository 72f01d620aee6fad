"""Running a loaded strategy as an identity says: in the child of a batch, or in a script."""

import dataclasses
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from backtrail.artifacts.paths import RunPaths
from backtrail.engine import (
    Bars,
    CommissionConfig,
    EngineConfig,
    ExecutionRules,
    run_event,
    run_signal,
)
from backtrail.engine.strategy import Strategy, params_from
from backtrail.errors import StrategyError

__all__ = ["check_params", "run_strategy"]


def check_params(strategy: Strategy, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of a strategy under `values`, or what is wrong under `error`.

    Args:
        strategy: The strategy.
        given: Those that were given; the rest have their defaults.
    """
    try:
        params = params_from(strategy, given)
    except (StrategyError, ValueError, TypeError) as error:
        return {"error": str(error)}
    if params is None:
        return {"values": {}}
    fields = [field.name for field in dataclasses.fields(params) if field.init]
    return {"values": {name: getattr(params, name) for name in fields}}


def run_strategy(
    strategy: Strategy,
    identity: Mapping[str, Any],
    bars: Bars,
    *,
    benchmark_bars: Bars | None,
    seed: int,
    paths: RunPaths | None,
) -> dict[str, Any]:
    """Return the tables of a run.

    Args:
        strategy: The strategy.
        identity: Settings and parameters, as in a run spec.
        bars: Prices of the universe.
        benchmark_bars: Prices of a benchmark outside of it.
        seed: Seed of this run.
        paths: Where the strategy may write; nowhere when None.
    """
    config = EngineConfig(
        ledger=identity["ledger"],
        rules=ExecutionRules(**identity["execution"]),
        commission=CommissionConfig(
            identity["commission"]["model"], Decimal(identity["commission"]["cost"])
        ),
        capital_base=Decimal(identity["capital_base"]),
        seed=seed,
    )
    params = params_from(strategy, identity["params"])
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
        output_dir = None if paths is None else paths.output_dir
        result = run_event(
            strategy,
            bars,
            config,
            benchmark=benchmark,
            benchmark_bars=benchmark_bars,
            params=params,
            attributes={"artifact_manager": paths, "output_dir": output_dir},
        )
    return dict(result.tables)
