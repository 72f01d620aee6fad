from decimal import Decimal

import numpy as np
import pytest

from backtrail.engine import (
    MarginConfig,
    SignalBars,
    Strategy,
    TradingAlgorithm,
    run_event,
    run_signal,
    signal_bars,
)
from backtrail.engine.market import Market
from backtrail.errors import StrategyError

from .support import config, listed, make_bars, rows, scripted

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
            assert listed(found[name][column]) == listed(values), (name, column)
    assert found["orders"]["reason"] == [None, "margin call", None]
    assert found["risk_violations"]["timestamp"] == [bars.timestamps[3]]


def test_an_indicator_is_computed_once_for_all_sets_that_ask_for_it():
    calls = []

    def momentum(close, length):
        calls.append((len(close), length))
        return np.concatenate((np.full(length, N), close[length:] - close[:-length]))[: len(close)]

    bars = make_bars({"A": [1, 2, 4, 8, 16], "B": [N, 5, 5, N, 7]})
    view = SignalBars(Market(bars))
    found = view.indicator(momentum, length=1)
    np.testing.assert_array_equal(found, np.array([[N, 1, 2, 4, 8], [N, N, 0, N, 2]]).T)
    assert not found.flags.writeable
    before = len(calls)
    assert view.indicator(momentum, length=1) is found
    assert view.indicator(momentum, ("close",), length=1) is found
    assert len(calls) == before
    assert view.indicator(momentum, "open", length=1) is not found
    assert view.indicator(momentum, length=2)[4, 0] == 12.0
    assert {length for _, length in calls} == {1, 2}


def test_of_indicators_the_latest_are_kept(monkeypatch):
    calls = []

    def shifted(close, by):
        calls.append(by)
        return close + by

    monkeypatch.setattr(signal_bars, "_KEPT_BYTES", 2 * 8 * 3)
    view = SignalBars(Market(make_bars({"A": [1, 2, 3]})))
    for by in (1, 2, 1, 3, 1):  # 3 pushes 2 out, which was not asked for since
        view.indicator(shifted, by=by)
    calls.clear()
    for by in (1, 3):
        view.indicator(shifted, by=by)
    assert calls == []
    view.indicator(shifted, by=2)
    assert set(calls) == {2}


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda view: view.indicator(lambda close: np.flip(close)), "looks ahead"),
        (lambda view: view.indicator(np.sign, "mood"), "'mood'; use some of open"),
        (lambda view: view.indicator(np.power, x2=[1]), "cannot be kept apart.*numbers, texts"),
        (lambda view: view.indicator(lambda close: 1.0), "returned float"),
    ],
)
def test_indicators_that_are_none_are_refused(ask, message):
    view = SignalBars(Market(make_bars({"A": [1, 2, 3, 5]})))
    with pytest.raises(StrategyError, match=message):
        ask(view)
