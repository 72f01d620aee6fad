import math
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from backtrail.artifacts.rundir import RunDir
from backtrail.batch import stages
from backtrail.batch.execution.asking import Pace
from backtrail.batch.execution.evaluated_sets import (
    EvaluatedSets,
    evaluate_places,
    searched_numbers,
)
from backtrail.batch.execution.outcome import Limits, StrategyFailedError
from backtrail.batch.execution.selection_files import write_selection
from backtrail.batch.execution.set_evaluation import default_block, without_ruin
from backtrail.errors import NoAdmissibleSetError
from backtrail.optimization.search import SWEEP_METRICS, Search
from tests.unit.batch.support import batch_config, entry

SIGNAL = """
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Params:
    fast: int = 3
    slow: int = 8
    scale: float = 1.0

    def __post_init__(self):
        if self.fast == 4:
            raise ValueError("four is refused")


def target_weights(bars, params):
    print("asked for", params.fast)
    open("mine.txt", "w").write("what a set writes is no result")
    return (bars.sma(params.fast) > bars.sma(params.slow)) * params.scale
"""
SPACE = {"fast": {"min": 2, "max": 5, "step": 1}, "slow": [8, 12]}


def searching(project, text=SIGNAL, **keys):
    """Return the project's only run, planned and captured."""
    project.write("strategies/sma.py", text)
    optimize = {"space": SPACE, **keys.pop("optimize", {})}
    project.configure(batch_config(batch={"s": entry(optimize=optimize, **keys)}))
    (planned,) = project.plan().runs
    stages.capture_code(project.store, planned.backtest_id)
    return project.store.run(planned.backtest_id)


def evaluated(project, run, *cuts, numbers=None, **limits):
    spec = run.read_spec()
    edges = [0, *cuts, Search.of(spec).draws]
    with project.executor(**limits) as executor:
        return [
            evaluate_places(executor, spec, run.code, places, numbers)[1]
            for places in pairwise(edges)
        ]


def test_every_set_is_a_row_and_one_that_raises_has_its_error(project):
    run = searching(project)
    (found,) = evaluated(project, run)
    assert found.rows["set"].to_list() == list(range(8))
    assert found.rows["error"].to_list() == [
        *[None] * 4, *["StrategyError: strategy sma refuses its parameters: four is refused"] * 2,
        *[None] * 2,
    ]  # fmt: skip
    assert found.rows["sharpe_ratio"].null_count() == 2
    assert found.rows["total_trades"].drop_nulls().to_list() != [0.0] * 6
    assert found.statistics is None
    assert not (run.code / "mine.txt").exists()
    assert not run.results.exists()


def test_the_metrics_of_a_set_are_those_of_a_run_of_it(project):
    run = searching(project)
    (found,) = evaluated(project, run)
    row = found.rows.row(7, named=True)
    project.configure(
        batch_config(batch={"plain": entry(params={"fast": 5, "slow": 12}, ledger="float64")})
    )
    project.write("strategies/sma.py", SIGNAL.replace('    open("mine.txt"', "    #"))
    plan, failed = project.run()
    assert failed == []
    metrics = project.store.run(plan.runs[0].backtest_id).read_manifest()["metrics"]
    for name in ("total_return", "sharpe_ratio", "max_drawdown", "total_trades", "win_rate"):
        assert row[name] == pytest.approx(metrics[name], rel=1e-9), name


def test_chunks_joined_in_any_order_are_the_whole_with_its_statistics(project):
    validate = {"overfitting": {"blocks": 4, "bootstraps": 100, "against": "cash"}}
    run = searching(project, validate=validate)
    (whole,) = evaluated(project, run)
    parts = evaluated(project, run, 1, 6)
    joined = EvaluatedSets.join([parts[2], parts[0], parts[1]])
    assert joined.rows.equals(whole.rows)
    assert whole.statistics.moments.numbers.tolist() == [0, 1, 2, 3, 6, 7]
    for name, values in whole.statistics.arrays().items():
        np.testing.assert_array_equal(joined.statistics.arrays()[name], values, err_msg=name)
    assert joined.statistics.superior_ability().p_value == (
        whole.statistics.superior_ability().p_value
    )


def test_the_statistics_of_a_search_are_of_what_sets_earn_above_the_risk_free_rate(project):
    validate = {"overfitting": {"blocks": 2, "bootstraps": 100, "against": "cash", "warm_up": 1}}
    (plain,) = evaluated(project, searching(project, validate=validate))
    run = searching(project, validate=validate, risk_free_rate=0.05)
    (found,) = evaluated(project, run)
    assert (found.rows["sharpe_ratio"] < plain.rows["sharpe_ratio"]).drop_nulls().all()
    # The best set beats cash by so much less in each of 38 bars, 1.05^(1/260) - 1 = 0.00018767209;
    # the statistic is the mean difference times the root of their number, 6.164414.
    lower = plain.statistics.reality_check().statistic - found.statistics.reality_check().statistic
    assert lower == pytest.approx(0.00018767209 * 6.164414, rel=1e-6)


