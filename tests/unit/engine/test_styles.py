"""Limit, stop and stop-limit orders on bars: which bar fills them, and at which price."""

from decimal import Decimal

import pytest

from backtrail.engine import api, run_event
from backtrail.engine.config import InstrumentConfig
from backtrail.errors import OrderError

from .support import DAY_US, START_US, config, make_bars, rows, scripted

# One symbol; bar 0 is that of the order. Each bar is (open, high, low, close).
START = (100, 100, 100, 100)


def bars_of(*bars, **options):
    opens, highs, lows, closes = zip(START, *bars, strict=True)
    return make_bars({"A": closes}, {"A": opens}, highs={"A": highs}, lows={"A": lows}, **options)


def filled(bars, amount, engine_config=None, **style):
    """Return (row, price) of the one fill of an order that is placed at the first bar, or None."""
    script = {0: lambda self, context, data: self.order("A", amount, **style)}
    used = engine_config or config(capital="100000", cash_policy="overdraw")
    tables = run_event(scripted(script), bars, used).tables
    found = rows(tables["fills"])
    if not found:
        return None
    (fill,) = found
    return (fill["timestamp"] - START_US) // DAY_US, float(fill["price"])


@pytest.mark.parametrize(
    ("amount", "style", "bar", "price"),
    [
        (5, {"limit_price": 98}, (99, 101, 97, 100), 98),  # the low passes the limit
        (5, {"limit_price": 98}, (95, 101, 94, 100), 95),  # a gap through the limit: the open
        (5, {"limit_price": 98}, (99, 101, 98, 100), 98),  # touched exactly
        (5, {"limit_price": 98}, (99, 101, 98.5, 100), None),
        (-5, {"limit_price": 102}, (101, 103, 100, 100), 102),
        (-5, {"limit_price": 102}, (105, 106, 104, 104), 105),
        (-5, {"limit_price": 102}, (101, 101.5, 100, 100), None),
        (5, {"stop_price": 102}, (101, 103, 100, 101), 102),
        (5, {"stop_price": 102}, (104, 105, 103, 104), 104),
        (5, {"stop_price": 102}, (101, 101.5, 100, 100), None),
        (-5, {"stop_price": 98}, (99, 100, 97, 99), 98),
        (-5, {"stop_price": 98}, (95, 96, 94, 95), 95),
        (-5, {"stop_price": 98}, (99, 100, 98.5, 99), None),
        # The limit is beyond the stop: it fills where the stop is reached.
        (5, {"stop_price": 102, "limit_price": 103}, (101, 104, 100, 103), 102),
        # A gap over the stop, within the limit; over the limit, and back to it.
        (5, {"stop_price": 102, "limit_price": 105}, (104, 106, 103, 105), 104),
        (5, {"stop_price": 102, "limit_price": 103}, (104, 106, 102.5, 105), 103),
        (5, {"stop_price": 102, "limit_price": 103}, (104, 106, 103.5, 105), None),
        # The limit is before the stop: the low may have come first, the close comes after it.
        (5, {"stop_price": 102, "limit_price": 101}, (101.5, 103, 100, 102.5), None),
        (5, {"stop_price": 102, "limit_price": 101}, (101.5, 103, 100, 100.5), 101),
        (-5, {"stop_price": 98, "limit_price": 97}, (99, 100, 96, 97), 98),
        (-5, {"stop_price": 98, "limit_price": 99}, (98.5, 100, 97, 97.5), None),
        (-5, {"stop_price": 98, "limit_price": 99}, (98.5, 100, 97, 99.5), 99),
    ],
)
def test_a_bar_fills_an_order_at_a_price_that_was_certainly_there(amount, style, bar, price):
    expected = None if price is None else (1, price)
    assert filled(bars_of(bar), amount, **style) == expected
    low, high = bar[2], bar[1]
    assert price is None or low <= price <= high


