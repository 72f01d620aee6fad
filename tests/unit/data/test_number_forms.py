import polars as pl
import pytest

from backtrail.data.number_forms import (
    NumberForm,
    detect_numbers,
    is_plain,
    parse_number,
    shows_point,
)
from backtrail.errors import DatasetError


def read(*cells, delimiter=",", decimal=None, thousands=None, **columns):
    lazy = pl.LazyFrame({"close": list(cells), **columns}, schema_overrides={"close": pl.String})
    form = detect_numbers(
        "a.csv",
        lazy,
        ["close", *columns],
        decimal=decimal,
        thousands=thousands,
        delimiter=delimiter,
    )
    values = lazy.select(parse_number(pl.col("close"), form)).collect()["close"].to_list()
    return (form.decimal, form.thousands), values


@pytest.mark.parametrize(
    ("cells", "form", "values"),
    [
        (["1,5", "1.234,5", "1.234"], (",", "."), [1.5, 1234.5, 1234.0]),
        (["1,234.5", "1,234", "999"], (".", ","), [1234.5, 1234.0, 999.0]),
        (["1.234.567", "1.234"], (",", "."), [1234567.0, 1234.0]),
        (["1,234,567", "1,234"], (".", ","), [1234567.0, 1234.0]),
        (["0,123", "1,234"], (",", ""), [0.123, 1.234]),
        (["1 234,56", "12\u00a0345,1"], (",", " \u00a0"), [1234.56, 12345.1]),
        (["1'234.56", "7"], (".", "'"), [1234.56, 7.0]),
        (["1.234", "2.345"], (".", ""), [1.234, 2.345]),
        (["$1,234.56", "-$4.5", "3€"], (".", ","), [1234.56, -4.5, 3.0]),
        (["1.23M", "500K", "2b", "7"], (".", ""), [1.23e6, 5e5, 2e9, 7.0]),
        (["1e5", "1.5E-3", "+1.", ".5"], (".", ""), [1e5, 0.0015, 1.0, 0.5]),
        (["inf", "-Infinity"], (".", ""), [float("inf"), float("-inf")]),
        ([None, None], (".", ""), [None, None]),
    ],
)
def test_numbers_are_read_as_all_of_them_together_say(cells, form, values):
    assert read(*cells) == (form, values)


def test_cells_that_are_no_number_of_the_form_are_not_read():
    cells = ["1,234.5", "1,23,456.7", "1,2345.6", "12a", ".", "--1", "1.2.3", "12,5"]
    assert read(*cells)[1] == [1234.5, *[None] * 7]


@pytest.mark.parametrize(
    ("cells", "delimiter"),
    [(["1,234", "2,345"], ","), (["1.234", "2.345"], ";"), (["1.234", "999"], ",")],
)
def test_numbers_that_could_be_two_are_refused_until_one_tells(cells, delimiter):
    with pytest.raises(DatasetError, match=r"give `decimal`"):
        read(*cells, delimiter=delimiter)
    assert read(*cells, "1.5", delimiter=delimiter)[0][0] == "."
    assert read(*cells, "1,5", delimiter=delimiter)[0][0] == ","
    assert read(*cells, delimiter=delimiter, decimal=".")[0][0] == "."


def test_whole_volumes_do_not_make_prices_of_three_decimals_unclear():
    assert read("109.345", "110.120", volume=["12", "7"])[1] == [109.345, 110.12]


def test_as_many_points_as_commas_are_refused_and_a_few_strangers_are_unread():
    with pytest.raises(DatasetError, match="mix decimal points and decimal commas"):
        read("1.5", "1,5")
    assert read("1.5", "2.5", "1,5")[1] == [1.5, 2.5, None]


def test_given_characters_are_taken_as_they_are():
    assert read("1_5", "2", thousands="_", decimal=",")[1] == [None, 2.0]
    assert read("1_500", "2", thousands="_", decimal=",")[1] == [1500.0, 2.0]


def test_plain_numbers_need_no_care():
    assert is_plain(["1", "1.5", " 2e3", "", "NA", "-.5"], ["NA"])
    assert not is_plain(["1,5"], [])
    assert not is_plain(["1.5 "], [])
    assert shows_point(["1000", "1.5"])
    assert shows_point(["0.123"])
    assert not shows_point(["1000", "1.500", "12"])
    assert NumberForm() == NumberForm(".", "", ())
