"""What a store's searches came to, as JSON beside the comparison page: derived, always rebuilt.

Ranks and verdicts are those of `backtrail verdict`; nothing is computed here that a run did not
seal.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.history.verdicts import RANK_RULE, JudgedRun, judged_runs
from backtrail.batch.planning.validation_steps import validation_steps
from backtrail.files import write_json
from backtrail.reports.settings import STORE_REPORTS

__all__ = ["write_store_reports"]

_RISKS: Final = (
    "annual_volatility",
    "downside_deviation",
    "max_drawdown",
    "ulcer_index",
    "calmar_ratio",
    "worst_return",
    "value_at_risk",
    "conditional_value_at_risk",
    "skewness",
    "excess_kurtosis",
    "tail_ratio",
    "beta",
    "exposure",
    "turnover",
)
_REORDERED: Final = ("max_drawdown", "longest_drawdown", "lowest_equity")

Row = Mapping[str, Any]


def write_store_reports(store: RunStore, rows: Sequence[Row]) -> None:
    """Write `pipeline-summary.json`, `best-configurations.json` and `risk-analysis.json`.

    Args:
        store: The run store.
        rows: The catalogued runs, as the table of runs has them.
    """
    by_id = {row["backtest_id"]: row for row in rows}
    runs = [store.run(row["backtest_id"]) for row in rows if row["run_type"] == "optimization"]
    # A search that has lost files is left out until they are put back: the page has to come.
    searches = [
        run for run in runs if all(p.exists() for p in (run.success, run.spec, run.selection))
    ]
    judged = judged_runs(store, searches)
    contents = (
        _pipeline(store, rows, searches, judged),
        {
            "rank_rule": RANK_RULE,
            "configurations": [
                _configuration(store, by_id[run.backtest_id], rank, run)
                for rank, run in enumerate(judged, 1)
            ],
        },
        {
            "configurations": [
                _risk(store.run(run.backtest_id), by_id[run.backtest_id], rank, run)
                for rank, run in enumerate(judged, 1)
            ]
        },
    )
    for name, content in zip(STORE_REPORTS, contents, strict=True):
        write_json(store.base_dir / name, content)


def _pipeline(
    store: RunStore,
    rows: Sequence[Row],
    searches: Sequence[RunDir],
    judged: Sequence[JudgedRun],
) -> dict[str, Any]:
    selections = [run.read_selection() for run in searches]
    return {
        "runs": {
            "all": len(rows),
            "by_status": dict(Counter(row["status"] for row in rows)),
            "by_type": dict(Counter(row["run_type"] for row in rows)),
        },
        "searches": {
            "all": len(searches),
            "validated": len(judged),
            "passed": sum(run.passed for run in judged),
            "parameter_sets": {
                name: sum(selection[key] for selection in selections)
                for name, key in (
                    ("evaluated", "sets"),
                    ("failed", "failed"),
                    ("admissible", "admissible"),
                )
            },
        },
        "stages": dict(
            Counter(step for run in searches for step in validation_steps(_identity(run)))
        ),
        "gates": _gates(judged),
        "trials": _trials(store),
        "holdout_looks": sum(1 for _ in (store.ledger / "holdout").glob("*/*.json")),
        "rank_rule": RANK_RULE,
        "ranking": [
            {
                "rank": rank,
                **{
                    name: getattr(run, name)
                    for name in ("backtest_id", "name", "sets", "passed", "gates_passed", "summary")
                },
                "gates": len(run.gates),
            }
            for rank, run in enumerate(judged, 1)
        ],
    }


def _identity(run: RunDir) -> Mapping[str, Any]:
    identity: Mapping[str, Any] = run.read_spec()["identity"]
    return identity


def _gates(judged: Sequence[JudgedRun]) -> dict[str, dict[str, int]]:
    """Return how many searches each gate was set for, and how many passed it."""
    set_for = Counter(name for run in judged for name in run.gates)
    passed = Counter(name for run in judged for name in run.gates if run.gates[name]["passed"])
    return {name: {"searches": set_for[name], "passed": passed[name]} for name in set_for}


def _trials(store: RunStore) -> list[dict[str, Any]]:
    """Return what was ever tried, deleted runs and scripts included, by dataset and strategy."""
    tried: dict[tuple[str, str], list[int]] = {}
    for path in sorted((store.ledger / "trials").glob("*/*.json")):
        trial = json.loads(path.read_bytes())
        tried.setdefault((trial["dataset_id"], trial["family"]), []).append(int(trial["sets"]))
    return [
        {"dataset_id": dataset, "strategy": family, "runs": len(sets), "sets": sum(sets)}
        for (dataset, family), sets in sorted(tried.items())
    ]


def _configuration(store: RunStore, row: Row, rank: int, judged: JudgedRun) -> dict[str, Any]:
    run = store.run(judged.backtest_id)
    selection = run.read_selection()
    deployed = run.results / "deploy" / "strategy-config.json"
    return {
        "rank": rank,
        **judged.to_dict(),
        "strategy": {"file": row["strategy"], "code_hash": row["code_hash"]},
        "data": {
            "bundle": row["bundle"],
            "dataset_id": row["dataset_id"],
            "symbols": json.loads(row["symbols_json"]),
            "benchmark": row["benchmark"],
        },
        "window": selection["in_sample"],
        "objective": selection["objective"],
        "metrics": json.loads(row["metrics_json"]),
        "deploy": deployed.relative_to(store.base_dir).as_posix() if deployed.exists() else None,
    }


def _risk(run: RunDir, row: Row, rank: int, judged: JudgedRun) -> dict[str, Any]:
    metrics = json.loads(row["metrics_json"])
    simulated = _read(run, "monte-carlo/simulation-results.json") or {}
    reordering = simulated.get("reordering", {})
    intervals = _read(run, "monte-carlo/confidence-intervals.json") or {"intervals": []}
    bias = _read(run, "controls/bias.json") or {"checks": {}}
    costs = _read(run, "costs/cost-sensitivity.json")
    looked = judged.holdout
    return {
        "rank": rank,
        "backtest_id": judged.backtest_id,
        "name": judged.name,
        "passed": judged.passed,
        "metrics": {name: metrics.get(name) for name in _RISKS},
        "reordered": {name: reordering.get(name) for name in _REORDERED},
        "ruin": reordering.get("ruin"),
        "intervals": intervals["intervals"],
        "kept": {
            name: None if simulated.get(name) is None else simulated[name]["kept"]
            for name in ("parameter_noise", "price_noise")
        },
        "bias": {name: check["passed"] for name, check in bias["checks"].items()},
        "break_even": None if costs is None else {"unit": costs["unit"], **costs["break_even"]},
        "holdout": None
        if looked is None
        else {name: looked["holdout"].get(name) for name in ("max_drawdown", "annual_volatility")},
    }


def _read(run: RunDir, name: str) -> dict[str, Any] | None:
    path = run.results / "validation" / name
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content
