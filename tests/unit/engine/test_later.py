"""Sequences that are made when somebody looks at them."""

import pickle
from decimal import Decimal

import pytest

from backtrail.engine import run_signal
from backtrail.engine.later import Later

from .support import config, make_bars


def test_a_sequence_is_made_once_and_only_when_it_is_looked_at():
    made = []

    def make():
        made.append("x")
        return [Decimal(3), None]

    later = Later(make)
    assert not made
    assert list(later) == [Decimal(3), None]
    assert later[0] == Decimal(3)
    assert later[-1:] == [None]
    assert len(later) == 2
    assert made == ["x"]


def test_it_equals_sequences_of_equal_items_and_nothing_else():
    later = Later(lambda: ["1", "2"])
    assert later == ["1", "2"]
    assert later == Later(lambda: ("1", "2"))
    assert later != ["1"]
    assert later != "12"
    assert later != 12
    with pytest.raises(TypeError, match="unhashable"):
        hash(later)


@pytest.mark.parametrize("ledger", ["decimal", "float64"])
def test_money_of_a_signal_run_is_the_same_in_another_process(ledger):
    bars = make_bars({"A": [10, 11, 12.5, 12]})
    weights = [[1.0], [1.0], [0.0], [0.0]]
    tables = run_signal(
        lambda view, params: view.close * 0 + weights, bars, config(cost="0.001", ledger=ledger)
    ).tables
    expected = {  # 1000 buys 90 at 11, not 100: 11 * 1.001 * 90 = 990.99; 12 * 90 * 0.999 = 1078.92
        "price": [Decimal("11"), Decimal("12")],
        "quantity": [Decimal("90"), Decimal("-90")],
        "commission": [Decimal("0.99"), Decimal("1.08")],
        "cash_after": [Decimal("9.01"), Decimal("1087.93")],
    }
    for found in (tables, pickle.loads(pickle.dumps(tables))):
        assert {name: found["fills"][name] for name in expected} == expected
        assert found["trades"]["pnl"] == [Decimal("87.93")]
        assert [str(cell) for cell in found["fills"]["price"]] == ["11.0000000000", "12.0000000000"]
