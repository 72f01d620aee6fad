"""Metrics that a strategy defines: in a plain run, as objective and constraint, on a holdout."""

import json

import polars as pl
import pytest

from backtrail.batch import stages
from backtrail.batch.closing.linking import link_catalog
from backtrail.batch.execution.outcome import Limits
from backtrail.batch.history.replay import replay_runs
from backtrail.batch.holdout import open_holdout
from backtrail.errors import ConfigError
from backtrail.metrics import probabilistic_sharpe_ratio
from tests.unit.batch.stages.test_searching import finish, plan_search
from tests.unit.batch.support import batch_config, entry

LIBRARY = '''
import numpy as np

from backtrail.metrics import metric


@metric(unit="fraction")
def worst_three(returns):
    """Mean of the three worst returns of one bar."""
    return float(np.sort(returns)[:3].mean())


@metric(unit="bars", assumption="closed round trips")
def longest_trade(trades):
    return int(trades["bars_held"].max()) if len(trades["pnl"]) else None


@metric(unit="bars")
def bars_seen(equity):
    return len(equity)
'''
TOP = """
from dataclasses import dataclass

from lib.tails import worst_three as tail
"""
SIGNAL = (
    TOP
    + """

@dataclass(frozen=True)
class Params:
    fast: int = 3
    slow: int = 8


def target_weights(bars, params):
    return (bars.sma(params.fast) > bars.sma(params.slow)) * 1.0
"""
)
TRADING = SIGNAL.replace("worst_three as tail", "longest_trade, worst_three as tail")


@pytest.fixture
def project(project):
    project.write("strategies/lib/tails.py", LIBRARY)
    return project


def plain_run(project, text, **keys):
    project.write("strategies/sma.py", text)
    project.configure(batch_config(batch={"plain": entry(**keys)}))
    plan, failed = project.run()
    return project.store.run(plan.runs[0].backtest_id), failed


def test_a_run_has_the_metrics_that_its_strategy_imports_from_captured_code(project):
    run, failed = plain_run(project, TRADING)
    assert failed == []
    curve = pl.read_parquet(run.results / "backtest_results.parquet")
    trades = pl.read_parquet(run.results / "trades.parquet").filter(~pl.col("is_open"))
    worst = curve["returns"].drop_nulls().sort()[:3].mean()
    told = json.loads((run.results / "performance-metrics.json").read_bytes())
    assert told["tail"] == {
        "value": pytest.approx(worst, rel=1e-12),
        "unit": "fraction",
        "assumption": "Mean of the three worst returns of one bar.",
    }
    assert told["longest_trade"]["value"] == trades["bars_held"].max() > 1
    summary = pl.read_parquet(run.results / "summary.parquet")
    assert summary["metric"].to_list()[-2:] == ["longest_trade", "tail"]
    assert run.read_manifest()["metrics"]["tail"] == told["tail"]["value"]
    assert (run.code / "strategies/lib/tails.py").read_text() == LIBRARY


def test_an_own_metric_is_given_the_returns_of_the_benchmark(project):
    text = SIGNAL.replace(
        "from lib.tails import worst_three as tail",
        "from backtrail.metrics import metric\n\n\n@metric\n"
        "def ahead(returns, benchmark_returns):\n"
        "    return returns.sum() - benchmark_returns.sum()",
    )
    run, failed = plain_run(project, text, benchmark="AAA")
    assert failed == []
    curve = pl.read_parquet(run.results / "backtest_results.parquet")
    ahead = curve["returns"].sum() - curve["benchmark_returns"].sum()
    assert run.read_manifest()["metrics"]["ahead"] == pytest.approx(ahead, rel=1e-9)
    assert ahead != curve["returns"].sum()


def test_own_metrics_stand_in_the_catalog(project):
    run, _ = plain_run(project, TRADING)
    link_catalog(f"sqlite:///{project.root}/catalog.sqlite", project.store, project.bundles)
    row = pl.read_parquet(project.store.runs_table).row(0, named=True)
    assert json.loads(row["metrics_json"])["tail"] == run.read_manifest()["metrics"]["tail"]


