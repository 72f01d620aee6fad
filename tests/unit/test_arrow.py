import struct
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtrail.arrow import column_bytes, positive_bytes, positive_zeros

FLOATS = st.lists(st.floats(), max_size=20)


@pytest.mark.parametrize(
    ("dtype", "letter", "values"),
    [
        (pl.Float64, "d", [1.5, -0.0, float("inf"), 5e-324]),
        (pl.Int64, "q", [-(2**63), 0, 2**63 - 1]),
        (pl.UInt32, "I", [0, 2**32 - 1, 7]),
        (pl.UInt8, "B", [0, 255, 1]),
    ],
)
def test_a_column_becomes_its_values_little_endian(dtype, letter, values):
    expected = struct.pack(f"<{len(values)}{letter}", *values)
    assert column_bytes(pl.Series("x", values, dtype=dtype)) == expected


@given(FLOATS, FLOATS, st.integers(0, 20), st.integers(0, 20))
def test_chunks_and_slices_count_as_the_values_they_hold(one, other, start, length):
    column = pl.concat([pl.Series("x", part, dtype=pl.Float64) for part in (one, other)])
    expected = np.array([*one, *other], dtype="<f8")
    assert column_bytes(column) == expected.tobytes()
    assert column_bytes(column.slice(start, length)) == expected[start : start + length].tobytes()


def test_a_column_that_once_had_nulls_is_taken():
    column = pl.Series("x", [1.0, None, 2.0]).drop_nulls()
    assert column_bytes(column) == struct.pack("<2d", 1.0, 2.0)
    assert column_bytes(pl.Series("x", [1.0, None]).fill_null(2.0)) == struct.pack("<2d", 1.0, 2.0)


@pytest.mark.parametrize(
    "column",
    [pl.Series("x", [1.0, None]), pl.Series("x", ["a"]), pl.Series("x", [1], dtype=pl.Int32)],
)
def test_a_column_without_plain_values_is_refused(column):
    with pytest.raises(TypeError, match=r"column 'x' is .* cast it to one of Float64, Int64"):
        column_bytes(column)


def test_negative_zeros_become_zeros_and_nothing_else_changes():
    column = pl.Series("x", [-0.0, 0.0, -1.5, float("nan"), float("-inf"), -5e-324])
    found = column_bytes(positive_zeros(column))
    assert found == struct.pack("<6d", 0.0, 0.0, -1.5, float("nan"), float("-inf"), -5e-324)
    assert positive_zeros(column[:0]).to_list() == []


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units")
@given(FLOATS, st.lists(st.sampled_from([-0.0, 0.0, 5e-324, -5e-324, 2.0**-1022]), max_size=9))
def test_bytes_of_floats_know_one_zero(numbers, tiny):
    values = [*tiny, *numbers, *tiny]
    expected = np.array(values, dtype="<f8") + 0.0
    assert positive_bytes(pl.Series("x", values, dtype=pl.Float64)) == expected.tobytes()


def test_no_memory_is_kept():
    script = """
import resource
import polars as pl
from backtrail.arrow import column_bytes
column = pl.Series("x", range(10**6), dtype=pl.Int64)
column_bytes(column)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(100):
    column_bytes(column)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < 100 * 1024  # kilobytes; a leak of one copy each would be 800 MB
