import subprocess
import sys

import pytest

from backtrail.data import Waiver, list_symbols, source_checksum
from backtrail.errors import DatasetError

from .places import HEADER, daily_row


def test_source_checksum_follows_content_options_and_waivers_only(store):
    first = source_checksum(store.bundle(), store.root)
    (store.prices / "notes.txt").write_text("not a price")
    assert source_checksum(store.bundle(), store.root) == first
    others = {
        source_checksum(store.bundle(timezone="UTC"), store.root),
        source_checksum(store.bundle(calendar="24/7"), store.root),
        source_checksum(store.bundle(waivers=[Waiver("null_row", "r")]), store.root),
    }
    store.write("AAA.csv", daily_row("2020-01-02"))
    others.add(source_checksum(store.bundle(), store.root))
    store.write("BBB.csv", daily_row("2020-01-02"))
    others.add(source_checksum(store.bundle(), store.root))
    assert len(others - {first}) == 5


def test_source_checksum_is_what_the_receipt_holds(store):
    import json

    store.ingest()
    receipt = json.loads((store.bundles / "b/receipt.json").read_text())
    assert receipt["source_checksum"] == source_checksum(store.bundle(), store.root)


def test_list_symbols_reads_names_and_says_when_it_cannot(store):
    store.write("BRK.A.csv", daily_row("2020-01-02"))
    store.write(".hidden.csv", "")
    assert list_symbols(store.bundle(), store.root) == ("AAA", "BRK.A")
    assert list_symbols(store.bundle("prices/AAA.csv"), store.root) == ("AAA",)
    assert list_symbols(store.bundle("prices/AAA.csv", symbol="X"), store.root) == ("X",)
    assert list_symbols(store.bundle(files={"Z": "AAA.csv"}), store.root) == ("Z",)
    store.write("long.csv", "A,2020-01-02,1,1,1,1,1\n", "Symbol," + HEADER)
    assert list_symbols(store.bundle("prices/long.csv"), store.root) is None


def test_two_files_of_one_symbol_are_refused(store):
    (store.prices / "AAA.csv.gz").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"two files of AAA: AAA\.csv and AAA\.csv\.gz"):
        list_symbols(store.bundle(), store.root)


def test_missing_or_empty_sources_say_where_was_looked(store):
    with pytest.raises(DatasetError, match="paths are relative to the project root"):
        source_checksum(store.bundle("nowhere"), store.root)
    (store.root / "years/2020").mkdir(parents=True)
    (store.root / "years/2020/AAA.csv").write_text("")
    with pytest.raises(DatasetError, match="its folders with such files: 2020"):
        source_checksum(store.bundle("years"), store.root)
    with pytest.raises(DatasetError, match=r"maps Z to Z\.csv, which is not in prices"):
        source_checksum(store.bundle(files={"Z": "Z.csv"}), store.root)


def test_paths_are_relative_to_the_root_never_to_the_working_directory(
    store, tmp_path, monkeypatch
):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    store.ingest()
    assert list(elsewhere.iterdir()) == []
    assert sorted(item.name for item in store.root.iterdir()) == ["prices"]


def test_asking_for_checksum_and_symbols_imports_no_polars(store):
    code = f"""
import sys
from pathlib import Path
from backtrail.data import BundleConfig, list_symbols, read_head, source_checksum
bundle = BundleConfig("b", "csv", "XNYS", "1d", "prices")
source_checksum(bundle, Path({str(store.root)!r}))
list_symbols(bundle, Path({str(store.root)!r}))
heavy = {{"polars", "pyarrow", "pandas", "sqlalchemy", "arch", "scipy"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)
