from decimal import Decimal

import numpy as np
import pytest

from backtrail.engine import MarginConfig, Strategy, TradingAlgorithm, run_event, run_signal
from backtrail.errors import StrategyError

from .support import config, make_bars, rows, scripted

N = float("nan")


def weights_of(*values):
    return lambda bars, params: np.array(values, dtype=float)


def test_changed_weights_become_orders_and_nan_leaves_as_is():
    bars = make_bars({"A": [10, 10, 10, 10, 10, 10]})
    result = run_signal(weights_of([N], [0.5], [N], [0.5], [0.2], [0]), bars, config())
    assert result.tables["fills"]["quantity"] == [50, -30]
    assert result.tables["orders"]["amount"] == [0.5, 0.2, 0.0]
    assert result.tables["orders"]["status"] == ["filled", "filled", "expired"]


def test_weight_before_the_first_bar_takes_effect_at_it():
    bars = make_bars({"A": [N, N, 10, 10], "B": [1, 1, 1, 1]})
    result = run_signal(weights_of(*[[0.5, 0]] * 4), bars, config())
    (order,) = rows(result.tables["orders"])
    assert (order["status"], order["quantity"]) == ("filled", 50)


def test_orders_of_a_bar_are_placed_in_the_order_of_names():
    bars = make_bars({"B": [1, 1], "A": [1, 1]})
    result = run_signal(weights_of([0.3, 0.4], [0.3, 0.4]), bars, config())
    assert result.tables["orders"]["symbol"] == ["A", "B"]
    assert result.tables["orders"]["amount"] == [0.4, 0.3]


def test_what_happens_between_two_decisions_happens_as_in_event_form():
    bars = make_bars(
        {"A": [10, 10, 10, 5, 5, 5, 5], "B": [4, 4, 4, 4, 4, 4, N]},
        splits={("A", 3): 2.0},
        dividends={("A", 4): 0.25},
        delisted={"B": 5},
    )
    weights = np.full((7, 2), N)
    weights[0] = 0.3

    def buy(self, context, data):
        for symbol in "AB":
            self.order_target_percent(symbol, 0.3)

    signal = run_signal(weights_of(*weights), bars, config()).tables
    event = run_event(scripted({0: buy}), bars, config()).tables
    actions, fills = rows(signal["corporate_actions"]), rows(signal["fills"])
    assert [(action["kind"], action["symbol"]) for action in actions] == [
        ("split", "A"), ("dividend", "A"), ("delisting", "B"),
    ]  # fmt: skip
    assert [(fill["symbol"], fill["quantity"]) for fill in fills] == [
        ("A", 30), ("B", 75), ("B", -75),
    ]  # fmt: skip
    assert signal.keys() == event.keys()
    for name, table in signal.items():
        for column, values in table.items():
            np.testing.assert_array_equal(values, event[name][column], f"{name}.{column}")


def test_an_order_of_a_signal_waits_through_bars_without_a_price():
    bars = make_bars({"A": [1, N, N, N, 2, 2], "B": [1] * 6})
    tables = run_signal(weights_of(*[[0.3, 0.0]] * 6), bars, config()).tables
    assert [(fill["symbol"], fill["price"]) for fill in rows(tables["fills"])] == [("A", 2)]
    assert tables["fills"]["timestamp"] == [bars.timestamps[4]]


def test_signal_sees_forward_adjusted_read_only_columns():
    bars = make_bars({"A": [100, 50, 25], "B": [1, N, 1]}, splits={("A", 1): 2.0, ("A", 2): 2.0})
    seen = {}

    def look(view, params):
        seen["close"], seen["volume"], seen["params"] = view.close, view.volume, params
        assert not view.close.flags.writeable
        assert (view.symbols, view.timeframe, view.calendar) == (("A", "B"), "1d", "XNYS")
        assert len(view.timestamps) == 3
        assert np.array_equal(view.open, view.close, equal_nan=True)
        assert np.array_equal(view.high, view.low, equal_nan=True)
        return np.zeros((3, 2))

    run_signal(look, bars, config(), params={"x": 1})
    np.testing.assert_array_equal(seen["close"], [[100, 1], [100, N], [100, 1]])
    np.testing.assert_array_equal(seen["volume"], [[1000, 1000], [500, N], [250, 1000]])
    assert seen["params"] == {"x": 1}


def test_signal_view_knows_no_later_split():
    early = make_bars({"A": [100, 50]}, splits={("A", 1): 2.0})
    late = make_bars({"A": [100, 50, 10]}, splits={("A", 1): 2.0, ("A", 2): 5.0})
    seen = []
    for bars in (early, late):
        run_signal(
            lambda view, params: seen.append(view.close) or np.zeros(view.close.shape),
            bars,
            config(),
        )
    assert seen[0][:, 0].tolist() == seen[1][:2, 0].tolist()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(2), r"shape \(2,\); return \(2, 1\)"),
        (np.array([[0.0], [np.inf]]), "infinite weight for A at bar 1"),
        ([[0.0], [0.0]], "returned list"),
        (np.array([["a"], ["b"]]), "array of numbers"),
    ],
)
def test_weights_that_are_no_weights_are_refused(weights, message):
    with pytest.raises(StrategyError, match=message):
        run_signal(lambda bars, params: weights, make_bars({"A": [1, 1]}), config())


def test_forms_are_not_mixed_up():
    bars = make_bars({"A": [1, 1]})
    with pytest.raises(StrategyError, match="use run_signal"):
        run_event(Strategy("s", "signal", target_weights=len), bars, config())
    with pytest.raises(StrategyError, match="use run_event"):
        run_signal(Strategy("s", "function", handle_data=len), bars, config())
    with pytest.raises(StrategyError, match="no handle_data"):
        run_event(Strategy("s", "function"), bars, config())
    assert scripted({})  # the helper itself is in event form


@pytest.mark.parametrize("fill", ["next_open", "same_close"])
def test_margin_and_same_close_hold_in_the_signal_form_as_in_the_event_form(fill):
    bars = make_bars({"A": [10, 10, 10, 7, 6, 5, 5, 5, 6, 6]})
    used = config(
        fill=fill, cash_policy="overdraw", margin=MarginConfig(maintenance=Decimal("0.3"))
    )
    weights = np.full(bars.shape, np.nan)
    weights[1], weights[8] = 2.0, 0.5
    found = run_signal(lambda view, params: weights, bars, used).tables

    class Same(TradingAlgorithm):
        def initialize(self, context):
            context.row = -1

        def handle_data(self, context, data):
            context.row += 1
            if context.row in (1, 8):
                self.order_target_percent("A", weights[context.row, 0])

    expected = run_event(Same, bars, used).tables
    for name in ("orders", "fills", "risk_violations", "backtest_results"):
        for column, values in expected[name].items():
            assert list(found[name][column]) == list(values), (name, column)
    assert found["orders"]["reason"] == [None, "margin call", None]
    assert found["risk_violations"]["timestamp"] == [bars.timestamps[3]]
