import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtrail.canonical import (
    canonical_json,
    derive_seed,
    pretty_json,
    sha256_bytes,
    sha256_file,
    sha256_json,
    utc_iso,
)

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab_é", max_size=4), inner),
    max_leaves=12,
)


def test_canonical_json_of_one_value_of_each_kind_is_this_text():
    value = {
        "b": [1, -0.0, 0.1, 1e300, True, None],
        "a": {"é": "ü\n", "money": Decimal("0.0010"), "zero": Decimal("-0.00")},
        "day": date(2020, 2, 29),
        "moment": datetime(2020, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=1))),
        "path": Path("a") / "b",
        "pair": (1, 2),
    }
    assert canonical_json(value) == (
        '{"a":{"money":"0.001","zero":"0","é":"ü\\n"},'
        '"b":[1,0.0,0.1,1e+300,true,null],"day":"2020-02-29",'
        '"moment":"2020-01-01T00:30:00Z","pair":[1,2],"path":"a/b"}'
    )


@given(VALUES)
def test_canonical_json_reads_back_as_the_value_it_was_made_of(value):
    assert json.loads(canonical_json(value)) == value
    assert json.loads(pretty_json(value)) == value


@given(VALUES)
def test_canonical_json_of_what_it_gave_is_the_same_text(value):
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text(max_size=3), st.integers(), min_size=2))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value):
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_canonical_decimals_keep_every_digit_and_drop_only_trailing_zeros(value):
    text = json.loads(canonical_json(value))
    assert Decimal(text) == value
    assert "E" not in text


def test_canonical_decimals_are_exact_beyond_the_precision_of_the_context():
    long = Decimal("1234567890123456789012345678901234567890.123450")
    with localcontext() as context:
        context.prec = 5
        assert canonical_json(long) == '"1234567890123456789012345678901234567890.12345"'


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (Decimal("1E+3"), Decimal("1000.000")),
        (Decimal("0E-10"), Decimal("-0")),
        (-0.0, 0.0),
        ([1], (1,)),
        (datetime(2020, 1, 1, tzinfo=UTC), "2020-01-01T00:00:00Z"),
    ],
)
def test_equal_values_of_different_form_have_one_text(left, right):
    assert canonical_json(left) == canonical_json(right)


def test_whole_numbers_and_floats_stay_apart():
    assert canonical_json(1) != canonical_json(1.0) != canonical_json(True)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity")]
)
def test_numbers_that_are_not_finite_are_refused_with_their_place(value):
    with pytest.raises(ValueError, match=r"^\$\.a\[1\] is .*no NaN and no infinity"):
        canonical_json({"a": [0, value]})


@pytest.mark.parametrize("value", [{1, 2}, b"x", object(), 1j])
def test_values_without_a_form_are_refused_with_their_place(value):
    with pytest.raises(TypeError, match=r"^\$\.x is a \w+, which has no canonical JSON form"):
        canonical_json({"x": value})


@pytest.mark.parametrize("key", [1, None, True, ("a",)])
def test_keys_that_are_not_text_are_refused(key):
    with pytest.raises(TypeError, match=r"canonical JSON keys are strings"):
        canonical_json({key: 1})


def test_moments_without_a_timezone_are_refused():
    with pytest.raises(ValueError, match=r"has no timezone"):
        utc_iso(datetime(2020, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match=r"has no timezone"):
        canonical_json(datetime(2020, 1, 1))  # noqa: DTZ001


def test_moments_keep_their_microseconds_and_turn_to_utc():
    moment = datetime(2020, 6, 1, 23, 59, 59, 123456, tzinfo=timezone(timedelta(hours=-5)))
    assert utc_iso(moment) == "2020-06-02T04:59:59.123456Z"


def test_pretty_json_is_sorted_indented_by_two_and_ends_with_a_line_feed():
    assert pretty_json({"b": [1], "a": "ö"}) == '{\n  "a": "ö",\n  "b": [\n    1\n  ]\n}\n'


def test_checksums_are_the_published_ones_of_sha256(tmp_path):
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    million_a = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    file = tmp_path / "million"
    file.write_bytes(b"a" * 1_000_000)
    assert sha256_bytes(b"abc") == abc
    assert sha256_file(file) == million_a
    assert sha256_json("") == sha256_bytes(b'""')


def test_a_file_larger_than_one_chunk_has_the_checksum_of_its_bytes(tmp_path):
    data = bytes(range(256)) * 10_000
    (tmp_path / "large").write_bytes(data)
    assert sha256_file(tmp_path / "large") == sha256_bytes(data)


def test_derived_seeds_differ_in_every_argument_and_fit_63_bits():
    seeds = {
        derive_seed(1, "ab", "run"),
        derive_seed(2, "ab", "run"),
        derive_seed(1, "ac", "run"),
        derive_seed(1, "ab", "bootstrap"),
        derive_seed(1, "a", "brun"),
    }
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)
    # printf '[1,"ab","run"]' | sha256sum, first 16 digits, halved
    assert derive_seed(1, "ab", "run") == 0xF04B4BE1CA0AF0F1 >> 1
