import itertools
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtrail.optimization.parameters import ParameterDefinition, ParameterSet, axis_values


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
    found = axis_values({"min": low, "max": high, "step": step})
    assert found == values
    assert {type(value) for value in found} == {type(values[0])}


@given(st.integers(-1000, 1000), st.integers(0, 200), st.integers(1, 50))
def test_a_decimal_axis_has_the_steps_of_the_whole_one(low, length, step):
    whole = axis_values({"min": low, "max": low + length, "step": step})
    hundredths = {"min": low / 100, "max": (low + length) / 100, "step": step / 100}
    assert axis_values(hundredths) == [value / 100 for value in whole]
    assert len(whole) == length // step + 1


@pytest.mark.parametrize(("low", "high", "step"), [(5, 1, 1), (1, 5, 0), (1, 5, -1)])
def test_an_axis_that_leads_nowhere_is_refused(low, high, step):
    with pytest.raises(ValueError, match=f"min {low}, max {high}, step {step} gives no value"):
        axis_values({"min": low, "max": high, "step": step})


def test_a_repeated_value_is_refused_but_whole_and_float_are_two():
    with pytest.raises(ValueError, match=r"the value 5 stands twice"):
        axis_values([5, 10, 5])
    with pytest.raises(ValueError, match=r"the value \[1, 2\] stands twice"):
        axis_values([[1, 2], [1, 2]])
    assert axis_values([1, 1.0, True, "1", None]) == [1, 1.0, True, "1", None]


def test_an_empty_list_and_a_step_of_a_billionth_are_refused():
    with pytest.raises(ValueError, match=r"the list is empty"):
        axis_values([])
    with pytest.raises(ValueError, match=r"1,000,000,001 values are more than one axis can have"):
        axis_values({"min": 0, "max": 1, "step": 1e-9})


def test_the_last_axis_moves_fastest_and_fixed_parameters_stay():
    grid = {"slow": [20, 50], "fast": {"min": 5, "max": 10, "step": 5}}
    space = ParameterSet.from_grid(grid, fixed={"mode": "a", "fast": 1})
    assert list(space.generate_combinations()) == [
        {"mode": "a", "slow": 20, "fast": 5},
        {"mode": "a", "slow": 20, "fast": 10},
        {"mode": "a", "slow": 50, "fast": 5},
        {"mode": "a", "slow": 50, "fast": 10},
    ]


def test_no_axis_is_one_combination():
    assert list(ParameterSet.from_grid({}, fixed={"a": 1}).generate_combinations()) == [{"a": 1}]


def test_conditions_filter_and_see_fixed_parameters():
    space = ParameterSet.from_grid({"a": [5, 10, 15]}, where="a < limit", fixed={"limit": 10})
    assert list(space.generate_combinations()) == [{"limit": 10, "a": 5}]
    assert (space.size, space.holds({"a": 15, "limit": 20})) == (3, True)


def test_a_space_of_a_billion_is_made_from_numbers_alone():
    space = ParameterSet.from_grid(
        {name: {"min": 1, "max": 1000, "step": 1} for name in "abc"}, where="a + b + c > 2995"
    )
    assert space.size == 10**9
    assert space.combination(0) == {"a": 1, "b": 1, "c": 1}
    assert space.combination(123_456_789) == {"a": 124, "b": 457, "c": 790}
    assert list(space.generate_combinations(10**9 - 3)) == [
        {"a": 1000, "b": 1000, "c": c} for c in (998, 999, 1000)
    ]
    assert sum(map(sys.getsizeof, vars(space).values())) < 10_000
    with pytest.raises(IndexError, match="combination 1000000000 of 1,000,000,000"):
        space.combination(10**9)


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.integers(0, 60),
    st.integers(0, 60),
)
def test_parts_of_a_space_make_the_whole_of_the_product(lengths, first, second):
    grid = {f"p{place}": list(range(length)) for place, length in enumerate(lengths)}
    space = ParameterSet.from_grid(grid)
    cuts = sorted([min(first, space.size), min(second, space.size)])
    parts = [
        space.generate_combinations(0, cuts[0]),
        space.generate_combinations(cuts[0], cuts[1]),
        space.generate_combinations(cuts[1]),
    ]
    whole = [tuple(values.values()) for values in itertools.chain(*parts)]
    assert whole == list(itertools.product(*grid.values()))


