"""What fills cost and lose: commissions, slippages, partial fills, lots, margin."""

from decimal import Decimal

import numpy as np
import pytest

from backtrail.engine import api, run_event
from backtrail.engine.config import (
    CommissionConfig,
    InstrumentConfig,
    MarginConfig,
    SlippageConfig,
)
from backtrail.errors import ConfigError, StrategyError

from .support import config, make_bars, rows, scripted

D = Decimal
N = float("nan")


def order(amount, symbol="A", **style):
    return lambda self, context, data: self.order(symbol, amount, **style)


def run(bars, script, engine_config, initialize=None):
    return run_event(scripted(script, initialize=initialize), bars, engine_config).tables


@pytest.mark.parametrize("ledger", ["decimal", "float64"])
@pytest.mark.parametrize(
    ("commission", "expected"),
    [
        (CommissionConfig("per_dollar", D("0.01")), [2, 1]),
        (CommissionConfig("per_share", D("0.5")), [10, 5]),
        (CommissionConfig("per_share", D("0.5"), D(7)), [10, 7]),
        (CommissionConfig("per_trade", D("1.5")), ["1.5", "1.5"]),
    ],
)
def test_commissions_are_counted_by_their_model(ledger, commission, expected):
    bars = make_bars({"A": [10, 10, 10, 10]})
    used = config(commission=commission, ledger=ledger)
    tables = run(bars, {0: order(20), 1: order(-10)}, used)
    assert tables["fills"]["commission"] == [D(value) for value in expected]
    assert tables["fills"]["cash_after"][-1] == 1000 - 100 - sum(map(D, expected))


@pytest.mark.parametrize(
    ("commission", "per_fill"),
    [
        # 25 shares in fills of 10, 10 and 5.
        (CommissionConfig("per_trade", D(3)), [3, 0, 0]),
        (CommissionConfig("per_share", D("0.1")), [1, 1, "0.5"]),
        # At least 1.5 an order: the first fill pays it, the others what goes beyond.
        (CommissionConfig("per_share", D("0.1"), D("1.5")), ["1.5", "0.5", "0.5"]),
        (CommissionConfig("per_dollar", D("0.01")), [1, 1, "0.5"]),
    ],
)
def test_an_order_in_parts_pays_as_one_order(commission, per_fill):
    bars = make_bars({"A": [10] * 6}, volumes={"A": [100] * 6})
    part = SlippageConfig("fixed_bps", volume_limit=D("0.1"))
    tables = run(bars, {0: order(25)}, config(commission=commission, slippage=part))
    assert [int(quantity) for quantity in tables["fills"]["quantity"]] == [10, 10, 5]
    assert tables["fills"]["commission"] == [D(value) for value in per_fill]
    (only,) = rows(tables["orders"])
    assert (only["status"], only["filled_quantity"]) == ("filled", 25)
    assert only["filled_at"] == tables["fills"]["timestamp"][-1]


@pytest.mark.parametrize("ledger", ["decimal", "float64"])
@pytest.mark.parametrize(
    "commission",
    [
        CommissionConfig("per_share", D("0.37")),
        CommissionConfig("per_share", D("0.37"), D(40)),
        CommissionConfig("per_trade", D("17.3")),
        CommissionConfig("per_dollar", D("0.013")),
    ],
)
def test_a_clipped_order_takes_the_most_that_cash_pays_for(ledger, commission):
    bars = make_bars({"A": [9.7] * 3})
    used = config(commission=commission, ledger=ledger)
    (fill,) = rows(run(bars, {0: order(500)}, used)["fills"])
    assert fill["cash_after"] >= 0
    more = fill["quantity"] + 1
    costs = {
        "per_share": max(more * commission.cost, commission.min_trade_cost),
        "per_trade": commission.cost,
        "per_dollar": more * D("9.7") * commission.cost,
    }
    assert more * D("9.7") + costs[commission.model] > 1000