def test_a_metric_that_raises_fails_the_run_and_shows_where(project):
    text = SIGNAL.replace(
        "from lib.tails import worst_three as tail",
        "from backtrail.metrics import metric\n\n\n@metric\n"
        "def mine(equity):\n    return equity[99]",
    )
    run, (failed,) = plain_run(project, text)
    assert failed == run.backtest_id
    error = run.read_manifest()["error"]
    assert error["kind"] == "StrategyError"
    assert error["message"].startswith("metric mine raised IndexError: index 99 is out of bounds")
    table = pl.read_parquet(run.errors / "errors.parquet")
    assert 'File "strategies/sma.py", line 9, in mine' in table["traceback"][-1]


@pytest.mark.parametrize("text", [SIGNAL, TRADING])
def test_the_plan_knows_which_own_metrics_look_at_trades(project, text):
    plan_search(project, text, optimize={"objective": "tail"})
    (words,) = project.plan().estimates.values()
    assert ("by the event engine" in words) is (text is TRADING)


@pytest.mark.parametrize("text", [SIGNAL, TRADING])
def test_an_own_metric_is_objective_and_constraint_and_the_same_in_sweep_and_run(project, text):
    optimize = {"objective": "tail", "constraints": ["tail < -0.001", "total_trades >= 1"]}
    backtest_id, chunks = plan_search(project, text, optimize=optimize, ledger="decimal")
    run = finish(project, backtest_id, chunks)
    table = pl.read_parquet(run.results / "optimization_results.parquet")
    own = ["tail"] if text is SIGNAL else ["longest_trade", "tail"]
    assert table.columns[table.columns.index("profit_factor") + 1 :] == [
        *own, "objective", "admissible", "rank", "error",
    ]  # fmt: skip
    assert table["error"].null_count() == len(table)
    best = table.filter(pl.col("rank") == 1).row(0, named=True)
    able = table.filter((pl.col("tail") < -0.001) & (pl.col("total_trades") >= 1))
    assert best["tail"] == best["objective"] == able["tail"].max()
    assert table["tail"].n_unique() > 2
    selection = run.read_selection()
    assert selection["objective"]["words"] == "tail, the greater the better"
    metrics = run.read_manifest()["metrics"]
    for name in own:
        assert selection["metrics"][name] == best[name]
        assert metrics[name] == pytest.approx(best[name], rel=1e-9)
    (replay,) = replay_runs(project.store, [run], project.bundles, Limits(seconds=60.0))
    assert replay.state == "identical", replay


def test_an_own_metric_is_told_of_the_holdout_alone_and_beside_the_one_before(project):
    validate = {"holdout": {"start": "2020-02-10", "warm_up": 25}}
    text = TRADING.replace("longest_trade,", "bars_seen, longest_trade,")
    backtest_id, chunks = plan_search(
        project, text, optimize={"objective": "tail"}, validate=validate
    )
    search = finish(project, backtest_id, chunks)
    opened = open_holdout(project.store, search, project.bundles, Limits())
    run = project.store.run(opened.backtest_id)
    curve = pl.read_parquet(run.results / "backtest_results.parquet").with_columns(
        pl.col("timestamp").dt.strftime("%Y-%m-%d").alias("day")
    )
    inside = curve.filter(pl.col("day") >= "2020-02-10")
    assert 5 < len(inside) < len(curve)
    worst = inside["returns"].sort()[:3].mean()
    assert opened.figures["tail"] == pytest.approx(worst, rel=1e-12)
    assert opened.figures["bars_seen"] == len(inside) + 1  # from the close before
    assert run.read_manifest()["metrics"]["bars_seen"] == len(curve)
    assert opened.in_sample["tail"] == search.read_selection()["metrics"]["tail"]


