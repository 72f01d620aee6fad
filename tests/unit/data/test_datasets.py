import shutil
from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from backtrail.canonical import sha256_file
from backtrail.data import Dataset, DatasetManifest
from backtrail.data.datasets import dataset_damage
from backtrail.data.identity import ADJUSTMENT_SCHEMA, BAR_SCHEMA, content_checksums
from backtrail.errors import DatasetError

from .places import daily_row


@pytest.fixture
def dataset(store):
    store.write("BBB.csv", "".join(daily_row(f"2020-01-{day:02d}", 20.0) for day in range(2, 11)))
    return Dataset.open(store.bundles / "b" / store.ingest().dataset_id)


def test_bars_and_adjustments_have_the_declared_schema(dataset):
    assert dict(dataset.bars().schema) == BAR_SCHEMA
    assert dict(dataset.adjustments().schema) == ADJUSTMENT_SCHEMA


def test_bars_of_a_window_have_both_ends_and_only_the_symbols_asked(dataset):
    bars = dataset.bars(["BBB"], date(2020, 1, 3), date(2020, 1, 6))
    assert bars["symbol"].unique().to_list() == ["BBB"]
    assert bars["timestamp"].dt.day().to_list() == [3, 4, 5, 6]


def test_one_symbol_alone_and_among_others_has_the_same_prices(dataset):
    alone = dataset.bars(["AAA"])
    assert alone.height == 2
    assert dataset.bars().filter(pl.col("symbol") == "AAA").equals(alone)


def test_unknown_symbol_is_refused_with_the_known_ones(dataset):
    with pytest.raises(DatasetError, match="has no CCC; it has AAA, BBB"):
        dataset.bars(["AAA", "CCC"])


def test_open_refuses_what_is_not_there_or_not_that_dataset(dataset):
    folder = dataset.path.parent
    with pytest.raises(DatasetError, match=f"no dataset 0123.*there: {dataset.path.name}"):
        Dataset.open(folder / "0123456789abcdef")
    shutil.copytree(dataset.path, folder / "0123456789abcdef")
    with pytest.raises(DatasetError, match=f"holds the dataset {dataset.path.name}"):
        Dataset.open(folder / "0123456789abcdef")
    (dataset.path / "bars.parquet").unlink()
    with pytest.raises(DatasetError, match=r"lacks bars\.parquet"):
        Dataset.open(dataset.path)


def test_verify_passes_and_names_a_changed_price(dataset):
    dataset.verify()
    path = dataset.path / "bars.parquet"
    changed = dataset.bars().with_columns(pl.col("close") + 0.01)
    path.unlink()
    changed.write_parquet(path)
    with pytest.raises(DatasetError, match="content of bars has") as caught:
        dataset.verify()
    assert "adjustments" not in str(caught.value)


def test_verify_does_not_mind_how_parquet_is_written_but_says_so(dataset):
    path = dataset.path / "bars.parquet"
    bars = dataset.bars()
    path.unlink()
    bars.write_parquet(path, compression="lz4", row_group_size=2)
    with pytest.raises(DatasetError, match=r"damaged: bars\.parquet has sha256"):
        dataset.verify()


def test_truncated_parquet_is_a_clear_error(dataset):
    path = dataset.path / "bars.parquet"
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-20])
    with pytest.raises(DatasetError, match=r"bars\.parquet cannot be read"):
        dataset.bars()


def flip(path, position):
    """Change one byte of a read-only file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))


def test_damage_names_the_table_whose_byte_was_changed_and_no_other(dataset):
    assert dataset_damage(dataset.path) == {}
    for name, other in (("bars", "adjustments"), ("adjustments", "bars")):
        path = dataset.path / f"{name}.parquet"
        data = path.read_bytes()
        flip(path, 10)
        found = dataset_damage(dataset.path)
        assert list(found) == [f"{name}.parquet"]
        assert "has sha256" in found[f"{name}.parquet"]
        assert other not in str(found)
        path.write_bytes(data)
    assert dataset_damage(dataset.path) == {}


def test_damage_tells_other_bytes_from_other_values(dataset):
    path = dataset.path / "bars.parquet"
    bars = dataset.bars()
    path.unlink()
    bars.write_parquet(path, compression="lz4", row_group_size=2)
    assert dataset_damage(dataset.path)["bars.parquet"].endswith("values in it are still the same")


def test_a_manifest_that_agrees_with_changed_bars_is_found_out_by_the_id(dataset):
    path, stated = dataset.path / "bars.parquet", dataset.path / "manifest.json"
    changed = dataset.bars().with_columns(pl.col("close") + 0.01)
    path.unlink()
    changed.write_parquet(path)
    made = DatasetManifest.load(stated)
    files = {**made.files, "bars.parquet": {"sha256": sha256_file(path), "size": 1}}
    stated.chmod(0o644)
    stated.write_text(replace(made, files=files).to_json())
    (what,) = dataset_damage(dataset.path).values()
    assert what.startswith("the content of bars has ")
    content = content_checksums(changed, dataset.adjustments())
    stated.write_text(replace(made, files=files, content=content).to_json())
    assert "describes another dataset" in dataset_damage(dataset.path)["manifest.json"]


def test_damage_names_what_is_missing(dataset):
    (dataset.path / "adjustments.parquet").unlink()
    assert dataset_damage(dataset.path) == {"adjustments.parquet": "is missing"}
    (dataset.path / "manifest.json").unlink()
    assert "no dataset manifest" in dataset_damage(dataset.path)["manifest.json"]