def test_a_sample_has_different_combinations_that_its_seed_decides():
    space = ParameterSet.from_grid(
        {"fast": list(range(20)), "slow": list(range(20))}, where="fast < slow"
    )
    chosen = space.sample(50, seed=1)
    assert len({(item["fast"], item["slow"]) for item in chosen}) == 50
    assert all(item["fast"] < item["slow"] for item in chosen)
    assert chosen == space.sample(50, seed=1) != space.sample(50, seed=2)
    assert len(space.sample(10_000, seed=1)) == 190  # there are no more


def test_every_mistake_of_a_combination_is_named():
    space = ParameterSet.from_grid({"fast": [5, 10], "slow": [20]}, where="fast < slow")
    assert space.validate({"fast": 5, "slow": 20}) == []
    assert space.validate({"fast": 5.0, "window": 1}) == [
        "parameter 'slow' is missing",
        "parameter 'window' is not of this space (fast, slow)",
        "parameter 'fast' is 5.0, not one of 5, 10",
    ]
    narrow = ParameterSet.from_grid({"fast": [5, 30], "slow": [20]}, where="fast < slow")
    assert narrow.validate({"fast": 30, "slow": 20}) == ["'fast < slow' does not hold"]


def test_the_hash_knows_no_order_and_refuses_what_is_not_of_the_space():
    space = ParameterSet.from_grid({"fast": [5, 10], "rate": [0.1, 0.2]})
    first = space.parameter_hash({"fast": 5, "rate": 0.1})
    # sha256 of {"fast":5,"rate":0.1}, by `printf '%s' '{"fast":5,"rate":0.1}' | sha256sum`
    assert first == "19cd7e01821c4e8b06a919be511fe0d195ebfa8efc14a682ae1a4cc906de1797"
    assert first == space.parameter_hash({"rate": 0.1, "fast": 5})
    assert first != space.parameter_hash({"fast": 10, "rate": 0.1})
    with pytest.raises(ValueError, match=r"parameter 'fast' is 6"):
        space.parameter_hash({"fast": 6, "rate": 0.1})


def test_a_definition_is_a_range_or_a_list_and_rules_narrow_it():
    assert ParameterDefinition("n", 1, 10, 1, rules=("n % 3 == 0",)).values == (3, 6, 9)
    assert ParameterDefinition("n", 1, 2, 1).type is int
    assert ParameterDefinition("n", discrete_values=(1, "a")).type is object
    for wrong in ({}, {"min_value": 1, "max_value": 2}, {"step": 1, "discrete_values": (1,)}):
        with pytest.raises(ValueError, match="one of the two"):
            ParameterDefinition("n", **wrong)
    with pytest.raises(ValueError, match="let no value pass"):
        ParameterDefinition("n", 1, 3, 1, rules=("n > 5",))
    with pytest.raises(ValueError, match="names slow; put conditions between parameters"):
        ParameterDefinition("n", 1, 3, 1, rules=("n < slow",))


def test_a_name_stands_once_and_a_wrong_condition_is_refused_at_once():
    twice = (ParameterDefinition("n", 1, 2, 1), ParameterDefinition("n", 3, 4, 1))
    with pytest.raises(ValueError, match="'n' is defined twice"):
        ParameterSet(twice)
    with pytest.raises(ValueError, match="is not an expression"):
        ParameterSet.from_grid({"n": [1]}, where="n <")


def test_a_space_comes_back_from_its_json():
    space = ParameterSet(
        (
            ParameterDefinition("fast", 5, 20, 5, rules=("fast != 10",)),
            ParameterDefinition("mode", discrete_values=("a", "b")),
        ),
        ("fast < 20",),
        {"slow": 50},
    )
    again = ParameterSet.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert list(again.generate_combinations()) == list(space.generate_combinations())
    assert len(list(space.generate_combinations())) == 4
