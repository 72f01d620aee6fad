"""What a run is handed besides bars: the sessions of a calendar that its dataset brings."""

import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from backtrail.batch.history.revised_windows import RevisedWindows
from backtrail.data import BundleConfig, Dataset, ingest_bundle
from backtrail.data.identity import ADJUSTMENT_SCHEMA
from tests.extras import needs

pytestmark = needs("exchange_calendars", "calendars")

JUNE = {"symbols": ["AAA"], "benchmark": None, "start": "2023-06-01", "end": "2023-06-30"}


@pytest.fixture(scope="module")
def london(tmp_path_factory):
    """A dataset of every weekday from June to December, with the sessions of London."""
    root = tmp_path_factory.mktemp("london")
    days = [date(2023, 6, 1) + timedelta(days=number) for number in range(210)]
    rows = "".join(f"{day},10,11,9,10,5\n" for day in days if day.weekday() < 5)
    (root / "prices").mkdir()
    (root / "prices/AAA.csv").write_text(f"date,open,high,low,close,volume\n{rows}")
    bundle = BundleConfig("b", "csv", "XLON", "1d", "prices", {}, gaps="allow")
    manifest = ingest_bundle(bundle, root=root, bundles_dir=root / "bundles")
    return Dataset.open(root / "bundles/b" / manifest.dataset_id)


@pytest.fixture
def corrected(london, tmp_path):
    """Return the dataset with another close on one session date, and perhaps another year."""

    def corrected(day, **year):
        path = shutil.copytree(london.path, tmp_path / "other")
        file = path / "sessions.parquet"
        sessions = pl.read_parquet(file)
        earlier = pl.col("minutes") - 60 * (pl.col("date") == day).cast(pl.Int64)
        file.chmod(0o644)
        sessions.with_columns(earlier.alias("minutes")).write_parquet(file)
        facts = london.manifest.sessions
        manifest = replace(
            london.manifest,
            content={**london.manifest.content, "sessions": "another"},
            sessions={**facts, "year": {**facts["year"], **year}},
        )
        return Dataset(path, manifest)

    return corrected


@pytest.mark.parametrize(
    ("day", "is_seen"),
    [
        (date(2023, 6, 15), True),
        (date(2023, 8, 14), True),  # a schedule may ask for the month after the last bar
        (date(2023, 8, 15), False),
        (date(2023, 12, 20), False),
    ],
)
def test_a_corrected_session_is_seen_within_reach_of_the_dates(london, corrected, day, is_seen):
    found = RevisedWindows(london, corrected(day), limit=3).look(JUNE)
    assert (found.is_seen, found.rows) == (is_seen, 0)
    assert found.reasons == (
        ("sessions of its calendar changed",)
        if is_seen
        else ("no bar or adjustment of AAA changed",)
    )


def test_another_year_for_annual_metrics_is_seen_by_every_run(london, corrected):
    other = corrected(date(2023, 12, 20), sessions=250)
    found = RevisedWindows(london, other, limit=3).look(JUNE)
    usual = london.manifest.sessions["year"]["sessions"]
    assert found.is_seen
    assert found.reasons == (f"bars a year, for annual metrics: {usual} -> 250",)


@pytest.mark.parametrize(("first", "is_seen"), [("2023-06-03", False), ("2023-06-02", True)])
def test_a_dividend_before_the_first_bar_of_the_dates_has_no_effect(
    london, tmp_path, first, is_seen
):
    # On a Saturday: it takes effect at the bar of Monday, for whoever held before.
    path = shutil.copytree(london.path, tmp_path / "other")
    file = path / "adjustments.parquet"
    paid = pl.DataFrame(
        {
            "symbol": "AAA",
            "timestamp": datetime(2023, 6, 3, tzinfo=UTC),
            "kind": "dividend",
            "value": 0.5,
        },
        schema=dict(ADJUSTMENT_SCHEMA),
    )
    file.chmod(0o644)
    paid.write_parquet(file)
    content = {**london.manifest.content, "adjustments": "another"}
    other = Dataset(path, replace(london.manifest, content=content))
    found = RevisedWindows(london, other, limit=3).look({**JUNE, "start": first})
    assert (found.is_seen, found.rows) == (is_seen, 1)
    assert found.reasons == (
        ("1 adjustment added: AAA 2023-06-03 dividend",)
        if is_seen
        else (
            f"1 row changed between {first} and 2023-06-30, and nothing of what a run is handed "
            "of them",
        )
    )
