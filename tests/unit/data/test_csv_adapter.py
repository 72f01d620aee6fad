import gzip
from datetime import UTC, date, datetime

import polars as pl
import pytest

from backtrail.data import BundleConfig, Dataset, Waiver, ingest_bundle
from backtrail.errors import ConfigError, DatasetError, DataValidationError

from .places import HEADER, PROJECT, SAMPLE, SHARED, daily_row

YAHOO = {
    "AAPL": "yahoofinance-AAPL-20040819-20180120.csv",
    "GOOG": "yahoofinance-GOOG-20040819-20180120.csv",
    "INTC": "yahoofinance-INTC-19950101-20040412.csv",
    "SPY": "yahoofinance-SPY-20080101-20180101.csv",
}
SPX_MINUTES = str(SHARED / "SP500_NOV2019_IDay.csv")
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no real data beside the project")


def frame_of(store, manifest):
    return Dataset.open(store.bundles / manifest.bundle / manifest.dataset_id).bars()


def ingest_real(tmp_path, timeframe, path, *, calendar="XNYS", waivers=(), **options):
    bundle = BundleConfig("real", "csv", calendar, timeframe, str(path), options, tuple(waivers))
    manifest = ingest_bundle(bundle, root=tmp_path, bundles_dir=tmp_path / "bundles")
    return manifest, Dataset.open(tmp_path / "bundles" / "real" / manifest.dataset_id)


def test_committed_sample_has_the_golden_id(tmp_path):
    # 98d187f43c97f059: computed from the three files with csv, struct and hashlib alone.
    bundle = BundleConfig("sample", "csv", "XNYS", "1d", SAMPLE)
    manifest = ingest_bundle(bundle, root=PROJECT, bundles_dir=tmp_path)
    assert manifest.dataset_id == "98d187f43c97f059"
    assert sorted(manifest.symbols) == ["ACME", "BRK.A", "BRK.B"]
    assert (manifest.rows, manifest.adjustments) == (90, {"dividend": 2, "split": 2})
    assert manifest.origin.startswith("Computed by the synthetic adapter")


EPOCH = int(datetime(2020, 1, 2, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (HEADER, "2020-01-02,1.5,3,1,2,7\n2020-01-03,2.5,4,2,3,8"),
        ("Volume,LOW,High,close,Open,DATE\n", "7,1,3,2,1.5,2020-01-02\n8,2,4,3,2.5,2020-01-03\n"),
        ("\ufeffDate;Open;High;Low;Close;Volume\n", "2020/01/02;1.5;3;1;2;7\n20200103;2;3;1;2;8\n"),
        ("Date\tOpen\tHigh\tLow\tClose\tVol\r\n", "20200102\t1.5\t3\t1\t2\t7\r\n"),
        ("time,o,h,l,c,v\n", f"{EPOCH},1.5,3,1,2,7\n"),
        ("time,o,h,l,c,v\n", f"{EPOCH}000,1.5,3,1,2,7\n"),
        ("time,o,h,l,c,v\n", f"{EPOCH}000000,1.5,3,1,2,7\n"),
        ("timestamp,open,high,low,close,volume\n", "2020-01-02T00:00:00Z,1.5,3,1,2,7\n"),
        ("timestamp,open,high,low,close,volume\n", "2020-01-02 00:00:00,1.5,3,1,2,7\n"),
        ("date,open,high,low,close,volume\n", '"2020-01-02"," 1.5","3","1","2","7"\n'),
        ("date,open,high,low,close,volume\n", "2/1/2020,1.5,3,1,2,7\n13/1/2020,2,3,1,2,8\n"),
        ("date,open,high,low,close,volume\n", "1.2.2020,1.5,3,1,2,7\n1.13.2020,2,3,1,2,8\n"),
    ],
)
def test_dialects_people_have_give_the_same_first_bar(store, header, rows):
    if "20200103;" in rows:  # two forms in one column are not guessed
        rows = rows.partition("\n")[0] + "\n"
    store.write("AAA.csv", rows, header)
    manifest = store.ingest()
    day = manifest.symbols["AAA"].first
    assert frame_of(store, manifest).drop("timestamp").row(0) == ("AAA", 1.5, 3.0, 1.0, 2.0, 7.0)
    assert day == "2020-01-02T00:00:00Z"


