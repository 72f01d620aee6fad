import csv
from datetime import date

import pytest

from backtrail.data import Dataset, Waiver, ingest_bundle
from backtrail.data.problems import BadRowsError
from backtrail.errors import DataValidationError

from .places import HEADER, daily_row

GOOD = daily_row("2020-01-02")


def problems_of(store, rows, header=HEADER, **options):
    store.write("AAA.csv", rows, header)
    with pytest.raises(DataValidationError) as caught:
        store.ingest(**options)
    assert not store.bundles.exists()
    return [
        (item.file, item.line, item.symbol, item.column, item.value, item.rule)
        for item in caught.value.problems
    ]


@pytest.mark.parametrize(
    ("row", "column", "value", "rule"),
    [
        ("2020-01-03,x1,11,9,10,5", "open", "x1", "unparsable"),
        ("2020-13-03,10,11,9,10,5", "timestamp", "2020-13-03", "unparsable"),
        (",10,11,9,10,5", "timestamp", None, "null_timestamp"),
        ("2020-01-03,10,11,9,,5", "close", None, "null_price"),
        ("2020-01-03,10,11,9,10,null", "volume", None, "null_volume"),
        ("2020-01-03,null,null,null,null,null", "close", None, "null_row"),
        ("2020-01-03,10,inf,9,10,5", "high", "inf", "non_finite"),
        ("2020-01-03,10,11,9,NaN,5", "close", "nan", "non_finite"),
        ("2020-01-03,10,11,0,10,5", "low", "0.0", "non_positive_price"),
        ("2020-01-03,10,11,9,10,-5", "volume", "-5.0", "negative_volume"),
        ("2020-01-03,10,9.5,9,10,5", "high", "9.5", "impossible_ohlc"),
        ("2020-01-03,10,9.5,9,9.25,5", "high", "9.5", "impossible_ohlc"),
        ("2020-01-03,9.25,9.5,9,10,5", "high", "9.5", "impossible_ohlc"),
        ("2020-01-03,10,11,10.5,10.75,5", "low", "10.5", "impossible_ohlc"),
        ("2020-01-03,10.75,11,10.5,10,5", "low", "10.5", "impossible_ohlc"),
    ],
)
def test_bad_row_is_named_by_file_line_symbol_column_value_and_rule(
    store, row, column, value, rule
):
    found = problems_of(store, f"{GOOD}{row}\n")
    assert found == [("prices/AAA.csv", 3, "AAA", column, value, rule)]


def test_bar_whose_prices_touch_is_sound(store):
    store.write("AAA.csv", "2020-01-02,10,10,10,10,0\n2020-01-03,9,10,9,10,0\n")
    assert store.ingest().rows == 2


def test_every_bad_row_of_every_file_is_reported_at_once(store):
    store.write("BBB.csv", GOOD + "2020-01-03,10,11,9,10,-1\n")
    found = problems_of(store, "2020-01-02,0,11,9,10,-2\n" + daily_row("2020-01-03"))
    assert [(item[0], item[1], item[3]) for item in found] == [
        ("prices/AAA.csv", 2, "low"),
        ("prices/AAA.csv", 2, "open"),
        ("prices/AAA.csv", 2, "volume"),
        ("prices/BBB.csv", 3, "volume"),
    ]


def test_message_is_capped_and_the_attribute_holds_all(store):
    rows = "".join(f"2020-01-{day:02d},10,11,9,10,-1\n" for day in range(1, 31))
    store.write("AAA.csv", rows)
    with pytest.raises(BadRowsError) as caught:
        store.ingest()
    assert (len(caught.value.problems), caught.value.total) == (30, 30)
    message = str(caught.value)
    assert message.startswith("30 bad rows, nothing was written:")
    assert message.count("[negative_volume]") == 20
    assert message.endswith("… and 10 more; in all 30 negative_volume")


def test_contradicting_duplicates_are_both_named(store):
    found = problems_of(store, daily_row("2020-01-02") + daily_row("2020-01-02", 12.0))
    assert [(item[1], item[5]) for item in found] == [
        (2, "contradicting_duplicate"),
        (3, "contradicting_duplicate"),
    ]


def test_exact_duplicates_are_dropped_and_reported(store):
    store.write("AAA.csv", GOOD + daily_row("2020-01-03") + GOOD)
    manifest = store.ingest()
    assert manifest.rows == 2
    assert manifest.duplicates == {
        "rows": 1,
        "listed": [
            {
                "file": "prices/AAA.csv",
                "line": 4,
                "symbol": "AAA",
                "at": "2020-01-02T00:00:00+00:00",
            }
        ],
    }


