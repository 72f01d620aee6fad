import hashlib
import struct

import pytest

from backtrail.data import Waiver
from backtrail.errors import ConfigError, DatasetError, DataValidationError

from .places import daily_row

MINUTES = "timestamp,open,high,low,close,volume\n"


def minute_rows(*moments):
    return "".join(f"{moment},10,11,9,10,5\n" for moment in moments)


def test_missing_sessions_and_bars_off_session_are_counted_per_symbol(store):
    # 2020-01-04 is a Saturday; 3, 6 and 7 January are sessions without a bar.
    rows = daily_row("2020-01-02") + daily_row("2020-01-04") + daily_row("2020-01-08")
    store.write("BBB.csv", rows)
    records = store.ingest().symbols
    assert (records["AAA"].missing_sessions, records["AAA"].off_session_bars) == (0, 0)
    assert (records["BBB"].missing_sessions, records["BBB"].off_session_bars) == (3, 1)
    around = store.ingest(calendar="24/7").symbols["BBB"]
    assert (around.missing_sessions, around.off_session_bars) == (4, 0)


def test_bars_before_the_shipped_calendar_are_not_counted(store):
    store.write("AAA.csv", daily_row("1985-01-02"))
    record = store.ingest().symbols["AAA"]
    assert (record.missing_sessions, record.off_session_bars) == (None, None)


def test_minutes_belong_to_the_session_in_whose_hours_they_begin(store):
    # The half day before Independence Day closes at 13:00, 17:00 UTC; on 5 July New York is at -4.
    store.write(
        "AAA.csv",
        minute_rows(
            "2019-07-02T13:29:00Z",  # a minute before the opening
            "2019-07-02T13:30:00Z",
            "2019-07-02T19:59:00Z",
            "2019-07-02T20:00:00Z",  # the close
            "2019-07-03T16:59:00Z",
            "2019-07-03T17:00:00Z",  # the early close
            "2019-07-04T15:00:00Z",  # a holiday
            "2019-07-08T15:00:00Z",
        ),
        header=MINUTES,
    )
    record = store.ingest(timeframe="1m").symbols["AAA"]
    assert (record.missing_sessions, record.off_session_bars) == (1, 4)  # 5 July is missing
    around = store.ingest(timeframe="1m", calendar="24/7").symbols["AAA"]
    assert (around.missing_sessions, around.off_session_bars) == (3, 0)


def test_bars_of_a_week_are_not_compared_with_sessions(store):
    record = store.ingest(timeframe="1w").symbols["AAA"]
    assert (record.missing_sessions, record.off_session_bars) == (None, None)
    with pytest.raises(DatasetError, match=r"nobody can tell gaps in bars of 1w.*gaps: allow"):
        store.ingest(timeframe="1w", gaps="fail")


def test_gaps_stop_the_ingest_when_the_bundle_says_so(store):
    store.write("BBB.csv", "".join(daily_row(f"2020-01-{day}") for day in ("02", "04", "07")))
    with pytest.raises(DataValidationError) as caught:
        store.ingest(gaps="fail")
    found = [(item.symbol, item.at, item.rule) for item in caught.value.problems]
    assert found == [
        ("BBB", "2020-01-03", "missing_session"),
        ("BBB", "2020-01-06", "missing_session"),
        ("BBB", "2020-01-04", "off_session_bar"),
    ]
    assert "BBB 2020-01-03 timestamp = null: a session of XNYS has no bar" in str(caught.value)
    assert not store.bundles.joinpath("b").exists()


def test_a_gap_with_a_waiver_passes_and_stands_in_the_manifest(store):
    store.write("BBB.csv", "".join(daily_row(f"2020-01-{day}") for day in ("02", "04", "07")))
    waivers = [
        Waiver("missing_session", "halted", symbols=("BBB",)),
        Waiver("off_session_bar", "a test day of the exchange"),
        Waiver("missing_session", "nothing else"),
    ]
    manifest = store.ingest(gaps="fail", waivers=waivers)
    assert [(item["action"], [row["at"] for row in item["rows"]]) for item in manifest.waivers] == [
        ("left as it stands", ["2020-01-03", "2020-01-06"]),
        ("kept as it stands", ["2020-01-04"]),
        ("met no row", []),
    ]
    assert manifest.dataset_id == store.ingest().dataset_id
    with pytest.raises(DataValidationError, match="1 bad row"):
        store.ingest(gaps="fail", waivers=[Waiver("missing_session", "halted")])


def test_an_unknown_gap_policy_is_refused(store):
    with pytest.raises(ConfigError, match="'forbid'; write allow or fail"):
        store.ingest(gaps="forbid")


def test_the_manifest_says_with_which_sessions_bars_were_compared(store):
    store.write("AAA.csv", daily_row("2019-11-25") + daily_row("2019-12-02"))
    found = store.ingest().sessions
    assert {key: found[key] for key in ("first", "last", "count", "early_closes")} == {
        "first": "2019-11-25",
        "last": "2019-12-02",
        "count": 5,
        "early_closes": ["2019-11-29"],
    }
    # hashlib over little-endian int64 of dates, openings (14:30 UTC, in µs) and minutes.
    days = [18225, 18226, 18227, 18229, 18232]
    opens = [day * 86_400_000_000 + 870 * 60_000_000 for day in days]
    minutes = [390, 390, 390, 210, 390]
    plain = b"".join(struct.pack("<5q", *values) for values in (days, opens, minutes))
    assert found["checksum"] == hashlib.sha256(plain).hexdigest()
    around = store.ingest(calendar="24/7").sessions
    assert (around["count"], around["early_closes"]) == (8, [])
    store.write("AAA.csv", daily_row("1985-01-02"))
    assert store.ingest().sessions == {}
