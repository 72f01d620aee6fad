import polars as pl
import pytest

from backtrail.catalog.conditions import RunCondition
from backtrail.errors import QueryError

FRAME = pl.DataFrame(
    {
        "run": ["a", "b", "c", "d"],
        "sharpe": [1.5, 0.5, None, -1.0],
        "fast": [10, 20, 10, -7],
        "mode": ["x", "y", "x = 1 and", None],
        "dirty": [True, False, None, True],
        "gone": pl.Series([None] * 4, dtype=pl.Null),
    }
)
SCHEMA = {name: (name, dtype) for name, dtype in FRAME.schema.items()}


def fitting(text):
    found = FRAME.filter(RunCondition(text).expression(SCHEMA))
    return "".join(found["run"])


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("sharpe > 1", "a"),
        ("sharpe > 0 and fast = 10", "a"),
        ("fast == 10 or fast=20", "abc"),
        ("sharpe != 0.5", "ad"),
        ("not sharpe > 1", "bd"),
        ("not (sharpe > 1 or fast = 20)", "d"),
        ("0 < sharpe < 1", "b"),
        ("-1 <= sharpe <= 30% or mode = 'y'", "bd"),
        ("sharpe > 50%", "a"),
        ("mode = 'x = 1 and'", "c"),
        ('mode < "x = 1"', "a"),
        ("dirty", "ad"),
        ("not dirty", "b"),
        ("dirty = True and fast < 0", "d"),
        ("fast / 4 = 2.5", "ac"),
        ("fast // 4 = -2", "d"),
        ("fast % 4 = 1", "d"),
        ("fast - 2 * 5 + 1 >= 11", "b"),
        ("fast = -7", "d"),
        ("gone = 1", ""),
        ("gone + 1 > 0 or fast = 20", "b"),
        ("True", "abcd"),
    ],
)
def test_a_condition_holds_for_the_runs_that_have_the_values(text, runs):
    assert fitting(text) == runs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sharpe => 1", "'sharpe => 1' has '=>'; write '>='"),
        ("sharpe =< 1", "has '=<'; write '<='"),
        ("sharpe <> 1", "has '<>'; write '!='"),
        ("sharpe === 1", "has '==='; write '='"),
        ("dirty && fast = 1", "has '&&'; write 'and'"),
        ("dirty | fast = 1", "has '|'; write 'or'"),
        ("!dirty", "has '!'; write 'not'"),
        ("sharpe > 1 AND fast = 1", "write 'and' for 'AND'"),
        ("sharpe >", "'sharpe >' is not an expression"),
        ("sharpe > 1 fast = 10", "a condition may use names, numbers, 'text', = != <"),
        ("__import__('os').system('x')", "uses \"__import__('os').system('x')\", which is not"),
        ("fast in (1, 2)", "which is not allowed here"),
        ("fast ** 2 > 1", "which is not allowed here"),
        ("sharpe", "'sharpe' is a number, not a condition; compare it with something"),
        ("sharpe > 1 and mode", "'mode' is text, not a condition"),
        ("mode > 1", "compares 'mode', which is text, with '1', which is a number"),
        ("dirty = 1", "compares 'dirty', which is true or false, with '1', which is a number"),
        ("dirty < True", "orders what is true or false"),
        ("mode + 1 > 2", "'mode' is text, no number to reckon with"),
        ("(" * 500 + "fast" + ")" * 500 + " > 1", "is not an expression"),
    ],
)
def test_what_is_no_condition_is_refused_in_words(text, message):
    with pytest.raises(QueryError) as caught:
        RunCondition(text).expression(SCHEMA)
    assert message in str(caught.value)
    assert "==" not in str(caught.value).replace("===", "").replace("'=='", "")