def test_gz_file_and_plain_file_give_the_same_dataset(store):
    plain = store.ingest()
    text = (store.prices / "AAA.csv").read_bytes()
    (store.prices / "AAA.csv").unlink()
    (store.prices / "AAA.csv.gz").write_bytes(gzip.compress(text))
    packed = store.ingest()
    assert packed.dataset_id == plain.dataset_id


def test_dots_in_file_names_belong_to_the_symbol(store):
    (store.prices / "AAA.csv").rename(store.prices / "BRK.A.csv")
    store.write("BRK.B.csv", daily_row("2020-01-02", 20.0))
    assert {name: item.rows for name, item in store.ingest().symbols.items()} == {
        "BRK.A": 2,
        "BRK.B": 1,
    }


def test_one_long_file_is_split_by_its_symbol_column(store):
    folder = store.ingest()
    rows = "AAA,2020-01-02,10.0,11.0,9.0,10.0,100\nZZZ,2020-01-02,1,2,1,1,5\n"
    store.write("long.csv", rows, "Ticker," + HEADER)
    manifest = store.ingest("prices/long.csv")
    assert sorted(manifest.symbols) == ["AAA", "ZZZ"]
    assert manifest.dataset_id != folder.dataset_id


def test_symbol_column_that_contradicts_the_file_name_is_refused(store):
    store.write("AAA.csv", "BBB,2020-01-02,10,11,9,10,100\n", "symbol," + HEADER)
    with pytest.raises(DatasetError, match="file of AAA, but its column symbol has BBB"):
        store.ingest()


def test_columns_option_names_headers_that_are_not_usual(store):
    store.write("AAA.csv", "2020-01-02,1.5,3,1,2,9,7\n", "d,open,high,low,last,close,volume\n")
    with pytest.raises(DatasetError, match="no column for timestamp in the header"):
        store.ingest()
    manifest = store.ingest(columns={"timestamp": "d", "close": "last"})
    assert frame_of(store, manifest)["close"].to_list() == [2.0]
    assert manifest.dialect[0]["ignored"] == ["close"]


def test_columns_option_that_names_nothing_is_refused(store):
    with pytest.raises(ConfigError, match="did you mean 'close'"):
        store.ingest(columns={"close": "closs"})


def test_two_columns_that_could_be_the_timestamp_are_refused(store):
    header = "date,timestamp,open,high,low,close,volume\n"
    store.write("AAA.csv", "2020-01-02,1577923200,1,1,1,1,1\n", header)
    with pytest.raises(DatasetError, match="date and timestamp could both be the timestamp"):
        store.ingest()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("3/4/2020", "could be day first or month first in every row"),
        ("Thu 3 Jan", "is unknown; give `date_format`"),
        ("2020-01-02T05:00:00Z", "daily bars with a time of day"),
        ("2020-01-02 16:00", "daily bars with a time of day"),
    ],
)
def test_unclear_dates_are_refused_not_guessed(store, cell, message):
    store.write("AAA.csv", f'"{cell}",1,1,1,1,1\n')
    with pytest.raises(DatasetError, match=message):
        store.ingest()


def test_date_format_option_decides_what_cells_leave_open(store):
    store.write("AAA.csv", "3/4/2020,1,1,1,1,1\n")
    assert store.ingest(date_format="%d/%m/%Y").symbols["AAA"].first == "2020-04-03T00:00:00Z"
    assert store.ingest(date_format="%m/%d/%Y").symbols["AAA"].first == "2020-03-04T00:00:00Z"


def test_both_orders_in_one_column_are_refused(store):
    store.write("AAA.csv", "13/1/2020,1,1,1,1,1\n1/13/2020,1,1,1,1,1\n")
    with pytest.raises(DatasetError, match="has both orders"):
        store.ingest()


def test_timezone_gives_daily_bars_their_session_date(store):
    store.write("AAA.csv", "2020-01-03T00:30:00Z,1,1,1,1,1\n")
    manifest = store.ingest(timezone="America/New_York")
    assert manifest.symbols["AAA"].first == "2020-01-02T00:00:00Z"


