from datetime import UTC, datetime

import polars as pl
import pytest

from backtrail.data import BundleConfig, Dataset, ingest_bundle
from backtrail.errors import ConfigError, DatasetError, DataValidationError

from .places import daily_row

MINUTES = "timestamp,open,high,low,close,volume\n"


@pytest.fixture
def make(tmp_path):
    """Ingest rows of one symbol with longer bars made of them; return manifest and dataset."""
    prices = tmp_path / "prices"
    prices.mkdir()

    def ingest(rows, timeframe, source, *, calendar="XNYS", header=MINUTES, **options):
        (prices / "AAA.csv").write_text(header + rows)
        bundle = BundleConfig(
            "b", "csv", calendar, timeframe, "prices", options, resample_from=source
        )
        manifest = ingest_bundle(bundle, root=tmp_path, bundles_dir=tmp_path / "bundles")
        return manifest, Dataset.open(tmp_path / "bundles/b" / manifest.dataset_id)

    return ingest


def minutes(start, count, price=10.0):
    """Bars that rise by one each, with volume 1, 2, 3, …"""
    first = datetime.fromisoformat(start).replace(tzinfo=UTC)
    stamps = pl.datetime_range(first, first.replace(year=2030), "1m", eager=True).head(count)
    return "".join(
        f"{stamp.isoformat()},{price + i},{price + i + 0.5},{price + i - 0.5},{price + i},{i + 1}\n"
        for i, stamp in enumerate(stamps)
    )


def rows_of(dataset):
    frame = dataset.bars().with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M"))
    return frame.select(pl.exclude("symbol")).rows()


def test_hours_are_counted_from_the_opening_and_the_last_is_short(make):
    # 3 July 2019 is a half day: 13:30 to 17:00 UTC.
    manifest, dataset = make(minutes("2019-07-03T13:30", 210), "1h", "1m")
    assert rows_of(dataset) == [
        ("2019-07-03T13:30", 10.0, 69.5, 9.5, 69.0, 1830.0),
        ("2019-07-03T14:30", 70.0, 129.5, 69.5, 129.0, 5430.0),
        ("2019-07-03T15:30", 130.0, 189.5, 129.5, 189.0, 9030.0),
        ("2019-07-03T16:30", 190.0, 219.5, 189.5, 219.0, 5865.0),
    ]
    assert manifest.timeframe == "1h"
    assert manifest.derived == {"from": "1m", "rows": 210, "unfinished": 0}


def test_a_day_is_a_session(make):
    rows = minutes("2019-07-02T13:30", 390) + minutes("2019-07-03T13:30", 210, price=500.0)
    _, dataset = make(rows, "1d", "1m")
    assert rows_of(dataset) == [
        ("2019-07-02T00:00", 10.0, 399.5, 9.5, 399.0, 76245.0),
        ("2019-07-03T00:00", 500.0, 709.5, 499.5, 709.0, 22155.0),
    ]


def test_a_bar_whose_time_is_not_over_is_left_out(make):
    manifest, dataset = make(minutes("2024-01-01T00:00", 119), "1h", "1m", calendar="24/7")
    assert [row[0] for row in rows_of(dataset)] == ["2024-01-01T00:00"]
    assert manifest.derived == {"from": "1m", "rows": 119, "unfinished": 1}
    with pytest.raises(DatasetError, match=r"no bar of 1h is over in the bars of 1m"):
        make(minutes("2024-01-01T00:00", 59), "1h", "1m", calendar="24/7")