def test_a_chunk_is_read_as_it_was_written(project, tmp_path):
    validate = {"overfitting": {"blocks": 4, "bootstraps": 100, "against": "cash"}}
    run = searching(project, validate=validate)
    (found,) = evaluated(project, run)
    found.save(tmp_path / "chunk.parquet")
    read = EvaluatedSets.load(tmp_path / "chunk.parquet")
    assert read.rows.equals(found.rows)
    for name, values in found.statistics.arrays().items():
        np.testing.assert_array_equal(read.statistics.arrays()[name], values, err_msg=name)


def test_the_benchmark_of_the_statistics_is_the_run_s(project):
    validate = {"overfitting": {"blocks": 4, "bootstraps": 100}}
    (held,) = evaluated(project, searching(project, validate=validate, benchmark="BBB"))
    (own,) = evaluated(project, searching(project, validate=validate, benchmark="AAA"))
    assert held.rows.equals(own.rows)
    assert held.statistics.maxima.scores.tolist() != own.statistics.maxima.scores.tolist()
    # The rate is taken from sets and benchmark alike.
    keys = {"validate": validate, "benchmark": "BBB", "risk_free_rate": 0.05}
    (above,) = evaluated(project, searching(project, **keys))
    assert above.statistics.maxima.scores == pytest.approx(held.statistics.maxima.scores, rel=1e-9)


def test_no_set_sees_a_bar_of_the_holdout(project):
    """Scrambled prices behind the start of the holdout change no figure."""
    validate = {"holdout": {"start": "2020-02-10"}}
    run = searching(project, validate=validate)
    (found,) = evaluated(project, run)
    text = (project.root / "prices/AAA.csv").read_text().splitlines()
    after = [line for line in text if line >= "2020-02-10" and not line.startswith("date")]
    kept = [line for line in text if line not in after]
    assert len(after) > 5
    other = [line.split(",")[0] + ",7,9,5,8,1" for line in after]
    (project.root / "prices/AAA.csv").write_text("\n".join([*kept, *other]) + "\n")
    (scrambled,) = evaluated(project, searching(project, validate=validate))
    assert scrambled.rows.equals(found.rows)


def test_a_sample_is_found_once_and_kept(project, tmp_path):
    run = searching(project, optimize={"method": "random", "samples": 5})
    search = Search.of(run.read_spec())
    numbers = searched_numbers(search, tmp_path / "numbers.bin")
    assert len(numbers) == 5
    assert searched_numbers(search, tmp_path / "numbers.bin") == numbers
    assert searched_numbers(search) == numbers
    (found,) = evaluated(project, run, numbers=numbers)
    assert found.rows["set"].to_list() == list(numbers)


def test_a_strategy_that_cannot_be_loaded_fails_the_chunk(project):
    run = searching(project)
    (run.code / "strategies/sma.py").chmod(0o644)
    (run.code / "strategies/sma.py").unlink()
    (run.code / "strategies/sma.py").write_text("raise OSError('gone')\n")
    with pytest.raises(StrategyFailedError, match="OSError: gone"):
        evaluated(project, run)


def selected(project, run, tmp_path, rows=None, **options):
    spec = run.read_spec()
    if rows is None:
        (found,) = evaluated(project, run)
        rows = found.rows
    target = RunDir(tmp_path / "target")
    contents = write_selection(spec, rows, target, csv_twins=options.get("csv_twins", True))
    return target, contents


def test_the_selection_names_the_set_its_parameters_and_how_it_was_chosen(project, tmp_path):
    run = searching(project, params={"scale": 0.5}, optimize={"constraints": ["total_trades >= 1"]})
    target, contents = selected(project, run, tmp_path)
    table = pl.read_parquet(target.results / "optimization_results.parquet")
    assert table.columns[:3] == ["set", "params.fast", "params.slow"]
    assert table.schema["params.fast"] == pl.Int64
    best = table.filter(pl.col("rank") == 1).row(0, named=True)
    assert (
        best["objective"] == best["sharpe_ratio"] == table.filter("admissible")["objective"].max()
    )
    found = target.read_selection()
    assert found["params"] == {
        "fast": best["params.fast"], "slow": best["params.slow"], "scale": 0.5,
    }  # fmt: skip
    assert (found["set"], found["sets"], found["failed"]) == (best["set"], 8, 2)
    assert found["admissible"] == table["admissible"].sum()
    assert found["neighbors"] is None
    assert found["in_sample"] == {"start": "2020-01-02", "end": "2020-02-26"}
    assert set(contents) == {
        "results/optimization_results.parquet", "results/frontier.parquet",
    }  # fmt: skip
    front = pl.read_parquet(target.results / "frontier.parquet")
    shown = ["set", "params.fast", "params.slow", "cagr", "max_drawdown", "sharpe_ratio"]
    assert front.columns == shown
    assert front["cagr"].is_sorted(descending=True)
    assert front["max_drawdown"].is_sorted()
    lines = (target.results / "optimization_results.csv").read_text().splitlines()
    assert len(lines) == 9