def test_intraday_times_need_a_zone_and_skip_no_daylight_saving(store):
    store.write("AAA.csv", "2019-11-03 00:30,1,1,1,1,1\n2019-11-03 01:30,1,1,1,1,1\n")
    with pytest.raises(DatasetError, match=r"have no zone; give `timezone`"):
        store.ingest(timeframe="1m")
    with pytest.raises(DataValidationError, match=r"AAA.csv:3: .*twice or never"):
        store.ingest(timeframe="1m", timezone="America/New_York")
    utc = store.ingest(timeframe="1m", timezone="UTC")
    assert utc.symbols["AAA"].last == "2019-11-03T01:30:00Z"
    offset = "2019-11-03T01:30:00-05:00,1,1,1,1,1\n2019-11-03T01:30:00-04:00,1,1,1,1,1\n"
    store.write("AAA.csv", offset)
    both = store.ingest(timeframe="1m").symbols["AAA"]
    assert (both.first, both.last) == ("2019-11-03T05:30:00Z", "2019-11-03T06:30:00Z")


def test_unknown_timezone_is_a_clear_error(store):
    store.write("AAA.csv", "2020-01-02 09:30,1,1,1,1,1\n")
    with pytest.raises(DatasetError, match="timezone 'Mars/Base'"):
        store.ingest(timeframe="1m", timezone="Mars/Base")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (HEADER.encode(), "has a header and no rows"),
        (b"\x00\xff\xfe\x01\n\x02", "holds zero bytes"),
        (b"\xff\xfa\n", "is not UTF-8 text"),
        (b"a,b\n1,2\n", "no column for timestamp, open, high, low, close, volume"),
        (HEADER.encode() + b"2020-01-02,1,1,1,1,\xff\n", "UTF-8|utf-8|unparsable"),
        (HEADER.encode() + b'2020-01-02,1,1,1,1,"1\n', "nothing was written|quote|readable"),
        (b"date,date,open,high,low,close,volume\n", "names a column twice"),
        (b"x" * 200_000, "a line of more than 65,536 bytes"),
        (b"date,open\r,high,low,close,volume\n2020-01-02,1,1,1,1,1\n", "is no CSV"),
        (HEADER.encode() + b"9020-01-02,1,1,1,1,1\n", "in the years 1700 to 2200"),
    ],
)
def test_damaged_files_are_clear_errors_and_leave_nothing(store, data, message):
    (store.prices / "AAA.csv").write_bytes(data)
    with pytest.raises((DatasetError, DataValidationError), match=message):
        store.ingest()
    assert not store.bundles.exists()


def test_truncated_gz_is_a_clear_error(store):
    packed = gzip.compress((store.prices / "AAA.csv").read_bytes())
    (store.prices / "BBB.csv.gz").write_bytes(packed[:-9])
    with pytest.raises(DatasetError, match=r"BBB\.csv\.gz is no complete gzip file"):
        store.ingest()


def test_line_with_more_cells_than_the_header_is_named(store):
    store.write("AAA.csv", daily_row("2020-01-02") + "2020-01-03,1,1,1,1,1,9\n")
    with pytest.raises(DataValidationError, match=r"AAA\.csv:3: .*cells = 7: the header has 6"):
        store.ingest()


def test_blank_lines_are_skipped_counted_and_keep_line_numbers(store):
    store.write("AAA.csv", daily_row("2020-01-02") + "\n" + daily_row("2020-01-03") + "\n\n")
    manifest = store.ingest()
    assert (manifest.rows, manifest.sources[0].blank_lines) == (2, 3)
    store.write("AAA.csv", daily_row("2020-01-02") + "\n2020-01-03,1,1,1,1,-1\n")
    with pytest.raises(DataValidationError, match=r"AAA\.csv:4: "):
        store.ingest()


def test_line_numbers_count_quoted_line_breaks(store):
    rows = '2020-01-02,1,1,1,1,1,"two\nlines"\n2020-01-03,1,1,1,1,-1,x\n'
    store.write("AAA.csv", rows, "date,open,high,low,close,volume,note\n")
    with pytest.raises(DataValidationError, match=r"AAA\.csv:4: AAA 2020-01-03 volume = -1"):
        store.ingest()


def test_dialect_found_is_in_the_manifest(store):
    store.write("AAA.csv", "1/13/2020,1,1,1,1,1,1\n", "Date,Open,High,Low,Close,Adj Close,Volume\n")
    (dialect,) = store.ingest().dialect
    assert dialect["date_format"] == "%m/%d/%Y"
    assert dialect["found_by"] == "month first: Date has 13 in second place"
    assert dialect["ignored"] == ["Adj Close"]
    assert dialect["columns"]["close"] == "Close"
    assert dialect["files"] == ["prices/AAA.csv"]


