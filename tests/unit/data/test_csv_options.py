import pytest

from backtrail.data.csv_options import CSV_OPTIONS, CsvOptions, file_option_problems


def test_options_that_are_not_given_are_left_to_the_files():
    options = CsvOptions.of({"decimal": ",", "null_values": ["n.v."], "files": "{symbol}.txt"})
    assert (options.decimal, options.null_values, options.header) == (",", ("n.v.",), None)
    assert options.given == ("decimal", "null_values")
    assert CsvOptions.of({}).given == ()


def test_empty_comment_is_an_option_that_was_given():
    assert CsvOptions.of({"comment": ""}).given == ("comment",)


@pytest.mark.parametrize(
    ("options", "where", "remedy"),
    [
        ({"delimiter": "||"}, "delimiter", "one character"),
        ({"delimiter": "5"}, "delimiter", "no letter"),
        ({"delimiter": "."}, "delimiter", "no letter, digit, dot"),
        ({"decimal": ";"}, "decimal", "'.' or ','"),
        ({"thousands": "k"}, "thousands", "no letter"),
        ({"thousands": ",", "decimal": ","}, "thousands", "two characters"),
        ({"header": "yes"}, "header", "true or false"),
        ({"split_adjusted": 1}, "split_adjusted", "true or false"),
        ({"skip_lines": -1}, "skip_lines", "number of lines"),
        ({"skip_lines": True}, "skip_lines", "number of lines"),
        ({"null_values": "NA"}, "null_values", "list of texts"),
        ({"null_values": [0]}, "null_values", "list of texts"),
        ({"comment": 1}, "comment", "'' for no comments"),
        ({"encoding": "klingon"}, "encoding", "cp1252"),
        ({"encoding": "hex"}, "encoding", "cp1252"),
        ({"date_format": ""}, "date_format", "write a text"),
        ({"columns": []}, "columns", "write a mapping"),
        ({"columns": {"opne": "o"}}, "columns.opne", "known ones: symbol, timestamp, time"),
        ({"columns": {"open": 0}}, "columns.open", "position from 1"),
        ({"columns": {"open": None}}, "columns.open", "only `volume` may be missing"),
        ({"files": 3}, "files", "a pattern such as"),
    ],
)
def test_option_that_cannot_be_meant_is_named_with_what_would_do(options, where, remedy):
    (problem,) = file_option_problems("bundles.b", options)
    assert problem.where == f"bundles.b.{where}"
    assert remedy in problem.remedy


def test_sound_options_have_no_problem():
    options = {
        "columns": {"timestamp": 1, "open": "o", "volume": None},
        "comment": "",
        "decimal": ",",
        "delimiter": ";",
        "encoding": "utf-16-le",
        "files": {"A": "a-*.csv"},
        "header": False,
        "null_values": [],
        "quote": "'",
        "skip_lines": 0,
        "thousands": "\u00a0",
    }
    assert set(options) < CSV_OPTIONS
    assert file_option_problems("bundles.b", options) == []
