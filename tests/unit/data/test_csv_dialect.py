import pytest

from backtrail.data.csv_dialect import detect_structure
from backtrail.data.csv_options import CsvOptions
from backtrail.errors import DatasetError

from .places import HEADER

ROW = "2020-01-02,1,2,0.5,1,7"


def found(text, **options):
    return detect_structure("options", "a.csv", text.encode(), CsvOptions(**options))


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_delimiter_is_that_of_the_names(mark):
    structure = found((HEADER + ROW).replace(",", mark))
    assert (structure.delimiter, structure.width) == (mark, 6)
    assert structure.cells("close") == ["1"]


def test_delimiter_is_that_of_the_values_where_there_is_no_name():
    columns = {"timestamp": 1, "open": 2, "high": 3, "low": 4, "close": 5, "volume": 6}
    structure = found("2020-01-02;1,5;2,5;0,5;1,5;7\n", columns=columns)
    assert (structure.delimiter, structure.header, structure.first_row) == (";", None, 0)
    assert structure.cells("open") == ["1,5"]


def test_lines_above_the_header_are_kept_in_mind():
    structure = found("made by hand\n\n# comment\n" + HEADER + "\n" + ROW)
    assert (structure.header, structure.first_row) == (3, 5)
    assert structure.skipped == ("made by hand",)
    assert structure.comment == "#"


def test_header_far_below_is_not_looked_for():
    with pytest.raises(DatasetError, match="no column for timestamp"):
        found("x\n" * 30 + HEADER + ROW)
    assert found("x\n" * 30 + HEADER + ROW, skip_lines=30).header == 30


def test_stated_header_is_the_first_line_whatever_it_says():
    names = {"timestamp": "a", "open": "b", "high": "c", "low": "d", "close": "e", "volume": "f"}
    structure = found("a,b,c,d,e,f\n" + ROW, columns=names)
    assert structure.columns.positions["volume"] == 5
    numbers = {name: at for at, name in enumerate(names, 1)}
    assert found("1,2,3,4,5,6\n" + ROW, header=True, columns=numbers).first_row == 1
    assert found(ROW, header=False, columns=numbers).first_row == 0


@pytest.mark.parametrize(
    ("header", "rows", "trailing"),
    [
        (HEADER, ROW + ",\n" + ROW + ",\n", True),
        (HEADER, ROW + ",\n" + ROW + "\n", False),
        (HEADER, ROW + ",9\n", False),
        (HEADER.replace("\n", ",\n"), ROW + ",\n", False),
    ],
)
def test_delimiter_behind_every_row_is_one_cell_more(header, rows, trailing):
    structure = found(header + rows)
    assert structure.trailing is trailing
    assert structure.width == (7 if trailing or header.endswith(",\n") else 6)


def test_row_that_begins_like_a_comment_is_asked_about():
    text = "symbol," + HEADER + f"A,{ROW}\n#MSFT,{ROW}\n"
    with pytest.raises(DatasetError, match=r"a comment or a row; give `comment`"):
        found(text)
    with pytest.raises(DatasetError, match="could be a comment or a row"):
        found("symbol," + HEADER + f"#MSFT,{ROW}\nA,{ROW}\n")
    assert len(found(text, comment="").sample) == 2
    assert len(found(text, comment="#").sample) == 1


def test_three_header_lines_of_yfinance_are_one_and_of_many_symbols_none():
    names, rest = "Price,Close,High,Low,Open,Volume\n", "Date,,,,,\n2020-01-02,1,2,0.5,1,7\n"
    structure = found(names + "Ticker,A,A,A,A,A\n" + rest)
    assert (structure.first_row, structure.columns.names["timestamp"]) == (3, "Date")
    with pytest.raises(DatasetError, match="no column for timestamp"):
        found(names + "Ticker,A,A,B,A,A\n" + rest)


def test_header_that_is_no_csv_is_named():
    with pytest.raises(DatasetError, match="is no CSV"):
        found("date,open\r,high\n" + ROW)
