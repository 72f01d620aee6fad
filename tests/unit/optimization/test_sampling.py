from array import array

import pytest

from backtrail.optimization.parameters import ParameterSet
from backtrail.optimization.sampling import MOST_SOBOL_AXES, sample_numbers, sobol_points
from backtrail.optimization.search import Search

GRID = {"fast": {"min": 1, "max": 50, "step": 1}, "slow": {"min": 1, "max": 200, "step": 1}}


def search(method, samples, *, grid=GRID, where=None, seed=1):
    space = ParameterSet.from_grid(grid, where=where)
    return Search(space, method, samples, "cagr", (), "best", seed)


@pytest.mark.parametrize("axes", [1, 2, 7, MOST_SOBOL_AXES])
def test_the_points_of_the_sequence_are_those_of_scipy(axes):
    from scipy.stats import qmc

    expected = qmc.Sobol(axes, scramble=False, bits=32).random(256)
    points = sobol_points(axes)
    found = [[value / 2**32 for value in next(points)] for _ in range(256)]
    assert found == expected.tolist()


def test_more_axes_than_the_sequence_has_are_refused():
    with pytest.raises(ValueError, match=r"known here for 16 axes, not for 17; use method random"):
        next(sobol_points(17))


@pytest.mark.parametrize("method", ["random", "sobol"])
def test_a_sample_has_different_sets_in_order_and_all_meet_the_condition(method):
    wanted = search(method, 300, where="fast < slow")
    numbers = sample_numbers(wanted)
    assert isinstance(numbers, array)
    assert len(numbers) == 300
    assert sorted(set(numbers)) == list(numbers)
    assert all(wanted.space.holds(wanted.space.combination(number)) for number in numbers)
    assert numbers == sample_numbers(search(method, 300, where="fast < slow"))
    assert numbers != sample_numbers(search(method, 300, where="fast < slow", seed=2))


def test_sobol_fills_the_space_more_evenly_than_chance():
    def cells(method):
        numbers = sample_numbers(search(method, 256))
        # 16 x 16 cells of the 50 x 200 values
        return len({(n // 200 * 16 // 50, n % 200 * 16 // 200) for n in numbers})

    assert cells("sobol") > 230
    assert cells("random") < 180


@pytest.mark.parametrize("method", ["random", "sobol"])
def test_a_sample_as_large_as_the_space_takes_it_whole(method):
    small = {"a": [1, 2, 3], "b": ["x", "y"]}
    assert list(sample_numbers(search(method, 100, grid=small))) == list(range(6))


def test_a_condition_that_hardly_anything_meets_ends_the_search_for_sets():
    numbers = sample_numbers(search("random", 3, where="fast == 7 and slow == 9"))
    assert len(numbers) <= 1
