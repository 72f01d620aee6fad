"""Which combinations of a space a search looks at: all, a random sample, or a Sobol sequence.

A sample is a list of combination numbers, decided by the seed alone. Points of a Sobol sequence
(Sobol 1967) fill the space more evenly than random ones; the direction numbers are those of Joe and
Kuo (2008), Constructing Sobol sequences with better two-dimensional projections.
"""

import random
from array import array
from collections.abc import Iterator
from typing import Final

from backtrail.optimization.parameters import ParameterSet
from backtrail.optimization.search import Search

__all__ = ["MOST_SOBOL_AXES", "sample_numbers", "sobol_points"]

_BITS: Final = 32
_DRAWS_PER_SET: Final = 200  # then what the conditions let pass is taken to be found
# Degree, coefficients and first direction numbers of each axis after the first.
_DIRECTIONS: Final = (
    (1, 0, (1,)),
    (2, 1, (1, 3)),
    (3, 1, (1, 3, 1)),
    (3, 2, (1, 1, 1)),
    (4, 1, (1, 1, 3, 3)),
    (4, 4, (1, 3, 5, 13)),
    (5, 2, (1, 1, 5, 5, 17)),
    (5, 4, (1, 1, 5, 5, 5)),
    (5, 7, (1, 1, 7, 11, 19)),
    (5, 11, (1, 1, 5, 1, 1)),
    (5, 13, (1, 1, 1, 3, 11)),
    (5, 14, (1, 3, 5, 5, 31)),
    (6, 1, (1, 3, 3, 9, 7, 49)),
    (6, 13, (1, 1, 1, 15, 21, 21)),
    (6, 16, (1, 3, 1, 13, 27, 49)),
)
MOST_SOBOL_AXES: Final = len(_DIRECTIONS) + 1


def sample_numbers(search: Search) -> "array[int]":
    """Return the numbers of the combinations of a sample, ascending, each once.

    The conditions let all of them pass. There are fewer than asked for when the space has no more,
    or when two hundred draws for each have not found more.

    Args:
        search: A search by `random` or `sobol`.
    """
    assert search.samples is not None
    space, wanted = search.space, search.draws
    draws = _sobol(space, search.seed) if search.method == "sobol" else _chance(space, search.seed)
    seen: set[int] = set()
    found: list[int] = []
    for drawn, number in enumerate(draws):
        if len(found) == wanted or len(seen) == space.size or drawn == _DRAWS_PER_SET * wanted:
            break
        if number not in seen:
            seen.add(number)
            if space.holds(space.combination(number)):
                found.append(number)
    return array("q", sorted(found))


def _chance(space: ParameterSet, seed: int) -> Iterator[int]:
    generator = random.Random(seed)
    while True:
        yield generator.randrange(space.size)


def _sobol(space: ParameterSet, seed: int) -> Iterator[int]:
    counts = [len(definition.values) for definition in space.definitions]
    generator = random.Random(seed)
    shifts = [generator.getrandbits(_BITS) for _ in counts]
    for point in sobol_points(len(counts)):
        number = 0
        for value, shift, count in zip(point, shifts, counts, strict=True):
            number = number * count + ((value ^ shift) * count >> _BITS)
        yield number


def sobol_points(axes: int) -> Iterator[tuple[int, ...]]:
    """Yield the points of a Sobol sequence, each coordinate a whole number below 2**32.

    Args:
        axes: Number of coordinates, at most `MOST_SOBOL_AXES`.

    Raises:
        ValueError: If there are more.
    """
    if axes > MOST_SOBOL_AXES:
        raise ValueError(
            f"a Sobol sequence is known here for {MOST_SOBOL_AXES} axes, not for {axes}; "
            "use method random"
        )
    columns = [_direction_numbers(axis) for axis in range(axes)]
    point = [0] * axes
    for index in range(1 << _BITS):
        yield tuple(point)
        lowest_zero = (~index & (index + 1)).bit_length() - 1
        if lowest_zero == _BITS:
            return
        for axis in range(axes):
            point[axis] ^= columns[axis][lowest_zero]


def _direction_numbers(axis: int) -> list[int]:
    if axis == 0:
        return [1 << (_BITS - bit) for bit in range(1, _BITS + 1)]
    degree, coefficients, first = _DIRECTIONS[axis - 1]
    numbers = [value << (_BITS - bit) for bit, value in enumerate(first, start=1)]
    for bit in range(degree, _BITS):
        value = numbers[bit - degree] ^ (numbers[bit - degree] >> degree)
        for step in range(1, degree):
            if coefficients >> (degree - 1 - step) & 1:
                value ^= numbers[bit - step]
        numbers.append(value)
    return numbers
