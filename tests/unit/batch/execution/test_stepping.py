"""Strategies in step form from their captured copy, in child processes."""

from importlib.util import cache_from_source, find_spec
from pathlib import Path

import pytest

from backtrail.batch import stages
from backtrail.batch.execution.evaluated_sets import evaluate_places
from backtrail.errors import ConfigError
from tests.unit.batch.support import batch_config, entry

COMPILED_STEP = find_spec("backtrail.optimization.compiled_step").origin
LEVELS = """
SPARE = 0.25


def is_below(close, peak, stop):
    return close < peak * (1.0 - stop)
"""
STEP = """
from dataclasses import dataclass

from lib.levels import SPARE, is_below


@dataclass(frozen=True)
class Params:
    fast: int = 3
    drop: float = 0.02


def inputs(bars, params):
    return {"mean": bars.sma(params.fast)}


def step(close, mean, weight, memory, drop):
    if weight > SPARE:
        memory[0] = max(memory[0], close)
        return 0.0 if is_below(close, memory[0], drop) else None
    if close > mean:
        memory[0] = close
        return 1.0
"""
SPACE = {"fast": {"min": 2, "max": 5, "step": 1}, "drop": [0.002, 0.02]}


def planned(project, text=STEP, **keys):
    project.write("strategies/lib/levels.py", LEVELS)
    project.write("strategies/stepping.py", text)
    batch = {"s": entry(strategy="strategies/stepping.py", ledger="float64", **keys)}
    project.configure(batch_config(batch=batch))
    (run,) = project.plan().runs
    return run


def searched(project, text=STEP, logs=None, space=SPACE):
    run = planned(project, text, optimize={"space": space})
    stages.capture_code(project.store, run.backtest_id)
    made = project.store.run(run.backtest_id)
    before = files_of(made.code)
    with project.executor() as executor:
        spec = made.read_spec()
        outcome, found = evaluate_places(executor, spec, made.code, (0, 8), None, logs=logs)
    assert files_of(made.code) == before
    return outcome, found.rows


def files_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def loops():
    """Return the kept loops of steps that take a parameter of this name."""
    kept = Path(cache_from_source(COMPILED_STEP)).parent / "steps"
    return [path for path in kept.glob("*/loop.txt") if "of_drop" in path.read_text()]


def test_sets_of_a_search_are_stepped_by_compiled_code_that_other_chunks_find(project):
    outcome, rows = searched(project)
    assert rows["error"].to_list() == [None] * 8
    assert rows["total_trades"].n_unique() > 1
    assert outcome.usage["opened"] == {}
    assert (outcome.usage["modules"], outcome.usage["unseen"]) == ([], [])
    before = loops()
    again, same = searched(project)
    assert loops() == before != []
    assert same.equals(rows)
    assert again.usage == outcome.usage


def test_the_metrics_of_a_set_are_those_of_a_run_of_it(project):
    _, rows = searched(project)
    row = rows.row(3, named=True)
    planned(project, params={"fast": 3, "drop": 0.02})
    plan, failed = project.run()
    assert failed == []
    made = project.store.run(plan.runs[0].backtest_id)
    metrics = made.read_manifest()["metrics"]
    for name in ("total_return", "sharpe_ratio", "max_drawdown", "total_trades", "win_rate"):
        assert row[name] == pytest.approx(metrics[name], rel=1e-9), name
    assert made.read_manifest()["grade"] == "B"
    assert made.read_spec()["identity"]["strategy"]["form"] == "step"
    assert {"levels.py", "stepping.py"} < {path.name for path in made.code.rglob("*.py")}


@pytest.mark.slow
def test_a_step_that_numba_cannot_compile_is_said_in_the_log_of_its_chunk(project, tmp_path):
    _, rows = searched(project)
    text = STEP.replace("return 1.0\n", "return {'in': 1.0, 2: 'out'}['in']\n")
    text = text.replace("drop", "fall")
    _, slow = searched(project, text, tmp_path, {"fast": SPACE["fast"], "fall": SPACE["drop"]})
    assert slow.equals(rows)
    said = (tmp_path / "stderr.txt").read_text()
    assert "step of strategy stepping is not compiled (stepping.py, line 17: No impl" in said


def test_a_step_that_takes_what_there_is_not_stops_the_batch_before_its_first_job(project):
    text = STEP.replace("def inputs", "def other").replace("close, mean,", "close, maen,")
    with pytest.raises(ConfigError, match=r"batch.s.strategy: .* takes 'maen', which is no field"):
        planned(project, text)
