"""The verdict of a search run, from the files of its validation; and what may be deployed."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from backtrail.artifacts.exports import strategy_config
from backtrail.artifacts.rundir import RunDir
from backtrail.batch.execution.validation_files import (
    COST_UNIT_WORDS,
    benchmark_words,
    cash_words,
)
from backtrail.batch.planning.validation_steps import judged_files
from backtrail.canonical import sha256_file
from backtrail.files import write_json
from backtrail.optimization.search import Search, backtest_identity, in_sample_end
from backtrail.validation.checks import Check
from backtrail.validation.verdict import DEFAULT_GATES, Verdict, judge

__all__ = ["write_verdict"]

_FAULTS = ("look_ahead", "warm_up", "noise", "costs")


def write_verdict(spec: Mapping[str, Any], target: RunDir) -> None:
    """Judge a run, and write `validation/verdict.json`; if it passes, what may be deployed.

    Args:
        spec: The spec of the run.
        target: The run, with the files of its validation.
    """
    identity = spec["identity"]
    found = {name: _read(target, name) for name in judged_files(identity) if name.endswith("json")}
    selection = target.read_selection()
    overfitting = found.get("validation/overfitting/overfitting.json")
    objective = Search.of(spec).objective
    figures, reasons = _figures(found, identity["validate"])
    verdict = judge(
        figures,
        _checks(found),
        sets=selection["sets"],
        trials=selection["sets"] if overfitting is None else overfitting["trials"]["all"],
        benchmark=benchmark_words(identity) if overfitting is not None else cash_words(identity),
        metric=_words(objective if isinstance(objective, str) else "sharpe_ratio"),
        **_cost_unit(identity["validate"]),
        gates=_gates(identity["validate"]["gates"]),
        reasons=reasons,
    )
    told = {
        "passed": verdict.passed,
        "judged": verdict.judged,
        "summary": verdict.summary,
        "gates": [asdict(gate) for gate in verdict.gates],
        "set": selection["set"],
        "params": selection["params"],
        "window": {"start": identity["start"], "end": in_sample_end(identity)},
        "holdout": _holdout(identity),
    }
    write_json(target.results / "validation" / "verdict.json", told)
    if verdict.passed:
        path = target.results / "deploy" / "strategy-config.json"
        write_json(path, _deployed(spec, target, selection, verdict, tuple(found)))


def _words(metric: str) -> str:
    for name in ("Sharpe", "Sortino", "Calmar"):
        metric = metric.replace(name.lower(), name)
    return metric.replace("_", " ")


def _read(target: RunDir, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((target.results / name).read_bytes())
    return content


def _gates(options: Mapping[str, Any]) -> dict[str, float | None]:
    gates = {name: options[name] for name in DEFAULT_GATES if name in options}
    return {**gates, **dict.fromkeys(_FAULTS, 0.0 if options["bias"] else None)}


def _cost_unit(options: Mapping[str, Any]) -> dict[str, str]:
    asked = options.get("costs")
    return {} if asked is None else {"cost_unit": COST_UNIT_WORDS[asked["unit"]]}


def _figures(
    found: Mapping[str, Mapping[str, Any]], options: Mapping[str, Any]
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Return every figure a gate may be for, as far as it was asked for, and why some are None."""
    figures: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    luck = found.get("validation/overfitting/overfitting.json")
    if luck is not None:
        figures |= {name: luck[name] for name in ("psr", "dsr")}
        figures["pbo"] = None if luck["pbo"] is None else luck["pbo"]["probability"]
        figures["reality_check"] = luck["reality_check"]["p_value"]
        figures["spa"] = None if luck["spa"] is None else luck["spa"]["p_value"]
    walked = found.get("validation/walk-forward/efficiency-metrics.json")
    if walked is not None:
        figures["walk_forward_efficiency"] = walked["efficiency"]
    simulated = found.get("validation/monte-carlo/simulation-results.json")
    if simulated is not None:
        figures["ruin"] = simulated["reordering"].get("ruin")
        if figures["ruin"] is None:
            reasons["ruin"] = simulated["reordering"]["refused"]
        metric = _words(simulated["metric"])
        for name in ("parameter_noise", "price_noise"):
            if simulated[name] is not None:
                figures[name] = simulated[name]["kept"]
                if figures[name] is None:
                    reasons[name] = f"its {metric} is not above zero, or no variant has one"
        if simulated["price_noise"] is None and options["monte_carlo"]["noise_runs"]:
            figures["price_noise"] = None
            reasons["price_noise"] = f"its {metric} is undefined"
    costs = found.get("validation/costs/cost-sensitivity.json")
    if costs is not None:
        even = costs["break_even"]
        is_known = even["level"] is not None or even["upper"] is not None
        figures["break_even"] = (even["level"] or 0.0) if is_known else None
        if not is_known:
            reasons["break_even"] = even["words"].partition(": ")[2].rstrip(".")
    return figures, reasons


def _checks(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Check]:
    bias = found.get("validation/controls/bias.json")
    checks = {} if bias is None else bias["checks"]
    return {name: Check(name, **values) for name, values in checks.items()}


def _holdout(identity: Mapping[str, Any]) -> dict[str, Any] | None:
    holdout = identity["validate"].get("holdout")
    if holdout is None:
        return None
    return {
        "start": holdout["start"],
        "end": identity["end"],
        "words": "withheld; `backtrail holdout open` runs the selected set on it and counts the "
        "look",
    }


def _deployed(
    spec: Mapping[str, Any],
    target: RunDir,
    selection: Mapping[str, Any],
    verdict: Verdict,
    names: tuple[str, ...],
) -> dict[str, Any]:
    """Return what is to be traded, by what code and parameters, and every figure it rests on."""
    identity = spec["identity"]
    config = strategy_config(backtest_identity(identity, selection["params"]))
    return {
        **config,
        "dataset": dict(identity["dataset"]),
        "run_key": spec["run_key"],
        "trials_before": int(spec.get("trials_before", 0)),
        "figures": {gate.name: gate.figure for gate in verdict.gates},
        "rests_on": {f"results/{name}": sha256_file(target.results / name) for name in names},
    }
