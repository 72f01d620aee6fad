import hashlib
import math
from array import array
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from backtrail.artifacts.schemas import ARTIFACT_SCHEMAS
from backtrail.artifacts.tables import (
    build_table,
    content_checksum,
    read_table,
    write_csv,
    write_table,
    write_tables,
)
from backtrail.errors import ArtifactManagerError

DAY = 86_400_000_000
RECORDED = {"timestamp": [0, DAY], "name": ["a", "b"], "value": [1.5, float("nan")]}


def frame(**columns):
    return pl.DataFrame(columns)


def test_a_table_is_built_with_its_declared_schema_and_missing_is_null():
    table = build_table("recorded", RECORDED)
    assert dict(table.schema) == ARTIFACT_SCHEMAS["recorded"]
    assert table.rows() == [
        (datetime(1970, 1, 1, tzinfo=UTC), "a", 1.5),
        (datetime(1970, 1, 2, tzinfo=UTC), "b", None),
    ]


@pytest.mark.parametrize("name", ARTIFACT_SCHEMAS)
def test_every_artifact_can_be_empty(name, tmp_path):
    table = build_table(name, {column: [] for column in ARTIFACT_SCHEMAS[name]})
    write_table(tmp_path / "t.parquet", table)
    assert_frame_equal(read_table(tmp_path / "t.parquet", name), table)
    assert table.height == 0


def test_infinite_values_stay_where_missing_ones_become_null():
    found = build_table(
        "recorded",
        {"timestamp": [0] * 3, "name": ["x"] * 3, "value": array("d", [math.inf, math.nan, 0.0])},
    )
    assert found["value"].to_list() == [math.inf, None, 0.0]
    both = array("d", [math.inf, 0.0, -math.inf])
    found = build_table("recorded", {"timestamp": [0] * 3, "name": ["x"] * 3, "value": both})
    assert found["value"].to_list() == [math.inf, 0.0, -math.inf]


def test_exact_decimals_keep_their_last_place():
    schema = ARTIFACT_SCHEMAS["corporate_actions"]
    columns = {column: [None] for column in schema}
    columns |= {"cash": [Decimal("1234567890123456.0000000001")], "timestamp": [0]}
    table = build_table("corporate_actions", columns)
    assert table["cash"].to_list() == [Decimal("1234567890123456.0000000001")]
    assert table["quantity_before"].to_list() == [None]


def test_decimals_of_every_form_are_taken_and_what_is_no_number_is_refused():
    columns = {column: [None] * 4 for column in ARTIFACT_SCHEMAS["corporate_actions"]}
    cash = [Decimal("1E+3"), Decimal("-0E-10"), Decimal("-2.5"), None]
    columns |= {"cash": cash, "timestamp": [0] * 4}
    assert build_table("corporate_actions", columns)["cash"].to_list() == [1000, 0, -2.5, None]
    for wrong in (Decimal("NaN"), Decimal("Infinity"), Decimal("1E+40"), "a", True):
        with pytest.raises(ArtifactManagerError, match=r"column 'cash' .* does not fit Decimal"):
            build_table("corporate_actions", {**columns, "cash": [wrong, *cash[1:]]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": ["x", "y"]}, "column 'value' of table 'recorded' does not fit Float64"),
        ({"name": [1, 2]}, "column 'name' of table 'recorded' does not fit String"),
        ({"timestamp": ["x", "y"]}, "column 'timestamp' of table 'recorded' does not fit"),
        ({"extra": [1, 2]}, r"has the columns \[.*'extra'.*\]; declared are"),
    ],
)
def test_columns_that_do_not_fit_are_refused_by_name(change, message):
    with pytest.raises(ArtifactManagerError, match=message):
        build_table("recorded", {**RECORDED, **change})


def test_a_missing_column_is_refused():
    with pytest.raises(ArtifactManagerError, match=r"declared are"):
        build_table("recorded", {"name": [], "value": []})


def test_equal_content_has_equal_bytes_and_the_checksum_of_a_round_trip(tmp_path):
    table = build_table("recorded", {**RECORDED, "value": np.array([1.0, np.nan])})
    parts = pl.concat([table[:1], table[1:]], rechunk=False)
    assert parts.n_chunks() == 2
    one = write_table(tmp_path / "one.parquet", table)
    two = write_table(tmp_path / "two.parquet", parts)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert one == two == content_checksum(read_table(tmp_path / "one.parquet", "recorded"))