def test_a_holdout_is_judged_over_the_rate_of_its_search(project):
    text = (
        SIGNAL
        + """

from backtrail.metrics import metric


@metric
def left_by_cash(returns, risk_free_per_period):
    return float(returns.mean() - risk_free_per_period)
"""
    )
    validate = {"holdout": {"start": "2020-02-10", "warm_up": 25}}
    keys = {"validate": validate, "risk_free_rate": 0.05}
    search = finish(project, *plan_search(project, text, **keys))
    opened = open_holdout(project.store, search, project.bundles, Limits())
    run = project.store.run(opened.backtest_id)
    curve = pl.read_parquet(run.results / "backtest_results.parquet").filter(
        pl.col("timestamp") >= pl.datetime(2020, 2, 10, time_zone="UTC")
    )
    above = curve["returns"] - (1.05 ** (1 / 260) - 1)
    ratio = above.mean() / above.std(ddof=1) * 260**0.5
    assert opened.figures["sharpe_ratio"] == pytest.approx(ratio, rel=1e-9)
    assert opened.figures["left_by_cash"] == pytest.approx(above.mean(), rel=1e-9)
    told = json.loads((run.results / "validation/holdout/validation-results.json").read_bytes())
    assert told["summary"].startswith("On the holdout the Sharpe ratio over 5% a year is ")
    assert told["psr"] == pytest.approx(probabilistic_sharpe_ratio(above), rel=1e-9)


def told(project, **optimize):
    project.write("strategies/sma.py", SIGNAL)
    keys = {"space": {"fast": [2, 3]}, **optimize}
    project.configure(batch_config(batch={"s": entry(optimize=keys)}))
    with pytest.raises(ConfigError) as error:
        project.batch()
    return [str(problem) for problem in error.value.problems]


def test_a_metric_that_nobody_defines_is_a_mistake_of_the_config(project):
    known = (
        "total_return, cagr, annual_volatility, sharpe_ratio, sortino_ratio, calmar_ratio, "
        "max_drawdown, total_trades, win_rate, profit_factor, tail"
    )
    assert told(project, objective="tails", constraints=["beta > 1", "tail < 0"]) == [
        "config.yaml: batch.s.optimize.objective: there is no metric 'tails' of parameter sets; "
        "did you mean 'tail'?",
        "config.yaml: batch.s.optimize.constraints[0]: there is no metric 'beta' of parameter "
        f"sets; metrics: {known}",
    ]
    assert told(project, objective={"sharp_ratio": 1, "tail": 2}) == [
        "config.yaml: batch.s.optimize.objective: there is no metric 'sharp_ratio' of parameter "
        "sets; did you mean 'sharpe_ratio'?"
    ]


def test_a_metric_with_a_taken_name_stops_the_batch_before_its_first_job(project):
    project.write("strategies/sma.py", SIGNAL.replace("worst_three as tail", "worst_three as beta"))
    with pytest.raises(ConfigError) as error:
        project.batch()
    assert [str(problem) for problem in error.value.problems] == [
        "config.yaml: batch.sma.strategy: strategies/sma.py: metric beta of strategy sma has the "
        "name of a metric of every run; rename it; see strategies/README.md for the forms of a "
        "strategy"
    ]


def test_every_set_fails_where_a_metric_cannot_be_computed_and_the_table_is_kept(project):
    text = SIGNAL.replace(
        "from lib.tails import worst_three as tail",
        "from backtrail.metrics import metric\n\n\n@metric\ndef mine(returns):\n    return 'much'",
    )
    backtest_id, chunks = plan_search(project, text, optimize={"objective": "mine"})
    with project.executor() as executor:
        for chunk in chunks:
            stages.evaluate_chunk(project.store, backtest_id, chunk, executor)
        with pytest.raises(Exception, match="none of 8 parameter sets can be selected"):
            stages.select_parameters(project.store, backtest_id, executor)
    run = project.store.run(backtest_id)
    table = pl.read_parquet(run.errors / "optimization_results.parquet")
    assert set(table["error"]) == {
        "StrategyError: metric mine returned 'much'; it has to be a finite number, or None where "
        "it is undefined"
    }
