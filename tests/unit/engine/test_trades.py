from decimal import Decimal

import pytest

from backtrail.engine import run_event

from .support import DAY_US, START_US, config, make_bars, rows, scripted


def trades_of(bars, amounts, engine_config=None):
    script = {
        row: lambda self, context, data, amount=amount: self.order("A", amount)
        for row, amount in amounts.items()
    }
    return rows(run_event(scripted(script), bars, engine_config or config()).tables["trades"])


def test_round_trip_has_averages_commission_and_excursions():
    bars = make_bars({"A": [10, 11, 8, 14, 12, 12]}, {"A": [10, 10, 9, 13, 12, 12]})
    (trade,) = trades_of(bars, {0: 10, 3: -10}, config(cost="0.01"))
    assert (trade["entry_at"], trade["exit_at"]) == (START_US + DAY_US, START_US + 4 * DAY_US)
    assert (trade["entry_price"], trade["exit_price"], trade["quantity"]) == (10, 12, 10)
    assert trade["commission"] == Decimal("2.2")
    assert trade["pnl"] == Decimal("17.8")
    assert trade["return"] == pytest.approx(0.178)
    assert trade["bars_held"] == 3
    assert (trade["mae"], trade["mfe"]) == pytest.approx((-0.2, 0.4))
    assert trade["is_open"] is False


def test_bar_of_the_exit_is_not_seen_by_a_holding_sold_at_its_open():
    bars = make_bars({"A": [10, 10, 50]}, {"A": [10, 10, 9]})
    (trade,) = trades_of(bars, {0: 1, 1: -1})
    assert (trade["mae"], trade["mfe"]) == pytest.approx((-0.1, 0.0))


def test_bar_of_the_entry_is_not_seen_by_a_holding_bought_at_its_close():
    bars = make_bars({"A": [10, 10, 12, 11]}, {"A": [10, 1, 12, 11]})
    (trade,) = trades_of(bars, {0: 1, 2: -1}, config(fill="next_close"))
    assert (trade["mae"], trade["mfe"]) == pytest.approx((0.0, 0.2))


def test_additions_and_reductions_belong_to_one_trip():
    (trade,) = trades_of(make_bars({"A": [10, 10, 20, 30, 40]}), {0: 10, 1: 10, 2: -5, 3: -15})
    assert (trade["entry_price"], trade["exit_price"], trade["quantity"]) == (
        15,
        Decimal("37.5"),
        20,
    )
    assert trade["pnl"] == 450


def test_turning_around_closes_one_trip_and_begins_the_next():
    first, second = trades_of(
        make_bars({"A": [10, 10, 20, 15]}), {0: 10, 1: -15}, config(cost="0.01")
    )
    assert (first["side"], first["pnl"], first["commission"]) == ("long", 97, 3)
    assert (second["side"], second["quantity"], second["commission"]) == ("short", 5, 1)
    assert (second["is_open"], second["exit_price"], second["exit_at"]) == (True, None, None)
    assert second["pnl"] == 24


def test_split_inside_a_trip_restates_its_prices_and_quantity():
    bars = make_bars({"A": [100, 100, 50, 55, 55]}, splits={("A", 2): 2.0})
    (trade,) = trades_of(bars, {0: 5, 2: -10})
    assert (trade["entry_price"], trade["exit_price"], trade["quantity"]) == (50, 55, 10)
    assert trade["pnl"] == 50
    assert trade["mae"] == 0.0
    assert trade["mfe"] == pytest.approx(0.1)


def test_dividends_and_cash_in_lieu_belong_to_the_profit():
    bars = make_bars({"A": [30, 30, 20, 20]}, splits={("A", 2): 1.5}, dividends={("A", 3): 1.0})
    (trade,) = trades_of(bars, {0: 5})
    assert trade["pnl"] == 7  # worth 7 x 20 plus 10 in lieu plus 7 x 1, paid 150


def test_trip_that_a_reverse_split_pays_out_is_closed():
    bars = make_bars({"A": [10, 10, 100, 100]}, splits={("A", 2): 0.1})
    (trade,) = trades_of(bars, {0: 5})
    assert (trade["is_open"], trade["pnl"], trade["exit_price"]) == (False, 0, None)
