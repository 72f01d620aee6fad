"""What happens at a bar, in which order, under every execution rule."""

from decimal import Decimal

import pytest

from backtrail.engine import TradingAlgorithm, run_event
from backtrail.errors import ConfigError, OrderError, StrategyError

from .support import START_US, config, listed, make_bars, rows, scripted

N = float("nan")
DAY = 86_400 * 10**6


def buy(amount, symbol="A"):
    return lambda self, context, data: self.order(symbol, amount)


def run(bars, script, engine_config=None, **options):
    return run_event(scripted(script), bars, engine_config or config(), **options).tables


@pytest.mark.parametrize(("fill", "price"), [("next_open", 20), ("next_close", 21)])
def test_order_fills_at_the_next_bar(fill, price):
    bars = make_bars({"A": [11, 21, 31]}, {"A": [10, 20, 30]})
    (found,) = rows(run(bars, {0: buy(2)}, config(fill=fill))["fills"])
    assert found["timestamp"] == START_US + DAY
    assert (found["quantity"], found["price"], found["value"]) == (2, price, 2 * price)
    assert found["cash_after"] == 1000 - 2 * price
    assert found["reason"] == "order"


def test_order_waits_for_the_symbols_next_own_bar():
    bars = make_bars({"A": [10, N, N, 13], "B": [1, 1, 1, 1]})
    tables = run(bars, {0: buy(1)})
    assert tables["fills"]["price"] == [13]
    assert tables["orders"]["filled_at"] == [START_US + 3 * DAY]


def test_order_on_the_last_bar_expires():
    (order,) = rows(run(make_bars({"A": [10, 11]}), {1: buy(1)})["orders"])
    assert (order["status"], order["reason"], order["filled_at"]) == (
        "expired",
        "no later bar",
        None,
    )
    assert order["quantity"] == 1


@pytest.mark.parametrize(
    ("policy", "status", "quantity", "cash"),
    [
        ("clip", "filled", 99, "0.1"),
        ("reject", "rejected", 200, "1000"),
        ("overdraw", "filled", 200, "-1020"),
    ],
)
def test_buy_that_costs_more_than_the_cash_follows_the_cash_policy(policy, status, quantity, cash):
    tables = run(
        make_bars({"A": [10, 10, 10]}), {0: buy(200)}, config(cash_policy=policy, cost="0.01")
    )
    (order,) = rows(tables["orders"])
    assert (order["status"], order["quantity"]) == (status, quantity)
    assert tables["backtest_results"]["cash"][-1] == pytest.approx(float(cash))
    reason = {
        "clip": "clipped from 200 to what cash buys",
        "reject": "costs 2020.0000000000, cash is 1000.0000000000",
        "overdraw": None,
    }
    assert order["reason"] == reason[policy]


def test_buy_of_less_than_one_lot_is_rejected_by_clip():
    (order,) = rows(run(make_bars({"A": [10, 2000]}), {0: buy(1)})["orders"])
    assert (order["status"], order["reason"]) == ("rejected", "cash buys less than one lot")


def test_sells_fill_before_buys_then_by_order_id():
    bars = make_bars({"A": [10, 10, 10], "B": [10, 10, 10], "C": [10, 10, 10]})

    def switch(self, context, data):
        self.order("B", 60)
        self.order("C", 60)
        self.order("A", -100)

    tables = run(bars, {0: buy(100), 1: switch})
    found = [(f["symbol"], int(f["quantity"])) for f in rows(tables["fills"])]
    assert found == [("A", 100), ("A", -100), ("B", 60), ("C", 40)]


@pytest.mark.parametrize(("size_at", "quantity"), [("signal_close", 100), ("fill", 50)])
def test_size_at_decides_which_price_sizes_a_target(size_at, quantity):
    bars = make_bars({"A": [10, 20, 20]})
    script = {0: lambda self, context, data: self.order_target_percent("A", 1.0)}
    tables = run(bars, script, config(size_at=size_at, cash_policy="overdraw"))
    assert tables["fills"]["quantity"] == [quantity]


@pytest.mark.parametrize("size_at", ["signal_close", "fill"])
def test_every_sizing_means_what_it_says(size_at):
    bars = make_bars({"A": [10, 10, 10, 10]})
    calls = {
        "order": (7, 7), "order_value": (75, 7), "order_percent": (0.075, 7),
        "order_target": (7, 3), "order_target_value": (75, 3), "order_target_percent": (0.075, 3),
    }  # fmt: skip
    for name, (amount, second) in calls.items():
        script = {
            0: buy(4),
            1: lambda self, context, data, name=name, amount=amount: getattr(self, name)(
                "A", amount
            ),
        }
        assert run(bars, script, config(size_at=size_at))["fills"]["quantity"] == [4, second], name


