import numpy as np
import pytest

from backtrail.optimization.conditions import Condition
from backtrail.optimization.parameters import ParameterSet
from backtrail.optimization.search import Search
from backtrail.optimization.selection import (
    admissible_sets,
    judge_sets,
    neighborhood_means,
    objective_values,
    pareto_front,
    rank_sets,
    set_places,
)

NAN = np.nan


def column(*values):
    return np.array(values, dtype=float)


def flags(*values):
    return np.array(values, dtype=bool)


def test_a_set_that_failed_or_misses_a_constraint_is_not_admissible():
    metrics = {"total_trades": column(40, 29, 30, NAN, 50), "cagr": column(1, 1, 1, 1, -1)}
    failed = flags(0, 0, 0, 0, 0)
    conditions = [Condition("total_trades >= 30"), Condition("cagr > 0")]
    assert admissible_sets(metrics, failed, conditions).tolist() == [1, 0, 1, 0, 0]
    assert admissible_sets(metrics, flags(1, 0, 0, 0, 0), []).tolist() == [0, 1, 1, 1, 1]


def test_a_constraint_may_compare_two_metrics():
    metrics = {"cagr": column(0.1, 0.3, NAN), "annual_volatility": column(0.2, 0.2, 0.2)}
    found = admissible_sets(metrics, flags(0, 0, 0), [Condition("cagr >= annual_volatility")])
    assert found.tolist() == [0, 1, 0]


def test_one_metric_is_the_objective_as_it_is():
    metrics = {"cagr": column(0.1, NAN, -0.2)}
    found = objective_values("cagr", metrics, flags(1, 1, 0))
    np.testing.assert_array_equal(found, [0.1, NAN, -0.2])


def test_several_metrics_are_standardized_over_admissible_sets():
    # Means and deviations of the first three: 2 and 0.8165, 20 and 8.165.
    metrics = {"cagr": column(1, 2, 3, 5), "annual_volatility": column(10, 20, 30, 20)}
    found = objective_values({"cagr": 1.0, "annual_volatility": -0.5}, metrics, flags(1, 1, 1, 0))
    np.testing.assert_allclose(found, [-0.6123724, 0.0, 0.6123724, 3.6742346], rtol=1e-6)


def test_a_metric_that_is_the_same_for_all_counts_nothing_and_an_undefined_one_spoils_the_set():
    metrics = {"cagr": column(1, 3, NAN), "win_rate": column(0.5, 0.5, 0.9)}
    found = objective_values({"cagr": 2.0, "win_rate": 9.0}, metrics, flags(1, 1, 1))
    np.testing.assert_allclose(found, [-2.0, 2.0, NAN])


def test_of_equal_objectives_the_first_set_has_the_lower_rank():
    ranks = rank_sets(column(0.5, 0.9, 0.9, NAN, 2.0, 0.5), flags(1, 1, 1, 1, 0, 1))
    assert ranks.tolist() == [3, 1, 2, 0, 0, 4]


def test_places_are_those_of_each_axis():
    space = ParameterSet.from_grid({"a": [10, 20, 30], "b": ["x", "y"]})
    places = set_places(space, np.array([0, 1, 3, 5]))
    assert [place.tolist() for place in places] == [[0, 0, 1, 2], [0, 1, 1, 1]]


def test_a_neighborhood_has_the_sets_one_step_away_on_axes_of_numbers():
    # 3 x 3 values in the order 1, 3, 2 on the second axis; the set (1, 1) is missing.
    space = ParameterSet.from_grid({"a": [1, 2, 3], "b": [1, 3, 2]})
    numbers = np.array([1, 2, 3, 4, 5, 6, 7, 8])
    objective = column(30, 20, 100, 300, 200, 1000, 3000, 2000)
    found = neighborhood_means(space, numbers, objective)
    # Around (a=2, b=2), number 5: all eight that there are.
    assert found.counts.tolist() == [4, 5, 5, 6, 8, 4, 4, 6]
    assert found.means[4] == (30 + 20 + 100 + 300 + 200 + 1000 + 3000 + 2000) / 8
    # Around (a=1, b=3), number 1: (1, 2), (2, 3), (2, 2) and itself.
    assert found.means[0] == (30 + 20 + 300 + 200) / 4


