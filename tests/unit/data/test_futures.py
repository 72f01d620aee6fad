"""Futures trade overnight: an evening bar belongs to the session of the next day."""

from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest

from backtrail.batch.planning.windows import BarDates
from backtrail.data import BundleConfig, Dataset, ingest_bundle, load_bars
from backtrail.engine import TradingAlgorithm, run_event
from backtrail.engine.api import date_rules, time_rules
from backtrail.engine.schedule.sessions import session_days
from backtrail.errors import DatasetError
from tests.extras import needs
from tests.unit.engine.support import config

from .places import SHARED

pytestmark = needs("exchange_calendars", "calendars")

MINUTES = "timestamp,open,high,low,close,volume\n"
EURO = SHARED / "6EH4.XCME_1min_bars_20240101_20240131.csv.gz"

# Clocks changed in Chicago on Sunday 10 March 2024: its 17:00 was 23:00 UTC, then 22:00.
EVENINGS = {
    "2024-03-07T22:59:00Z": "2024-03-07",  # Thursday, the last minute
    "2024-03-07T23:00:00Z": "2024-03-08",  # Friday's session begins
    "2024-03-08T12:00:00Z": "2024-03-08",
    "2024-03-08T22:59:00Z": "2024-03-08",
    "2024-03-10T22:00:00Z": "2024-03-11",  # Sunday evening is Monday's
    "2024-03-11T00:30:00Z": "2024-03-11",
    "2024-03-11T21:59:00Z": "2024-03-11",
    "2024-03-11T22:00:00Z": "2024-03-12",
    "2024-03-12T12:00:00Z": "2024-03-12",
    "2024-03-12T22:00:00Z": "2024-03-13",
}


def rows(moments):
    return "".join(
        f"{moment},{10 + at},{10.5 + at},{9.5 + at},{10.25 + at},{at + 1}\n"
        for at, moment in enumerate(moments)
    )


@pytest.fixture
def make(tmp_path):
    """Ingest minutes of a future; return the manifest, the dataset and its directory."""
    prices = tmp_path / "prices"
    prices.mkdir()

    def ingest(moments, timeframe="1m", source=None, *, calendar="CMES", gaps="allow"):
        (prices / "ES.csv").write_text(MINUTES + rows(moments))
        bundle = BundleConfig(
            "b", "csv", calendar, timeframe, "prices", {}, gaps=gaps, resample_from=source
        )
        manifest = ingest_bundle(bundle, root=tmp_path, bundles_dir=tmp_path / "bundles")
        path = tmp_path / "bundles/b" / manifest.dataset_id
        return SimpleNamespace(manifest=manifest, dataset=Dataset.open(path), path=path)

    return ingest


def as_dates(days):
    return days.astype("datetime64[D]").astype(str).tolist()


def test_every_evening_bar_has_the_date_of_the_next_session(make):
    made = make(EVENINGS)
    bars = load_bars(made.dataset, ["ES"], date(2024, 3, 1), date(2024, 3, 20))
    assert as_dates(session_days(bars)) == list(EVENINGS.values())
    assert made.manifest.symbols["ES"].off_session_bars == 0
    assert made.manifest.symbols["ES"].missing_sessions == 0


def test_a_day_of_a_future_is_its_session_whatever_the_clock(make):
    made = make(EVENINGS, "1d", "1m")
    found = made.dataset.bars().select("timestamp", "open", "high", "low", "close", "volume").rows()
    assert [(str(at.date()), *values) for at, *values in found] == [
        ("2024-03-07", 10.0, 10.5, 9.5, 10.25, 1.0),
        ("2024-03-08", 11.0, 13.5, 10.5, 13.25, 9.0),
        ("2024-03-11", 14.0, 16.5, 13.5, 16.25, 18.0),
        ("2024-03-12", 17.0, 18.5, 16.5, 18.25, 17.0),
    ]
    assert made.manifest.derived["unfinished"] == 1  # 13 March has only begun
    assert made.manifest.sessions["year"]["minutes"] == 1440


def test_hours_of_a_future_are_counted_from_the_evening(make):
    made = make(
        ["2024-03-10T22:00:00Z", "2024-03-10T22:59:00Z", "2024-03-10T23:00:00Z"], "1h", "1m"
    )
    assert made.dataset.bars()["timestamp"].dt.strftime("%d %H:%M").to_list() == ["10 22:00"]


def test_an_early_close_ends_a_session_and_its_days(make):
    # 15 January 2024: Chicago closes at noon, 18:00 UTC.
    inside = ["2024-01-14T23:00:00Z", "2024-01-15T17:59:00Z", "2024-01-15T23:00:00Z"]
    late = [*inside[:2], "2024-01-15T18:00:00Z", inside[2]]
    assert make(inside).manifest.symbols["ES"].off_session_bars == 0
    assert make(late).manifest.symbols["ES"].off_session_bars == 1
    assert make(inside).manifest.sessions["early_closes"] == ["2024-01-15"]
    whole = make(inside, "1d", "1m").dataset.bars()
    assert (whole["timestamp"].dt.date().to_list(), whole["volume"].to_list()) == (
        [date(2024, 1, 15)],
        [3.0],
    )
    with pytest.raises(DatasetError, match=r"1 bars, first at 2024-01-15T18:00.* no session of CM"):
        make(late, "1d", "1m")


