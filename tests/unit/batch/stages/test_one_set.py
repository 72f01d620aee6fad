"""A plain entry that is validated: the search of the one set that it names."""

import json

import polars as pl
import pytest

from backtrail.artifacts.schemas import VALIDATION_SCHEMAS
from backtrail.batch import stages
from backtrail.batch.history.showing import run_text
from backtrail.batch.planning.validation_steps import validation_steps
from backtrail.errors import ConfigError, RunFailedError
from backtrail.reports.settings import ReportConfig
from tests.unit.batch.support import batch_config, entry, functions

ASKED = {
    "bias": {"random_entries": 20, "noise": 0, "warm_up": 5},
    "monte_carlo": {"paths": 100, "noise_runs": 2},
}
HOLD_HALF = """
import numpy as np

def target_weights(bars, params):
    return np.where(np.arange(len(bars.close)) % 10 < 5, 0.5, 0.0)[:, np.newaxis]
"""
EVERY_OTHER = """
def step(close, weight, memory):
    memory[0] += 1.0
    return 0.5 if memory[0] % 10.0 < 5.0 else 0.0
"""
BRIEF = {"random_entries": 0, "noise": 0, "warm_up": None, "costs": False}
HOLDER = functions(
    initialize="context.bought = False",
    handle_data="""
        from backtrail.engine.api import order, symbol
        if not context.bought:
            context.bought = True
            order(symbol("AAA"), 10)
    """,
)
PEEKER = """
def target_weights(bars, params):
    close = bars.close
    tomorrow = close.copy()
    tomorrow[:-1] = close[1:]
    return (tomorrow > close).astype(float)
"""
ALL = ReportConfig(kinds=("basic", "advanced", "search", "pdf"))


def sealed(project, validate, **keys):
    """Take the only entry through every stage, and return its run."""
    project.configure(batch_config(batch={"one": entry(validate=validate, **keys)}))
    plan = project.plan()
    (planned,) = plan.runs
    run = project.store.run(planned.backtest_id)
    stages.capture_code(project.store, planned.backtest_id)
    with project.executor() as executor:
        for chunk in plan.searches[planned.backtest_id]:
            stages.evaluate_chunk(project.store, planned.backtest_id, chunk, executor)
        stages.select_parameters(project.store, planned.backtest_id, executor)
        stages.run_backtest(project.store, planned.backtest_id, executor)
        for step in validation_steps(run.read_spec()["identity"]):
            stages.validate_run(project.store, planned.backtest_id, step, executor)
        stages.seal_run(project.store, planned.backtest_id)
    return run


def read(run, name):
    return json.loads((run.results / "validation" / name).read_bytes())


@pytest.mark.parametrize("params", [None, {"fast": 2, "slow": 6}], ids=["no Params", "Params"])
def test_a_plain_entry_is_checked_for_bias_and_by_monte_carlo(project, params):
    project.write("strategies/hold.py", HOLDER)
    strategy = "strategies/sma.py" if params else "strategies/hold.py"
    run = sealed(project, ASKED, strategy=strategy, params=params or {})
    manifest = run.read_manifest()
    assert manifest["status"] == "completed"
    assert (manifest["selection"]["params"], manifest["selection"]["sets"]) == (params or {}, 1)
    assert pl.read_parquet(run.results / "optimization_results.parquet").height == 1
    assert read(run, "controls/bias.json")["checks"].keys() == {
        "costs", "look_ahead", "random_entries", "warm_up",
    }  # fmt: skip
    simulated = read(run, "monte-carlo/simulation-results.json")
    assert (simulated["parameter_noise"] is None) == (params is None), "there is none to disturb"
    assert simulated["price_noise"]["samples"] == 2
    gates = {gate["name"] for gate in read(run, "verdict.json")["gates"]}
    assert gates >= {"look_ahead", "warm_up", "costs", "random_entries", "price_noise"}
    pages = stages.render_report(project.store, run.backtest_id, project.bundles, config=ALL)
    basic, _, search, _ = pages
    assert "looks good by luck" not in basic.read_text(), "nothing was chosen"
    shown = run_text(run)
    assert f"parameters  {'fast=2 slow=6' if params else 'none'}" in shown
    assert "searched" not in shown
    assert "\n  verdict" in shown
    assert ("fast 2; slow 6" if params else "no parameters") in search.read_text()
    trials = json.loads(
        project.store.trial_path(
            manifest["identity"]["dataset"]["dataset_id"], manifest["run_key"]
        ).read_bytes()
    )
    assert trials["sets"] == 1


