from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtrail.engine import run_signal
from backtrail.engine.ledger import make_ledger

from .support import config, make_bars

D = Decimal


def test_decimal_fill_is_exact_and_money_is_rounded_half_even():
    ledger = make_ledger(config(cost="0.001", capital="1000"), 1)
    value, commission = ledger.fill(0, D(3), 1228.099976)
    assert value == D("3684.299928")
    assert commission == D("3.6842999280")
    assert ledger.cash == D("1000") - value - commission
    assert ledger.value(D(1), 0.00000000005) == D("0E-10")  # half a quantum, to even
    assert ledger.value(D(1), 0.00000000015) == D("2E-10")


def test_decimal_ledger_ignores_the_context_of_the_strategy():
    ledger = make_ledger(config(cost="0.001", capital="123456789.12"), 1)
    with localcontext() as context:
        context.prec = 3
        ledger.fill(0, D(7), 10.01)
        ledger.fill(0, D(-3), 10.01)
    assert ledger.cash == D("123456789.12") - D("40.04") - D("0.1001")


@pytest.mark.parametrize("ledger_name", ["decimal", "float64"])
def test_quantities_round_towards_zero_to_the_lot(ledger_name):
    whole = make_ledger(config(ledger=ledger_name), 1)
    assert float(whole.size(0, whole.number(100), 30.0)) == 3.0
    assert float(whole.size(0, whole.number(-100), 30.0)) == -3.0
    assert float(whole.size(0, whole.number(1010), 10.1)) == 100.0  # 1010 / 10.1 in binary: 99.99…
    part = make_ledger(config(ledger=ledger_name, shares="fractional"), 1)
    assert float(part.size(0, part.number(100), 30.0)) == 3.333333333


def test_affordable_includes_the_commission():
    ledger = make_ledger(config(cost="0.01", capital="1000"), 1)
    assert ledger.affordable(0, 10.0) == 99
    assert make_ledger(config(capital="1000"), 1).affordable(0, 10.0) == 100


def test_affordable_never_costs_more_than_the_cash():
    ledger = make_ledger(config(cost="0.001", capital="1000", shares="fractional"), 1)
    for price in (3.0, 7.77, 0.013, 999.99, 1228.099976):
        quantity = ledger.affordable(0, price)
        value = ledger.value(quantity, price)
        assert value + ledger.commission(quantity, value) <= ledger.cash
        assert ledger.cash - value < Decimal("1.01")


def test_average_cost_follows_buys_and_survives_sales_and_splits():
    ledger = make_ledger(config(capital="10000"), 1)
    ledger.fill(0, D(10), 10.0)
    ledger.fill(0, D(10), 20.0)
    assert ledger.average_costs[0] == 15
    ledger.fill(0, D(-5), 50.0)
    assert ledger.average_costs[0] == 15
    ledger.split(0, 3.0, 5.0)
    assert (ledger.quantities[0], ledger.average_costs[0]) == (45, 5)
    ledger.fill(0, D(-50), 6.0)
    assert (ledger.quantities[0], ledger.average_costs[0]) == (-5, 6)
    ledger.fill(0, D(-5), 8.0)
    assert ledger.average_costs[0] == 7
    ledger.fill(0, D(10), 1.0)
    assert ledger.average_costs[0] == 0


def test_split_pays_cash_for_what_is_left_of_a_share():
    ledger = make_ledger(config(), 1)
    ledger.fill(0, D(5), 10.0)
    assert ledger.split(0, 1.5, 7.0) == D("3.5")
    assert ledger.quantities[0] == 7
    assert ledger.cash == D("953.5")


def statuses(bars, weights, **settings_):
    """Return what became of every order, and how much it filled, in both ledgers."""
    found = []
    for ledger in ("decimal", "float64"):
        rules = config(ledger=ledger, cash_policy="reject", **settings_)
        orders = run_signal(lambda *_: weights, bars, rules).tables["orders"]
        filled = [float(quantity) for quantity in orders["filled_quantity"]]
        found.append((list(orders["status"]), filled))
    return found


@given(
    shares=st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=2, max_size=6),
    moves=st.lists(st.integers(-3, 3), min_size=18, max_size=18),
    price=st.sampled_from([1.0, 3.33, 100.0]),
    capital=st.sampled_from(["1000", "12345.67", "100000", "1000000000"]),
    size_at=st.sampled_from(["fill", "signal_close"]),
    kind=st.sampled_from(["fractional", "whole"]),
)
def test_both_ledgers_reject_the_same_orders_when_all_cash_is_spent(
    shares, moves, price, capital, size_at, kind
):
    steps = np.array(moves).reshape(6, 3)
    closes = np.round(price * 1.02 ** np.cumsum(steps, axis=0), 2)
    bars = make_bars({name: closes[:, at] for at, name in enumerate("ABC")})
    weights = np.full(bars.close.shape, np.nan)
    for row, parts in enumerate(shares):
        weights[row] = np.array(parts) / max(1, sum(parts))
    exact, fast = statuses(bars, weights, capital=capital, size_at=size_at, shares=kind)
    assert exact[0] == fast[0]
    # A quotient a thousandth below a whole share is that share to the fast ledger alone.
    off = 1.0 if kind == "whole" else 1e-8
    assert fast[1] == pytest.approx(exact[1], rel=1e-8, abs=off)


def test_weights_that_add_up_to_a_rounding_more_than_one_are_filled_for_what_there_is():
    bars = make_bars({"A": [10.0] * 3, "B": [3.0] * 3})
    weights = np.array([[5 / 6, 1 / 6]] + [[np.nan, np.nan]] * 2)
    assert Decimal(repr(5 / 6)) + Decimal(repr(1 / 6)) > 1
    for states, filled in statuses(bars, weights, capital="3000000000000", shares="fractional"):
        assert states == ["filled", "filled"]
        assert 10 * filled[0] + 3 * filled[1] == pytest.approx(3e12, rel=1e-15)
    most = np.array([[5 / 6, 0.1667]] + [[np.nan, np.nan]] * 2)
    for states, _ in statuses(bars, most, capital="3000000000000", shares="fractional"):
        assert states == ["filled", "rejected"]
