import mmap
import tempfile

import numpy as np
import pytest

from backtrail.data.packed_bars import PackedBars
from backtrail.engine import Bars

COLUMNS = ("open", "high", "low", "close", "volume", "splits", "dividends")


def packed(symbols, count=7):
    """Return packed bars whose every value is another one, but for the first bar without prices."""
    width, begin, columns = len(symbols), 1.0, {}
    for name in COLUMNS:
        values = begin + np.arange(count * width, dtype="<f8")
        begin += count * width
        if name not in ("splits", "dividends"):
            values[0] = np.nan
        columns[name] = values.tobytes()
    columns["timestamps"] = (np.arange(count, dtype="<i8") * 86_400_000_000).tobytes()
    columns["delisted"] = np.array([count - 1, *[-1] * (width - 1)], dtype="<i8").tobytes()
    return PackedBars(tuple(symbols), "XNYS", "1d", columns)


def over(found):
    return Bars.over(
        found.symbols, found.columns, calendar=found.calendar, timeframe=found.timeframe
    )


@pytest.mark.parametrize("symbols", [("A",), ("A", "B", "ÄÖ", "long.name-with-dots")])
def test_bars_come_through_a_mapped_file_bit_for_bit_and_cannot_be_written(symbols):
    bars = packed(symbols)
    with tempfile.TemporaryFile() as stream:
        stream.write(bars.to_bytes())
        stream.flush()
        found = PackedBars.from_block(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    assert (found.symbols, found.calendar, found.timeframe) == (symbols, "XNYS", "1d")
    assert {name: bytes(column) for name, column in found.columns.items()} == bars.columns
    arrays = over(found)
    assert arrays.close.shape == (7, len(symbols))
    assert arrays.close.flags.f_contiguous
    for name in (*COLUMNS, "timestamps", "delisted"):
        array = getattr(arrays, name)
        assert array.tobytes(order="F") == bars.columns[name], name
        with pytest.raises(ValueError, match=r"read-only"):
            array[0] = 1


def test_values_of_a_symbol_stand_together():
    arrays = over(packed(("A", "B")))
    assert arrays.splits[:, 0].tolist() == [71, 72, 73, 74, 75, 76, 77]
    assert arrays.splits[:, 1].tolist() == [78, 79, 80, 81, 82, 83, 84]
    assert arrays.timestamps[1] == 86_400_000_000
    assert arrays.delisted.tolist() == [6, -1]


def test_packed_columns_are_aligned_to_eight_bytes():
    for length in range(1, 9):
        block = packed(("S" * length,), 2).to_bytes()
        assert (block.index(b"\n") + 1) % 8 == 0


def test_packing_needs_neither_numpy_nor_polars_nor_the_engine():
    import subprocess
    import sys

    script = "import sys, backtrail.data.packed_bars; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    loaded = set(output.decode().split())
    assert "backtrail.data.packed_bars" in loaded
    assert loaded & {"numpy", "polars", "backtrail.engine"} == set()
