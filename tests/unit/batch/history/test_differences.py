import json
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from backtrail.batch.history.differences import (
    FirstDifference,
    first_difference,
    first_table_difference,
    plain_value,
)

TIME = pl.Datetime("us", "UTC")


@pytest.fixture
def compare(tmp_path):
    """Write two files of one name and return their first difference."""

    def compare(name, before, after):
        paths = [tmp_path / side / name for side in ("before", "after")]
        for path, content in zip(paths, (before, after), strict=True):
            path.parent.mkdir(exist_ok=True)
            if isinstance(content, pl.DataFrame):
                content.write_parquet(path)
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return first_difference(*paths)

    return compare


def orders(*amounts, symbol="AAA"):
    moments = [datetime(2020, 1, 1 + day, tzinfo=UTC) for day in range(len(amounts))]
    return pl.DataFrame(
        {"created_at": moments, "symbol": [symbol] * len(amounts), "amount": amounts},
        schema={"created_at": TIME, "symbol": pl.String, "amount": pl.Float64},
    )


def test_a_table_parts_at_the_first_row_with_both_values_and_where_it_is(compare):
    found = compare("o.parquet", orders(1.0, 2.0, 3.0), orders(1.0, 2.5, 9.0))
    assert found == FirstDifference(2, "amount", 2.0, 2.5, "2020-01-02 AAA")
    assert str(found) == "row 2 (2020-01-02 AAA), amount: 2.0 -> 2.5"


def test_the_first_row_wins_over_the_first_column():
    before = pl.DataFrame({"a": [1, 1], "b": [1, 1]})
    after = pl.DataFrame({"a": [1, 2], "b": [3, 1]})
    assert first_table_difference(before, after) == FirstDifference(1, "b", 1, 3)
    assert first_table_difference(before, after, ["a"]) == FirstDifference(2, "a", 1, 2)


def test_a_missing_value_differs_from_every_other_and_from_none_else(compare):
    assert compare("o.parquet", orders(None, 2.0), orders(None, 2.0)) is None
    assert compare("o.parquet", orders(None), orders(0.0)).before is None
    assert compare("o.parquet", orders(0.0), orders(None)).after is None


def test_layout_compression_and_minus_zero_are_no_difference(tmp_path):
    paths = tmp_path / "a.parquet", tmp_path / "b.parquet"
    orders(1.0, -0.0, 3.0).write_parquet(paths[0], compression="zstd")
    orders(1.0, 0.0, 3.0).write_parquet(paths[1], compression="lz4", row_group_size=1)
    assert paths[0].read_bytes() != paths[1].read_bytes()
    assert first_difference(*paths) is None


def test_a_row_more_or_less_is_shown_whole(compare):
    less = compare("o.parquet", orders(1.0, 2.0), orders(1.0))
    assert (less.row, less.column, less.after) == (2, None, None)
    assert less.before == "created_at=2020-01-02 00:00:00+00:00, symbol=AAA, amount=2.0"
    more = compare("o.parquet", orders(), orders(1.0))
    assert (more.row, more.before, more.at) == (1, None, "2020-01-01 AAA")


def test_other_columns_or_types_come_before_values(compare):
    frame = orders(1.0)
    assert compare("o.parquet", frame, frame.rename({"amount": "size"})) == FirstDifference(
        None, "column 3", "amount Float64", "size Float64"
    )
    found = compare("o.parquet", frame, frame.with_columns(pl.col("amount").cast(pl.Int64)))
    assert found.after == "amount Int64"


def test_csv_is_compared_by_cell_and_numbers_by_value(compare):
    head = "timestamp,value\n"
    assert compare("a.csv", head + "x,1.0\n", head + "x,1\n") is None
    assert compare("a.csv", head + "x,1\ny,2\n", head + "x,1\ny,3\n") == FirstDifference(
        2, "value", "2", "3"
    )
    assert compare("a.csv", head, "timestamp,other\n").column == "value"
    assert compare("a.csv", head + "x,1\n", head) == FirstDifference(1, None, "x,1", None)
    assert compare("a.csv", head + "x,1\n", head + "x,1,2\n") == FirstDifference(
        1, "column 3", None, "2"
    )
    assert compare("a.csv", head + "x,\n", head + "x,0\n").after == "0"


def test_json_is_compared_by_value_and_path(compare):
    old = {"a": {"b": [1, 2]}, "c": 1}
    assert compare("a.json", json.dumps(old), json.dumps(old, indent=7)) is None
    assert compare("a.json", '{"c": 1}', '{"c": 1.0}') is None
    assert compare("a.json", json.dumps(old), '{"a": {"b": [1, 3]}, "c": 1}') == FirstDifference(
        None, "a.b[1]", "2", "3"
    )
    assert compare("a.json", '{"c": 1}', '{"c": true}').after == "true"
    assert compare("a.json", '{"c": null}', "{}") == FirstDifference(None, "c", "null", None)
    assert str(compare("a.json", "{}", '{"c": 0}')) == "c: nothing -> 0"


def test_text_is_compared_by_line_and_bytes_by_position(compare):
    found = compare("a.txt", "one\ntwo\n", "one\nthree\n")
    assert str(found) == "line 2: two -> three"
    assert compare("a.txt", "one\n", "one\n") is None
    assert compare("a.txt", "one\n", "one").column == "line ends"
    assert compare("a.bin", b"\xff\x00", b"\xff\x01") == FirstDifference(None, "byte 2", "00", "01")
    assert compare("a.bin", b"\xff", b"\xff\x01").before is None


def test_a_file_that_is_not_what_its_name_says_is_compared_as_text(compare):
    assert str(compare("a.parquet", "no table", "none")) == "line 1: no table -> none"
    assert str(compare("a.json", "{", "[")) == "line 1: { -> ["


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Decimal("920.000000000"), "920"),
        (Decimal("-0.0500"), "-0.05"),
        (Decimal("1E+3"), "1000"),
        (float("nan"), "nan"),
        (datetime(2020, 1, 2, tzinfo=UTC), "2020-01-02"),
        (datetime(2020, 1, 2, 9, 30, tzinfo=UTC), "2020-01-02T09:30:00Z"),
        (None, None),
        (True, True),
        (1.5, 1.5),
        (b"x", "b'x'"),
    ],
)
def test_values_are_plain_enough_for_json(value, plain):
    assert plain_value(value) == plain