def test_values_that_are_no_numbers_have_no_neighbors():
    space = ParameterSet.from_grid({"kind": ["a", "b"], "on": [False, True], "n": [1, 2]})
    found = neighborhood_means(space, np.arange(8), np.arange(8.0))
    assert found.counts.tolist() == [2] * 8
    assert found.means.tolist() == [0.5, 0.5, 2.5, 2.5, 4.5, 4.5, 6.5, 6.5]


def test_a_neighbor_without_objective_counts_as_the_lowest():
    space = ParameterSet.from_grid({"n": [1, 2, 3]})
    found = neighborhood_means(space, np.arange(3), column(5, NAN, -1))
    np.testing.assert_array_equal(found.means, [2.0, NAN, -1.0])


def search(select="best", constraints=(), objective="sharpe_ratio"):
    space = ParameterSet.from_grid({"n": {"min": 1, "max": 7, "step": 1}})
    return Search(space, "grid", None, objective, constraints, select, 1)


def test_a_plateau_is_preferred_to_a_peak_only_when_it_is_asked_for():
    metrics = {"sharpe_ratio": column(0.0, 3.0, 0.0, 1.0, 1.8, 1.7, 1.6)}
    none_failed = np.zeros(7, dtype=bool)
    best = judge_sets(search(), np.arange(7), metrics, none_failed)
    assert best.selected == 1
    assert best.neighborhood is None
    plateau = judge_sets(search("plateau"), np.arange(7), metrics, none_failed)
    assert plateau.selected == 5
    assert plateau.neighborhood.means[5] == pytest.approx((1.8 + 1.7 + 1.6) / 3)
    np.testing.assert_array_equal(plateau.objective, metrics["sharpe_ratio"])


def test_nothing_is_selected_when_no_set_can_be():
    metrics = {"sharpe_ratio": np.full(7, NAN), "total_trades": np.zeros(7)}
    failed = np.zeros(7, dtype=bool)
    for select in ("best", "plateau"):
        assert judge_sets(search(select), np.arange(7), metrics, failed).selected is None
    metrics["sharpe_ratio"] = np.ones(7)
    found = judge_sets(search(constraints=("total_trades > 0",)), np.arange(7), metrics, failed)
    assert found.selected is None
    assert found.ranks.tolist() == [0] * 7


def test_the_front_has_what_nothing_beats_in_both():
    cagr = column(0.10, 0.30, 0.20, 0.20, 0.05, NAN, 0.25, 0.10)
    drawdown = column(-0.1, -0.5, -0.2, -0.3, -0.1, -0.01, -0.2, -0.1)
    # 0.30/-0.5, then 0.25/-0.2, then 0.10/-0.1, of which there are two.
    assert pareto_front(cagr, drawdown, np.ones(8, dtype=bool)).tolist() == [1, 6, 0]
    admissible = np.array([1, 0, 1, 1, 1, 1, 0, 1], dtype=bool)
    assert pareto_front(cagr, drawdown, admissible).tolist() == [2, 0]
    assert pareto_front(cagr, drawdown, np.zeros(8, dtype=bool)).tolist() == []


def test_the_judgement_does_not_depend_on_gaps_left_by_the_condition():
    space = ParameterSet.from_grid({"a": [1, 2], "b": [1, 2, 3]}, where="a != b")
    numbers = np.array([1, 2, 3, 5])
    wanted = Search(space, "grid", None, "cagr", (), "plateau", 1)
    found = judge_sets(wanted, numbers, {"cagr": column(1, 2, 3, 4)}, np.zeros(4, dtype=bool))
    # (1,2): itself, (1,3), (2,1), (2,3); (1,3): itself, (1,2), (2,3); (2,1): itself, (1,2).
    assert found.neighborhood.means.tolist() == [2.5, (2 + 1 + 4) / 3, 2.0, (4 + 1 + 2) / 3]
    assert found.selected == 0
