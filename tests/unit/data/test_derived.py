"""A bundle made of another one's dataset: longer bars, made once for each content."""

import json
import shutil
from types import SimpleNamespace

import polars as pl
import pytest

from backtrail.batch.planning.bundles import bundle_config, bundle_definition
from backtrail.data import Dataset, ingest_bundle, read_head, source_checksum
from backtrail.data.manifest import read_receipt
from backtrail.data.sources import is_made_of_another, list_symbols
from backtrail.errors import ConfigError, DatasetError

from .places import HEADER, daily_row

WEEKS = {
    "2024-01-01": ["02", "03", "04", "05"],
    "2024-01-08": ["08", "09", "10", "11", "12"],
    "2024-01-15": ["16", "17", "18", "19"],
}
DAILY = {"adapter": "csv", "path": "prices", "calendar": "XNYS", "timeframe": "1d"}
WEEKLY = {"adapter": "bundle", "source": "days", "calendar": "XNYS", "timeframe": "1w"}


def rows(weeks, price=10.0):
    days = [day for week in weeks for day in WEEKS[week]]
    return "".join(daily_row(f"2024-01-{day}", price + i, 100) for i, day in enumerate(days))


@pytest.fixture
def project(tmp_path):
    """Bundles `days`, from files, and `weeks`, of the days; `ingest` takes either by name."""
    (tmp_path / "prices").mkdir()
    bundles = {"days": dict(DAILY), "weeks": dict(WEEKLY)}
    stored = tmp_path / "bundles"

    def write(weeks=WEEKS, price=10.0, symbol="AAA"):
        (tmp_path / f"prices/{symbol}.csv").write_text(HEADER + rows(weeks, price))

    def bundle(name):
        return bundle_config(name, bundle_definition(name, bundles))

    def ingest(*names):
        for name in names:
            manifest = ingest_bundle(bundle(name), root=tmp_path, bundles_dir=stored)
        return manifest

    def dataset(name):
        return Dataset.open(stored / name / read_head(stored, name))

    write()
    return SimpleNamespace(
        root=tmp_path, bundles=bundles, stored=stored,
        write=write, bundle=bundle, ingest=ingest, dataset=dataset,
    )  # fmt: skip


def weeks_of(dataset):
    day = pl.col("timestamp").dt.date().cast(pl.String)
    return dataset.bars().select(day, "open", "high", "low", "close", "volume").rows()


def test_longer_bars_are_made_of_the_other_bundles_dataset(project):
    manifest = project.ingest("days", "weeks")
    assert weeks_of(project.dataset("weeks")) == [
        ("2024-01-01", 10.0, 14.0, 9.0, 13.0, 400.0),
        ("2024-01-08", 14.0, 19.0, 13.0, 18.0, 500.0),
        ("2024-01-15", 19.0, 23.0, 18.0, 22.0, 400.0),
    ]
    assert dict(manifest.derived) == {
        "bundle": "days",
        "dataset_id": read_head(project.stored, "days"),
        "from": "1d",
        "form": 2,
        "universe": None,
        "rows": 13,
        "unfinished": 0,
    }
    assert (manifest.calendar, manifest.timeframe, manifest.sources) == ("XNYS", "1w", ())
    project.dataset("weeks").verify()
    assert list_symbols(project.bundle("weeks"), project.root) == ("AAA",)


def test_it_is_the_dataset_that_the_files_themselves_would_give(project):
    derived = project.ingest("days", "weeks")
    project.bundles["weeks"] = {**DAILY, "timeframe": "1w", "resample_from": "1d"}
    assert project.ingest("weeks").dataset_id == derived.dataset_id


def test_what_was_made_of_the_same_bars_is_not_made_again(project, monkeypatch):
    first = project.ingest("days", "weeks").dataset_id
    project.write(price=20.0)
    second = project.ingest("days", "weeks").dataset_id
    assert second != first
    # Back to the first bars: nothing is computed, the name moves.
    project.write()
    project.ingest("days")
    shutil.rmtree(project.root / "prices")
    bars = project.stored / "days" / read_head(project.stored, "days") / "bars.parquet"
    bars.rename(bars.with_name("gone"))
    bars.touch()  # whoever reads the days' bars now fails
    assert project.ingest("weeks").dataset_id == first
    head = json.loads((project.stored / "weeks/HEAD.json").read_text())
    assert [entry["dataset_id"] for entry in head["history"]] == [first, second, first]
    shutil.rmtree(project.stored / "weeks" / first)
    with pytest.raises(DatasetError, match=r"bars\.parquet cannot be read"):
        project.ingest("weeks")


def test_later_bars_change_no_earlier_one(project):
    project.write(["2024-01-01", "2024-01-08"])
    project.ingest("days", "weeks")
    before = weeks_of(project.dataset("weeks"))
    project.write()
    project.ingest("days", "weeks")
    assert len(before) == 2
    assert weeks_of(project.dataset("weeks"))[:2] == before