def test_unsorted_rows_are_sorted_and_make_the_same_dataset(store):
    store.write("AAA.csv", GOOD + daily_row("2020-01-03"))
    first = store.ingest().dataset_id
    store.write("AAA.csv", daily_row("2020-01-03") + GOOD)
    assert store.ingest().dataset_id == first


def test_impossible_ohlc_under_a_waiver_is_kept_and_recorded(store):
    store.write("AAA.csv", GOOD + "2020-01-03,10,11,10.5,10.75,5\n")
    manifest = store.ingest(waivers=[Waiver("impossible_ohlc", "vendor's rounding")])
    (waiver,) = manifest.waivers
    assert (waiver["reason"], waiver["action"]) == ("vendor's rounding", "kept as it stands")
    (row,) = waiver["rows"]
    assert (row["file"], row["line"], row["symbol"], row["at"]) == (
        "prices/AAA.csv",
        3,
        "AAA",
        "2020-01-03",
    )
    assert row["values"]["low"] == "10.5"
    bars = Dataset.open(store.bundles / "b" / manifest.dataset_id).bars()
    assert bars["low"].to_list() == [9.0, 10.5]


def test_null_row_under_a_waiver_is_dropped_and_recorded(store):
    store.write("AAA.csv", GOOD + "2020-01-03,null,null,null,null,null\n")
    manifest = store.ingest(waivers=[Waiver("null_row", "exchange closed")])
    assert manifest.rows == 1
    assert manifest.waivers[0]["action"] == "row dropped"
    assert manifest.waivers[0]["rows"][0]["line"] == 3
    assert manifest.waivers[0]["rows"][0]["values"]["close"] is None


@pytest.mark.parametrize(
    ("rule", "row", "values"),
    [
        ("unparsable", "2020-01-03,x1,11,9,10,5", {"open": "x1"}),
        ("unparsable", "2020-13-03,10,11,9,10,5", {"timestamp": "2020-13-03"}),
        ("ragged_row", "2020-01-03,10,11,9,10,5,6", {"cells": "7"}),
        ("null_timestamp", ",10,11,9,10,5", {"close": "10.0"}),
        ("null_price", "2020-01-03,10,11,9,,5", {"close": None, "open": "10.0"}),
        ("null_volume", "2020-01-03,10,11,9,10,", {"volume": None}),
        ("non_finite", "2020-01-03,10,inf,9,nan,5", {"high": "inf", "close": "nan"}),
        ("non_positive_price", "2020-01-03,10,11,0,10,5", {"low": "0.0"}),
        ("negative_volume", "2020-01-03,10,11,9,10,-5", {"volume": "-5.0"}),
    ],
)
def test_row_under_a_waiver_of_its_rule_is_dropped_and_recorded(store, rule, row, values):
    store.write("AAA.csv", f"{GOOD}{row}\n{daily_row('2020-01-06')}")
    other = Waiver("impossible_ohlc", "not this one")
    with pytest.raises(DataValidationError, match=rule):
        store.ingest(waivers=[other])
    manifest = store.ingest(waivers=[other, Waiver(rule, "the vendor knows")])
    assert manifest.rows == 2
    met_none, waiver = manifest.waivers
    assert met_none["rows"] == []
    assert (waiver["rule"], waiver["action"]) == (rule, "row dropped")
    (touched,) = waiver["rows"]
    assert (touched["file"], touched["line"]) == ("prices/AAA.csv", 3)
    assert {name: touched["values"][name] for name in values} == values


def test_row_without_symbol_under_a_waiver_is_dropped(store):
    store.write("AAA.csv", f"A,{GOOD},{daily_row('2020-01-03')}", "symbol," + HEADER)
    with pytest.raises(DataValidationError, match="null_symbol"):
        store.ingest("prices/AAA.csv")
    manifest = store.ingest("prices/AAA.csv", waivers=[Waiver("null_symbol", "a footer")])
    assert (manifest.rows, manifest.waivers[0]["rows"][0]["line"]) == (1, 3)


def test_waiver_for_symbols_and_dates_takes_only_those(store):
    bad = GOOD + "2020-01-03,10,11,0,10,5\n2020-01-06,10,11,0,10,5\n"
    some = Waiver("non_positive_price", "r", symbols=("AAA",), dates=(date(2020, 1, 3),))
    assert problems_of(store, bad, waivers=[some]) == [
        ("prices/AAA.csv", 4, "AAA", "low", "0.0", "non_positive_price")
    ]
    unread = "1/13/2020,1,1,1,1,1\n1/3/2020,x,11,9,10,5\n1/6/2020,y,11,9,10,5\n"
    some = Waiver("unparsable", "r", symbols=("AAA",), dates=(date(2020, 1, 6),))
    assert [item[4] for item in problems_of(store, unread, waivers=[some])] == ["x"]