@pytest.mark.parametrize("size_at", ["signal_close", "fill"])
def test_targets_count_open_orders_as_filled(size_at):
    bars = make_bars({"A": [10, 10, 10]})

    def twice(self, context, data):
        self.order_target("A", 10)
        self.order_target("A", 10)

    tables = run(bars, {0: twice}, config(size_at=size_at))
    assert tables["fills"]["quantity"] == [10]
    if size_at == "fill":
        assert tables["orders"]["status"] == ["filled", "canceled"]
        assert tables["orders"]["reason"][1] == "nothing to trade at the fill"


def test_amount_below_one_lot_makes_no_order():
    ids = []

    def small(self, context, data):
        ids.append(self.order_value("A", 9.0))
        ids.append(self.order("A", 0))
        ids.append(self.order_target("A", 0))

    tables = run(make_bars({"A": [10, 10]}), {0: small})
    assert ids == [None, None, None]
    assert tables["orders"]["order_id"] == []


def test_short_sale_brings_cash_and_pays_dividends():
    bars = make_bars({"A": [10, 10, 8, 8]}, dividends={("A", 2): 0.5})
    tables = run(bars, {0: buy(-10), 2: buy(10)})
    assert tables["backtest_results"]["cash"].tolist() == [1000, 1100, 1095, 1015]
    assert tables["backtest_results"]["positions_value"].tolist() == [0, -100, -80, 0]
    (trade,) = rows(tables["trades"])
    assert (trade["side"], trade["pnl"], trade["quantity"]) == ("short", 15, 10)


def test_two_for_one_split_leaves_equity_unchanged():
    bars = make_bars({"A": [100, 100, 50, 50]}, splits={("A", 2): 2.0})
    tables = run(bars, {0: buy(5)})
    assert tables["backtest_results"]["portfolio_value"].tolist() == [1000] * 4
    (action,) = rows(tables["corporate_actions"])
    assert (action["kind"], action["quantity_before"], action["quantity_after"]) == ("split", 5, 10)
    assert action["cash"] == 0
    assert tables["positions"]["average_cost"] == [100, 50]


def test_split_that_leaves_a_fraction_pays_it_at_the_open():
    bars = make_bars({"A": [30, 30, 20]}, {"A": [30, 30, 21]}, splits={("A", 2): 1.5})
    tables = run(bars, {0: buy(5)})
    (action,) = rows(tables["corporate_actions"])
    assert (action["quantity_after"], action["cash"]) == (7, Decimal("10.5"))
    whole = run(bars, {0: buy(5)}, config(shares="fractional"))
    assert whole["corporate_actions"]["quantity_after"] == [Decimal("7.5")]


def test_split_before_the_fill_scales_the_waiting_order():
    bars = make_bars({"A": [100, 50, 50]}, splits={("A", 1): 2.0})
    (order,) = rows(run(bars, {0: buy(3)})["orders"])
    assert (order["quantity"], order["reason"]) == (6, "scaled by a split of 2")
    reverse = make_bars({"A": [10, 100, 100]}, splits={("A", 1): 0.1})
    (order,) = rows(run(reverse, {0: buy(3)})["orders"])
    assert order["status"] == "canceled"
    assert order["reason"] == "scaled by a split of 0.1; less than one lot is left"


def test_split_scales_a_target_that_is_sized_at_the_fill():
    bars = make_bars({"A": [100, 50, 50]}, splits={("A", 1): 2.0})
    script = {0: lambda self, context, data: self.order_target("A", 3)}
    assert run(bars, script, config(size_at="fill"))["fills"]["quantity"] == [6]


def test_dividend_is_paid_to_who_held_before_the_bar():
    bars = make_bars({"A": [10, 10, 10]}, dividends={("A", 1): 1.0, ("A", 2): 1.0})
    tables = run(bars, {0: buy(4)})
    assert tables["backtest_results"]["cash"].tolist() == [1000, 960, 964]
    assert tables["corporate_actions"]["timestamp"] == [START_US + 2 * DAY]


def test_dividend_on_the_day_of_a_split_is_per_new_share():
    bars = make_bars({"A": [10, 10, 5]}, splits={("A", 2): 2.0}, dividends={("A", 2): 0.25})
    tables = run(bars, {0: buy(4)})
    assert tables["corporate_actions"]["kind"] == ["split", "dividend"]
    assert tables["corporate_actions"]["cash"] == [0, 2]


