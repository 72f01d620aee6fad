"""Sessions of `exchange_calendars`, stored with a dataset; hours are those of the exchanges."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from backtrail.data import BundleConfig, Dataset, ingest_bundle
from backtrail.data.calendars import SessionYear
from backtrail.data.comparison import compare_datasets, dataset_sentences
from backtrail.data.library_calendars import calendar_over, library_sessions
from backtrail.data.sessions import sessions, table_range
from backtrail.data.stored_sessions import sessions_checksum, sessions_frame
from backtrail.errors import ConfigError, DatasetError
from tests.extras import needs

from .places import daily_row

pytestmark = needs("exchange_calendars", "calendars")

MINUTES = "timestamp,open,high,low,close,volume\n"


def moment(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1e6)


def test_a_shipped_calendar_stays_a_name():
    assert calendar_over("24/7", date(2020, 1, 1), date(2020, 1, 2)) == "24/7"


def test_london_has_its_own_holidays_and_half_days():
    table = library_sessions("XLON", date(2023, 12, 20), date(2024, 1, 3))
    assert table.dates.astype(str).tolist() == [
        *(f"2023-12-{day}" for day in (20, 21, 22, 27, 28, 29)),
        "2024-01-02",
        "2024-01-03",
    ]
    assert table.minutes.tolist() == [510, 510, 270, 510, 510, 270, 510, 510]
    assert table.opens[0] == moment("2023-12-20T08:00")
    assert table.year == SessionYear(253, 510)
    assert table_range(table) == (date(2023, 12, 20), date(2024, 1, 3))
    assert len(sessions(table, date(2023, 12, 24), date(2023, 12, 26))) == 0


def test_a_break_is_no_trading_time_of_a_year():
    # Tokyo trades 9:00 to 15:00 with a break of an hour, 245 sessions a year in that decade.
    table = library_sessions("XTKS", date(2019, 1, 4), date(2019, 1, 11))
    assert table.minutes.tolist() == [360] * 6
    assert table.year == SessionYear(245, 300)


def test_a_session_of_chicago_begins_on_the_evening_before_whatever_the_clock():
    # Clocks changed there on Sunday 2024-03-10: 17:00 was 23:00 UTC, then 22:00.
    table = library_sessions("CMES", date(2024, 3, 8), date(2024, 3, 11))
    assert table.dates.astype(str).tolist() == ["2024-03-08", "2024-03-11"]
    assert table.opens.tolist() == [moment("2024-03-07T23:00"), moment("2024-03-10T22:00")]
    assert table.closes.tolist() == [moment("2024-03-08T23:00"), moment("2024-03-11T22:00")]
    early = library_sessions("CMES", date(2024, 1, 15), date(2024, 1, 15))  # closes at noon
    assert early.closes.tolist() == [moment("2024-01-15T18:00")]


def test_what_the_library_does_not_know_is_refused():
    with pytest.raises(ConfigError, match=r"'XLOM'; did you mean XLON"):
        library_sessions("XLOM", date(2020, 1, 1), date(2020, 2, 1))
    # Tokyo's holidays are known from 1997.
    with pytest.raises(DatasetError, match=r"no session from 1980-01-01 .* from 1997-01-01"):
        library_sessions("XTKS", date(1980, 1, 1), date(1981, 1, 1))


def ingest(store, calendar, **options):
    bundle = BundleConfig("b", "csv", calendar, options.pop("timeframe", "1d"), "prices", options)
    manifest = ingest_bundle(bundle, root=store.root, bundles_dir=store.bundles)
    return manifest, Dataset.open(store.bundles / "b" / manifest.dataset_id)


def test_sessions_are_stored_and_part_of_the_identity(store):
    # 26 December is a holiday in London and none in New York.
    days = ("2023-12-22", "2023-12-26", "2023-12-28")
    store.write("AAA.csv", "".join(map(daily_row, days)))
    manifest, dataset = ingest(store, "XLON")
    record = manifest.symbols["AAA"]
    assert (record.missing_sessions, record.off_session_bars) == (1, 1)
    assert sorted(manifest.content) == ["adjustments", "bars", "sessions"]
    assert manifest.sessions["year"] == {"sessions": 253, "minutes": 510}
    assert manifest.sessions["reach"] == ["2023-11-07", "2024-02-11"]
    assert manifest.sessions["early_closes"] == ["2023-12-22"]
    frame = pl.read_parquet(dataset.path / "sessions.parquet")
    assert frame.schema == {"date": pl.Date, "open": pl.Datetime("us", "UTC"), "minutes": pl.Int64}
    assert frame["date"][0] == date(2023, 11, 7)
    assert frame.filter(pl.col("date") == date(2023, 12, 22)).row(0) == (
        date(2023, 12, 22),
        datetime(2023, 12, 22, 8, tzinfo=UTC),
        270,
    )
    dataset.verify()
    table = dataset.calendar()
    assert len(sessions(table, date(2023, 12, 22), date(2023, 12, 28))) == 3
    with pytest.raises(DatasetError, match=r"dataset's table has 2023-11-07 to 2024-02-11"):
        sessions(table, date(2023, 1, 1), date(2023, 12, 28))


def test_a_dataset_of_a_shipped_calendar_has_no_table_of_sessions(store):
    manifest, dataset = ingest(store, "XNYS")
    assert sorted(manifest.content) == ["adjustments", "bars"]
    assert dataset.calendar() == "XNYS"
    assert not (dataset.path / "sessions.parquet").exists()


@pytest.mark.parametrize("change", ["a session", "the year"])
def test_changed_sessions_are_found_out(store, change):
    _, dataset = ingest(store, "XLON")
    if change == "a session":
        path = dataset.path / "sessions.parquet"
        frame = pl.read_parquet(path)
        path.chmod(0o644)
        frame.with_columns(pl.lit(511, pl.Int64).alias("minutes")).write_parquet(path)
        with pytest.raises(DatasetError, match=r"sessions\.parquet has sha256 .* content of sess"):
            dataset.verify()
    else:
        from backtrail.data.manifest import manifest_checksum

        path = dataset.path / "manifest.json"
        values = json.loads(path.read_text())
        values["sessions"]["year"]["sessions"] = 365
        del values["checksum"]
        path.chmod(0o644)
        path.write_text(json.dumps({**values, "checksum": manifest_checksum(values)}))
        with pytest.raises(DatasetError, match=r"sessions\.parquet the content of sessions has"):
            dataset.verify()


def test_other_sessions_are_told_one_by_one(store):
    """A later version of the library that knows another closing time is another dataset."""
    _, before = ingest(store, "XLON")
    table = before.calendar()
    minutes = table.minutes.copy()
    place = int((table.dates == np.datetime64("2019-12-24")).argmax())
    assert minutes[place] == 270
    minutes[place] = 510
    path = before.path.with_name("0" * 16)
    shutil.copytree(before.path, path)
    corrected = replace(table, minutes=minutes)
    sessions_frame(corrected).write_parquet(path / "sessions.parquet")
    content = {**before.manifest.content, "sessions": sessions_checksum(corrected)}
    after = Dataset(path, replace(before.manifest, dataset_id="0" * 16, content=content))
    first, second = dataset_sentences(compare_datasets(before, after))
    assert first.startswith("sessions changed: ")
    assert second == "1 session changed (minutes 1): XLON 2019-12-24 minutes 270 -> 510"


def test_a_stored_calendar_is_read_without_the_library(store):
    _, dataset = ingest(store, "XLON")
    script = (
        "import sys; sys.modules['exchange_calendars'] = None\n"
        "from datetime import date; from pathlib import Path\n"
        "from backtrail.data import Dataset, load_bars\n"
        "dataset = Dataset.open(Path(sys.argv[1])); dataset.verify()\n"
        "bars = load_bars(dataset, ['AAA'], date(2020, 1, 1), date(2020, 1, 31))\n"
        "print(len(bars.timestamps), len(bars.sessions.days), 'pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(dataset.path)],
        capture_output=True,
        text=True,
        check=True,
    )
    bars, known, with_pandas = done.stdout.split()
    assert (bars, with_pandas) == ("2", "False")
    assert 55 < int(known) < 70


def test_without_the_library_an_ingest_says_how_to_get_it(store):
    script = (
        "import sys; sys.modules['exchange_calendars'] = None\n"
        "from pathlib import Path; from backtrail.data import BundleConfig, ingest_bundle\n"
        "root = Path(sys.argv[1])\n"
        "for calendar in ('XNYS', 'XLON'):\n"
        "    bundle = BundleConfig('b', 'csv', calendar, '1d', 'prices')\n"
        "    print(ingest_bundle(bundle, root=root, bundles_dir=root / 'out').calendar)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(store.root)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "XNYS\n"
    assert "sessions of calendar XLON come from the package exchange_calendars" in done.stderr
    assert "pip install 'backtrail[calendars]'" in done.stderr
    assert [path.name for path in (store.root / "out/b").glob(".*")] == []


def test_gaps_of_any_calendar_stop_an_ingest_that_asks_for_it(store):
    store.write("AAA.csv", daily_row("2023-12-22") + daily_row("2023-12-28"))
    bundle = BundleConfig("b", "csv", "XLON", "1d", "prices", gaps="fail")
    with pytest.raises(Exception, match=r"AAA 2023-12-27 timestamp = null: a session of XLON"):
        ingest_bundle(bundle, root=store.root, bundles_dir=store.bundles)


def test_a_synthetic_bundle_follows_any_calendar(tmp_path):
    options = {"kind": "minute_bars", "symbols": 1, "seed": 1, "start": "2024-01-12"}
    options["end"] = "2024-01-16"
    bundle = BundleConfig("b", "synthetic", "CMES", "1m", None, options)
    manifest = ingest_bundle(bundle, root=tmp_path, bundles_dir=tmp_path / "bundles")
    record = manifest.symbols["SYNM1"]
    assert (record.first, record.last) == ("2024-01-11T23:00:00Z", "2024-01-16T22:59:00Z")
    assert record.rows == 1440 + 1140 + 1440  # 15 January closes at noon in Chicago
    assert (record.missing_sessions, record.off_session_bars) == (0, 0)
