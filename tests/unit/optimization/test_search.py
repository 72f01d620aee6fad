import pytest

from backtrail.optimization.search import (
    SWEEP_METRICS,
    Search,
    backtest_identity,
    in_sample_end,
    in_sample_identity,
)

IDENTITY = {
    "run_type": "optimization",
    "start": "2000-01-03",
    "end": "2018-12-31",
    "params": {"slow": 50},
    "seed": 7,
    "search": {
        "space": [{"name": "fast", "values": {"min": 5, "max": 40, "step": 5}},
                  {"name": "kind", "values": ["a", "b"]}],
        "where": "fast < slow and fast > 5",
        "method": "grid",
        "samples": None,
        "objective": "sharpe_ratio",
        "constraints": ["total_trades >= 30"],
        "select": "best",
    },
}  # fmt: skip


def spec(**search):
    identity = {**IDENTITY, "search": {**IDENTITY["search"], **search}}
    return {"identity": identity, "run_key": "ab" * 32}


def test_a_search_knows_its_space_with_the_fixed_parameters_and_its_condition():
    search = Search.of(spec())
    assert search.draws == 16
    assert search.space.combination(3) == {"slow": 50, "fast": 10, "kind": "b"}
    assert not search.space.holds(search.space.combination(0))
    assert [condition.text for condition in search.conditions] == ["total_trades >= 30"]


def test_a_sample_has_as_many_places_as_sets_and_no_more_than_the_space():
    assert Search.of(spec(method="random", samples=5)).draws == 5
    assert Search.of(spec(method="sobol", samples=500)).draws == 16


def test_the_seed_of_a_search_depends_on_its_run_alone():
    first = Search.of(spec())
    assert first.seed == Search.of(spec()).seed
    other = {**spec(), "run_key": "cd" * 32}
    assert first.seed != Search.of(other).seed


def test_the_holdout_is_withheld_from_what_reads_bars():
    held = {**IDENTITY, "validate": {"holdout": {"start": "2016-01-04"}}}
    assert in_sample_end(IDENTITY) == "2018-12-31"
    assert in_sample_end(held) == "2016-01-03"
    assert in_sample_identity(held)["end"] == "2016-01-03"
    assert held["end"] == "2018-12-31"


def test_the_backtest_of_a_search_has_one_parameter_set_and_no_search():
    held = {**IDENTITY, "validate": {"holdout": {"start": "2016-01-04"}}}
    found = backtest_identity(held, {"fast": 10, "slow": 50, "kind": "a"})
    assert found == {
        "run_type": "optimization",
        "start": "2000-01-03",
        "end": "2016-01-03",
        "params": {"fast": 10, "slow": 50, "kind": "a"},
        "seed": 7,
    }


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        ("cagr", "cagr, the greater the better"),
        (
            {"sharpe_ratio": 2, "annual_volatility": -0.5},
            "-0.5 x annual_volatility + 2 x sharpe_ratio, each metric less its mean and over its "
            "standard deviation among the sets that meet the constraints, the greater the better",
        ),
    ],
)
def test_the_objective_is_told_in_words(objective, words):
    assert Search.of(spec(objective=objective)).objective_words == words


def test_the_metrics_of_a_search_are_metrics_of_a_run():
    from backtrail.metrics import summarize

    rows = summarize([1.0, 1.1, 1.0], [0, 1, 2], periods_per_year=252.0)
    assert set(SWEEP_METRICS) - {"total_trades", "win_rate", "profit_factor"} <= {
        row.metric for row in rows
    }
