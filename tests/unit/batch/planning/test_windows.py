import datetime as dt

import polars as pl
import pytest

from backtrail.batch.planning.resolving import resolve_runs
from backtrail.batch.planning.windows import BarDates
from backtrail.data import ingest_bundle
from backtrail.data.manifest import read_head
from backtrail.errors import ConfigError, DatasetError
from tests.unit.batch.support import batch_config, entry, functions

HEADER = "date,open,high,low,close,volume\n"
MINUTES = "timestamp,open,high,low,close,volume\n"


def problems_of(project, batch, **sections):
    """Return what planning refuses of a batch whose bundle is ingested."""
    project.configure(batch_config(batch=batch, **sections))
    project.ingest()
    with pytest.raises(ConfigError) as caught:
        resolve_runs(project.batch())
    return [str(problem).removeprefix("config.yaml: batch.") for problem in caught.value.problems]


def drop(project, symbol, *days):
    """Take some dates out of a source."""
    path = project.root / f"prices/{symbol}.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if line[:10] not in days) + "\n")


def test_a_symbol_without_a_bar_in_the_window_is_named(project):
    lines = (project.root / "prices/BBB.csv").read_text().splitlines()
    (project.root / "prices/BBB.csv").write_text("\n".join(lines[:1] + lines[31:]) + "\n")
    assert problems_of(project, {"a": entry(symbols="all", end="2020-01-20")}) == [
        "a.symbols: 'BBB' has no bar from 2020-01-02 to 2020-01-20; "
        "its nearest bars are of 2020-02-13"
    ]


def test_a_window_without_a_session_is_refused_once_for_all_that_have_it(project):
    weekend = entry(symbols="all", start="2020-01-04", end="2020-01-05")
    batch = {
        "sunday": entry(start="2020-01-05", end="2020-01-05"),
        "heir": {"extends": "sunday", "fill": "next_close"},
        "weekend": weekend,
        "monday": {"extends": "weekend", "end": "2020-01-06"},
    }
    near = "nearest bars are of 2020-01-03 and 2020-01-06"
    assert problems_of(project, batch) == [
        "sunday: bundle 'prices' has no bar of 'AAA' from 2020-01-05 to 2020-01-05, where 24/5 "
        f"has no session; its {near}",
        "weekend: bundle 'prices' has no bar of any of its 2 symbols from 2020-01-04 to "
        f"2020-01-05, where 24/5 has no session; their {near}",
    ]


def test_a_session_without_a_bar_is_found_though_others_are_there(project):
    drop(project, "AAA", "2020-01-14", "2020-01-15")
    batch = {
        "gap": entry(start="2020-01-14", end="2020-01-15"),
        "both": entry(start="2020-01-15", end="2020-01-15", symbols="all"),
        "mark": entry(symbols=["BBB"], benchmark="AAA", start="2020-01-14", end="2020-01-14"),
        "wider": entry(start="2020-01-14", end="2020-01-16"),
    }
    near = "its nearest bars are of 2020-01-13 and 2020-01-16"
    assert problems_of(project, batch) == [
        f"gap: bundle 'prices' has no bar of 'AAA' from 2020-01-14 to 2020-01-15; {near}",
        f"both.symbols: 'AAA' has no bar from 2020-01-15 to 2020-01-15; {near}",
        f"mark.benchmark: the benchmark 'AAA' has no bar from 2020-01-14 to 2020-01-14; {near}",
    ]


def test_a_window_within_the_slack_before_or_after_the_data_is_refused(project):
    batch = {
        "early": entry(start="2019-12-30", end="2020-01-01"),
        "late": entry(start="2020-02-27", end="2020-02-28"),
    }
    window = "bundle 'prices' has no bar of 'AAA' from"
    assert problems_of(project, batch) == [
        f"early: {window} 2019-12-30 to 2020-01-01; its nearest bars are of 2020-01-02",
        f"late: {window} 2020-02-27 to 2020-02-28; its nearest bars are of 2020-02-26",
    ]