@pytest.mark.parametrize("known", [60, 61, 100, 120, 179, 240])
def test_no_bar_knows_what_comes_after_it(make, known):
    """What is made of the first minutes is what stands there when all are known."""
    text = minutes("2024-01-01T00:00", 300)
    _, whole = make(text, "1h", "1m", calendar="24/7")
    head = "".join(line + "\n" for line in text.splitlines()[:known])
    _, early = make(head, "1h", "1m", calendar="24/7")
    assert rows_of(early) == rows_of(whole)[: known // 60]
    assert len(rows_of(early)) == known // 60


def test_a_week_is_over_with_its_last_session(make):
    # Monday 1 January 2024 is a holiday; 5 January is the Friday.
    days = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08"]
    rows = "".join(daily_row(day, 10.0 + i, 100) for i, day in enumerate(days))
    manifest, dataset = make(rows, "1w", "1d", header="date,open,high,low,close,volume\n")
    assert rows_of(dataset) == [("2024-01-01T00:00", 10.0, 14.0, 9.0, 13.0, 400.0)]
    assert manifest.derived["unfinished"] == 1
    around = make(rows, "1w", "1d", header="date,open,high,low,close,volume\n", calendar="24/7")
    assert [row[0] for row in rows_of(around[1])] == ["2024-01-01T00:00"]


def test_a_split_in_a_week_takes_effect_at_its_beginning(make):
    header = "date,open,high,low,close,volume,dividend,split\n"
    rows = (
        "2024-01-05,100,110,90,100,1000,0,1\n"
        "2024-01-08,100,120,96,100,1000,0,1\n"
        "2024-01-09,100,104,80,100,1000,0,1\n"
        "2024-01-10,25,28,24,26,4000,0.5,4\n"
        "2024-01-11,26,27,25,27,4000,0.25,1\n"
        "2024-01-12,27,29,26,28,4000,0,1\n"
    )
    _, dataset = make(rows, "1w", "1d", header=header)
    assert rows_of(dataset) == [
        ("2024-01-01T00:00", 100.0, 110.0, 90.0, 100.0, 1000.0),
        ("2024-01-08T00:00", 25.0, 30.0, 20.0, 28.0, 20000.0),
    ]
    events = dataset.adjustments().select("timestamp", "kind", "value").rows()
    assert [(str(at.date()), kind, value) for at, kind, value in events] == [
        ("2024-01-08", "dividend", 0.75),
        ("2024-01-08", "split", 4.0),
    ]


def test_a_dividend_before_a_split_of_its_week_is_per_share_after_it(make):
    header = "date,open,high,low,close,volume,dividend,split\n"
    rows = (
        "2024-01-05,100,110,90,100,1000,0,1\n"
        "2024-01-08,100,120,96,100,1000,8,1\n"
        "2024-01-09,25,26,24,25,4000,0,4\n"
        "2024-01-10,25,26,24,25,4000,0.5,1\n"
        "2024-01-11,26,27,25,27,4000,0,1\n"
        "2024-01-12,27,29,26,28,4000,0,1\n"
    )
    _, dataset = make(rows, "1w", "1d", header=header)
    assert dataset.adjustments().select("kind", "value").rows() == [
        ("dividend", 2.5),  # 8 for each old share are 2 for each of the four new ones
        ("split", 4.0),
    ]


def test_a_bar_in_no_session_is_refused(make):
    with pytest.raises(DatasetError, match=r"1 bars, first at 2019-07-03T17:00.*no session"):
        make(minutes("2019-07-03T13:30", 211), "1h", "1m")


def test_gaps_are_those_of_the_source(make, tmp_path):
    (tmp_path / "prices/AAA.csv").write_text(
        "date,open,high,low,close,volume\n" + daily_row("2024-01-02") + daily_row("2024-01-05")
    )
    bundle = BundleConfig("b", "csv", "XNYS", "1w", "prices", {}, gaps="fail", resample_from="1d")
    with pytest.raises(DataValidationError, match=r"2024-01-03 .*missing_session"):
        ingest_bundle(bundle, root=tmp_path, bundles_dir=tmp_path / "bundles")


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("1h", "1m", "shorter than 1m"),
        ("1h", "1h", "shorter than 1h"),
        ("7m", "1h", "1h is no multiple of 7m"),
        ("1h", "1w", "1w is made of 1d"),
        ("1d", "2d", "1w is made of 1d"),
        ("hourly", "1d", "write a number and m, h, d or w"),
    ],
)
def test_a_timeframe_that_cannot_be_made_is_refused(source, target, message):
    with pytest.raises(ConfigError, match=message):
        BundleConfig("b", "csv", "XNYS", target, "prices", {}, resample_from=source)
