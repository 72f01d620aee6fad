"""Searches that a script makes: the same run as an entry of a batch."""

import json

import pytest

from backtrail import run_algorithm
from backtrail.batch.planning.loading import open_batch
from backtrail.batch.planning.plan import make_plan
from backtrail.errors import ConfigError, RunFailedError
from tests.unit.batch.support import batch_config, entry

from .project import WINDOW, manifest

SEARCH = {
    "optimize": {"space": {"fast": [2, 3, 4], "slow": {"min": 4, "max": 8, "step": 4}}},
    "where": "fast < slow",
}
JUDGED = {
    "walk_forward": {"in_sample": 16, "out_of_sample": 6},
    "overfitting": {"against": "cash"},
}


def search(project, **changes):
    return run_algorithm(project.sma, **{**WINDOW, "symbols": ["AAA"], **SEARCH, **changes})


def test_a_script_makes_the_search_of_a_batch_and_finds_it_again(project):
    found = search(project, validate=JUDGED)
    sets = found.table("optimization_results")
    assert sets["params.fast", "params.slow"].rows() == [(2, 4), (2, 8), (3, 4), (3, 8), (4, 8)]
    best = sets.sort("objective", descending=True).row(0, named=True)
    assert found.selection["params"] == {"fast": best["params.fast"], "slow": best["params.slow"]}
    assert found.metrics["sharpe_ratio"] == pytest.approx(best["sharpe_ratio"], rel=1e-9)
    assert len(found.performance) == 40, "the run is of the selected set"
    assert found.verdict == json.loads(
        (found.output_dir / "results/validation/verdict.json").read_bytes()
    )
    assert len(found.verdict["gates"]) > 1
    assert search(project, validate=JUDGED).reused

    batch = {"mine": entry(**WINDOW, symbols=["AAA"], **SEARCH, validate=JUDGED)}
    project.configure(batch_config(batch=batch))
    (planned,) = make_plan(
        open_batch([project.root / "config/config.yaml"], root=project.root)
    ).runs
    assert (planned.backtest_id, planned.state) == (found.backtest_id, "reused")
    assert planned.run_key == manifest(found.output_dir)["run_key"]


def test_every_set_is_counted_as_a_trial(project):
    found = search(project)
    assert found.verdict is None
    (counted,) = (project.store.ledger / "trials").glob("*/*.json")
    assert json.loads(counted.read_bytes())["sets"] == 5
    assert run_algorithm(project.sma, **WINDOW, symbols=["AAA"]).selection is None


def test_functions_of_a_script_are_searched_in_their_captured_copy(project):
    printed = project.script(
        """
        from dataclasses import dataclass

        from backtrail import run_algorithm
        from backtrail.engine.api import order_target_percent


        @dataclass(frozen=True)
        class Params:
            share: float = 0.5


        def handle_data(context, data):
            order_target_percent(context.universe[0], context.params.share)


        result = run_algorithm(
            handle_data=handle_data, start="2020-01-02", end="2020-02-26",
            optimize={"space": {"share": [0.25, 0.75]}, "objective": "total_return"},
        )
        print(sorted(result.table("optimization_results")["params.share"]), result.grade)
        """
    )
    assert printed == "[0.25, 0.75] B\n"


def test_mistakes_are_told_in_the_words_of_the_call(project):
    with pytest.raises(ConfigError) as caught:
        search(project, optimize={"space": {"fast": []}, "objective": "luck"}, validate={"bais": 1})
    text = str(caught.value)
    assert "run_algorithm: optimize.space.fast: [] does not fit" in text
    assert "run_algorithm: validate.bais: the key 'bais' is unknown; did you mean 'bias'?" in text
    assert "batch." not in text
    with pytest.raises(
        ConfigError, match=r"run_algorithm: validate.walk_forward: there is no search"
    ):
        search(project, optimize=None, where=None, validate=JUDGED)
    assert not project.store.base_dir.exists()


def test_a_script_asks_what_a_run_comes_to_at_other_costs(project):
    asked = {"validate": {"costs": {"commission": [0, 25], "slippage": [0]}}}
    found = run_algorithm(project.sma, **WINDOW, symbols=["AAA"], **asked)
    grid = found.table("validation/costs/grid")
    own, free, dear = (row for row in grid.iter_rows(named=True))
    assert own["total_return"] == found.metrics["total_return"]
    assert free["final_equity"] > dear["final_equity"]
    assert dear["total_commission"] > 0.0
    assert found.verdict["gates"] == []


@pytest.mark.parametrize("level", [float("nan"), float("inf"), -1])
def test_a_level_of_costs_that_is_no_cost_is_refused(project, level):
    with pytest.raises(ConfigError, match=r"run_algorithm: validate\.costs\.slippage\[1\]"):
        run_algorithm(
            project.sma, **WINDOW, symbols=["AAA"], validate={"costs": {"slippage": [0, level]}}
        )
    assert not project.store.base_dir.exists()


@pytest.mark.parametrize(
    ("given", "why"),
    [({"code_capture_mode": None}, "code_capture_mode is None"), ({"enabled": False}, "is False")],
)
def test_a_search_needs_captured_code_and_a_directory(project, given, why):
    with pytest.raises(ConfigError, match=f"optimize: a search works from captured code.*{why}"):
        search(project, **given)
    assert not project.store.base_dir.exists()


def test_a_search_of_which_every_set_fails_is_a_failed_run(project):
    project.write(
        "strategies/sma.py",
        project.sma.read_text().replace("closes = data", "raise ValueError('no'); closes = data"),
    )
    with pytest.raises(RunFailedError) as caught:
        search(project)
    run = project.store.run(caught.value.backtest_id)
    assert run.failed.exists()
    assert (run.errors / "optimization_results.parquet").exists()
