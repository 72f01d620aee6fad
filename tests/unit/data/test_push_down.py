"""A run that wants two symbols of two hundred reads little else of the dataset."""

import os
from array import array
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pyarrow.parquet as pq
import pytest

from backtrail.data import Dataset
from backtrail.data.windows import read_window
from backtrail.errors import DatasetError

from .places import HEADER

SYMBOLS, BARS = 200, 2_500
WANTED = ("S017", "S171")
DAYS = date(2000, 1, 1), date(2006, 12, 31)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two hundred symbols of ten years."""
    from backtrail.data import BundleConfig, ingest_bundle

    root = tmp_path_factory.mktemp("wide")
    start = datetime(2000, 1, 1, tzinfo=UTC)
    days = [f"{start + timedelta(days=at):%Y-%m-%d}" for at in range(BARS)]
    lines = [
        f"S{number:03d},{day},{base},{base + 1},{base - 1},{base},{at * 7919 % 4999}\n"
        for number in range(SYMBOLS)
        for at, day in enumerate(days)
        for base in [10 + (number * 31 + at * 17) % 1009 / 8]
    ]
    (root / "all.csv").write_text("symbol," + HEADER + "".join(lines))
    bundle = BundleConfig("wide", "csv", "24/7", "1d", "all.csv")
    manifest = ingest_bundle(bundle, root=root, bundles_dir=root / "bundles")
    assert (len(manifest.symbols), manifest.rows) == (SYMBOLS, SYMBOLS * BARS)
    return Dataset.open(root / "bundles/wide" / manifest.dataset_id)


def groups_of(path):
    """Return first and last symbol, first byte and size of every row group."""
    meta = pq.ParquetFile(path).metadata
    found = []
    for at in range(meta.num_row_groups):
        group = meta.row_group(at)
        columns = [group.column(number) for number in range(group.num_columns)]
        begin = min(column.dictionary_page_offset or column.data_page_offset for column in columns)
        names = columns[0].statistics
        found.append((names.min, names.max, begin, sum(c.total_compressed_size for c in columns)))
    return found


def bytes_read():
    with open("/proc/self/io") as stream:
        return int(dict(line.split(": ") for line in stream)["rchar"])


def test_pages_of_other_symbols_may_be_ruined_and_the_window_is_the_same(dataset, tmp_path):
    before = read_window(dataset, WANTED, *DAYS)
    closes = array("d", before.columns["close"])
    assert len(closes) == 2 * BARS
    assert closes[0] == 10 + 17 * 31 % 1009 / 8
    copy = tmp_path / dataset.path.name
    copy.mkdir()
    for path in dataset.path.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    bars = copy / "bars.parquet"
    data, ruined = bytearray(bars.read_bytes()), 0
    for first, last, begin, size in groups_of(bars):
        if not any(first <= name <= last for name in WANTED):
            data[begin : begin + size] = b"\xff" * size
            ruined += size
    assert ruined > 0.7 * len(data)
    bars.write_bytes(data)
    damaged = Dataset.open(copy)
    assert read_window(damaged, WANTED, *DAYS) == before
    with pytest.raises(DatasetError, match=r"bars\.parquet cannot be read"):
        read_window(damaged, ("S017", "S100"), *DAYS)


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="counts of bytes are Linux's")
def test_a_few_symbols_read_a_few_bytes(dataset):
    read_window(dataset, WANTED, *DAYS)  # libraries are loaded
    size = (dataset.path / "bars.parquet").stat().st_size
    started = bytes_read()
    read_window(dataset, WANTED, *DAYS)
    few = bytes_read() - started
    started = bytes_read()
    dataset.bars()
    everything = bytes_read() - started
    assert everything > 0.8 * size
    assert few < 0.25 * everything


def test_a_window_of_one_month_of_one_symbol_is_that_month(dataset):
    window = dataset.bars(["S099"], date(2000, 3, 1), date(2000, 3, 31))
    assert window.height == 31
    assert window["symbol"].unique().to_list() == ["S099"]
    assert window["timestamp"].dt.month().unique().to_list() == [3]
    assert window.schema["close"] == pl.Float64