def test_delisting_closes_the_holding_and_expires_the_orders():
    bars = make_bars({"A": [10, 10, 9, N], "B": [1, 1, 1, 1]}, delisted={"A": 2})
    seen = {}

    def after(self, context, data):
        seen["can_trade"] = data.can_trade("A")
        seen["stale"] = data.is_stale("A")
        seen["held"] = context.portfolio.positions["A"].amount
        seen["order"] = self.order("A", 1)

    tables = run(bars, {0: buy(5), 2: buy(1), 3: after}, config(cost="0.01"))
    last = rows(tables["fills"])[-1]
    assert (last["reason"], last["order_id"], last["price"]) == ("delisted", None, 9)
    assert (last["quantity"], last["commission"]) == (-5, 0)
    assert last["timestamp"] == START_US + 2 * DAY
    assert tables["orders"]["status"] == ["filled", "expired", "rejected"]
    assert tables["orders"]["reason"] == [None, "delisted", "delisted"]
    assert seen == {"can_trade": False, "stale": False, "held": 0, "order": 3}
    assert tables["corporate_actions"]["kind"] == ["delisting"]
    assert tables["corporate_actions"]["cash"] == [45]
    assert tables["trades"]["is_open"] == [False]


def test_order_before_the_first_bar_of_a_symbol_is_rejected():
    tables = run(make_bars({"A": [N, 10], "B": [1, 1]}), {0: buy(1)})
    (order,) = rows(tables["orders"])
    assert (order["status"], order["reason"], order["quantity"]) == ("rejected", "no bar yet", None)


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), "7", None, True, 1j])
def test_order_of_what_is_no_finite_number_is_an_error(amount):
    with pytest.raises(OrderError, match="finite number"):
        run(make_bars({"A": [1, 1]}), {0: buy(amount)})


def test_order_for_an_unknown_symbol_is_an_error_that_names_the_known():
    with pytest.raises(OrderError, match="unknown symbol 'Z'; the bars have A"):
        run(make_bars({"A": [1, 1]}), {0: buy(1, "Z")})


def test_orders_and_records_outside_of_handle_data_are_errors():
    bars = make_bars({"A": [1, 1]})
    with pytest.raises(OrderError, match="outside of handle_data"):
        run_event(scripted({}, initialize=lambda self, context: self.order("A", 1)), bars, config())
    with pytest.raises(StrategyError, match="outside of handle_data"):
        run_event(scripted({}, initialize=lambda self, context: self.record(x=1)), bars, config())


def test_canceled_order_does_not_fill():
    def place_and_cancel(self, context, data):
        first, second = self.order("A", 1), self.order("A", 2)
        (seen, other) = self.get_open_orders("A")
        assert (seen.id, seen.amount, seen.sizing, other.amount) == (first, 1.0, "shares", 2.0)
        assert list(self.get_open_orders()) == ["A"]
        self.cancel_order(second)
        self.cancel_order(second)
        self.cancel_order(first)
        assert self.get_open_orders() == {}
        with pytest.raises(OrderError, match="order 9 does not exist"):
            self.cancel_order(9)

    tables = run(make_bars({"A": [10, 10]}), {0: place_and_cancel})
    assert tables["orders"]["status"] == ["canceled", "canceled"]
    assert tables["fills"]["fill_id"] == []


def test_portfolio_and_account_are_marked_at_the_last_close():
    def look(self, context, data):
        portfolio, account = context.portfolio, context.account
        assert (portfolio.cash, portfolio.positions_value) == (900.0, 110.0)
        assert (portfolio.portfolio_value, portfolio.pnl, portfolio.starting_cash) == (
            1010,
            10,
            1000,
        )
        assert portfolio.returns == pytest.approx(0.01)
        assert list(portfolio.positions) == ["A"]
        assert len(portfolio.positions) == 1
        held = portfolio.positions["A"]
        assert (held.amount, held.cost_basis, held.last_sale_price, held.value) == (10, 10, 11, 110)
        assert isinstance(held.amount, int)
        assert portfolio.positions["B"].amount == 0
        assert "B" not in portfolio.positions
        assert account.leverage == account.gross_exposure == pytest.approx(110 / 1010)
        assert account.net_exposure == pytest.approx(110 / 1010)

    run(
        make_bars({"A": [10, 11, 11], "B": [1, 1, 1]}, {"A": [10, 10, 11], "B": [1, 1, 1]}),
        {0: buy(10), 1: look},
    )


def test_position_in_initialize_shows_no_price():
    def look(self, context):
        price = context.portfolio.positions["A"].last_sale_price
        assert price != price

    run_event(scripted({}, initialize=look), make_bars({"A": [1, 2]}), config())


def test_recorded_values_keep_the_last_of_a_name_at_a_bar():
    def note(self, context, data):
        self.record(x=1, y=float("nan"))
        self.record(x=2.5)

    tables = run(make_bars({"A": [10, 10]}), {1: note})
    assert tables["recorded"] == {
        "timestamp": [START_US + DAY] * 2, "name": ["x", "y"], "value": [2.5, None],
    }  # fmt: skip
    for wrong in (float("inf"), "word"):
        with pytest.raises(StrategyError, match="record"):
            run(make_bars({"A": [1]}), {0: lambda self, c, d, wrong=wrong: self.record(x=wrong)})