@needs_shared
def test_spy_export_fails_on_its_two_rows_and_passes_under_a_waiver(tmp_path):
    path = SHARED / YAHOO["SPY"]
    with pytest.raises(DataValidationError) as caught:
        ingest_real(tmp_path, "1d", path, symbol="SPY")
    assert [(item.line, item.at, item.column, item.value) for item in caught.value.problems] == [
        (1808, "2015-03-05", "low", "209.850006"),
        (1825, "2015-03-30", "low", "206.960007"),
    ]
    assert not (tmp_path / "bundles").exists()
    days = (date(2015, 3, 5), date(2015, 3, 30))
    waiver = Waiver("impossible_ohlc", "vendor's low above open", ("SPY",), days)
    manifest, dataset = ingest_real(tmp_path, "1d", path, symbol="SPY", waivers=[waiver])
    assert manifest.rows == 2_519
    assert [row["line"] for row in manifest.waivers[0]["rows"]] == [1808, 1825]
    dataset.verify()


@needs_shared
def test_yahoo_exports_keep_raw_prices_and_record_the_adjusted_close(tmp_path):
    files = {symbol: YAHOO[symbol] for symbol in ("AAPL", "GOOG", "INTC")}
    manifest, dataset = ingest_real(tmp_path, "1d", SHARED, files=files)
    assert {name: item.rows for name, item in manifest.symbols.items()} == {
        "AAPL": 3_379,
        "GOOG": 3_379,
        "INTC": 2_335,
    }
    assert {item.missing_sessions for item in manifest.symbols.values()} == {0}
    assert manifest.dialect[0]["ignored"] == ["Adj Close"]
    first = dataset.bars(["AAPL"]).row(0)
    assert first[2:] == (2.250714, 2.275714, 2.168571, 2.193571, 97_230_000.0)


@needs_shared
def test_new_york_minutes_need_format_and_zone_and_become_utc(tmp_path):
    with pytest.raises(DatasetError, match=r"give `date_format`"):
        ingest_real(tmp_path, "1m", SPX_MINUTES, symbol="SPX")
    form = "%m/%d/%Y %H:%M"
    with pytest.raises(DatasetError, match=r"give `timezone`"):
        ingest_real(tmp_path, "1m", SPX_MINUTES, symbol="SPX", date_format=form)
    manifest, dataset = ingest_real(
        tmp_path, "1m", SPX_MINUTES, symbol="SPX", date_format=form, timezone="America/New_York"
    )
    assert (manifest.rows, manifest.symbols["SPX"].first) == (1_563, "2019-11-05T14:30:00Z")
    assert manifest.symbols["SPX"].last == "2019-11-08T20:59:00Z"
    row = dataset.bars().row(0, named=True)  # the file's order is Open, Close, High, Low
    assert (row["open"], row["high"], row["low"], row["close"]) == (
        3080.8,
        3081.47,
        3080.3,
        3080.49,
    )


@needs_shared
def test_zipline_csvdir_gives_splits_and_dividends(tmp_path):
    with pytest.raises(DataValidationError) as caught:
        ingest_real(tmp_path, "1d", SHARED / "zipline")
    assert [(item.symbol, item.at, item.value) for item in caught.value.problems] == [
        ("AAPL", "2014-06-09", "7.0"),
        ("KO", "2012-08-13", "2.0"),
    ]
    waiver = Waiver("split_not_in_prices", "to see the split column")
    manifest, dataset = ingest_real(tmp_path, "1d", SHARED / "zipline", waivers=[waiver])
    assert manifest.adjustments == {"dividend": 46, "split": 2}
    table = dataset.adjustments().filter(pl.col("symbol") == "AAPL")
    assert table.filter(pl.col("kind") == "split").row(0) == (
        "AAPL",
        datetime(2014, 6, 9, tzinfo=UTC),
        "split",
        7.0,
    )
    assert table.filter(pl.col("kind") == "dividend")["value"].to_list() == [
        *[0.37857] * 3,
        *[0.43571] * 4,
        *[0.47] * 3,
    ]
    adjusted, _ = ingest_real(tmp_path, "1d", SHARED / "zipline", split_adjusted=True)
    assert adjusted.adjustments == {"dividend": 46}
    assert [row["symbol"] for row in adjusted.left_out] == ["AAPL", "KO"]


