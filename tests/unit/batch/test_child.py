import os
import tempfile

import numpy as np
import pytest

from backtrail.batch.child import pack_bars, unpack_bars
from backtrail.engine import Bars


def make_bars(count, symbols):
    generator = np.random.default_rng(5)
    width = len(symbols)
    columns = {
        name: np.asfortranarray(np.full((count, width), 10.0) + generator.random((count, 1)))
        for name in ("open", "high", "low", "close", "volume")
    }
    for column in columns.values():
        column[0, 0] = np.nan
    return Bars(
        symbols=symbols,
        timestamps=np.arange(count, dtype=np.int64) * 86_400_000_000,
        splits=np.ones((count, width), order="F"),
        dividends=np.zeros((count, width), order="F"),
        delisted=np.full(width, -1, dtype=np.int64),
        calendar="XNYS",
        timeframe="1d",
        **columns,
    )


@pytest.mark.parametrize("symbols", [("A",), ("A", "B", "ÄÖ", "long.name-with-dots")])
def test_bars_come_through_a_file_bit_for_bit_and_cannot_be_written(symbols):
    bars = make_bars(7, symbols)
    with tempfile.TemporaryFile() as stream:
        stream.write(pack_bars(bars))
        stream.flush()
        found = unpack_bars(os.dup(stream.fileno()))
    assert found.symbols == symbols
    assert (found.calendar, found.timeframe) == ("XNYS", "1d")
    for name in (
        "timestamps",
        "delisted",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "splits",
        "dividends",
    ):
        one, other = getattr(found, name), getattr(bars, name)
        assert one.dtype == other.dtype
        assert one.tobytes(order="A") == other.tobytes(order="A"), name
        with pytest.raises(ValueError, match=r"read-only"):
            one[0] = 1
    assert found.close.flags.f_contiguous


def test_packed_columns_are_aligned_to_eight_bytes():
    for length in range(1, 9):
        packed = pack_bars(make_bars(2, ("S" * length,)))
        assert (packed.index(b"\n") + 1) % 8 == 0