def test_analyze_sees_the_tables_and_attributes_are_set_before_initialize():
    seen = []

    class Whole(TradingAlgorithm):
        def initialize(self, context):
            seen.append((self.output_dir, context.output_dir))

        def handle_data(self, context, data):
            pass

        def analyze(self, context, perf):
            seen.append(len(perf.tables["backtest_results"]["cash"]))

    run_event(Whole, make_bars({"A": [1, 2, 3]}), config(), attributes={"output_dir": "here"})
    assert seen == [("here", "here"), 3]


def test_random_generator_depends_on_the_seed_only():
    drawn = []

    def draw(self, context, data):
        drawn.append(context.rng.integers(10**9))

    for seed in (1, 1, 2):
        run(make_bars({"A": [1]}), {0: draw}, config(seed=seed))
    assert drawn[0] == drawn[1] != drawn[2]


def test_unset_context_attribute_says_where_to_set_it():
    with pytest.raises(AttributeError, match="'month'; set it in initialize"):
        run(make_bars({"A": [1]}), {0: lambda self, context, data: context.month})


def test_benchmark_returns_include_splits_and_dividends():
    bars = make_bars(
        {"A": [1, 1, 1, 1], "SPX": [100, 55, 55, 66]},
        splits={("SPX", 1): 2.0},
        dividends={("SPX", 2): 5.5},
    )
    found = run(bars, {}, benchmark="SPX")["backtest_results"]["benchmark_returns"]
    assert listed(found) == [None, *map(pytest.approx, [0.1, 0.1, 0.2])]


def test_benchmark_outside_the_universe_counts_by_its_last_close():
    bars = make_bars({"A": [1, 1, 1, 1]})
    other = make_bars({"SPX": [100, 110, 110, 121]})
    found = run(bars, {}, benchmark="SPX", benchmark_bars=other)["backtest_results"]
    assert found["benchmark_returns"][1:] == pytest.approx([0.1, 0.0, 0.1])
    with pytest.raises(ConfigError, match="'SPX'"):
        run(bars, {}, benchmark="SPX")


def test_curve_has_the_declared_columns_and_null_first_returns():
    tables = run(make_bars({"A": [10, 10, 5]}), {0: buy(100)})
    curve = tables["backtest_results"]
    assert listed(curve["returns"]) == [None, 0.0, -0.5]
    assert curve["drawdown"].tolist() == [0.0, 0.0, -0.5]
    assert list(curve["gross_exposure"]) == [0.0, 1.0, 1.0]
    assert listed(curve["benchmark_returns"]) == [None] * 3


def test_insolvent_account_has_no_exposure_and_no_returns():
    tables = run(make_bars({"A": [10, 10, 25, 30]}), {0: buy(-100)}, config())
    curve = tables["backtest_results"]
    assert curve["portfolio_value"].tolist() == [1000, 1000, -500, -1000]
    assert listed(curve["gross_exposure"]) == [0.0, 1.0, None, None]
    assert listed(curve["returns"]) == [None, 0.0, -1.5, None]


@pytest.mark.parametrize("policy", ["clip", "reject"])
def test_sale_is_never_limited_even_when_cash_is_negative(policy):
    bars = make_bars(
        {"A": [10, 10, 60, N, N], "B": [1, 1, 1, 1, 1]}, delisted={"A": 2}
    )  # the short in A is closed at a loss that the cash does not cover
    tables = run(bars, {0: buy(-50), 2: buy(-5, "B")}, config(cash_policy=policy))
    assert tables["orders"]["status"] == ["filled", "filled"]
    assert tables["fills"]["quantity"] == [-50, 50, -5]
    assert tables["fills"]["cash_after"] == [1500, -1500, -1495]


def test_target_is_not_passed_when_an_order_it_counted_on_was_clipped_or_canceled():
    bars = make_bars({"A": [10, N, 20, 20], "B": [1, 1, 1, 1]})

    def flat(self, context, data):
        self.order_target("A", 0)

    clipped = run(bars, {0: buy(90), 1: flat})
    assert clipped["fills"]["quantity"] == [50, -50]
    assert clipped["orders"]["quantity"] == [50, -50]

    def cancel_and_flat(self, context, data):
        self.order_target("A", 0)
        self.cancel_order(1)

    canceled = run(bars, {0: buy(90), 1: cancel_and_flat})
    assert canceled["fills"]["quantity"] == []
    assert canceled["orders"]["reason"] == ["by the strategy", "nothing to trade at the fill"]


def test_orders_of_one_symbol_fill_as_they_were_placed():
    def both(self, context, data):
        self.order("A", 30)
        self.order("A", -20)

    tables = run(make_bars({"A": [10, 10]}), {0: both})
    assert tables["fills"]["quantity"] == [30, -20]
