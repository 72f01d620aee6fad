import pytest

from backtrail.data.column_names import known_layout, map_columns, plain_name
from backtrail.errors import ConfigError, DatasetError

OHLCV = ["Open", "High", "Low", "Close", "Volume"]


def positions(cells, given=None, **options):
    return dict(map_columns("columns", "a.csv", cells, given or {}, **options).positions)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        (" Adj Close ", "adj_close"),
        ("<TICKVOL>", "tickvol"),
        ("Vol.", "vol"),
        ("Close/Last", "close_last"),
        ("1. open", "open"),
        ("Time (UTC)", "time_utc"),
        ("Gmt time", "gmt_time"),
    ],
)
def test_plain_names_forget_case_brackets_and_punctuation(name, plain):
    assert plain_name(name) == plain


def test_first_choice_of_a_name_comes_before_the_second():
    cells = ["last", "date", "name", "ticker", "c", "tickvol", "v", "o", "h", "l", "price"]
    found = positions(cells)
    assert (found["close"], found["volume"], found["symbol"]) == (4, 6, 3)
    assert positions(["date", *OHLCV[:3], "Last", "TickVol"])["close"] == 4


def test_adjusted_close_is_never_the_close():
    with pytest.raises(DatasetError, match="no column for close in the header"):
        positions(["Date", "Open", "High", "Low", "Adj Close", "Volume"])


def test_date_and_time_of_day_are_one_timestamp():
    found = positions(["<DATE>", "<TIME>", *OHLCV])
    assert (found["timestamp"], found["time"]) == (0, 1)


def test_two_that_could_be_meant_are_refused_and_one_is_chosen_by_the_option():
    cells = ["date", "timestamp", *OHLCV]
    with pytest.raises(DatasetError, match="date and timestamp could both be the timestamp"):
        positions(cells)
    assert positions(cells, {"timestamp": "timestamp"})["timestamp"] == 1
    with pytest.raises(DatasetError, match="names a column twice: Close; give its position"):
        positions(["date", *OHLCV, "Close"])
    assert positions(["date", *OHLCV, "Close"], {"close": 7})["close"] == 6


def test_index_without_a_name_is_the_timestamp_where_nothing_else_is():
    assert positions(["", *OHLCV])["timestamp"] == 0
    assert positions(["", "date", *OHLCV])["timestamp"] == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"close": "Clsoe"}, "did you mean 'Close'"),
        ({"close": 9}, "no column 9"),
    ],
)
def test_given_columns_must_be_there(given, message):
    cells = ["date", *OHLCV]
    with pytest.raises(ConfigError, match=message):
        positions(cells, given)
    with pytest.raises(DatasetError, match="no column for open"):
        positions(cells, {"close": "Open"})


def test_file_without_header_takes_positions_only():
    cells = ["2020-01-02", "1", "2", "0.5", "1", "7"]
    given = {name: at for at, name in enumerate(["timestamp", *map(str.lower, OHLCV)], 1)}
    found = map_columns("columns", "a.csv", cells, given, header=False)
    assert found.positions["volume"] == 5
    assert found.names["open"] == "column 2"
    with pytest.raises(ConfigError, match=r"a\.csv has no header"):
        map_columns("columns", "a.csv", cells, {"open": "Open"}, header=False)
    with pytest.raises(DatasetError, match=r"has no header .* give the positions"):
        map_columns("columns", "a.csv", cells, {}, header=False)


def test_volume_that_is_said_to_be_absent_is_not_missed():
    found = map_columns("columns", "a.csv", ["date", *OHLCV[:4]], {"volume": None})
    assert "volume" not in found.positions
    assert found.names["volume"] is None


@pytest.mark.parametrize(
    ("row", "layout"),
    [
        ("1577923200000,1,2,0.5,1,7,1577923259999,9,1,1,1,0", "Binance klines"),
        ("2020.01.02,14:30,1,2,0.5,1,7", "MetaTrader 4"),
        ("20200102 143000,1,2,0.5,1,7", "HistData"),
        ("2020-01-02,1,2,0.5,1,7", None),
        ("1577923259999,1,2,0.5,1,7,1577923200000,9,1,1,1,0", None),
        ("2020.01.02,14:30,1,2,0.5,x,7", None),
    ],
)
def test_known_layouts_are_known_by_their_cells(row, layout):
    found = known_layout(row.split(","))
    assert (found.layout if found else None) == layout
    if found:
        assert found.positions["close"] - found.positions["open"] == 3
