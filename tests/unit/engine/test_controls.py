"""Trading controls, the risk hook, and the events that a strategy may subscribe to."""

from types import ModuleType

import pytest

from backtrail.engine import api, load_strategy, run_event
from backtrail.engine.notices import PerformanceSnapshot, RiskViolation, TradeExecutionData
from backtrail.errors import OrderError, RiskViolationError, StrategyError

from .support import config, make_bars, rows, scripted

FLAT = {"A": [10] * 6, "B": [20] * 6}


def order(amount, symbol="A", **style):
    return lambda self, context, data: self.order(symbol, amount, **style)


def run(script, initialize, engine_config=None, bars=None):
    used = engine_config or config(cash_policy="overdraw")
    strategy = scripted(script, initialize=initialize)
    return run_event(strategy, bars or make_bars(FLAT), used).tables


CASES = [
    # control, orders by bar, ids of those that break it, its words
    (lambda self, e: self.set_max_order_size(max_shares=5, on_error=e),
     {0: order(5), 1: order(6), 2: order(-6, "B")}, [2, 3], "an order of 6 shares is above 5"),
    (lambda self, e: self.set_max_order_size("A", max_notional=55, on_error=e),
     {0: order(5), 1: order(6), 2: order(6, "B")}, [2], "an order worth 60 is above 55"),
    (lambda self, e: self.set_max_position_size("A", max_shares=10, on_error=e),
     {0: order(8), 1: order(3), 2: order(-30), 3: order(50, "B")}, [2, 3],
     "a holding of 11 shares is above 10"),
    (lambda self, e: self.set_max_position_size(max_notional=150, on_error=e),
     {0: order(15), 1: order(8, "B")}, [2], "a holding worth 160 is above 150"),
    (lambda self, e: self.set_long_only(e),
     {0: order(5), 1: order(-5), 2: order(-1)}, [3], "it would be short 1 shares"),
    (lambda self, e: self.set_do_not_order_list(["B"], e),
     {0: order(1), 1: order(1, "B"), 2: order(-1, "B")}, [2, 3], "on the do-not-order list"),
    (lambda self, e: self.set_max_leverage(1.0, e),
     {0: order(60), 1: order(-30, "B"), 2: order(20, "B")}, [2], "leverage would be 1.2, above 1"),
]  # fmt: skip


@pytest.mark.parametrize(("control", "script", "broken", "words"), CASES)
def test_an_order_that_breaks_a_control_is_rejected_with_the_reason(control, script, broken, words):
    tables = run(script, lambda self, context: control(self, "reject"))
    found = rows(tables["orders"])
    rejected = [o["order_id"] for o in found if o["status"] == "rejected"]
    assert rejected == broken
    assert words in found[broken[0] - 1]["reason"]
    noted = rows(tables["risk_violations"])
    assert [v["order_id"] for v in noted] == broken
    assert {v["action"] for v in noted} == {"rejected"}
    assert words in noted[0]["message"]
    filled = {f["order_id"] for f in rows(tables["fills"])}
    assert filled == {o["order_id"] for o in found} - set(broken)


@pytest.mark.parametrize(("control", "script", "broken", "words"), CASES[:-1])
def test_a_control_ends_the_run_unless_it_is_to_log(control, script, broken, words):
    with pytest.raises(RiskViolationError, match="on_error='reject'"):
        run(script, lambda self, context: control(self, "fail"))
    tables = run(script, lambda self, context: control(self, "log"))
    assert set(tables["orders"]["status"]) == {"filled"}
    noted = rows(tables["risk_violations"])
    assert [v["order_id"] for v in noted][:1] == broken[:1]
    assert {v["action"] for v in noted} == {"logged"}


def test_leverage_is_looked_at_after_every_bar():
    bars = make_bars({"A": [10, 10, 10, 9, 9]})  # 1500 of 1000; then 1350 of 850
    limits = lambda on_error: lambda self, context: self.set_max_leverage(1.55, on_error)  # noqa: E731
    with pytest.raises(RiskViolationError, match=r"leverage is 1\.58824, above 1\.55"):
        run({0: order(150)}, limits("fail"), bars=bars)
    noted = rows(run({0: order(150)}, limits("log"), bars=bars)["risk_violations"])
    assert [v["timestamp"] for v in noted] == bars.timestamps[3:].tolist()
    assert noted[0]["found"] == pytest.approx(1350 / 850)
    assert (noted[0]["symbol"], noted[0]["order_id"]) == (None, None)


