"""Where weights become decisions."""

import numpy as np

from backtrail.engine.decisions import decisions_of

from .support import make_bars

N = float("nan")


def test_a_decision_is_a_weight_that_differs_from_the_last_one_given():
    bars = make_bars({"A": [1, 2, 3, 4, 5, 6]})
    weights = np.array([[0.0], [0.5], [N], [0.5], [0.25], [0.0]])
    found = decisions_of(weights, bars)
    assert len(found) == 3
    assert found.by_row() == {1: [(0, 0.5)], 4: [(0, 0.25)], 5: [(0, 0.0)]}


def test_decisions_of_a_row_are_in_the_order_of_the_names_and_rows_ascend():
    bars = make_bars({"C": [1, 2, 3], "A": [1, 2, 3], "B": [1, 2, 3]})
    weights = np.array([[0.1, 0.0, 0.3], [0.1, 0.2, 0.3], [0.4, 0.2, 0.0]])
    found = decisions_of(weights, bars)
    assert list(found.by_row().items()) == [
        (0, [(2, 0.3), (0, 0.1)]),
        (1, [(1, 0.2)]),
        (2, [(2, 0.0), (0, 0.4)]),
    ]
    assert found.rows.tolist() == [0, 0, 1, 2, 2]


def test_a_weight_before_the_first_bar_takes_effect_with_it():
    bars = make_bars({"A": [N, N, 3, 4], "B": [1, 2, 3, 4]})
    weights = np.array([[0.5, 0.0], [0.5, 0.0], [0.5, 0.0], [0.5, 0.0]])
    assert decisions_of(weights, bars).by_row() == {2: [(0, 0.5)]}


def test_weights_that_never_change_are_no_decision():
    bars = make_bars({"A": [1, 2]})
    assert decisions_of(np.full((2, 1), N), bars).by_row() == {}
