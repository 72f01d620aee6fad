import importlib.util
import json
from datetime import UTC, datetime

import polars as pl
import pyarrow.parquet as pq
import pytest

from backtrail.data.identity import (
    ADJUSTMENT_SCHEMA,
    BAR_SCHEMA,
    canonical_order,
    content_checksums,
    dataset_id,
)
from backtrail.errors import DatasetError

from .places import PROJECT

NO_ADJUSTMENTS = pl.DataFrame(schema=dict(ADJUSTMENT_SCHEMA))


def bars(**changes):
    columns = {
        "symbol": ["A", "A", "B"],
        "timestamp": [datetime(2020, 1, day, tzinfo=UTC) for day in (2, 3, 2)],
        "open": [1.0, 2.0, 3.0],
        "high": [1.5, 2.5, 3.5],
        "low": [0.5, 1.5, 2.5],
        "close": [1.25, 2.25, 3.25],
        "volume": [0.0, 5e9, 7.0],
    }
    return pl.DataFrame({**columns, **changes}, schema=dict(BAR_SCHEMA))


def identity(frame, adjustments=NO_ADJUSTMENTS, calendar="XNYS", timeframe="1d"):
    content = content_checksums(frame, adjustments)
    return dataset_id(content, calendar=calendar, timeframe=timeframe)


def test_identity_of_three_rows_is_the_golden_one():
    # Computed apart from this library, with struct.pack and hashlib of the Python library.
    assert content_checksums(bars(), NO_ADJUSTMENTS) == {
        "bars": "8cfd6b72c12a74b00c84cfeecc1895258b6a212b97d131a94e861fc1de7570d8",
        "adjustments": "5e89ed1aba5d50338506cfc7e6add86f1dad27fd5a23dc53d2824de7466156fe",
    }
    assert identity(bars()) == "30afe405b19036c2"


def test_identity_is_the_same_for_any_row_order_chunking_and_symbol_type():
    expected = identity(bars())
    shuffled = bars()[[2, 0, 1]]
    chunked = pl.concat([bars()[:1], bars()[1:2], bars()[2:]], rechunk=False)
    backwards = bars().with_columns(pl.col("symbol").cast(pl.Enum(["B", "A", "unused"])))
    assert chunked["open"].n_chunks() == 3
    assert [identity(frame) for frame in (shuffled, chunked, backwards)] == [expected] * 3


def test_identity_takes_negative_zero_for_zero():
    assert identity(bars(volume=[-0.0, 5e9, 7.0])) == identity(bars())


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
def test_identity_changes_with_the_last_bit_of_any_value(column):
    value = bars()[column].to_list()
    value[2] = value[2] * (1 + 2**-52)
    assert identity(bars(**{column: value})) != identity(bars())


def test_identity_changes_with_calendar_timeframe_symbol_time_and_adjustment():
    split = pl.DataFrame(
        [("A", datetime(2020, 1, 3, tzinfo=UTC), "split", 2.0)],
        schema=dict(ADJUSTMENT_SCHEMA),
        orient="row",
    )
    later = bars()["timestamp"].to_list()
    later[1] = datetime(2020, 1, 6, tzinfo=UTC)
    ids = [
        identity(bars()),
        identity(bars(), calendar="24/7"),
        identity(bars(), timeframe="1w"),
        identity(bars(symbol=["A", "A", "C"])),
        identity(bars(timestamp=later)),
        identity(bars(), split),
    ]
    assert len(set(ids)) == 6


def test_identity_of_huge_and_of_negative_values_is_that_of_their_bytes():
    # The sum of finite values may be infinite; a zero among negative ones may have a sign.
    huge = bars(high=[1.7e308, 1.7e308, 1.7e308])
    assert identity(huge) != identity(bars())
    negative = [bars(volume=[-3.0, zero, -7.0]) for zero in (0.0, -0.0)]
    assert identity(negative[0]) == identity(negative[1])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_identity_refuses_values_that_are_not_finite(value):
    with pytest.raises(DatasetError, match=r"bars\.close has a value that is not finite"):
        identity(bars(close=[1.0, value, 2.0]))


def test_identity_refuses_nulls_and_repeated_keys():
    with pytest.raises(DatasetError, match=r"bars\.open has 1 nulls"):
        identity(bars(open=[1.0, None, 2.0]))
    with pytest.raises(DatasetError, match="two rows with the same symbol, timestamp"):
        identity(pl.concat([bars(), bars()[:1]]))


def test_canonical_order_returns_sorted_rows_untouched():
    frame = bars()
    assert canonical_order(frame, "bars") is frame
    assert canonical_order(frame[::-1], "bars").equals(frame)


# Golden figures, computed by tests/golden/dataset_id.py with the standard library alone.

GOLDEN = json.loads((PROJECT / "tests/golden/dataset_id.json").read_text())


def frames(rows, adjustments):
    return (
        pl.DataFrame(rows, schema={**BAR_SCHEMA, "timestamp": pl.Int64}, orient="row").cast(
            dict(BAR_SCHEMA)
        ),
        pl.DataFrame(
            adjustments, schema={**ADJUSTMENT_SCHEMA, "timestamp": pl.Int64}, orient="row"
        ).cast(dict(ADJUSTMENT_SCHEMA)),
    )


@pytest.fixture(scope="module")
def golden():
    """The module that computed the golden figures."""
    path = PROJECT / "tests/golden/dataset_id.py"
    spec = importlib.util.spec_from_file_location("golden_dataset_id", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_golden(tables, calendar, timeframe):
    content = content_checksums(*tables)
    return {
        "content": content,
        "id": dataset_id(content, calendar=calendar, timeframe=timeframe),
    }


def test_identity_of_many_rows_and_adjustments_is_the_golden_one(golden):
    rows, adjustments = golden.many_rows(), golden.few_adjustments()
    assert as_golden(frames(rows, []), "24/7", "1m") == GOLDEN["300,000 bars"]
    both = frames(rows, adjustments)
    assert as_golden(both, "24/7", "1m") == GOLDEN["300,000 bars, adjusted"]
    shuffled = [frame.sample(fraction=1.0, shuffle=True, seed=1) for frame in both]
    assert as_golden(shuffled, "24/7", "1m") == GOLDEN["300,000 bars, adjusted"]
    one = frames([("A", 0, 1.0, 1.0, 1.0, 1.0, -0.0)], [])
    assert as_golden(one, "XNYS", "1d") == GOLDEN["one bar"]


@pytest.mark.parametrize(
    ("writer", "rows_per_group", "compression"),
    [
        ("polars", 777, "zstd"),
        ("polars", 1 << 20, "uncompressed"),
        ("pyarrow", 100_000, "snappy"),
        ("pyarrow", 777, "none"),
    ],
)
def test_identity_depends_on_no_way_of_writing_parquet(
    golden, tmp_path, writer, rows_per_group, compression
):
    tables = frames(golden.many_rows(), golden.few_adjustments())
    read = []
    for at, frame in enumerate(tables):
        path = tmp_path / f"{at}.parquet"
        options = {"compression": compression, "row_group_size": rows_per_group}
        if writer == "polars":
            frame.write_parquet(path, **options)
        else:
            pq.write_table(frame.to_arrow(), path, **options)
        read.append(pl.read_parquet(path))
    assert as_golden(read, "24/7", "1m") == GOLDEN["300,000 bars, adjusted"]
