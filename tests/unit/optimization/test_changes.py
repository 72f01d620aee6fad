import numpy as np
import pytest

from backtrail.optimization.changes import find_flips

pytest.importorskip("numba")


def flips(flags, room=64):
    rows, columns = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    values = np.empty(room)
    end = find_flips(flags.view(np.uint8), rows, columns, values, 0)
    found = min(end, room)
    return end, list(zip(rows[:found].tolist(), values[:found].tolist(), strict=True))


@pytest.mark.parametrize("length", [1, 7, 8, 9, 15, 16, 17, 40])
@pytest.mark.parametrize("offset", [0, 1, 5])
def test_flips_are_found_at_every_place_of_flags_that_begin_and_end_anywhere(length, offset):
    for at in range(length):
        stored = np.zeros(offset + length, dtype=np.bool_)
        flags = stored[offset:]
        flags[at:] = True
        assert flips(flags) == (1, [(at, 1.0)])
        flags[at + 1 :] = False
        rows = [(at, 1.0), (at + 1, 0.0)]
        expected = rows if at + 1 < length else rows[:1]
        assert flips(flags) == (len(expected), expected)


def test_flags_that_turn_at_every_bar_flip_at_every_bar():
    flags = np.arange(41) % 2 == 0
    assert flips(flags) == (41, [(row, float(row % 2 == 0)) for row in range(41)])
    assert flips(flags, room=4)[0] == 41, "what did not fit is counted, too"


def test_flags_that_never_turn_flip_once_or_not_at_all():
    assert flips(np.zeros(40, dtype=np.bool_)) == (0, [])
    assert flips(np.ones(40, dtype=np.bool_)) == (1, [(0, 1.0)])
