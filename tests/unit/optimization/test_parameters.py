import pytest
from backtrail.batch.grid import expand_grid, grid_values
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("low", "high", "step", "values"),
    [
        (50, 200, 50, [50, 100, 150, 200]),
        (1, 6, 2, [1, 3, 5]),
        (3, 3, 1, [3]),
        (-2, 2, 2, [-2, 0, 2]),
        (0.1, 0.3, 0.1, [0.1, 0.2, 0.3]),
        (0, 1, 0.1, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        (1, 2, 0.5, [1.0, 1.5, 2.0]),
        (0.001, 0.003, 0.001, [0.001, 0.002, 0.003]),
        (1e-7, 3e-7, 1e-7, [1e-7, 2e-7, 3e-7]),
        (1.1, 1.4, 0.1, [1.1, 1.2, 1.3, 1.4]),
        (1.0, 3.0, 1.0, [1.0, 2.0, 3.0]),
    ],
)
def test_steps_are_counted_in_decimals_and_both_ends_are_in(low, high, step, values):
    found = grid_values({"min": low, "max": high, "step": step})
    assert found == values
    assert {type(value) for value in found} == {type(values[0])}


@given(st.integers(-1000, 1000), st.integers(0, 200), st.integers(1, 50))
def test_a_decimal_axis_has_the_steps_of_the_whole_one(low, length, step):
    whole = grid_values({"min": low, "max": low + length, "step": step})
    hundredths = {"min": low / 100, "max": (low + length) / 100, "step": step / 100}
    assert grid_values(hundredths) == [value / 100 for value in whole]
    assert len(whole) == length // step + 1


@pytest.mark.parametrize(("low", "high", "step"), [(5, 1, 1), (1, 5, 0), (1, 5, -1)])
def test_an_axis_that_leads_nowhere_is_refused(low, high, step):
    with pytest.raises(ValueError, match=f"min {low}, max {high}, step {step} gives no value"):
        grid_values({"min": low, "max": high, "step": step})


def test_a_repeated_value_is_refused_but_whole_and_float_are_two():
    with pytest.raises(ValueError, match=r"the value 5 stands twice"):
        grid_values([5, 10, 5])
    assert grid_values([1, 1.0, True, "1", None]) == [1, 1.0, True, "1", None]


def test_an_empty_list_is_refused():
    with pytest.raises(ValueError, match=r"the list is empty"):
        grid_values([])


def test_the_last_axis_moves_fastest_and_fixed_parameters_stay():
    grid = {"slow": [20, 50], "fast": {"min": 5, "max": 10, "step": 5}}
    assert list(expand_grid({"mode": "a", "fast": 1}, grid, None)) == [
        {"mode": "a", "fast": 5, "slow": 20},
        {"mode": "a", "fast": 10, "slow": 20},
        {"mode": "a", "fast": 5, "slow": 50},
        {"mode": "a", "fast": 10, "slow": 50},
    ]


def test_no_grid_is_one_combination():
    assert list(expand_grid({"a": 1}, {}, None)) == [{"a": 1}]


def test_a_condition_filters_and_sees_fixed_parameters():
    found = list(expand_grid({"limit": 10}, {"a": [5, 10, 15]}, "a < limit"))
    assert found == [{"limit": 10, "a": 5}]


@pytest.mark.parametrize(
    "grid",
    [
        {"a": {"min": 0, "max": 1, "step": 1e-9}},
        {name: list(range(100)) for name in "abcd"},
    ],
)
def test_a_grid_that_no_batch_could_hold_is_refused_before_it_is_made(grid):
    with pytest.raises(ValueError, match=r"combinations are more than a batch can hold"):
        list(expand_grid({}, grid, None))
