import subprocess
import sys

import pytest

from backtrail.data import Waiver, list_symbols, source_checksum
from backtrail.data.sources import find_source_files, useful_threads
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


@pytest.mark.parametrize("options", [{}, {"files": "{symbol}.csv"}])
def test_symbols_from_file_names_that_differ_by_case_alone_have_to_be_mapped(store, options):
    store.write("aaa.csv", daily_row("2020-01-02"))
    if not (store.prices / "AAA.csv").exists() or (store.prices / "AAA.csv").samefile(
        store.prices / "aaa.csv"
    ):
        pytest.skip("file names have no case here")
    with pytest.raises(DatasetError) as refused:
        find_source_files(store.bundle(**options), store.root)
    assert "has prices/AAA.csv and prices/aaa.csv, which differ by upper and" in str(refused.value)
    assert str(refused.value).endswith("`files`: {AAA: AAA.csv, aaa: aaa.csv}")
    mapped = store.bundle(files={"AAA": "AAA.csv", "aaa": "aaa.csv"})
    assert list_symbols(mapped, store.root) == ("AAA", "aaa")


def test_pattern_finds_files_of_all_symbols_and_of_several_months(store):
    for name in ("BTCUSDT-1m-2024-01.csv", "BTCUSDT-1m-2024-02.csv", "ETHUSDT-1m-2024-01.csv"):
        store.write(name, daily_row("2020-01-02"))
    pattern = store.bundle(files="{symbol}-1m-*.csv")
    assert list_symbols(pattern, store.root) == ("BTCUSDT", "ETHUSDT")
    found = [(file.symbol, file.label) for file in find_source_files(pattern, store.root)]
    assert found == [
        ("BTCUSDT", "prices/BTCUSDT-1m-2024-01.csv"),
        ("BTCUSDT", "prices/BTCUSDT-1m-2024-02.csv"),
        ("ETHUSDT", "prices/ETHUSDT-1m-2024-01.csv"),
    ]
    mapped = store.bundle(files={"BTC": "BTCUSDT-*.csv"})
    assert [file.symbol for file in find_source_files(mapped, store.root)] == ["BTC", "BTC"]
    assert list_symbols(mapped, store.root) == ("BTC",)


def test_pattern_without_symbol_leaves_it_to_a_column(store):
    bundle = store.bundle(files="*.csv")
    assert list_symbols(bundle, store.root) is None
    with pytest.raises(DatasetError, match=r"AAA\.csv: no symbol column"):
        store.ingest(files="*.csv")


def test_pattern_of_nothing_or_out_of_the_folder_is_refused(store):
    with pytest.raises(DatasetError, match=r"no file like \*\.xyz in prices"):
        find_source_files(store.bundle(files="*.xyz"), store.root)
    for pattern in ("../*.csv", "/etc/*"):
        with pytest.raises(DatasetError, match="leaves prices"):
            find_source_files(store.bundle(files=pattern), store.root)


def test_folder_of_the_timeframe_is_taken_from_a_csvdir(store):
    for inner in ("daily", "minute"):
        (store.root / "csvdir" / inner).mkdir(parents=True)
        (store.root / "csvdir" / inner / f"{inner.upper()}.csv").write_text(HEADER)
    assert list_symbols(store.bundle("csvdir"), store.root) == ("DAILY",)
    assert list_symbols(store.bundle("csvdir", timeframe="1m"), store.root) == ("MINUTE",)
    with pytest.raises(DatasetError, match="its folders with such files: daily, minute"):
        list_symbols(store.bundle("csvdir", timeframe="1h"), store.root)
    (store.root / "csvdir/BESIDE.csv").write_text(HEADER)
    assert list_symbols(store.bundle("csvdir"), store.root) == ("BESIDE",)


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


def test_threads_follow_the_size_of_the_files(store):
    assert useful_threads(store.bundle(), store.root) == 1
    with (store.prices / "BIG.csv").open("wb") as stream:
        stream.truncate(200 << 20)
    assert useful_threads(store.bundle(), store.root) == 4
    with (store.prices / "BIG.csv").open("wb") as stream:
        stream.truncate(5 << 30)
    assert useful_threads(store.bundle(), store.root) == 8


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