def test_dropped_row_may_break_other_rules_as_well(store):
    store.write("AAA.csv", GOOD + "2020-01-03,10,9,nan,10,-5\n")
    manifest = store.ingest(waivers=[Waiver("non_finite", "r")])
    assert manifest.rows == 1


def test_contradicting_duplicates_under_a_waiver_keep_the_last_of_the_source(store):
    header = "date,open,high,low,close,volume,dividend\n"
    rows = [f"2020-01-02,{price},20,5,{price},1,0.{price}\n" for price in (10, 11, 12)]
    store.write("AAA.csv", "".join(rows) + "2020-01-03,10,20,5,10,1,0\n", header)
    manifest = store.ingest(waivers=[Waiver("contradicting_duplicate", "corrections follow")])
    (waiver,) = manifest.waivers
    assert waiver["action"] == "last row of the source kept"
    assert [row["line"] for row in waiver["rows"]] == [2, 3, 4]
    dataset = Dataset.open(store.bundles / "b" / manifest.dataset_id)
    assert dataset.bars()["open"].to_list() == [12.0, 10.0]
    assert dataset.adjustments()["value"].to_list() == [0.12]


def test_report_of_bad_rows_is_a_file_of_all_of_them(store, tmp_path):
    path = tmp_path / "logs" / "bad-rows.csv"
    store.write("AAA.csv", "".join(f"2020-01-{day:02d},10,11,9,10,-1\n" for day in range(1, 31)))
    bundle = store.bundle()
    with pytest.raises(BadRowsError):
        ingest_bundle(bundle, root=store.root, bundles_dir=store.bundles, report=path)
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 30
    assert rows[29] == {
        "file": "prices/AAA.csv",
        "line": "31",
        "symbol": "AAA",
        "at": "2020-01-30",
        "column": "volume",
        "value": "-1.0",
        "rule": "negative_volume",
        "why": "volume is zero or above",
    }
    store.write("AAA.csv", GOOD)
    ingest_bundle(bundle, root=store.root, bundles_dir=store.bundles, report=path)
    assert not path.exists()


def test_waiver_that_met_no_row_says_so(store):
    manifest = store.ingest(waivers=[Waiver("null_row", "just in case")])
    assert manifest.waivers[0]["action"] == "met no row"
    assert manifest.waivers[0]["rows"] == []


def test_waiver_for_other_symbols_or_rules_does_not_help(store):
    bad = GOOD + "2020-01-03,,,,,\n" + "2020-01-06,10,11,10.5,10.75,5\n"
    waivers = [Waiver("null_row", "r", symbols=("BBB",)), Waiver("impossible_ohlc", "r")]
    found = problems_of(store, bad, waivers=waivers)
    assert [(item[1], item[5]) for item in found] == [(3, "null_row")]


def test_split_that_prices_do_not_show_is_refused_waived_or_left_out(store):
    header = "date,open,high,low,close,volume,dividend,split\n"
    rows = "2020-01-02,70,71,69,70,5,0.0,1.0\n2020-01-03,70,71,69,70,5,0.25,7.0\n"
    found = problems_of(store, rows, header)
    assert found == [("prices/AAA.csv", 3, "AAA", "split", "7.0", "split_not_in_prices")]
    kept = store.ingest(waivers=[Waiver("split_not_in_prices", "I know")])
    assert kept.adjustments == {"dividend": 1, "split": 1}
    left = store.ingest(split_adjusted=True)
    assert left.adjustments == {"dividend": 1}
    assert [(row["line"], row["values"]) for row in left.left_out] == [(3, {"value": "7.0"})]


def test_split_that_prices_show_becomes_an_adjustment(store):
    header = "date,open,high,low,close,volume,split\n"
    store.write("AAA.csv", "2020-01-02,70,71,69,70,5,1\n2020-01-03,10,11,9,10,5,7\n", header)
    manifest = store.ingest()
    table = Dataset.open(store.bundles / "b" / manifest.dataset_id).adjustments()
    assert table.select("symbol", "kind", "value").rows() == [("AAA", "split", 7.0)]


@pytest.mark.parametrize(("split", "dividend"), [("0", "0"), ("-2", "0"), ("1", "-0.5")])
def test_nonsense_adjustment_is_refused(store, split, dividend):
    header = "date,open,high,low,close,volume,split,dividend\n"
    found = problems_of(store, f"2020-01-02,10,11,9,10,5,{split},{dividend}\n", header)
    assert {item[5] for item in found} == {"bad_adjustment"}
    words = "cash per share, finite; 0 is none" if split == "1" else "new shares for one old, "
    with pytest.raises(BadRowsError, match=words):
        store.ingest()