@pytest.fixture
def minutes(project):
    """A bundle of hourly bars around a weekend, in UTC; one lies on the Sunday."""
    folder = project.root / "minutes"
    folder.mkdir()
    for symbol, days in (("AAA", ("03", "06")), ("SUN", ("03", "05", "06"))):
        rows = [f"2020-01-{day}T{hour:02}:00:00Z,5,6,4,5,10" for day in days for hour in (9, 10)]
        (folder / f"{symbol}.csv").write_text(MINUTES + "\n".join(rows) + "\n")
    bundle = {"adapter": "csv", "path": "minutes", "calendar": "24/5", "timeframe": "1h",
              "timezone": "UTC"}  # fmt: skip
    return project, {"bundles": {"prices": bundle}}


def test_intraday_bars_count_by_their_utc_dates(minutes):
    project, sections = minutes
    sunday = {"start": "2020-01-05", "end": "2020-01-05"}
    batch = {
        "closed": entry(**sunday),
        "saturday": entry(symbols=["SUN"], start="2020-01-04", end="2020-01-04"),
        "traded": entry(symbols=["SUN"], **sunday),
        "monday": entry(start="2020-01-06", end="2020-01-06"),
    }
    assert problems_of(project, batch, **sections) == [
        "closed: bundle 'prices' has no bar of 'AAA' from 2020-01-05 to 2020-01-05, where 24/5 "
        "has no session; its nearest bars are of 2020-01-03 and 2020-01-06",
        "saturday: bundle 'prices' has no bar of 'SUN' from 2020-01-04 to 2020-01-04, where 24/5 "
        "has no session; its nearest bars are of 2020-01-03 and 2020-01-05",
    ]


def test_what_planning_lets_pass_runs(minutes):
    project, sections = minutes
    project.write("strategies/wait.py", functions())
    wait = entry(strategy="strategies/wait.py", start="2020-01-05", end="2020-01-05")
    project.configure(batch_config(batch={"one": {**wait, "symbols": ["SUN"]}}, **sections))
    _plan, failed = project.run()
    assert failed == []


@pytest.fixture
def bars(project):
    drop(project, "AAA", "2020-01-14", "2020-01-15")
    batch = project.batch()
    ingest_bundle(batch.bundle("prices"), root=project.root, bundles_dir=project.bundles)
    return BarDates(project.bundles / "prices" / read_head(project.bundles, "prices"))


def test_every_window_is_judged_as_its_bars_are(bars):
    frame = pl.read_parquet(bars.path / "bars.parquet")
    first = dt.date(2019, 12, 30)
    days = [first + dt.timedelta(days=number) for number in range(65)]
    for symbol in ("AAA", "BBB"):
        dates = set(frame.filter(pl.col("symbol") == symbol)["timestamp"].dt.date())
        for start in days:
            for length in (1, 2, 3, 5, 9):
                end = start + dt.timedelta(days=length - 1)
                there = any(start + dt.timedelta(days=n) in dates for n in range(length))
                assert bars.has_bar(symbol, start, end) is there, (symbol, start, end)


def test_prices_are_read_only_where_the_manifest_says_too_little(bars):
    (bars.path / "bars.parquet").write_bytes(b"no table")
    day = dt.date
    assert bars.has_bar("AAA", day(2020, 1, 2), day(2020, 1, 2))
    assert bars.has_bar("AAA", day(2020, 1, 8), day(2020, 1, 10)), "3 sessions, 2 missing in all"
    assert bars.has_bar("BBB", day(2020, 1, 14), day(2020, 1, 14))
    assert not bars.has_bar("BBB", day(2021, 1, 1), day(2021, 1, 2))
    with pytest.raises(DatasetError, match=r"bars\.parquet cannot be read: .*ingest the bundle"):
        bars.has_bar("AAA", day(2020, 1, 9), day(2020, 1, 10))