@pytest.mark.parametrize(
    ("slippage", "buy", "sell"),
    [
        (SlippageConfig("fixed", spread=D("0.5")), "20.25", "19.75"),
        (SlippageConfig("fixed_bps", basis_points=D(50)), "20.1", "19.9"),
        # 100 of 1000 shares: 20 * 0.1 * 0.1^2.
        (SlippageConfig("volume_share", volume_limit=D(1), price_impact=D("0.1")), "20.02",
         "19.98"),
        (SlippageConfig("fixed", spread=D(90)), 65, 20),  # wider than the price: left out
    ],
)  # fmt: skip
def test_slippage_moves_the_price_against_the_order(slippage, buy, sell):
    bars = make_bars({"A": [20] * 4})
    used = config(slippage=slippage, capital="100000")
    tables = run(bars, {0: order(100), 1: order(-100)}, used)
    assert tables["fills"]["price"] == [D(buy), D(sell)]
    lost = [(D(buy) - 20) * 100, (20 - D(sell)) * 100]
    assert tables["fills"]["slippage"] == lost
    assert tables["trades"]["slippage"] == [sum(lost)]
    assert tables["trades"]["pnl"] == [-sum(lost)]


def test_slippage_never_carries_an_order_past_its_limit():
    bars = make_bars({"A": [20] * 3})
    used = config(slippage=SlippageConfig("fixed", spread=D(2)))
    for amount, limit, price in ((5, 20.4, "20.4"), (-5, 19.9, "19.9"), (5, 30, 21)):
        tables = run(bars, {0: order(amount, limit_price=limit)}, used)
        assert tables["fills"]["price"] == [D(price)]


def test_slipped_prices_lie_on_the_tick_against_the_order():
    used = config(
        slippage=SlippageConfig("fixed_bps", basis_points=D(10)),
        instruments={"A": InstrumentConfig(tick=D("0.05"))},
    )
    tables = run(make_bars({"A": [20] * 4}), {0: order(10), 1: order(-10)}, used)
    assert tables["fills"]["price"] == [D("20.05"), D("19.95")]


def test_orders_of_a_symbol_share_its_volume_and_the_rest_waits():
    bars = make_bars({"A": [10] * 5, "B": [10] * 5}, volumes={"A": [200] * 5, "B": [100] * 5})

    def both(self, context, data):
        self.order("A", 12)
        self.order("A", 12)
        self.order("B", 12)

    slippage = SlippageConfig("volume_share", volume_limit=D("0.1"), price_impact=D(1))
    tables = run(bars, {0: both}, config(slippage=slippage))
    found = [(f["order_id"], int(f["quantity"]), f["price"]) for f in rows(tables["fills"])]
    # Of 200 shares 20 may be taken: 12 at a share of 0.06, then 8 more at 0.1.
    assert found == [
        (1, 12, D("10.036")), (2, 8, D("10.1")), (3, 10, D("10.1")),
        (2, 4, D("10.004")), (3, 2, D("10.004")),
    ]  # fmt: skip


def test_an_order_waits_while_a_bar_has_no_volume_and_expires_in_part():
    bars = make_bars({"A": [10] * 4}, volumes={"A": [50, 0, 30, 9]})
    used = config(slippage=SlippageConfig("fixed_bps", volume_limit=D("0.1")))
    tables = run(bars, {0: order(10)}, used)
    assert tables["fills"]["quantity"] == [3]
    (found,) = rows(tables["orders"])
    assert (found["status"], found["filled_quantity"], found["quantity"]) == ("expired", 3, 10)


def test_what_is_left_of_an_order_is_canceled_when_the_cash_is_gone():
    bars = make_bars({"A": [30] * 6}, volumes={"A": [200] * 6})
    part = SlippageConfig("fixed_bps", volume_limit=D("0.1"))
    tables = run(bars, {0: order(100)}, config(slippage=part))
    assert [int(quantity) for quantity in tables["fills"]["quantity"]] == [20, 13]
    (found,) = rows(tables["orders"])
    assert (found["status"], found["quantity"], found["filled_quantity"]) == ("filled", 33, 33)
    assert found["reason"] == "clipped from 100 to what cash buys"
    tables = run(bars, {0: order(100)}, config(slippage=part, cash_policy="reject"))
    (found,) = rows(tables["orders"])
    assert (found["status"], found["filled_quantity"]) == ("canceled", 20)
    assert found["reason"].startswith("the rest: costs 600.0000000000, cash is 400.0000000000")


