"""A run that searched, and what the stages of validation leave."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtrail.artifacts.schemas import TIMESTAMP, VALIDATION_SCHEMAS

from .backtests import write_small_run
from .store import Store
from .tables import moments

LUCK = {
    "trials": {"own": 72, "all": 90, "effective": 6.2},
    "psr": 0.985,
    "dsr": 0.31,
    "expected_maximum_sharpe": 0.61,
    "pbo": {"probability": 0.58},
    "spa": {"lower": 0.4, "p_value": 0.62, "upper": 0.8},
    "reality_check": {"p_value": 0.71},
}


def search_run(
    root: Path,
    *,
    fast: Any = (5, 10, 15, 20, 30, 40),
    slow: Any = tuple(range(50, 170, 10)),
    luck: Any = LUCK,
    verdict: str | None = "The best of 72 sets looks superb by itself; no edge is left of it.",
    curves: int = 5,
    **changes: Any,
) -> Store:
    """Write a run that searched two parameters and a name; every twelfth set failed."""
    search = {
        "constraints": [],
        "method": "grid",
        "objective": "sharpe_ratio",
        "samples": None,
        "select": "best",
        "space": [
            {"name": "fast", "values": list(fast)},
            {"name": "slow", "values": {"min": min(slow), "max": max(slow), "step": 10}},
            {"name": "mode", "values": ["even", "odd </script>"]},
        ],
        "where": "fast < slow",
    }
    store = write_small_run(root, **{"run_type": "optimization", "search": search, **changes})
    pairs = [(a, b) for a in fast for b in slow]
    count = len(pairs)
    numbers = np.arange(count)
    broken = numbers % 12 == 11
    cagr = 0.06 + 0.04 * np.sin(numbers / 3) - numbers / count * 0.03
    drawdown = -0.2 - 0.15 * np.cos(numbers / 5) ** 2
    sharpe = np.round(cagr / 0.12, 6)

    def where_made(values: Any) -> list[Any]:
        return [None if b else v for v, b in zip(values.tolist(), broken, strict=True)]

    objective = where_made(sharpe)
    ranked = sorted((i for i in range(count) if not broken[i]), key=lambda i: -sharpe[i])
    rank = {number: place + 1 for place, number in enumerate(ranked)}
    frame = pl.DataFrame(
        {
            "set": numbers,
            "params.fast": [a for a, _ in pairs],
            "params.slow": [b for _, b in pairs],
            "params.mode": [("even", "odd </script>")[i % 2] for i in range(count)],
            "cagr": where_made(cagr),
            "sharpe_ratio": objective,
            "max_drawdown": where_made(drawdown),
            "total_trades": where_made(10.0 + numbers % 7),
            "profit_factor": [float("inf") if i == 3 else v for i, v in enumerate(objective)],
            "objective": objective,
            "admissible": ~broken,
            "rank": [rank.get(i) for i in range(count)],
            "error": ["ValueError: <b>no window</b>" if b else None for b in broken],
        }
    )
    results = store.run_dir / "results"
    frame.write_parquet(results / "optimization_results.parquet")
    made = frame.filter(~pl.Series(broken))
    front = [
        row["set"]
        for row in made.iter_rows(named=True)
        if not made.filter(
            (pl.col("cagr") >= row["cagr"])
            & (pl.col("max_drawdown") >= row["max_drawdown"])
            & (pl.col("set") != row["set"])
        ).height
    ]
    frame.filter(pl.col("set").is_in(front)).write_parquet(results / "frontier.parquet")
    best = ranked[0]
    selection = {
        "set": best,
        "params": {"fast": pairs[best][0], "slow": pairs[best][1], "mode": "even"},
        "objective": {
            "words": "sharpe_ratio, the greater the better",
            "value": float(sharpe[best]),
        },
        "select": "best",
        "sets": count,
        "admissible": int((~broken).sum()),
        "failed": int(broken.sum()),
        "constraints": [],
        "method": "grid",
        "metrics": {"total_return": None},
        "tie_rule": "of equal values the set that comes first in the space",
    }
    store.write_json(results / "selection.json", selection)
    judged = (
        {"passed": False, "summary": verdict, "gates": [], "holdout": None} if verdict else None
    )
    known = {"selection": selection} | ({"verdict": judged} if judged else {})
    store.write_manifest(status="completed", grade="B", **known)
    if luck:
        store.write_json(results / "validation/overfitting/overfitting.json", luck)
    if judged:
        store.write_json(results / "validation/verdict.json", judged)
    times = moments(30)
    parts = [
        pl.DataFrame(
            {
                "set": [number] * 30,
                "timestamp": times,
                "equity": 1.0 + np.arange(30) * 0.01 * (place + 1),
            },
            schema_overrides={"timestamp": TIMESTAMP},
        )
        for place, number in enumerate(ranked[:curves])
    ]
    if parts:
        pl.concat(parts).write_parquet(results / "optimization_curves.parquet")
    return store


def write_validation(store: Store, **changes: Any) -> None:
    """Write what the stages of validation leave of a run; a part set to None is left out."""

    def window(first: str, last: str) -> dict[str, Any]:
        return {"first_at": f"{first}T00:00:00+00:00", "last_at": f"{last}T00:00:00+00:00"}

    def period(fold: int, out: float) -> dict[str, Any]:
        return {
            "fold": fold,
            "in_sample": window(f"200{fold}-01-03", f"200{fold}-12-28"),
            "out_of_sample": window(f"200{fold + 1}-01-09", f"200{fold + 1}-06-30"),
            "params": {"fast": 5 + fold, "slow": 60},
            "in_sample_figure": 0.81,
            "out_of_sample_figure": out,
            "in_sample_annual_return": 0.0812,
            "out_of_sample_annual_return": out / 10,
        }

    quantiles = {"0.05": -0.31, "0.5": -0.2, "0.95": -0.1}
    parts: dict[str, Any] = {
        "verdict": {
            "summary": "The best of 72 sets looks superb by itself, but <b>luck</b>: no edge.",
            "passed": False,
            "gates": [
                {"name": "psr", "passed": True, "words": "surely above zero (PSR 0.99)"},
                {"name": "dsr", "passed": False, "words": "luck of 72 trials (DSR 0.31)"},
            ],
            "holdout": {"start": "2016-01-04", "end": "2018-12-31", "words": "withheld"},
        },
        "overfitting/overfitting": {**LUCK, "assumptions": ["annual, 252 bars"]},
        "walk-forward/period-results": {
            "metric": "sharpe_ratio",
            "periods": [period(1, 0.42), period(2, -0.3)],
        },
        "walk-forward/efficiency-metrics": {
            "efficiency": None,
            "efficiency_words": "out of sample over in sample",
            "degradation": 0.25,
            "degradation_words": "1 less the ratio",
            "total_return": 0.1234,
        },
        "walk-forward/stability-metrics": {
            "parameters": [
                {"name": "fast", "values": [6, 7], "low": 5, "high": 10, "share": 1.0},
                {"name": "slow", "values": [60, None], "low": None, "high": None, "share": None},
            ]
        },
        "monte-carlo/confidence-intervals": {
            "intervals": [
                {
                    "statistic": "cagr",
                    "observed": 0.0533,
                    "low": 0.0029,
                    "high": 0.1054,
                    "level": 0.95,
                }
            ],
            "drawdown": {
                "histories": 1000,
                "max_drawdown": {"observed": -0.18, "median": -0.2, "worst": -0.4},
                "longest_drawdown": {"observed": 310, "median": 420, "worst": 1830},
                "level": 0.95,
                "ruin": {"fall": 0.5, "probability": 0.012},
            },
        },
        "monte-carlo/simulation-results": {
            "reordering": {"max_drawdown": {"observed": -0.18, "quantiles": quantiles}}
        },
        "controls/bias": {
            "checks": {
                "look_ahead": {
                    "passed": False,
                    "words": "At bar 40 a decision changed.",
                    "false_alarm_rate": 0.0,
                }
            }
        },
    }
    for name, value in {**parts, **changes}.items():
        if value is not None:
            store.write_json(store.run_dir / "results/validation" / f"{name}.json", value)


def write_costs(store: Store, *, unit: str = "basis_points", failed: bool = False) -> None:
    """Write a grid of two commissions by three slippages; the run itself is its middle cell."""
    levels = [(c, s) for c in (0.0, 1.0) for s in (0.0, 1.0, 4.0)]
    returns = [0.25, 0.125, -0.0625, 0.2, 0.1, -0.08]
    rows = [(None, None, 0.1), *((*level, r) for level, r in zip(levels, returns, strict=True))]
    broken = [failed and commission == 1.0 and slippage == 4.0 for commission, slippage, _ in rows]
    paid = [100.0 if commission != 0.0 else 0.0 for commission, _, _ in rows]
    lost = [10.0 * (1.0 if slippage is None else slippage) for _, slippage, _ in rows]

    def where_made(values: Any) -> list[Any]:
        return [None if b else value for value, b in zip(values, broken, strict=True)]

    frame = pl.DataFrame(
        {
            "commission": [row[0] for row in rows],
            "slippage": [row[1] for row in rows],
            "own": [row[0] is None for row in rows],
            "total_return": where_made(row[2] for row in rows),
            "cagr": where_made(row[2] / 10 for row in rows),
            "sharpe_ratio": where_made(row[2] * 2 for row in rows),
            "max_drawdown": where_made(-0.3 for _ in rows),
            "total_commission": where_made(paid),
            "total_slippage": where_made(lost),
            "total_trades": where_made(7 for _ in rows),
            "final_equity": where_made(1000.0 * (1.0 + row[2]) for row in rows),
            "fills": where_made(14 for _ in rows),
            "error": ["ValueError: <b>no cash</b>" if b else None for b in broken],
        },
        schema=VALIDATION_SCHEMAS["costs/grid"],
    )
    folder = store.run_dir / "results/validation/costs"
    folder.mkdir(parents=True)
    frame.write_parquet(folder / "grid.parquet")
    own = {
        "commission": "per_dollar cost 0.0001",
        "slippage": "fixed_bps basis_points 1",
        "set_by_strategy": ["commission"],
        "paid_basis_points": 2.0,
    }
    told = {
        "unit": unit,
        "commission": [0, 1],
        "slippage": [0, 1, 4],
        "own": own,
        "break_even": {"level": 3.5, "upper": 3.501, "words": "The profit is gone above 3.5 <b>."},
        "refused": None,
        "window": {"start": "2000-01-03", "end": "2001-12-31"},
        "assumptions": ["Every cell is a run", "levels are of each fill"],
    }
    store.write_json(folder / "cost-sensitivity.json", told)
