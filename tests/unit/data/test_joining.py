"""A bundle joined of others: their symbols side by side, nothing of them changed."""

import shutil
from datetime import date
from types import SimpleNamespace

import polars as pl
import pytest

from backtrail.batch.planning.bundles import bundle_config, bundle_definition
from backtrail.data import Dataset, ingest_bundle, read_head, source_checksum
from backtrail.data.manifest import read_receipt
from backtrail.data.sources import is_made_of_another, list_symbols
from backtrail.errors import ConfigError, DatasetError

from .places import HEADER, daily_row

DAYS = ("2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05")
CSV = {"adapter": "csv", "calendar": "XNYS", "timeframe": "1d"}
JOINED = {"adapter": "bundle", "calendar": "XNYS", "timeframe": "1d", "source": ["stocks", "index"]}


@pytest.fixture
def project(tmp_path):
    """Bundles `stocks` (BBB, AAA) and `index` (SPX, from a day later), and `both`, of the two."""
    bundles = {
        "stocks": {**CSV, "path": "stocks"},
        "index": {**CSV, "path": "index"},
        "both": dict(JOINED),
    }
    stored = tmp_path / "bundles"

    def write(name, price, days=DAYS):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEADER + "".join(daily_row(day, price, 100) for day in days))

    def bundle(name):
        return bundle_config(name, bundle_definition(name, bundles))

    def ingest(*names):
        for name in names:
            manifest = ingest_bundle(bundle(name), root=tmp_path, bundles_dir=stored)
        return manifest

    def dataset(name="both"):
        return Dataset.open(stored / name / read_head(stored, name))

    write("stocks/BBB.csv", 20.0)
    write("stocks/AAA.csv", 10.0)
    write("index/SPX.csv", 4000.0, DAYS[1:])
    return SimpleNamespace(
        root=tmp_path, bundles=bundles, stored=stored,
        write=write, bundle=bundle, ingest=ingest, dataset=dataset,
    )  # fmt: skip


def closes(dataset):
    day = pl.col("timestamp").dt.date().cast(pl.String)
    return dataset.bars().select("symbol", day, "close").rows()


def test_the_symbols_of_all_are_side_by_side_as_they_are(project):
    manifest = project.ingest("stocks", "index", "both")
    assert closes(project.dataset()) == [
        *(("AAA", day, 10.0) for day in DAYS),
        *(("BBB", day, 20.0) for day in DAYS),
        *(("SPX", day, 4000.0) for day in DAYS[1:]),
    ]
    project.dataset().verify()
    heads = {name: read_head(project.stored, name) for name in ("stocks", "index")}
    assert dict(manifest.derived) == {"joined": heads, "form": 1, "universe": None}
    assert list_symbols(project.bundle("both"), project.root) == ("AAA", "BBB", "SPX")


def test_it_is_the_dataset_that_one_folder_would_give(project):
    joined = project.ingest("stocks", "index", "both")
    shutil.copy(project.root / "index/SPX.csv", project.root / "stocks")
    assert project.ingest("stocks").dataset_id == joined.dataset_id


def test_splits_and_dividends_come_along(project):
    text = "date,open,high,low,close,volume,split,dividend\n"
    rows = ["2024-01-02,10,11,9,10,5,1,0\n", "2024-01-03,5,6,4,5,5,2,0.5\n"]
    (project.root / "stocks/AAA.csv").write_text(text + "".join(rows))
    project.ingest("stocks", "index", "both")
    own, joined = project.dataset("stocks").adjustments(), project.dataset().adjustments()
    assert own.height == 2
    assert joined.rows() == own.rows()


def test_another_dataset_of_any_of_them_makes_another_one(project):
    first = project.ingest("stocks", "index", "both").dataset_id
    bundle = project.bundle("both")
    receipt = read_receipt(project.stored, "both")
    assert receipt["source_checksum"] == source_checksum(bundle, project.root)
    assert receipt["derived_from"] == {
        name: read_head(project.stored, name) for name in ("index", "stocks")
    }
    assert not is_made_of_another(bundle, project.stored, receipt)
    project.write("index/SPX.csv", 4001.0)
    assert receipt["source_checksum"] != source_checksum(bundle, project.root)
    project.ingest("index")
    assert is_made_of_another(bundle, project.stored, receipt)
    assert project.ingest("both").dataset_id != first
    project.write("index/SPX.csv", 4000.0, DAYS[1:])
    assert project.ingest("index", "both").dataset_id == first


