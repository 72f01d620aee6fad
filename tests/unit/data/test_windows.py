from array import array
from datetime import date

import pytest

from backtrail.data import Dataset
from backtrail.data.windows import read_window

HEADER = "date,open,high,low,close,volume,dividend,split\n"
# Symbol, day of January 2020, close, dividend, split; every other value follows from the close.
ROWS = [
    ("AAA", 2, 20.0, 0, 1), ("AAA", 3, 10.0, 0, 2), ("AAA", 6, 11.0, 0.25, 1),
    ("AAA", 9, 5.5, 0.5, 2), ("BBB", 3, 7.0, 0, 1), ("BBB", 6, 7.5, 0, 1), ("BBB", 7, 2.5, 0, 3),
    ("CCC", 2, 1.0, 0, 1), ("CCC", 3, 1.0, 0, 1), ("CCC", 6, 1.0, 0, 1), ("CCC", 7, 1.0, 0.125, 1),
    ("CCC", 8, 1.0, 0, 1), ("CCC", 9, 1.0, 0, 1),
]  # fmt: skip


@pytest.fixture
def dataset(store):
    for symbol in ("AAA", "BBB", "CCC"):
        text = "".join(
            f"2020-01-{day:02},{close},{close + 1},{close / 2},{close},{day},{paid},{ratio}\n"
            for name, day, close, paid, ratio in ROWS
            if name == symbol
        )
        store.write(f"{symbol}.csv", text, HEADER)
    return Dataset.open(store.bundles / "b" / store.ingest().dataset_id)


def expected(symbols, first, last):
    """Lay the rows on their common days, one value after the other."""
    chosen = {(name, day): rest for name, day, *rest in ROWS if first <= day <= last}
    days = sorted({day for name, day in chosen if name in symbols})
    nan = float("nan")
    cells = [chosen.get((name, day)) for name in symbols for day in days]
    volumes = [(name, day) for name in symbols for day in days]
    return days, {
        "open": [nan if cell is None else cell[0] for cell in cells],
        "high": [nan if cell is None else cell[0] + 1 for cell in cells],
        "low": [nan if cell is None else cell[0] / 2 for cell in cells],
        "close": [nan if cell is None else cell[0] for cell in cells],
        "volume": [float(day) if (name, day) in chosen else nan for name, day in volumes],
        "dividends": [0.0 if cell is None else float(cell[1]) for cell in cells],
        "splits": [1.0 if cell is None else float(cell[2]) for cell in cells],
    }


@pytest.mark.parametrize("symbols", [("AAA",), ("CCC", "AAA"), ("BBB", "AAA", "CCC"), ("BBB",)])
@pytest.mark.parametrize(("first", "last"), [(1, 31), (3, 7), (6, 9)])
def test_a_window_has_every_symbol_on_the_days_of_all(dataset, symbols, first, last):
    window = read_window(dataset, symbols, date(2020, 1, first), date(2020, 1, last))
    days, columns = expected(symbols, first, last)
    stamps = array("q", window.columns["timestamps"])
    assert [date(1970, 1, 1).toordinal() + stamp // 86_400_000_000 for stamp in stamps] == [
        date(2020, 1, day).toordinal() for day in days
    ]
    assert window.symbols == symbols
    assert (window.calendar, window.timeframe) == ("XNYS", "1d")
    for name, values in columns.items():
        assert array("d", window.columns[name]).tolist() == pytest.approx(values, nan_ok=True), name
    assert array("q", window.columns["delisted"]).tolist() == [-1] * len(symbols)
