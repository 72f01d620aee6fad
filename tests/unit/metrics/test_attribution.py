"""Profit by symbol, side and month, and what trading took of it."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtrail.engine import CommissionConfig, SlippageConfig, TradingAlgorithm, run_event
from backtrail.metrics import attribution_columns, break_even_cost
from tests.unit.engine.support import config, make_bars, rows

COSTLY = {
    "commission": CommissionConfig("per_dollar", Decimal("0.01")),
    "slippage": SlippageConfig("fixed", spread=Decimal("0.2")),
    "cash_policy": "overdraw",
}


def attributed(orders, bars, **settings):
    """Return rows by (dimension, key) of a strategy that orders {row: [(symbol, amount)]}."""

    class Orders(TradingAlgorithm):
        def initialize(self, context):
            context.row = -1

        def handle_data(self, context, data):
            context.row += 1
            for symbol, amount in orders.get(context.row, ()):
                self.order(symbol, amount)

    tables = run_event(Orders, bars, config(**{**COSTLY, **settings})).tables
    return {(r["dimension"], r["key"]): r for r in rows(attribution_columns(tables, 1000.0))}


# A rises from 10 to 15 in January; B falls from 20 to 10, its short is still open in February.
DAYS = 40
RISING = [10.0] * 5 + [15.0] * (DAYS - 5)
FALLING = [20.0] * 5 + [16.0] * 20 + [10.0] * (DAYS - 25)


def test_profit_is_divided_by_symbol_side_and_month():
    bars = make_bars({"A": RISING, "B": FALLING})  # from 2000-01-03; February begins at row 29
    found = attributed({0: [("A", 10), ("B", -5)], 10: [("A", -10)]}, bars)
    assert list(found) == [
        ("total", "total"), ("symbol", "A"), ("symbol", "B"), ("side", "long"), ("side", "short"),
        ("month", "2000-01"), ("month", "2000-02"),
    ]  # fmt: skip
    a, b = found["symbol", "A"], found["symbol", "B"]
    # Bought at 10.1, sold at 14.9: commission 1 % of 101 and 149, slippage 0.1 a share.
    assert a["commission"] == pytest.approx(2.5)
    assert a["slippage"] == pytest.approx(2.0)
    assert a["gross_pnl"] == pytest.approx(50)
    assert a["net_pnl"] == pytest.approx(45.5)
    assert a["traded_value"] == pytest.approx(250)
    assert a["break_even_cost"] == pytest.approx(50 / 250)
    assert a["contribution"] == pytest.approx(0.0455)
    assert (a["trades"], b["trades"]) == (1, 1)
    assert b["gross_pnl"] == pytest.approx(50)
    assert b["commission"] == pytest.approx(0.01 * 5 * 19.9)
    assert found["side", "long"]["net_pnl"] == a["net_pnl"]
    assert found["side", "short"]["net_pnl"] == b["net_pnl"]
    assert found["side", "short"]["traded_value"] is None
    january = found["month", "2000-01"]
    assert january["gross_pnl"] == pytest.approx(50 + 50)
    assert found["month", "2000-02"]["net_pnl"] == 0
    assert found["total", "total"]["trades"] == 2


@given(st.integers(0, 2**32))
def test_every_dimension_adds_up_to_the_total(seed):
    rng = np.random.default_rng(seed)
    closes = {name: np.round(50 * np.exp(np.cumsum(rng.normal(0, 0.03, 70))), 2) for name in "ABC"}
    bars = make_bars(
        closes, splits={("B", 30): 2.0}, dividends={("A", 40): 0.5}, delisted={"C": 69}
    )
    orders = {
        int(row): [(str(rng.choice(list("ABC"))), int(rng.integers(-9, 10)))]
        for row in rng.integers(0, 70, 25)
    }
    found = attributed(orders, bars)
    total = found["total", "total"]
    for dimension in ("symbol", "side", "month"):
        own = [row for (name, _), row in found.items() if name == dimension]
        for column in ("gross_pnl", "commission", "slippage", "net_pnl", "contribution"):
            added = sum(row[column] for row in own)
            assert added == pytest.approx(total[column], abs=1e-7), (dimension, column)
        if dimension != "side":
            assert sum(row["traded_value"] for row in own) == pytest.approx(total["traded_value"])


def test_the_break_even_cost_is_the_commission_that_leaves_nothing():
    bars = make_bars({"A": [10, 10, 12, 12]})
    script = {0: [("A", 10)], 2: [("A", -10)]}
    free = {"commission": CommissionConfig(), "slippage": SlippageConfig()}
    even = attributed(script, bars, **free)["total", "total"]["break_even_cost"]
    assert even == pytest.approx(20 / 220)
    paid = CommissionConfig("per_dollar", Decimal(repr(even)))
    found = attributed(script, bars, **{**free, "commission": paid})["total", "total"]
    assert found["net_pnl"] == pytest.approx(0, abs=1e-9)
    assert break_even_cost(5.0, 0.0) is None


def test_a_run_that_never_trades_has_a_total_and_its_months():
    found = attributed({}, make_bars({"A": [10] * 3}))
    assert list(found) == [("total", "total"), ("month", "2000-01")]
    assert found["total", "total"]["break_even_cost"] is None
    assert found["total", "total"]["net_pnl"] == 0