def test_controls_count_open_orders_and_hold_at_the_fill_when_sizes_are_known_there():
    def twice(self, context, data):
        self.order("A", 6)
        self.order_target_percent("A", 0.08)
        self.order_percent("A", 0.08)

    for size_at, broken in (("signal_close", [3]), ("fill", [3])):
        tables = run(
            {0: twice},
            lambda self, context: self.set_max_position_size(max_shares=10, on_error="reject"),
            config(size_at=size_at),
        )
        found = rows(tables["orders"])
        assert [o["order_id"] for o in found if o["status"] == "rejected"] == broken, size_at
        assert sum(tables["fills"]["quantity"]) == 8


def test_at_the_fill_a_control_sees_the_fill_price_and_not_the_close():
    bars = make_bars({"A": [10, 50, 50]}, {"A": [10, 10, 50]})

    def limit(self, context):
        self.set_max_order_size(max_notional=300, on_error="reject")

    for size_at in ("signal_close", "fill"):
        used = config(size_at=size_at)
        assert run({0: order(25)}, limit, used, bars)["fills"]["quantity"] == [25]


def test_a_risk_hook_accepts_vetoes_and_shrinks_and_is_recorded():
    seen = []

    def hook(context, proposed):
        seen.append(proposed)
        return {1: None, 2: False, 3: "too much of B", 4: 2.7, 5: -1, 6: True, 7: 0}[
            proposed.order_id
        ]

    script = {
        0: order(5),
        1: lambda self, context, data: [self.order("B", n) for n in (3, 4, 5)],
        2: lambda self, context, data: [
            self.order("A", -4), self.order_target("A", 7, limit_price=10), self.order("B", 1)
        ],
    }  # fmt: skip
    tables = run(script, lambda self, context: self.set_risk_hook(hook))
    found = [(o["status"], int(o["quantity"]), o["reason"]) for o in rows(tables["orders"])]
    assert found == [
        ("filled", 5, None),
        ("rejected", 3, "vetoed by the risk hook"),
        ("rejected", 4, "too much of B"),
        ("filled", 2, "shrunk from 5 by the risk hook"),
        ("filled", -1, "shrunk from -4 by the risk hook"),
        ("filled", 3, None),
        ("rejected", 1, "shrunk to nothing by the risk hook"),
    ]
    noted = [(v["order_id"], v["action"]) for v in rows(tables["risk_violations"])]
    assert noted == [
        (2, "rejected"), (3, "rejected"), (4, "shrunk"), (5, "shrunk"), (7, "rejected"),
    ]  # fmt: skip
    limited = seen[5]
    assert (limited.amount, limited.held, limited.expected, limited.limit) == (3, 5, 7, 10)
    assert (limited.sizing, limited.requested, limited.price) == ("target", 7, 10)


@pytest.mark.parametrize("answer", [9, -1, float("nan"), object()])
def test_a_risk_hook_that_enlarges_or_turns_an_order_is_an_error(answer):
    with pytest.raises(StrategyError, match="a smaller amount of the same sign"):
        run({0: order(5)}, lambda self, context: self.set_risk_hook(lambda c, o: answer))


def test_subscribers_hear_of_fills_violations_and_performance():
    heard = []

    def initialize(self, context):
        self.set_long_only("reject")
        for event in ("trade_executed", "risk_violation", "performance_updated"):
            self.subscribe(event, heard.append)

    bars = make_bars({"A": [10, 10, 8]}, delisted={"A": 2})
    used = config(cost="0.01")
    run({0: order(50), 1: order(-60)}, initialize, used, bars)
    kinds = [type(notice) for notice in heard]
    assert kinds == [
        PerformanceSnapshot, TradeExecutionData, RiskViolation, PerformanceSnapshot,
        TradeExecutionData, PerformanceSnapshot,
    ]  # fmt: skip
    bought, refused, last = heard[1], heard[2], heard[-1]
    assert (bought.symbol, bought.order_id, bought.quantity, bought.price) == ("A", 1, 50, 10)
    assert (bought.value, bought.commission, bought.slippage) == (500, 5, 0)
    assert bought.at.isoformat() == "2000-01-04T00:00:00+00:00"
    assert (refused.rule, refused.order_id, refused.action) == ("long_only", 2, "rejected")
    assert heard[3].portfolio_value == 995
    assert heard[3].leverage == pytest.approx(500 / 995)
    assert (heard[4].order_id, heard[4].quantity, heard[4].price) == (None, -50, 8)
    assert (last.portfolio_value, last.cash, last.positions_value) == (895, 895, 0)
    assert (last.returns, last.drawdown) == (pytest.approx(-0.105), pytest.approx(-0.105))


