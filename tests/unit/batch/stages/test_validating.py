"""Steps of a validation that fail: told once, as the attempt that they belong to, and repeated."""

import json

import polars as pl
import pytest

from backtrail.batch import stages
from backtrail.batch.planning.validation_steps import validation_steps
from backtrail.errors import RunFailedError
from tests.unit.batch.stages.test_searching import plan_search

VALIDATE = {
    "monte_carlo": {"paths": 100, "noise_runs": 0},
    "bias": {"random_entries": 0, "noise": 0},
}


def executed(project, backtest_id, chunks, executor):
    for chunk in chunks:
        stages.evaluate_chunk(project.store, backtest_id, chunk, executor)
    stages.select_parameters(project.store, backtest_id, executor)
    stages.run_backtest(project.store, backtest_id, executor)


def test_a_failed_validation_is_the_same_attempt_and_the_next_call_another(project):
    backtest_id, chunks = plan_search(project, validate=VALIDATE)
    run = project.store.run(backtest_id)
    steps = validation_steps(run.read_spec()["identity"])
    assert steps == ("monte_carlo", "check_bias", "judge_run")
    with project.executor() as executor:
        executed(project, backtest_id, chunks, executor)
    assert (run.read_manifest()["status"], run.read_manifest()["attempt"]) == ("executed", 1)
    with project.executor(seconds=0.01) as hasty:
        for step in steps[:2]:
            with pytest.raises(
                RunFailedError,
                match=r"timeout: the run was stopped after its time limit of 0\.01 s",
            ):
                stages.validate_run(project.store, backtest_id, step, hasty)
    failed = run.read_manifest()
    assert (failed["status"], failed["attempt"]) == ("failed", 1)
    assert (failed["error"]["stage"], failed["error"]["kind"]) == ("monte_carlo", "timeout")
    errors = pl.read_parquet(run.errors / "errors.parquet")
    assert errors.select("attempt", "stage", "kind").rows() == [(1, "monte_carlo", "timeout")]
    with project.executor() as executor:
        executed(project, backtest_id, chunks, executor)
        assert run.read_manifest()["attempt"] == 2
        for step in steps:
            stages.validate_run(project.store, backtest_id, step, executor)
        stages.seal_run(project.store, backtest_id)
    sealed = run.read_manifest()
    assert (sealed["status"], sealed["attempt"], sealed["error"]) == ("completed", 2, None)
    assert not run.failed.exists()
    assert (run.results / "validation/verdict.json").exists()


BUY_AND_HOLD = """
from dataclasses import dataclass
import numpy as np

@dataclass(frozen=True)
class Params:
    fast: int = 2
    slow: int = 4

def target_weights(bars, params):
    return np.full(bars.close.shape, 1.0 / params.fast)
"""


def test_ruin_that_cannot_be_computed_is_a_gate_that_is_not_passed(project):
    backtest_id, chunks = plan_search(
        project, BUY_AND_HOLD, validate={"monte_carlo": {"paths": 100, "noise_runs": 0}}
    )
    run = project.store.run(backtest_id)
    with project.executor() as executor:
        executed(project, backtest_id, chunks, executor)
        for step in validation_steps(run.read_spec()["identity"]):
            stages.validate_run(project.store, backtest_id, step, executor)
    verdict = json.loads((run.results / "validation/verdict.json").read_bytes())
    (gate,) = [gate for gate in verdict["gates"] if gate["name"] == "ruin"]
    assert (gate["figure"], gate["passed"], verdict["passed"]) == (None, False, False)
    reason = "could not be computed (reordering needs two trades or more, and there are 0)"
    assert gate["words"] == f"the share of orders that end in ruin {reason}"
    assert reason in verdict["summary"]
