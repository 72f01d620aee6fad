from dataclasses import replace

import pytest

from backtrail.crosscheck.comparing import Difference, Fill, first_difference

FILLS = (
    Fill(1, "A", 10.0, 100.0, 1.0, {"order_id": 1}),
    Fill(1, "B", -5.0, 20.0, 0.1),
    Fill(3, "A", -10.0, 110.0, 1.1),
)
EQUITY = (1000.0, 1010.0, 1020.0, 1030.0)


def compare(fills=FILLS, equity=EQUITY, tolerance=1e-9):
    return first_difference(FILLS, fills, EQUITY, equity, tolerance=tolerance)


def test_equal_results_have_no_difference_whatever_the_order_within_a_bar():
    assert compare() is None
    assert compare((FILLS[1], FILLS[0], FILLS[2])) is None
    assert compare(equity=(1000.0, 1010.0 + 1e-7, 1020.0, 1030.0)) is None


@pytest.mark.parametrize("what", ["quantity", "price", "commission"])
def test_a_fill_that_differs_is_told_with_both_values_and_its_order(what):
    changed = replace(FILLS[0], **{what: 9.0})
    found = compare((changed, *FILLS[1:]))
    ours = getattr(FILLS[0], what)
    assert found == Difference("fill", 1, what, "A", ours, 9.0, {"order_id": 1})


def test_a_fill_that_one_engine_has_alone_is_told():
    assert compare(FILLS[:2]) == Difference("fill", 3, "missing", "A", -10.0, None)
    assert compare(FILLS[1:]) == Difference("fill", 1, "missing", "A", 10.0, None, {"order_id": 1})
    extra = Fill(0, "B", 2.0, 20.0, 0.0)
    assert compare((extra, *FILLS)) == Difference("fill", 0, "extra", "B", None, 2.0)


def test_the_earliest_difference_counts_and_a_fill_before_the_equity_of_its_bar():
    late = (*FILLS[:2], replace(FILLS[2], price=111.0))
    early = (1000.0, 1010.0, 1021.0, 1031.0)
    assert compare(late, early) == Difference("equity", 2, "portfolio_value", None, 1020.0, 1021.0)
    same_bar = (1000.0, 1010.0, 1020.0, 1031.0)
    assert compare(late, same_bar) == Difference("fill", 3, "price", "A", 110.0, 111.0)


def test_tolerance_is_relative():
    near = (1000.0, 1010.0, 1020.0, 1030.5)
    assert compare(equity=near, tolerance=1e-3) is None
    assert compare(equity=near, tolerance=1e-4).row == 3
