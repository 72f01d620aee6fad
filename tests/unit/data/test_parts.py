import polars as pl
import pytest

from backtrail.data import Waiver
from backtrail.data.csv_adapter import read_csv_bundle
from backtrail.data.identity import content_checksums
from backtrail.data.parts import validate_parts
from backtrail.data.problems import BadRowsError
from backtrail.data.spool import Spool

SYMBOLS = ("AAA", "BRK.A", "BRK.B", "CCC", "DDD")
HEADER = "date,open,high,low,close,volume,dividend,split\n"


@pytest.fixture
def folder(store):
    """Five symbols, each with a duplicate, a row of nulls, dividends, and rows in no order."""
    for at, symbol in enumerate(SYMBOLS):
        rows = [f"2020-01-{day:02d},{10.5 + at},22.5,9.5,11.5,{day},0.5,1\n" for day in (3, 2, 6)]
        store.write(f"{symbol}.csv", "".join([*rows, rows[0], "2020-01-07,,,,,,,\n"]), HEADER)
    return store


def read(folder, *, part_bytes=1 << 26, threads=1, limit=1 << 30):
    waivers = [Waiver("null_row", "closed"), Waiver("non_finite", "none")]
    raw = read_csv_bundle(folder.bundle(), folder.root, threads=threads, part_bytes=part_bytes)
    spool = Spool(folder.root / "spool", limit)
    return validate_parts(raw, waivers, split_adjusted=True, spool=spool), spool


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize(("part_bytes", "limit"), [(1, 1 << 30), (1, 0), (400, 200)])
def test_parts_threads_and_memory_change_nothing(folder, threads, part_bytes, limit):
    whole, _ = read(folder)
    parted, spool = read(folder, part_bytes=part_bytes, threads=threads, limit=limit)
    assert spool.files > 0 or limit > 200
    assert parted.prices.bars.equals(whole.prices.bars)
    assert parted.prices.adjustments.equals(whole.prices.adjustments)
    assert content_checksums(parted.prices.bars, parted.prices.adjustments) == content_checksums(
        whole.prices.bars, whole.prices.adjustments
    )
    assert parted.prices.waivers == whole.prices.waivers
    assert parted.prices.duplicates == whole.prices.duplicates
    assert parted.sources == whole.sources
    assert parted.dialect == whole.dialect
    assert [source.symbol for source in parted.sources] == list(SYMBOLS)


def test_merged_reports_name_rows_of_every_part(folder):
    parted, _ = read(folder, part_bytes=1)
    null_row, non_finite = parted.prices.waivers
    assert [row["file"] for row in null_row["rows"]] == [f"prices/{name}.csv" for name in SYMBOLS]
    assert (null_row["action"], non_finite["action"]) == ("row dropped", "met no row")
    assert parted.prices.duplicates["rows"] == 5
    assert [row["symbol"] for row in parted.prices.duplicates["listed"]] == list(SYMBOLS)
    assert parted.prices.bars.height == 15
    assert parted.prices.adjustments.filter(pl.col("kind") == "dividend").height == 15
    assert [entry["files"] for entry in parted.dialect] == [
        [f"prices/{name}.csv" for name in SYMBOLS]
    ]


def test_bad_rows_of_every_part_are_reported_at_once(folder):
    for symbol in ("BRK.A", "DDD"):
        folder.write(f"{symbol}.csv", "2020-01-02,1,1,1,1,-1,0,1\n", HEADER)
    with pytest.raises(BadRowsError) as caught:
        read(folder, part_bytes=1)
    assert [(item.file, item.rule) for item in caught.value.problems] == [
        ("prices/BRK.A.csv", "negative_volume"),
        ("prices/DDD.csv", "negative_volume"),
    ]
    assert caught.value.counts == {"negative_volume": 2}


def test_files_of_one_symbol_are_never_parted(store):
    header = HEADER.replace(",dividend,split", "")
    store.write("X-2020-01.csv", "2020-01-02,1,1,1,1,1\n2020-01-03,1,1,1,1,1\n", header)
    store.write("X-2020-02.csv", "2020-01-03,1,1,1,1,1\n2020-02-03,1,1,1,1,1\n", header)
    bundle = store.bundle(files="{symbol}-20*.csv")
    (part,) = read_csv_bundle(bundle, store.root, part_bytes=1)
    assert part.files == ("prices/X-2020-01.csv", "prices/X-2020-02.csv")
    assert store.ingest(files="{symbol}-20*.csv").duplicates["rows"] == 1