def test_tables_written_together_have_the_bytes_and_checksums_of_each_alone(tmp_path):
    recorded = build_table("recorded", RECORDED)
    frames = {
        "parts.parquet": pl.concat([recorded[:1], recorded[1:]], rechunk=False),
        "none.parquet": recorded.clear(),
        "long.parquet": frame(number=range(300_000)),
        "other.parquet": frame(text=["a", None], exact=[Decimal("1.5"), None]),
    }
    together = write_tables({tmp_path / name: table for name, table in frames.items()})
    alone = {tmp_path / name: write_table(tmp_path / "alone", frames[name]) for name in frames}
    assert together == alone == {tmp_path / n: content_checksum(t) for n, t in frames.items()}
    for name, table in frames.items():
        write_table(tmp_path / "alone", table)
        assert (tmp_path / name).read_bytes() == (tmp_path / "alone").read_bytes(), name
        assert_frame_equal(pl.read_parquet(tmp_path / name), table)


def test_a_file_with_another_schema_is_refused_with_both(tmp_path):
    frame(timestamp=[1], name=["a"], value=[1.0]).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(ArtifactManagerError, match=r"t\.parquet has the schema .*; declared is"):
        read_table(tmp_path / "t.parquet", "recorded")


def test_csv_has_utc_times_full_precision_and_nothing_where_missing(tmp_path):
    write_csv(
        tmp_path / "t.csv",
        build_table("recorded", {**RECORDED, "value": [0.1 + 0.2, None], "timestamp": [1, DAY]}),
    )
    assert (tmp_path / "t.csv").read_text().splitlines() == [
        "timestamp,name,value",
        "1970-01-01T00:00:00.000001Z,a,0.30000000000000004",
        "1970-01-02T00:00:00Z,b,",
    ]


def test_the_checksum_is_the_documented_bytes():
    table = frame(x=pl.Series([1.5, None, -0.0]), s=["é", "", "b"])
    expected = hashlib.sha256(
        b"x|Float64|3\n\x01\x00\x01"
        + np.array([1.5, 0.0], "<f8").tobytes()
        + b"s|String|3\n\x01\x01\x01"
        + np.array([2, 0, 1], "<u4").tobytes()
        + "éb".encode()
    ).hexdigest()
    assert content_checksum(table) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (frame(x=[1]), frame(y=[1])),
        (frame(x=[1]), frame(x=[1.0])),
        (frame(x=[1, 2]), frame(x=[2, 1])),
        (frame(x=[None, 1]), frame(x=[1, None])),
        (frame(x=[0.0]), frame(x=pl.Series([None], dtype=pl.Float64))),
        (frame(x=["ab", "c"]), frame(x=["a", "bc"])),
        (frame(x=[""]), frame(x=pl.Series([None], dtype=pl.String))),
        (frame(x=[1], y=[2]), frame(y=[2], x=[1])),
        (frame(x=[True]), frame(x=[False])),
        (frame(x=[Decimal("1.0")]), frame(x=[Decimal("1.00")])),
    ],
)
def test_content_that_differs_has_another_checksum(one, other):
    assert content_checksum(one) != content_checksum(other)


ROWS = st.lists(
    st.tuples(
        st.none() | st.floats(allow_nan=False),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.none() | st.booleans(),
        st.none() | st.decimals(-(10**12), 10**12, places=10),
        st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001
    ),
    max_size=12,
)
SCHEMA = {
    "f": pl.Float64,
    "i": pl.Int64,
    "s": pl.String,
    "b": pl.Boolean,
    "d": pl.Decimal(38, 10),
    "t": pl.Datetime("us"),
}


@given(ROWS, st.integers(0, 12))
def test_the_checksum_survives_chunking_parquet_and_the_sign_of_zero(tmp_path_factory, rows, cut):
    table = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    checksum = content_checksum(table)
    chunked = pl.concat([table[:cut], table[cut:]], rechunk=False)
    assert content_checksum(chunked) == checksum
    path = tmp_path_factory.getbasetemp() / "round.parquet"
    table.write_parquet(path, compression="uncompressed", row_group_size=3)
    assert content_checksum(pl.read_parquet(path)) == checksum
    turned = pl.when(pl.col("f") == 0.0).then(-0.0).otherwise(pl.col("f")).alias("f")
    assert content_checksum(table.with_columns(turned)) == checksum