def test_a_bar_in_no_session_has_its_date_and_never_falls_behind(make):
    moments = ["2024-01-15T17:59:00Z", "2024-01-15T18:30:00Z", "2024-01-20T10:00:00Z",
               "2024-01-21T22:30:00Z", "2024-01-21T23:00:00Z"]  # fmt: skip
    bars = load_bars(make(moments).dataset, ["ES"], date(2024, 1, 1), date(2024, 1, 31))
    # A Saturday and a Sunday before the evening are dates of their own.
    assert as_dates(session_days(bars)) == [
        "2024-01-15", "2024-01-15", "2024-01-20", "2024-01-21", "2024-01-22",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        ((2024, 3, 8), (2024, 3, 8), 3),
        ((2024, 3, 11), (2024, 3, 11), 3),
        ((2024, 3, 9), (2024, 3, 10), 0),
        ((2024, 3, 9), (2024, 3, 12), 5),
        ((2024, 3, 13), (2024, 3, 29), 1),
    ],
)
def test_a_window_takes_whole_sessions(make, start, end, count):
    made = make(EVENINGS)
    first, last = date(*start), date(*end)
    assert made.dataset.bars(["ES"], first, last).height == count
    planned = BarDates(made.path)
    assert planned.has_bar("ES", first, last) is (count > 0)
    assert planned.range_of("ES") == (date(2024, 3, 7), date(2024, 3, 13))
    assert planned.nearest("ES", date(2024, 3, 9)) == (date(2024, 3, 8), date(2024, 3, 11))


def test_rules_of_a_schedule_follow_the_sessions_that_are_stored(make):
    """Session starts, closes and weeks are those of Chicago, with no calendar at hand."""
    made = make(EVENINGS)
    bars = load_bars(made.dataset, ["ES"], date(2024, 3, 7), date(2024, 3, 13))
    found = {"start": [], "open": [], "close": [], "week": [], "days": []}

    class Follower(TradingAlgorithm):
        def initialize(self, context):
            def note(kind):
                return lambda context, data: found[kind].append(f"{data.current_dt:%d %H:%M}")

            self.schedule_function(note("open"), date_rules.every_day(), time_rules.market_open())
            self.schedule_function(
                note("close"), date_rules.every_day(), time_rules.market_close(minutes=1)
            )
            self.schedule_function(note("week"), date_rules.week_start(), time_rules.market_open())

        def before_trading_start(self, context, data):
            found["start"].append(len(found["days"]))

        def handle_data(self, context, data):
            found["days"].append(len(data.history("ES", "close", 10, "1d")))

    run_event(Follower, bars, config(), sessions=lambda: bars.sessions)
    assert found["open"] == ["07 22:59", "07 23:00", "10 22:00", "11 22:00", "12 22:00"]
    assert found["close"] == ["07 22:59", "08 22:59", "11 21:59"]
    assert found["week"] == ["10 22:00"]
    assert found["start"] == [0, 1, 4, 7, 9]
    assert found["days"] == [1, 2, 2, 2, 3, 3, 3, 4, 4, 5]


def test_sydney_opens_on_the_utc_day_before_its_session(make):
    made = make(["2024-01-08T23:00:00Z", "2024-01-09T04:59:00Z"], calendar="XASX", gaps="fail")
    bars = load_bars(made.dataset, ["ES"], date(2024, 1, 9), date(2024, 1, 9))
    assert as_dates(session_days(bars)) == ["2024-01-09"] * 2


@pytest.mark.skipif(not EURO.is_file(), reason="no real data beside the project")
def test_a_real_future_makes_the_days_that_can_be_added_up_from_its_minutes(tmp_path):
    def ingest(calendar, timeframe, source=None):
        options = {"symbol": "6EH4"}
        bundle = BundleConfig(
            "b", "csv", calendar, timeframe, str(EURO), options, resample_from=source
        )
        manifest = ingest_bundle(bundle, root=tmp_path, bundles_dir=tmp_path / "bundles")
        return manifest, Dataset.open(tmp_path / "bundles/b" / manifest.dataset_id)

    minutes, dataset = ingest("us_futures", "1m")
    record = minutes.symbols["6EH4"]
    assert (record.rows, record.missing_sessions, record.off_session_bars) == (29_996, 0, 0)
    bars = load_bars(dataset, ["6EH4"], date(2024, 1, 2), date(2024, 1, 31))
    days = np.unique(session_days(bars))
    assert len(days) == 22  # 2 to 31 January without weekends; the exchange traded on the 15th
    assert (np.array(as_dates(days)) == "2024-01-07").sum() == 0
    _, daily = ingest("us_futures", "1d", "1m")
    found = {
        str(at.date()): values
        for at, *values in daily.bars()
        .select("timestamp", "open", "high", "low", "close", "volume")
        .rows()
    }
    # Added up by awk from the lines of the file, 23:00 UTC to 23:00 UTC.
    assert found["2024-01-02"] == [1.1076, 1.10785, 1.09725, 1.09735, 202_411.0]
    assert found["2024-01-08"] == [1.0977, 1.101, 1.09535, 1.0982, 139_716.0]
    assert found["2024-01-15"] == [1.09775, 1.09955, 1.0961, 1.0979, 85_750.0]
    assert found["2024-01-31"] == [1.08655, 1.09085, 1.081, 1.0839, 328_839.0]
    assert len(found) == 22
    # The calendar of all of Chicago's futures ends 15 January at noon, when currencies went on.
    assert ingest("CMES", "1m")[0].symbols["6EH4"].off_session_bars == 156