def test_what_was_made_of_the_same_datasets_is_not_made_again(project):
    first = project.ingest("stocks", "index", "both")
    bars = project.stored / "stocks" / read_head(project.stored, "stocks") / "bars.parquet"
    bars.write_bytes(b"nobody reads this")
    assert project.ingest("both").dataset_id == first.dataset_id


def test_a_named_dataset_of_one_is_the_one_that_is_joined(project):
    project.ingest("stocks", "index")
    old = read_head(project.stored, "index")
    project.write("index/SPX.csv", 5000.0)
    project.ingest("index")
    project.bundles["index"]["dataset"] = old
    manifest = project.ingest("both")
    assert manifest.derived["joined"]["index"] == old
    assert closes(project.dataset())[-1] == ("SPX", "2024-01-05", 4000.0)
    assert list_symbols(project.bundle("both"), project.root) is None


def test_a_symbol_of_two_bundles_is_refused_and_named(project):
    project.write("index/AAA.csv", 11.0)
    with pytest.raises(DatasetError, match=r"'stocks' and 'index' both have AAA; .* leave it out"):
        project.ingest("stocks", "index", "both")
    assert not list((project.stored).glob("both/*/manifest.json"))


def test_a_universe_of_one_is_that_of_all_and_an_index_is_no_member(project):
    (project.root / "members.csv").write_text("symbol,from,to\nAAA,2024-01-03,\n")
    project.bundles["stocks"]["universe"] = "members.csv"
    manifest = project.ingest("stocks", "index", "both")
    assert manifest.universe["path"] == "members.csv"
    assert project.dataset().universe().rows() == [("AAA", date(2024, 1, 3), None)]
    (project.root / "indices.csv").write_text("symbol,from,to\nSPX,2024-01-03,2024-01-04\n")
    project.bundles["index"]["universe"] = "indices.csv"
    manifest = project.ingest("index", "both")
    assert manifest.universe["path"] == "members.csv; indices.csv"
    assert project.dataset().universe()["symbol"].to_list() == ["AAA", "SPX"]


def test_stored_sessions_reach_over_all_of_them(project):
    pytest.importorskip("exchange_calendars", reason="the extra `calendars` is not installed")
    for bundle in project.bundles.values():
        bundle["calendar"] = "XLON"
    project.write("index/SPX.csv", 4000.0, ["2019-07-01", "2019-07-02"])
    manifest = project.ingest("stocks", "index", "both")
    first, last = manifest.sessions["reach"]
    assert first < "2019-07-01"
    assert last > "2024-01-05"
    project.dataset().verify()
    project.write("index/SPX.csv", 4000.0, ["2019-07-01", *DAYS])
    project.ingest("index")
    shutil.rmtree(project.stored / "both")
    again = project.ingest("both")
    own = project.dataset("index").manifest
    assert again.sessions["reach"] == own.sessions["reach"]


def test_computed_prices_are_told_where_they_are_joined(project):
    project.bundles["index"] = {
        **CSV, "adapter": "synthetic", "kind": "daily_universe",
        "symbols": 2, "start": "2023-12-01", "end": "2024-01-05", "seed": 1,
    }  # fmt: skip
    assert project.ingest("stocks", "index", "both").synthetic


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": ["stocks", "indx"]}, "bundles.both.source: there is no bundle 'indx'"),
        ({"source": ["stocks", "stocks"]}, "bundles.both.source: 'stocks' stands there twice"),
        ({"timeframe": "1w"}, "write 1d; longer bars are made of the joined bundle by another"),
        ({"calendar": "24/7"}, "'24/7', where 'index' has 'XNYS'; write XNYS"),
        ({"gaps": "fail"}, "drop it, or write it at 'stocks' and 'index'"),
        ({"source": ["stocks", "both"]}, "both of both goes round"),
    ],
)
def test_what_cannot_be_joined_is_refused(project, changes, message):
    project.bundles["both"] |= changes
    with pytest.raises(ConfigError) as caught:
        project.bundle("both")
    assert message in str(caught.value)
