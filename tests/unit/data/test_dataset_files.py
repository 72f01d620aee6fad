from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow.parquet as pq
import pytest

from backtrail.data.dataset_files import row_group_ends, write_dataset_files
from backtrail.data.identity import ADJUSTMENT_SCHEMA, BAR_SCHEMA

GROUP = 1 << 18
SHARED = 1 << 14


@pytest.mark.parametrize(
    ("rows", "ends"),
    [
        ([], [0]),
        ([5], [5]),
        ([5, 7, 9], [21]),
        ([GROUP], [GROUP]),
        ([GROUP - 5, 10], [GROUP - 5, GROUP + 5]),
        ([SHARED - 5, 5, 1], [SHARED, SHARED + 1]),
        ([SHARED - 5, 6, 1], [SHARED - 5, SHARED + 2]),
        ([5000] * 7, [15_000, 30_000, 35_000]),
        ([2 * GROUP + 3, 4], [GROUP, 2 * GROUP, 2 * GROUP + 7]),
        ([10, 2 * GROUP], [10, GROUP + 10, 2 * GROUP + 10]),
    ],
)
def test_row_groups_end_where_symbols_do(rows, ends):
    assert row_group_ends(rows) == ends


def test_files_hold_the_declared_columns_in_groups_of_whole_symbols(tmp_path):
    symbols = pl.Enum(["AAA", "BRK.A", "BRK.B"])
    start, count = datetime(2020, 1, 1, tzinfo=UTC), 200_000
    one = pl.DataFrame(
        {"timestamp": [start + timedelta(minutes=at) for at in range(count)]},
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    ).with_columns((pl.int_range(count) % 97 + 1.25).cast(pl.Float64).alias("open"))
    one = one.with_columns(pl.col("open").alias(name) for name in ("high", "low", "close"))
    one = one.with_columns(pl.lit(0.0).alias("volume"))
    bars = pl.concat(
        one.with_columns(pl.lit(name, dtype=symbols).alias("symbol")) for name in symbols.categories
    )
    schema = {**ADJUSTMENT_SCHEMA, "symbol": symbols}
    files = write_dataset_files(tmp_path, bars, pl.DataFrame(schema=schema))
    read = pl.read_parquet(tmp_path / "bars.parquet")
    assert read.schema == pl.Schema(BAR_SCHEMA)
    assert read.equals(bars.select(list(BAR_SCHEMA)).cast({"symbol": pl.String}))
    meta = pq.ParquetFile(tmp_path / "bars.parquet").metadata
    groups = [meta.row_group(at) for at in range(meta.num_row_groups)]
    names = [(g.column(0).statistics.min, g.column(0).statistics.max) for g in groups]
    assert names == [("AAA", "AAA"), ("BRK.A", "BRK.A"), ("BRK.B", "BRK.B")]
    assert "DELTA_BINARY_PACKED" in groups[0].column(1).encodings
    empty = pl.read_parquet(tmp_path / "adjustments.parquet")
    assert empty.schema == pl.Schema(ADJUSTMENT_SCHEMA)
    assert empty.height == 0
    assert files["bars.parquet"]["size"] == (tmp_path / "bars.parquet").stat().st_size
