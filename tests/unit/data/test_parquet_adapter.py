from datetime import UTC, date, datetime

import polars as pl
import pytest

from backtrail.data import BundleConfig, Dataset, ingest_bundle, list_symbols, source_checksum
from backtrail.errors import ConfigError, DatasetError, DataValidationError

DAYS = [date(2020, 1, day) for day in (2, 3, 6)]
VALUES = {
    "open": [10.5, 11.5, 12.5],
    "high": [11.0, 12.0, 13.0],
    "low": [9.0, 10.0, 11.0],
    "close": [10.0, 11.0, 12.0],
    "volume": [100.0, 0.0, 5e9],
}
ROWS = [
    ("AAA", datetime(2020, 1, day, tzinfo=UTC), *values)
    for day, *values in zip((2, 3, 6), *VALUES.values(), strict=True)
]


@pytest.fixture
def lake(tmp_path):
    """Return a function that writes frames, ingests them, and returns manifest and bars."""
    source = tmp_path / "source"
    source.mkdir()

    def run(frames, path="source", *, timeframe="1d", **options):
        for name, frame in frames.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            frame.write_parquet(source / name)
        bundle = BundleConfig("b", "parquet", "24/7", timeframe, path, options)
        manifest = ingest_bundle(bundle, root=tmp_path, bundles_dir=tmp_path / "bundles")
        dataset = Dataset.open(tmp_path / "bundles/b" / manifest.dataset_id)
        dataset.verify()
        return manifest, dataset.bars().rows()

    return run


def frame(stamps=DAYS, **changes):
    return pl.DataFrame({"date": stamps, **VALUES, **changes})


@pytest.mark.parametrize(
    "stamps",
    [
        DAYS,
        [datetime(day.year, day.month, day.day) for day in DAYS],  # noqa: DTZ001
        [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in DAYS],
        [day.isoformat() for day in DAYS],
        [int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) for day in DAYS],
        [int(day.strftime("%Y%m%d")) for day in DAYS],
        ["1/2/2020", "1/3/2020", "1/16/2020"],
    ],
    ids=["date", "datetime", "zoned", "text", "epoch", "number", "month first"],
)
def test_timestamps_of_any_type_are_the_same_dates(lake, stamps):
    _, rows = lake({"AAA.parquet": frame(stamps)})
    if stamps[2] == "1/16/2020":
        rows[2] = (rows[2][0], datetime(2020, 1, 6, tzinfo=UTC), *rows[2][2:])
    assert rows == ROWS


def test_numbers_of_any_type_are_the_same_values(lake):
    typed = frame().with_columns(
        pl.col("open").cast(pl.Float32),
        pl.col("high").cast(pl.Int32),
        pl.col("low").cast(pl.Decimal(10, 2)),
        pl.Series("close", ["10.00", "11.0", " 12"]),
        pl.Series("volume", ["100", "0", "5,000,000,000"]),
    )
    manifest, rows = lake({"AAA.parquet": typed})
    assert rows == ROWS
    assert manifest.dialect[0]["types"]["low"] == "Decimal(precision=10, scale=2)"
    assert manifest.dialect[0]["thousands"] == ","


def test_column_map_and_index_column_of_pandas(lake):
    odd = frame().rename({"date": "__index_level_0__", "close": "settle", "volume": "n"})
    columns = {"timestamp": "__index_level_0__", "close": "settle", "volume": "n"}
    with pytest.raises(DatasetError, match="no column for timestamp, close, volume"):
        lake({"AAA.parquet": odd})
    manifest, rows = lake({}, columns=columns)
    assert rows == ROWS
    assert manifest.dialect[0]["given"] == ["columns"]
    with pytest.raises(ConfigError, match="did you mean 'settle'"):
        lake({}, columns={**columns, "close": "setle"})


def test_symbols_come_from_names_columns_or_folders(lake, tmp_path):
    both = pl.concat(frame().with_columns(pl.lit(name).alias("ticker")) for name in ("BRK.B", "NA"))
    manifest, _ = lake({"all.parquet": both}, "source/all.parquet")
    assert sorted(manifest.symbols) == ["BRK.B", "NA"]
    bundle = BundleConfig("b", "parquet", "24/7", "1d", "source/all.parquet")
    assert list_symbols(bundle, tmp_path) is None
    (tmp_path / "source/all.parquet").unlink()
    manifest, rows = lake({"BRK.A.parquet": frame(), "BRK.B.pq": frame()})
    assert sorted(manifest.symbols) == ["BRK.A", "BRK.B"]
    assert [row[2:] for row in rows[:3]] == [row[2:] for row in ROWS]
    hive = {f"symbol={name}/part-0.parquet": frame() for name in ("X", "Y")}
    manifest, _ = lake(hive, files="symbol={symbol}/*.parquet")
    assert sorted(manifest.symbols) == ["X", "Y"]
    single, _ = lake({}, "source/BRK.A.parquet")
    assert sorted(single.symbols) == ["BRK.A"]
    named, _ = lake({}, "source/BRK.A.parquet", symbol="BRK")
    assert sorted(named.symbols) == ["BRK"]