def test_a_stop_limit_that_was_triggered_waits_as_a_limit_order():
    bars = bars_of((101.5, 103, 101.2, 102.5), (101.8, 102, 100.9, 101.5))
    assert filled(bars, 5, stop_price=102, limit_price=101) == (2, 101)
    # Without the first bar the stop was never reached.
    assert filled(bars_of((101.8, 101.9, 100.9, 101.5)), 5, stop_price=102, limit_price=101) is None


def test_orders_are_good_until_canceled_and_can_be_seen():
    bars = bars_of(*[(100, 101, 99, 100)] * 3, (100, 101, 90, 95))
    seen = []

    def place(self, context, data):
        context.kept = self.order("A", 5, limit_price=92)
        context.dropped = self.order("A", -5, stop_price=91)

    def look(self, context, data):
        seen.append(self.get_open_orders("A"))
        self.cancel_order(context.dropped)
        seen.append(self.get_open_orders("A"))

    tables = run_event(scripted({0: place, 2: look}), bars, config()).tables
    limit, stop = seen[0]
    assert (limit.amount, limit.limit, limit.stop, limit.filled) == (5, 92, None, 0)
    assert (stop.amount, stop.limit, stop.stop) == (-5, None, 91)
    assert seen[1] == [limit]
    first, second = rows(tables["orders"])
    assert (first["style"], first["limit_price"], first["stop_price"]) == ("limit", 92, None)
    assert (first["status"], first["filled_at"]) == ("filled", START_US + 4 * DAY_US)
    assert (second["style"], second["stop_price"], second["status"]) == ("stop", 91, "canceled")
    assert tables["fills"]["price"] == [92]


def test_what_fills_at_the_open_comes_before_what_fills_within_the_bar():
    # The limit order was placed first; the market order fills first, and its cash is gone then.
    bars = bars_of((100, 100, 90, 95))

    def place(self, context, data):
        self.order("A", 5, limit_price=95)
        self.order("A", 8)

    fills = rows(run_event(scripted({0: place}), bars, config()).tables["fills"])
    assert [(f["order_id"], f["quantity"], f["price"]) for f in fills] == [(2, 8, 100), (1, 2, 95)]


def test_a_stop_and_a_limit_in_one_bar_both_fill_because_orders_know_nothing_of_each_other():
    bars = bars_of((100, 110, 90, 100), (100, 100, 100, 100))

    def place(self, context, data):
        self.order("A", -5, stop_price=95)
        self.order("A", -5, limit_price=105)

    fills = rows(run_event(scripted({0: place}), bars, config()).tables["fills"])
    assert [(f["order_id"], f["price"]) for f in fills] == [(1, 95), (2, 105)]


@pytest.mark.parametrize("fill", ["next_close", "same_close"])
def test_with_fills_at_closes_only_closes_count(fill):
    used = config(capital="100000", fill=fill)
    bars = bars_of((99, 101, 90, 99), (99, 99, 97, 97))
    assert filled(bars, 5, used, limit_price=98) == (2, 97)
    assert filled(bars, -5, used, stop_price=98) == (2, 97)


def test_same_close_fills_a_market_order_at_the_bar_it_was_placed_on():
    bars = make_bars({"A": [10, 11, 12]}, {"A": [9, 10, 11]})
    seen = []
    script = {
        1: lambda self, context, data: self.order_target_percent("A", 1.0),
        2: lambda self, context, data: seen.append(context.portfolio.positions["A"].amount),
    }
    tables = run_event(scripted(script), bars, config(fill="same_close", cost="0.01")).tables
    (fill,) = rows(tables["fills"])
    assert (fill["timestamp"], fill["price"], fill["quantity"]) == (START_US + DAY_US, 11, 90)
    assert seen == [fill["quantity"]] == [90]
    (trade,) = rows(tables["trades"])
    # Bought at 11 at the close; the bar after it had the open of 11 and the close of 12.
    assert (trade["mae"], trade["mfe"]) == (0.0, pytest.approx(1 / 11))