@needs_shared
def test_utc_minutes_of_a_future_are_read_from_gz(tmp_path):
    path = SHARED / "6EH4.XCME_1min_bars_20240101_20240131.csv.gz"
    manifest, _ = ingest_real(tmp_path, "1m", path, calendar="24/5", symbol="6EH4")
    assert (manifest.rows, manifest.symbols["6EH4"].first) == (29_996, "2024-01-01T23:01:00Z")
    assert manifest.dialect[0]["timezone"] == "UTC"
    assert manifest.symbols["6EH4"].off_session_bars == 230  # Sunday evenings


def test_epochs_in_two_units_are_refused_with_their_line(store):
    rows = [f"{1_577_923_200_000 + 60_000 * at},10,11,9,10,1\n" for at in range(1500)]
    rows[1200] = "1577995200,10,11,9,10,1\n"
    store.write("AAA.csv", "".join(rows))
    with pytest.raises(
        DatasetError, match=r"AAA\.csv:1202: the timestamp '1577995200' has too few"
    ):
        store.ingest(timeframe="1m", calendar="24/7")


def test_file_that_ends_within_a_row_is_refused(store):
    header = "Date,Open,High,Low,Close,Volume,Adj Close\n"
    whole = "2020-01-02,10,11,9,10.5,1200,10.5\n"
    store.write("AAA.csv", whole + "2020-01-03,10,11,9,10.5,12", header)
    with pytest.raises(DatasetError, match=r"AAA\.csv:3: .*6 of 7 cells.*'12' may be part"):
        store.ingest()
    store.write("AAA.csv", "2020-01-03,10,11,9,10.5,12", header)
    with pytest.raises(DatasetError, match=r"AAA\.csv:2: the file ends within a row"):
        store.ingest()
    store.write("AAA.csv", whole + "2020-01-03,10,11,9,10.5,12\n", header)
    assert store.ingest().symbols["AAA"].rows == 2
    store.write("AAA.csv", "2020-01-02,10,11,9,10.5,1200", "Date,Open,High,Low,Close,Volume,\n")
    assert store.ingest().symbols["AAA"].rows == 1
    rows = "2020-01-02,10,11,9,10.5,1200\n2020-01-03,10,11,9,10.5,1200"
    store.write("AAA.csv", rows, "Date,Open,High,Low,Close,Volume,\n")
    assert store.ingest().symbols["AAA"].rows == 2


def test_carriage_returns_within_lines_are_named(store):
    store.write("AAA.csv", "2020-01-02,10,11,9,10,1\r2020-01-03,10,11,9,10,1\n")
    data = (store.prices / "AAA.csv").read_bytes()
    assert b"\r2020" in data
    with pytest.raises(DatasetError, match="line 2 holds a carriage return that ends no line"):
        store.ingest()


def test_space_around_a_file_name_belongs_to_no_symbol(store):
    (store.prices / "AAA.csv").rename(store.prices / "AAA .csv")
    assert list(store.ingest().symbols) == ["AAA"]
    store.write("AAA.csv", daily_row("2020-01-02"))
    with pytest.raises(DatasetError, match=r"two files of AAA: AAA \.csv and AAA\.csv"):
        store.ingest()


def test_bars_shorter_than_the_timeframe_are_refused(store):
    rows = "".join(f"2020-01-02 14:{at:02d}Z,10,11,9,10,1\n" for at in range(30, 40))
    store.write("AAA.csv", rows)
    with pytest.raises(
        DatasetError, match=r"timeframe 1h, and the bars of AAA stand 1 minute apart"
    ):
        store.ingest(timeframe="1h")
    assert store.ingest(timeframe="1m").symbols["AAA"].rows == 10
    hours = ["14:30", "15:00", "16:00", "17:00", "18:00", "19:00", "20:00"]
    store.write("AAA.csv", "".join(f"2020-01-02 {at}Z,10,11,9,10,1\n" for at in hours))
    assert store.ingest(timeframe="1h").symbols["AAA"].rows == 7
