"""Each folder of tests/data/csv: files as a vendor writes them, and the bars they mean."""

import csv
import json
from datetime import UTC, date, datetime

import pytest

from backtrail.data import BundleConfig, Dataset, Waiver, ingest_bundle

from .places import PROJECT

CASES = sorted((PROJECT / "tests/data/csv").glob("*/case.json"))
TEXTS = {"symbol", "kind"}


def read_expected(path):
    with path.open(newline="") as stream:
        return [
            tuple(
                datetime.fromisoformat(text)
                if name == "timestamp"
                else text
                if name in TEXTS
                else float(text)
                for name, text in row.items()
            )
            for row in csv.DictReader(stream)
        ]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_dialect_gives_the_bars_that_stand_beside_it(path, tmp_path):
    case = json.loads(path.read_text())
    waivers = tuple(
        Waiver(item["rule"], item["reason"], dates=tuple(map(date.fromisoformat, item["dates"])))
        for item in case.get("waivers", ())
    )
    source = str(path.parent.relative_to(PROJECT) / "source" / case["path"])
    bundle = BundleConfig(
        "b", "csv", case["calendar"], case["timeframe"], source, case["options"], waivers
    )
    manifest = ingest_bundle(bundle, root=PROJECT, bundles_dir=tmp_path)
    dataset = Dataset.open(tmp_path / "b" / manifest.dataset_id)
    dataset.verify()
    assert dataset.bars().rows() == read_expected(path.parent / "expected.csv")
    beside = path.parent / "expected_adjustments.csv"
    assert dataset.adjustments().rows() == (read_expected(beside) if beside.exists() else [])
    assert manifest.duplicates["rows"] == case.get("duplicates", 0)
    for dialect in manifest.dialect:
        assert {key: dialect[key] for key in case["dialect"]} == case["dialect"]


def test_cases_cover_every_part_of_a_dialect():
    options = {key for path in CASES for key in json.loads(path.read_text())["options"]}
    assert options == {
        *("columns", "comment", "date_format", "decimal", "delimiter", "encoding", "files"),
        *("header", "null_values", "quote", "skip_lines", "symbol", "thousands", "timezone"),
    }
    assert datetime(2020, 1, 2, tzinfo=UTC) in {
        row[1] for path in CASES for row in read_expected(path.parent / "expected.csv")
    }
