import numpy as np
import pytest

from backtrail.data.csv_dialect import detect_structure
from backtrail.data.csv_lines import blank_lines, number_lines, wide_rows
from backtrail.data.csv_options import CsvOptions
from backtrail.data.csv_text import read_text
from backtrail.errors import DatasetError

from .places import HEADER

ROW = "2020-01-02,1,1,1,1,1"


@pytest.fixture(params=[1 << 26, 1], ids=["in memory", "where it lies"])
def opened(request, tmp_path):
    """Return a function from text to the text object and its structure."""

    def open_text(content):
        path = tmp_path / "a.csv"
        path.write_text(content)
        text = read_text(path, "a.csv", large=request.param)
        return text, detect_structure("options", "a.csv", text.head, CsvOptions())

    return open_text


def lines_of(text, structure, rows):
    numbers = number_lines(text, structure, rows)
    return numbers.of(np.arange(rows, dtype=np.uint32)).tolist(), numbers.comments


@pytest.mark.parametrize("end", ["", "\n"])
def test_rows_and_lines_run_in_step(opened, end):
    text, structure = opened(HEADER + "\n".join([ROW] * 3) + end)
    assert lines_of(text, structure, 3) == ([2, 3, 4], 0)


def test_comments_among_rows_are_counted_over(opened):
    content = f"# a\n{HEADER}{ROW}\n# b\n# c\n{ROW}\n{ROW}\n# d\n"
    text, structure = opened(content)
    assert lines_of(text, structure, 3) == ([3, 6, 7], 3)


def test_quoted_line_breaks_are_counted_over(opened):
    row = '"2020-01-02\n",1,1,1,1,1'
    text, structure = opened(f"{HEADER}{ROW}\n{row}\n# no comment, a row\n{ROW}\n")
    with pytest.raises(DatasetError, match="rows cannot be matched with lines"):
        number_lines(text, structure, 17)
    text, structure = opened(f"{HEADER}{ROW}\n{row}\n{ROW}\n")
    assert lines_of(text, structure, 3) == ([2, 3, 5], 0)


def test_blank_lines_are_listed(opened):
    text, _ = opened(f"{HEADER}\n{ROW}\n \t\n{ROW}\n\n\n")
    assert set(blank_lines(text).tolist()) >= {2, 4, 6, 7}
    assert not {1, 3, 5} & set(blank_lines(text).tolist())


def test_rows_with_too_many_cells_are_listed(opened):
    text, structure = opened(f"{HEADER}{ROW}\n{ROW},9\n{ROW}\n{ROW},,\n")
    assert wide_rows(text, structure) == [(1, 7), (3, 8)]


def test_row_that_begins_like_a_comment_is_asked_about_far_below(opened):
    rows = f"A,{ROW}\n" * 20_000
    content = f"# vendor\nsymbol,{HEADER}{rows}#MSFT,{ROW}\n"
    text, structure = opened(content)
    assert len(text.head) < len(content)
    with pytest.raises(DatasetError, match=r"'#MSFT,2020-01-02,1,1,1,1,1' could be a comment"):
        number_lines(text, structure, 20_000)