def test_same_close_fills_the_order_of_a_symbols_last_bar_and_closes_it():
    bars = make_bars({"A": [10, 12], "B": [1, 1]}, delisted={"A": 1})
    script = {1: lambda self, context, data: self.order("A", 3)}
    tables = run_event(scripted(script), bars, config(fill="same_close")).tables
    assert tables["fills"]["reason"] == ["order", "delisted"]
    assert tables["fills"]["price"] == [12, 12]


def test_every_order_function_takes_a_style():
    bars = bars_of((100, 101, 80, 90))
    calls = {
        "order": 4, "order_value": 400, "order_percent": 0.4,
        "order_target": 4, "order_target_value": 400, "order_target_percent": 0.4,
    }  # fmt: skip
    for size_at in ("signal_close", "fill"):
        for name, amount in calls.items():
            for style in ({"limit_price": 90}, {"style": api.LimitOrder(90)}):
                script = {
                    0: lambda self, context, data, name=name, amount=amount, style=style: getattr(
                        self, name
                    )("A", amount, **style)
                }
                tables = run_event(scripted(script), bars, config(size_at=size_at)).tables
                (fill,) = rows(tables["fills"])
                assert (fill["quantity"], fill["price"]) == (4, 90), (name, size_at)


def test_a_split_divides_limit_and_stop():
    bars = bars_of((50, 51, 48, 50), splits={("A", 1): 2.0})
    script = {0: lambda self, context, data: self.order("A", 3, style=api.StopLimitOrder(120, 102))}
    tables = run_event(scripted(script), bars, config()).tables
    (order,) = rows(tables["orders"])
    assert (order["stop_price"], order["limit_price"], order["quantity"]) == (51, 60, 6)
    assert (tables["fills"]["price"], tables["fills"]["quantity"]) == ([51], [6])


def test_a_target_whose_side_has_turned_is_canceled():
    # The limit sale to 0 waits; meanwhile the holding is sold short, so it would have to buy.
    bars = bars_of((100, 100, 100, 100), (100, 100, 100, 100), (120, 120, 120, 120))
    script = {
        0: lambda self, context, data: self.order("A", 5),
        1: lambda self, context, data: (
            self.order_target("A", 0, limit_price=110),
            self.order("A", -8),
        ),
    }
    tables = run_event(scripted(script), bars, config()).tables
    order = rows(tables["orders"])[1]
    assert (order["status"], order["reason"]) == ("canceled", "nothing to trade at the fill")
    assert tables["fills"]["quantity"] == [5, -8]


def test_prices_are_rounded_to_the_tick_in_favor_of_the_order():
    ticks = {"A": InstrumentConfig(tick=Decimal("0.25"))}
    used = config(capital="100000", instruments=ticks)
    bars = bars_of((99, 102, 97, 100))
    assert filled(bars, 5, used, limit_price=98.2) == (1, 98.0)
    assert filled(bars, -5, used, limit_price=101.1) == (1, 101.25)
    assert filled(bars, 5, used, stop_price=101.1) == (1, 101.25)
    assert filled(bars, -5, used, stop_price=98.2) == (1, 98.0)
    assert filled(bars, 5, used, limit_price=98.25) == (1, 98.25)


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ({"limit_price": 0}, "limit_price is 0; a price is a finite number above zero"),
        ({"stop_price": float("nan")}, "stop_price is nan"),
        ({"limit_price": "9"}, "limit_price is '9'"),
        ({"limit_price": 9, "style": api.LimitOrder(9)}, "both style and limit_price"),
        ({"style": 9}, "style is 9; use LimitOrder"),
    ],
)
def test_a_style_that_cannot_be_is_an_error(style, message):
    with pytest.raises(OrderError, match=message):
        filled(bars_of(), 1, **style)


def test_styles_of_the_api_are_named_as_in_zipline():
    styles = [api.MarketOrder(), api.LimitOrder(9), api.StopOrder(8), api.StopLimitOrder(9, 8)]
    assert [style.name for style in styles] == ["market", "limit", "stop", "stop_limit"]
    assert (styles[3].limit, styles[3].stop) == (9.0, 8.0)