def test_the_receipt_has_the_checksum_that_a_plan_expects(project):
    project.ingest("days", "weeks")
    receipt = read_receipt(project.stored, "weeks")
    assert receipt["source_checksum"] == source_checksum(project.bundle("weeks"), project.root)
    assert receipt["derived_from"] == read_head(project.stored, "days")
    assert not is_made_of_another(project.bundle("weeks"), project.stored, receipt)
    project.write(price=11.0)
    assert receipt["source_checksum"] != source_checksum(project.bundle("weeks"), project.root)
    project.ingest("days")
    assert is_made_of_another(project.bundle("weeks"), project.stored, receipt)
    other = project.bundle("weeks")
    shutil.rmtree(project.stored / "days")
    assert is_made_of_another(other, project.stored, receipt)


def test_a_named_dataset_of_the_other_bundle_is_the_one_that_is_read(project):
    project.ingest("days", "weeks")
    old, weeks = read_head(project.stored, "days"), weeks_of(project.dataset("weeks"))
    project.write(price=50.0)
    project.ingest("days")
    project.bundles["days"]["dataset"] = old
    shutil.rmtree(project.root / "prices")
    bundle = project.bundle("weeks")
    assert source_checksum(bundle, project.root)
    assert list_symbols(bundle, project.root) is None
    project.ingest("weeks")
    assert weeks_of(project.dataset("weeks")) == weeks
    receipt = read_receipt(project.stored, "weeks")
    assert receipt["source_checksum"] == source_checksum(bundle, project.root)


def test_a_universe_goes_along_unless_there_is_another(project):
    (project.root / "members.csv").write_text("symbol,from,to\nAAA,2024-01-02,\n")
    project.bundles["days"]["universe"] = "members.csv"
    taken_over = project.ingest("days", "weeks")
    assert taken_over.universe["path"] == "members.csv"
    (project.root / "own.csv").write_text("symbol,from,to\nAAA,2024-01-08,\n")
    project.bundles["weeks"]["universe"] = "own.csv"
    own = project.ingest("weeks")
    assert own.content["universe"] != taken_over.content["universe"]
    assert own.content["bars"] == taken_over.content["bars"]
    receipt = read_receipt(project.stored, "weeks")
    assert receipt["source_checksum"] == source_checksum(project.bundle("weeks"), project.root)


def test_days_of_a_future_are_made_of_its_stored_sessions(project):
    pytest.importorskip("exchange_calendars", reason="the extra `calendars` is not installed")
    moments = ["2024-03-10T22:00:00Z", "2024-03-11T12:00:00Z", "2024-03-11T22:00:00Z"]
    text = "".join(f"{moment},10,11,9,10,5\n" for moment in moments)
    (project.root / "prices/AAA.csv").write_text("timestamp,open,high,low,close,volume\n" + text)
    project.bundles["days"] = {**DAILY, "calendar": "CMES", "timeframe": "1m"}
    project.bundles["weeks"] = {**WEEKLY, "calendar": "CMES", "timeframe": "1d"}
    manifest = project.ingest("days", "weeks")
    assert weeks_of(project.dataset("weeks")) == [("2024-03-11", 10.0, 11.0, 9.0, 10.0, 10.0)]
    minutes = project.dataset("days").manifest
    assert manifest.content["sessions"] == minutes.content["sessions"]
    assert manifest.sessions["source"] == minutes.sessions["source"]


def test_storage_that_cannot_be_written_is_a_clear_error(project):
    project.ingest("days")
    (project.stored / "weeks").write_text("a file where the folder has to be")
    with pytest.raises(DatasetError, match=r"bundle 'weeks' cannot be written to .*free space"):
        project.ingest("weeks")


def test_a_bundle_whose_source_was_never_ingested_is_a_clear_error(project):
    with pytest.raises(DatasetError, match=r"bundle 'days' has no dataset"):
        project.ingest("weeks")
    assert not (project.stored / "weeks").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "day"}, "bundles.weeks.source: there is no bundle 'day'"),
        ({"timeframe": "1h"}, "bundles.weeks.timeframe: 1h of 1d bars of 'days'"),
        ({"calendar": "24/7"}, "'24/7', where 'days' has 'XNYS'; write XNYS"),
        ({"gaps": "fail"}, "bundles.weeks.gaps: is of no use here; drop it, or write it at 'days'"),
        ({"resample_from": "1d"}, "bundles.weeks.resample_from: is of no use here"),
        ({"source": "weeks"}, "weeks of weeks goes round"),
    ],
)
def test_what_cannot_be_made_is_refused(project, changes, message):
    project.bundles["weeks"] |= changes
    with pytest.raises(ConfigError) as caught:
        project.bundle("weeks")
    assert message in str(caught.value)


def test_a_circle_of_bundles_is_refused(project):
    project.bundles["days"] = {**WEEKLY, "source": "weeks"}
    with pytest.raises(ConfigError, match="days of weeks of days goes round"):
        project.bundle("days")