def test_a_fill_may_be_answered_with_orders_and_other_notices_may_not():
    class Bracket(scripted({0: order(5)})):
        def initialize(self, context):
            super().initialize(context)
            self.subscribe("trade_executed", self.protect)

        def protect(self, trade):
            if trade.quantity > 0:
                self.order("A", -trade.quantity, stop_price=9)

    bars = make_bars({"A": [10, 10, 10, 8]}, {"A": [10, 10, 10, 9.5]})
    fills = rows(run_event(Bracket, bars, config()).tables["fills"])
    assert [(f["quantity"], f["price"]) for f in fills] == [(5, 10), (-5, 9)]

    def initialize(self, context):
        self.subscribe("performance_updated", lambda snapshot: self.order("A", 1))

    with pytest.raises(OrderError, match="outside of handle_data"):
        run({}, initialize)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda self: self.subscribe("fills", print), "subscribe to trade_executed"),
        (lambda self: self.subscribe("trade_executed", 1), "pass a function"),
        (lambda self: self.set_risk_hook(1), "pass a function"),
        (lambda self: self.set_long_only("warn"), "fail, log, reject"),
        (lambda self: self.set_max_order_size(), "without a limit"),
        (lambda self: self.set_max_position_size(max_shares=-1), "zero or above"),
        (lambda self: self.set_do_not_order_list("AB"), "pass a list"),
        (lambda self: self.set_max_leverage(-1), "zero or above"),
    ],
)
def test_a_setting_that_makes_no_sense_is_an_error(call, message):
    with pytest.raises(StrategyError, match=message):
        run({}, lambda self, context: call(self))
    with pytest.raises(OrderError, match="unknown symbol 'Z'"):
        run({}, lambda self, context: self.set_max_order_size("Z", max_shares=1))


@pytest.mark.parametrize(
    "late",
    [
        lambda self: self.set_long_only(),
        lambda self: self.subscribe("trade_executed", print),
        lambda self: self.set_max_leverage(2),
        lambda self: self.schedule_function(print),
        lambda self: self.set_commission(api.commission.PerTrade(1)),
        lambda self: self.set_slippage(api.slippage.NoSlippage()),
        lambda self: self.set_benchmark("A"),
        lambda self: self.declare_indicator("x", print),
    ],
)
def test_settings_are_made_before_the_first_bar(late):
    with pytest.raises(StrategyError, match="call it in initialize"):
        run({0: lambda self, context, data: late(self)}, None)


def test_the_function_form_has_every_setting():
    module = ModuleType("functions")
    source = (
        "from backtrail.engine.api import *\n"
        "heard = []\n"
        "def initialize(context):\n"
        "    set_commission(commission.PerShare(0.5))\n"
        "    set_slippage(slippage.FixedSlippage(0.2))\n"
        "    set_benchmark('B')\n"
        "    set_max_order_size('A', 100)\n"
        "    set_max_position_size('A', 100)\n"
        "    set_long_only()\n"
        "    set_do_not_order_list(['B'], on_error='reject')\n"
        "    set_max_leverage(3)\n"
        "    set_risk_hook(lambda context, order: 2 if order.amount > 2 else None)\n"
        "    subscribe('trade_executed', heard.append)\n"
        "    declare_indicator('double', lambda close: close * 2)\n"
        "    schedule_function(buy, date_rules.every_day(), time_rules.market_open())\n"
        "def before_trading_start(context, data):\n"
        "    context.before = data.current('A', 'price')\n"
        "def handle_data(context, data):\n"
        "    record(double=data.indicator('double', 'A'), before=context.before)\n"
        "def buy(context, data):\n"
        "    order('A', 3, limit_price=20)\n"
        "    order_target('B', 1)\n"
    )
    exec(source, vars(module))
    result = run_event(load_strategy(module), make_bars({"A": [10, 11], "B": [5, 6]}), config())
    (fill,) = rows(result.tables["fills"])
    assert (float(fill["price"]), fill["quantity"], fill["commission"]) == (11.1, 2, 1)
    assert [notice.price for notice in module.heard] == [11.1]
    assert result.tables["backtest_results"]["benchmark_returns"][1] == pytest.approx(0.2)
    values = {(r["name"], r["timestamp"]): r["value"] for r in rows(result.tables["recorded"])}
    assert list(values.values()) == [20, None, 22, 10]


def test_a_hook_may_cancel_an_order_that_the_bar_is_filling():
    def both(self, context, data):
        context.first = self.order_percent("A", 0.1)
        self.order_percent("B", 0.1)

    class Canceling(scripted({0: both})):
        def initialize(self, context):
            super().initialize(context)
            self.set_risk_hook(self.look)

        def look(self, context, proposed):
            if proposed.symbol == "B":
                self.cancel_order(context.first)

    tables = run_event(Canceling, make_bars(FLAT), config(size_at="fill")).tables
    assert tables["orders"]["status"] == ["canceled", "filled"]
    assert tables["fills"]["symbol"] == ["B"]