def test_a_target_in_parts_ends_at_its_target_and_counts_the_rest_as_open():
    bars = make_bars({"A": [10] * 6}, volumes={"A": [50] * 6})
    used = config(slippage=SlippageConfig("fixed_bps", volume_limit=D("0.1")))
    target = {row: lambda self, context, data: self.order_target("A", 12) for row in range(3)}
    tables = run(bars, target, used)
    assert tables["orders"]["order_id"] == [1]
    assert [int(quantity) for quantity in tables["fills"]["quantity"]] == [5, 5, 2]


def test_lots_round_every_size_towards_zero():
    lots = {"A": InstrumentConfig(lot=D(10))}
    bars = make_bars({"A": [10, 10, 10, 4.7, 4.7], "B": [10] * 5})
    for ledger in ("decimal", "float64"):
        script = {
            0: order(27),
            1: lambda self, context, data: self.order_target_percent("A", 0.777),
            2: order(1000),
            3: order(9),
        }
        tables = run(bars, script, config(instruments=lots, ledger=ledger))
        quantities = [int(quantity) for quantity in tables["fills"]["quantity"]]
        assert quantities == [20, 50, 60]  # 300 of cash buy 63 at 4.7
        assert len(tables["orders"]["order_id"]) == 3
    small = {"A": InstrumentConfig(lot=D("0.05"))}
    used = config(instruments=small, shares="fractional")
    assert run(bars, {0: order(1.23)}, used)["fills"]["quantity"] == [D("1.20")]


@pytest.mark.parametrize("ledger", ["decimal", "float64"])
@pytest.mark.parametrize(
    ("policy", "amount", "quantity", "reason"),
    [
        ("overdraw", 500, 200, "to what the initial margin allows"),
        ("overdraw", -500, -200, "to what the initial margin allows"),
        ("reject", -500, None, "leaves less equity than the initial margin, 1000"),
        ("overdraw", 150, 150, None),
    ],
)
def test_the_initial_margin_limits_long_and_short(ledger, policy, amount, quantity, reason):
    used = config(cash_policy=policy, ledger=ledger, margin=MarginConfig(initial=D("0.5")))
    tables = run(make_bars({"A": [10] * 3}), {0: order(amount)}, used)
    assert tables["fills"]["quantity"] == ([] if quantity is None else [quantity])
    (found,) = rows(tables["orders"])
    assert (reason or "") in (found["reason"] or "")
    assert (found["reason"] is None) == (reason is None)


def test_the_initial_margin_counts_all_holdings_and_lets_every_reduction_pass():
    bars = make_bars({"A": [10, 10, 10, 10, 1, 1, 1, 1], "B": [10] * 8})
    used = config(cash_policy="overdraw", margin=MarginConfig(initial=D("0.5")))
    script = {
        0: order(150), 1: order(-100, "B"),  # 1500 long, then at most 500 short
        # A lost nine tenths and equity is below zero: what closes passes, what opens does not.
        4: order(-100), 5: order(-200), 6: order(5),
    }  # fmt: skip
    tables = run(bars, script, used)
    found = [(f["symbol"], int(f["quantity"])) for f in rows(tables["fills"])]
    assert found == [("A", 150), ("B", -50), ("A", -100), ("A", -50)]
    assert rows(tables["orders"])[-1]["reason"] == "the initial margin allows less than one lot"


def test_the_initial_margin_of_a_turn_counts_from_the_other_side():
    used = config(cash_policy="overdraw", margin=MarginConfig(initial=D(1)))
    bars = make_bars({"A": [10] * 4})
    tables = run(bars, {0: order(80), 1: order(-500)}, used)
    assert [int(quantity) for quantity in tables["fills"]["quantity"]] == [80, -180]