def test_the_figures_of_a_validated_entry_are_those_of_the_plain_one(project):
    validated = sealed(project, {"bias": BRIEF}).read_manifest()
    project.configure(batch_config())
    plan, _ = project.run()
    plain = project.store.run(plan.runs[0].backtest_id).read_manifest()
    assert plain["run_key"] != validated["run_key"]
    assert plain["metrics"] == validated["metrics"]


def test_a_strategy_without_params_that_looks_ahead_is_caught(project):
    project.write("strategies/peeker.py", PEEKER)
    run = sealed(project, {"bias": BRIEF}, strategy="strategies/peeker.py")
    check = read(run, "controls/bias.json")["checks"]["look_ahead"]
    assert check["passed"] is False
    assert check["figure"] > 0
    assert read(run, "verdict.json")["passed"] is False


COSTS = {"commission": [0, 10, 30], "slippage": [0, 5]}
BY_ITSELF = functions(
    top="from backtrail.engine.api import commission, order_target_percent, set_commission, symbol",
    initialize="set_commission(commission.PerTrade(3))\ncontext.bars = 0",
    handle_data="""
        context.bars += 1
        order_target_percent(symbol("AAA"), float(context.bars % 10 < 5))
    """,
)


@pytest.mark.parametrize("form", ["event", "signal", "step"])
def test_a_run_of_every_form_is_executed_again_at_other_costs(project, form):
    if form == "signal":
        project.write("strategies/one.py", HOLD_HALF)
    elif form == "step":
        project.write("strategies/one.py", EVERY_OTHER)
    else:
        project.write("strategies/one.py", BY_ITSELF)
    paid = {} if form == "event" else {"commission": {"model": "per_dollar", "cost": 0.001}}
    run = sealed(project, {"costs": COSTS}, strategy="strategies/one.py", **paid)
    table = pl.read_parquet(run.results / "validation/costs/grid.parquet")
    assert dict(table.schema) == VALIDATION_SCHEMAS["costs/grid"]
    own, cells = table.row(0, named=True), table.filter(~pl.col("own"))
    assert cells["commission", "slippage"].rows() == [
        (commission, slippage) for commission in (0, 10, 30) for slippage in (0, 5)
    ]
    metrics = run.read_manifest()["metrics"]
    curve = pl.read_parquet(run.results / "backtest_results.parquet")["portfolio_value"]
    assert own["final_equity"] == curve[-1]
    for name in ("total_return", "cagr", "sharpe_ratio", "max_drawdown", "total_commission",
                 "total_slippage", "total_trades"):  # fmt: skip
        assert own[name] == metrics[name], name
    same = cells.row(by_predicate=(pl.col("commission") == 10) & (pl.col("slippage") == 0),
                     named=True)  # fmt: skip
    free = cells.row(0, named=True)
    assert free["final_equity"] > max(own["final_equity"], cells["final_equity"][1])
    if form != "event":
        assert {**same, "commission": None, "slippage": None, "own": True} == own
    told = read(run, "costs/cost-sensitivity.json")
    assert told["own"]["set_by_strategy"] == (["commission"] if form == "event" else [])
    assert (told["commission"], told["unit"]) == ([0, 10, 30], "basis_points")
    assert "results/validation/costs/grid.parquet" in run.read_manifest()["inventory"]


def test_a_gate_asks_how_much_the_profit_has_to_bear(project):
    gates = {"break_even": 5, "bias": False}
    run = sealed(project, {"costs": {"commission": [0], "slippage": [0]}, "gates": gates})
    (gate,) = read(run, "verdict.json")["gates"]
    even = read(run, "costs/cost-sensitivity.json")["break_even"]
    assert (gate["name"], gate["threshold"]) == ("break_even", 5)
    assert gate["figure"] == (even["level"] or 0.0)
    assert gate["passed"] is (gate["figure"] >= 5)


def test_multiples_of_a_cost_that_nobody_gave_fail_the_run_of_an_event_strategy(project):
    with pytest.raises(RunFailedError, match="nor strategy gives the run a slippage"):
        sealed(project, {"costs": {"unit": "multiples"}},
               commission={"model": "per_dollar", "cost": 0.001})  # fmt: skip


def test_multiples_of_a_cost_that_nobody_gave_are_refused_before_a_signal_strategy_runs(project):
    project.write("strategies/one.py", HOLD_HALF)
    with pytest.raises(ConfigError) as caught:
        sealed(project, {"costs": {"unit": "multiples", "slippage": [1]}},
               strategy="strategies/one.py")  # fmt: skip
    text = str(caught.value)
    assert (
        "batch.one.validate.costs.commission: multiples are asked for, and the run has no "
        "commission; give it one, name a single level, or use unit: basis_points"
    ) in text