def test_files_by_month_are_joined(lake):
    first, later = frame()[:2], frame()[1:]
    manifest, rows = lake(
        {"AAA-1.parquet": first, "AAA-2.parquet": later}, files={"AAA": "AAA-*.parquet"}
    )
    assert rows == ROWS
    assert manifest.duplicates["rows"] == 1
    assert [source.path for source in manifest.sources] == [
        "source/AAA-1.parquet",
        "source/AAA-2.parquet",
    ]


def test_intraday_times_need_a_zone_and_local_ones_are_converted(lake):
    local = [datetime(2020, 1, 2, 9, minute) for minute in (30, 31, 32)]  # noqa: DTZ001
    with pytest.raises(DatasetError, match=r"have no zone; give `timezone`"):
        lake({"AAA.parquet": frame(local)}, timeframe="1m")
    _, rows = lake({}, timeframe="1m", timezone="America/New_York")
    assert rows[0][1] == datetime(2020, 1, 2, 14, 30, tzinfo=UTC)
    with pytest.raises(DatasetError, match=r"AAA\.parquet:1: daily bars with a time of day"):
        lake({})


def test_split_date_and_time_are_one_timestamp(lake):
    split = frame().with_columns(pl.lit("09:30").alias("time"))
    _, rows = lake({"AAA.parquet": split}, timeframe="1m", timezone="UTC")
    assert rows[0][1] == datetime(2020, 1, 2, 9, 30, tzinfo=UTC)


def test_bad_rows_are_named_by_their_number(lake, tmp_path):
    bad = frame(close=["10", "x", None], volume=[1, -1, 1])
    with pytest.raises(DataValidationError) as caught:
        lake({"AAA.parquet": bad})
    found = [(p.file, p.line, p.column, p.value, p.rule) for p in caught.value.problems]
    assert found == [
        ("source/AAA.parquet", 2, "close", "x", "unparsable"),
        ("source/AAA.parquet", 2, "volume", "-1.0", "negative_volume"),
        ("source/AAA.parquet", 3, "close", None, "null_price"),
    ]
    assert not (tmp_path / "bundles").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no readable Parquet file"),
        (b"PAR1" + b"\x00" * 40 + b"PAR1", "no readable Parquet file"),
        (b"date,open\n1,2\n", "no readable Parquet file"),
    ],
)
def test_damaged_files_are_clear_errors(lake, tmp_path, data, message):
    (tmp_path / "source/AAA.parquet").write_bytes(data)
    with pytest.raises(DatasetError, match=f"AAA.parquet is {message}"):
        lake({})
    assert not (tmp_path / "bundles").exists()


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"open": [True, False, True]}, {}, "open is Boolean"),
        ({"stamps": [1.5, 2.5, 3.5]}, {}, "date is Float64; timestamps are"),
        ({}, {"date_format": "%Y"}, "needs no date_format"),
    ],
)
def test_columns_of_the_wrong_type_are_refused(lake, changes, options, message):
    with pytest.raises(DatasetError, match=message):
        lake({"AAA.parquet": frame(**changes)}, **options)


def test_checksum_follows_the_file(lake, tmp_path):
    lake({"AAA.parquet": frame()})
    bundle = BundleConfig("b", "parquet", "24/7", "1d", "source")
    first = source_checksum(bundle, tmp_path)
    frame(close=[10.0, 11.0, 12.25]).write_parquet(tmp_path / "source/AAA.parquet")
    assert source_checksum(bundle, tmp_path) != first
    assert list_symbols(bundle, tmp_path) == ("AAA",)


def test_unclear_numbers_of_a_text_column_name_a_remedy_that_parquet_has(lake):
    texts = frame(open=["1,234", "1,235", "1,236"])
    with pytest.raises(DatasetError, match=r"'1,234' could have three .*; store open as numbers"):
        lake({"AAA.parquet": texts})