def test_a_plateau_is_told_with_its_mean(project, tmp_path):
    run = searching(project, optimize={"select": "plateau"})
    target, _ = selected(project, run, tmp_path, csv_twins=False)
    found = target.read_selection()
    assert found["neighbors"]["sets"] in (3, 5)
    assert math.isfinite(found["neighbors"]["mean"])
    assert "at most one step away" in found["neighbors"]["rule"]
    assert not (target.results / "optimization_results.csv").exists()


def test_the_checksum_of_the_sets_follows_them_and_not_their_results(project, tmp_path):
    run = searching(project)
    (found,) = evaluated(project, run)
    target, _ = selected(project, run, tmp_path / "a", found.rows)
    worse = found.rows.with_columns(pl.col("sharpe_ratio") - 1.0)
    other, _ = selected(project, run, tmp_path / "b", worse)
    fewer, _ = selected(project, run, tmp_path / "c", found.rows.head(7))
    sums = [item.read_selection()["sets_sha256"] for item in (target, other, fewer)]
    assert sums[0] == sums[1] != sums[2]


def test_why_nothing_can_be_selected_is_said_in_counts(project, tmp_path):
    constraints = ["total_trades >= 1000", "cagr > 0"]
    run = searching(project, optimize={"constraints": constraints})
    with pytest.raises(NoAdmissibleSetError) as caught:
        selected(project, run, tmp_path)
    assert str(caught.value) == (
        "none of 8 parameter sets can be selected; 2 failed, the first by StrategyError: strategy "
        "sma refuses its parameters: four is refused; 6 do not meet total_trades >= 1000 and "
        "cagr > 0. errors/optimization_results.parquet has a row for each"
    )
    assert (tmp_path / "target/results/optimization_results.parquet").exists()


def test_values_of_several_kinds_are_columns_of_text_or_numbers(project, tmp_path):
    text = SIGNAL.replace("scale: float = 1.0", "scale: float | str | None = 1.0")
    text = text.replace("fast: int", "fast: float")
    space = {"scale": ["x", None, 2], "fast": [2, 3.0], "slow": [8]}
    run = searching(project, text, optimize={"space": space})
    columns = {"set": np.arange(6), **{name: np.arange(6.0) for name in SWEEP_METRICS}}
    rows = pl.DataFrame(columns).with_columns(error=pl.lit(None, dtype=pl.String))
    target, _ = selected(project, run, tmp_path, rows)
    table = pl.read_parquet(target.results / "optimization_results.parquet")
    assert table["params.scale"].to_list() == ["x", "x", None, None, "2", "2"]
    assert table["params.fast"].to_list() == [2.0, 3.0] * 3
    assert target.read_selection()["params"] == {"scale": 2, "fast": 3.0, "slow": 8}


def test_an_account_that_lost_everything_stays_at_nothing():
    returns = np.array([[0.1, -1.5, 0.3, np.nan], [0.1, -0.5, 0.2, 0.1], [-1.0, np.inf, 0, 0]])
    expected = [[0.1, -1.0, 0.0, 0.0], [0.1, -0.5, 0.2, 0.1], [-1.0, 0.0, 0.0, 0.0]]
    np.testing.assert_array_equal(without_ruin(returns), expected)
    whole = np.array([[0.1, -0.2]])
    assert without_ruin(whole) is whole


def test_the_default_block_is_the_cube_root_of_the_history():
    assert [default_block(count) for count in (2, 1000, 4276)] == [1, 10, 16]


def test_children_take_more_places_as_they_prove_quick_and_never_too_many():
    pace = Pace(Limits(seconds=600.0))
    assert pace.size == 16
    pace.took(16, 1.2)
    assert pace.size == 320
    pace.took(320, 1.2)
    assert pace.size == 6400
    pace.took(6400, 640.0)
    assert pace.size == 600
    pace.took(600, 0.0)
    pace.took(12_000, 0.0)
    assert pace.size == 200_000
    slow = Pace(Limits(seconds=40.0))
    slow.took(16, 320.0)
    assert slow.size == 1