def test_below_the_maintenance_margin_everything_is_closed_and_recorded():
    bars = make_bars({"A": [10, 10, 5, 4.8, 4.8, 4.8], "B": [10, 10, N, N, 10, 10]})
    used = config(
        cash_policy="overdraw", margin=MarginConfig(initial=D("0.5"), maintenance=D("0.25"))
    )

    def begin(self, context, data):
        self.order("A", 150)
        self.order("B", 20)
        self.order("A", 1, limit_price=1)

    tables = run(bars, {0: begin}, used)
    # At 5 there is 250 of equity for 950 of exposure, above a quarter; at 4.8 there is 220 for 920.
    (violation,) = rows(tables["risk_violations"])
    assert (violation["rule"], violation["action"]) == ("maintenance_margin", "liquidated")
    assert violation["timestamp"] == bars.timestamps[3]
    assert (violation["limit"], violation["found"]) == (0.25, pytest.approx(220 / 920))
    found = rows(tables["orders"])
    assert (found[2]["status"], found[2]["reason"]) == ("canceled", "margin call")
    closing = [(o["symbol"], int(o["quantity"]), o["reason"]) for o in found[3:]]
    assert closing == [("A", -150, "margin call"), ("B", -20, "margin call")]
    assert all(order["status"] == "filled" for order in found[3:])


def test_a_strategy_sets_its_costs_by_zipline_names():
    def initialize(self, context):
        self.set_commission(api.commission.PerShare(cost=0.5, min_trade_cost=3))
        self.set_slippage(api.slippage.FixedSlippage(spread=0.2))

    tables = run(make_bars({"A": [10] * 3}), {0: order(4)}, config(), initialize)
    (fill,) = rows(tables["fills"])
    assert (fill["price"], fill["commission"]) == (D("10.1"), 3)


@pytest.mark.parametrize(
    ("initialize", "error", "message"),
    [
        (lambda self, c: self.set_commission(api.commission.PerTrade(1)), ConfigError,
         "sets per_trade, the config per_dollar"),
        (lambda self, c: self.set_slippage(api.slippage.VolumeShareSlippage()), ConfigError,
         "sets volume_share, the config fixed"),
        (lambda self, c: self.set_commission(1), StrategyError, "take commission.PerShare"),
        (lambda self, c: self.set_slippage(1), StrategyError, "take slippage.FixedSlippage"),
        (lambda self, c: api.commission.PerTrade("much"), ConfigError, "'much'"),
    ],
)  # fmt: skip
def test_costs_are_said_in_one_place_and_make_sense(initialize, error, message):
    used = config(cost="0.001", slippage=SlippageConfig("fixed", spread=D(1)))
    with pytest.raises(error, match=message):
        run(make_bars({"A": [10] * 3}), {}, used, initialize)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SlippageConfig("linear"), "none, fixed, fixed_bps, volume_share"),
        (lambda: SlippageConfig("fixed", basis_points=D(1)), "its values are spread"),
        (lambda: SlippageConfig("volume_share"), "a share of the volume"),
        (lambda: SlippageConfig("fixed_bps", volume_limit=D(2)), "at most 1"),
        (lambda: CommissionConfig("per_trade", D(1), D(1)), "only per_share has it"),
        (lambda: MarginConfig(D("0.2"), D("0.5")), "above the initial margin 0.2"),
        (lambda: MarginConfig(initial=D(0)), "above zero"),
        (lambda: InstrumentConfig(tick=D(-1)), "above zero"),
        (lambda: config(instruments={"A": InstrumentConfig(lot=D("0.5"))}), "with whole shares"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_costs_of_a_strategy_that_turns_around_are_divided_between_its_trades():
    bars = make_bars({"A": [10] * 5})
    used = config(
        commission=CommissionConfig("per_trade", D(3)),
        slippage=SlippageConfig("fixed", spread=D("0.2")),
        capital="10000",
    )
    trades = rows(run(bars, {0: order(10), 1: order(-30), 2: order(20)}, used)["trades"])
    assert [trade["commission"] for trade in trades] == [3 + 1, 2 + 3]
    assert [trade["slippage"] for trade in trades] == [1 + 1, 2 + 2]
    assert np.isclose(float(sum(trade["pnl"] for trade in trades)), -9 - 6)
