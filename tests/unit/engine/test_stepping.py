"""The step form: what a step is called with, in which order, and what its answers mean."""

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest

from backtrail.engine import SignalBars, load_strategy, run_event, run_signal
from backtrail.engine.market import Market
from backtrail.engine.stepping import Step
from backtrail.errors import StrategyError

from .support import config, make_bars

N = float("nan")


@dataclass(frozen=True)
class Params:
    stop: float = 0.1
    length: int = 2


def stepped(function, bars, inputs=None, params=None, **options):
    """Return the weights of a step as a list of rows."""
    step = Step("made", function, inputs, None if params is None else type(params), **options)
    found = step(SignalBars(Market(bars)), params)
    return [[None if value != value else value for value in row] for row in found.tolist()]


def strategy_of(source):
    module = ModuleType("made")
    exec(compile(source, "made", "exec"), module.__dict__)
    return load_strategy(module)


def test_a_step_is_given_what_the_names_of_its_parameters_say():
    seen = []

    def inputs(bars, params):
        level = np.arange(3)
        return {"mean": bars.sma(params.length), "level": level, "up": bars.close > 10.0}

    def step(volume, stop, mean, level, up, symbols, weight):
        seen.append((volume, stop, mean, level, up, symbols, weight))

    bars = make_bars({"B": [10, 12, 14], "A": [5, 5, 5]}, volumes={"B": [1, 2, 3], "A": [4, 5, 6]})
    stepped(step, bars, inputs, Params(0.2, 2))
    assert repr(seen) == repr(
        [
            (1.0, 0.2, N, 0.0, 0.0, 2, 0.0),
            (4.0, 0.2, N, 0.0, 0.0, 2, 0.0),
            (2.0, 0.2, 11.0, 1.0, 1.0, 2, 0.0),
            (5.0, 0.2, 5.0, 1.0, 0.0, 2, 0.0),
            (3.0, 0.2, 13.0, 2.0, 1.0, 2, 0.0),
            (6.0, 0.2, 5.0, 2.0, 0.0, 2, 0.0),
        ]
    )


def test_the_last_number_returned_stays_in_force_and_is_handed_on():
    answers = iter([None, 0.5, N, True, None, np.float64(0.25), np.int64(-1)])
    seen = []

    def step(weight):
        seen.append(weight)
        return next(answers)

    found = stepped(step, make_bars({"A": [1.0] * 7}))
    assert found == [[0.0], [0.5], [0.5], [1.0], [1.0], [0.25], [-1.0]]
    assert seen == [0.0, 0.0, 0.5, 0.5, 1.0, 1.0, 0.25]


def test_each_symbol_has_a_memory_of_its_own_that_begins_with_zeros():
    def step(close, memory):
        memory[0] += 1
        memory[-1] = close
        return memory[0] * 100 + memory[-1] + len(memory) / 10

    found = stepped(step, make_bars({"A": [1, 2], "B": [3, 4]}))
    assert found == [[101.8, 103.8], [202.8, 204.8]]
    assert stepped(step, make_bars({"A": [1]}), memory_size=3) == [[101.3]]


def test_memory_holds_numbers_and_no_more_of_them_than_it_has_room_for():
    def beyond(memory):
        memory[8] = 1.0

    def words(memory):
        memory[0] = "high"

    bars = make_bars({"A": [1, 2]})
    with pytest.raises(
        IndexError, match=r"memory has 8 numbers, at 0 to 7; .* MEMORY = n"
    ) as caught:
        stepped(beyond, bars)
    assert caught.traceback[-1].name == "beyond"
    with pytest.raises(IndexError, match=r"^list index out of range$"):
        stepped(lambda close: [close][1], bars)
    with pytest.raises(TypeError):
        stepped(words, bars)


def test_a_symbol_without_a_bar_is_not_asked():
    closes = {"A": [N, 10, N, 12], "B": [5, 6, 7, N]}
    seen = []

    def step(close):
        seen.append(close)
        return close / 100

    bars = make_bars(closes, delisted={"B": 2})
    assert stepped(step, bars) == [[None, 0.05], [0.1, 0.06], [None, 0.07], [0.12, None]]
    assert seen == [5.0, 10.0, 6.0, 7.0, 12.0]


def test_prices_are_adjusted_for_the_splits_so_far_and_what_a_step_keeps_stays_comparable():
    def step(close, memory):
        memory[0] = max(memory[0], close)
        return 1.0 if close >= memory[0] else 0.0

    bars = make_bars({"A": [10, 20, 11, 12]}, splits={("A", 2): 2.0})
    assert stepped(step, bars) == [[1.0], [1.0], [1.0], [1.0]]


def test_numbers_are_those_of_python_so_that_a_division_by_zero_is_an_error():
    def step(close, memory):
        return close / memory[0]

    with pytest.raises(ZeroDivisionError):
        stepped(step, make_bars({"A": [1.0]}))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (float("inf"), "an infinite weight"),
        ("much", "str"),
        (1j, "complex"),
        (np.ones(2), "ndarray"),
    ],
)
def test_what_is_no_weight_is_refused_with_its_place(answer, found):
    answers = iter([0.0, 0.0, 0.0, answer])
    bars = make_bars({"A": [1, 2], "B": [1, 2]})
    message = f"step of strategy made returned {found} for B at bar 1; return a fraction"
    with pytest.raises(StrategyError, match=message):
        stepped(lambda: next(answers), bars)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def step(close, stp): pass\n", r"takes 'stp', which is no field of a bar \(open, high"),
        ("def step(close=1.0): pass\n", "takes close=1.0; .* write plain names without defaults"),
        ("def step(*args): pass\n", r"takes \*args"),
        ("def step(): pass\ndef target_weights(bars, params): pass\n", "target_weights and step"),
        ("def step(): pass\ndef handle_data(c, d): pass\n", "handle_data and step"),
        ("def step(): pass\ndef before_trading_start(c, d): pass\n", "step and before_trading_st"),
        ("MEMORY = 0\ndef step(): pass\n", "MEMORY of strategy made is 0"),
        (
            "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Params:\n"
            "    close: int = 1\ndef step(close): pass\n",
            "takes 'close', which a bar and Params have; give one of them another name",
        ),
    ],
)
def test_a_step_that_cannot_be_called_is_refused_when_it_is_loaded(source, message):
    with pytest.raises(StrategyError, match=message):
        strategy_of(source)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"other": np.ones((3, 1))}, r"takes 'mean', .* returned \(other\)"),
        ({"mean": np.ones((3, 1)), "close": np.ones(3)}, "'close', which a bar and inputs have"),
        ({"mean": [1, 2, 3]}, "returned 'mean' list, no array of numbers"),
        ({"mean": np.ones((2, 1))}, r"returned 'mean' of shape \(2, 1\); .* shape \(3, 1\)"),
        ([1], "returned list; return a dict"),
    ],
)
def test_inputs_that_are_not_what_the_step_takes_are_refused(returned, message):
    with pytest.raises(StrategyError, match=message):
        stepped(lambda close, mean: 1.0, make_bars({"A": [1, 2, 3]}), lambda *_: returned)


TRAILING = """
from dataclasses import dataclass

MEMORY = 1

@dataclass(frozen=True)
class Params:
    stop: float = 0.1

def step(close, weight, memory, stop):
    if weight == 0.0:
        memory[0] = close
        return 1.0
    memory[0] = max(memory[0], close)
    return 0.0 if close < memory[0] * (1.0 - stop) else weight
"""


def test_a_run_trades_the_weights_of_its_step():
    strategy = strategy_of(TRAILING)
    assert (strategy.form, strategy.gives_weights) == ("step", True)
    bars = make_bars({"A": [10, 20, 17, 16, 18, 19]})
    # Bought after the first bar at 20; 17 is 15 % below the peak, so sold at 16, and bought again.
    tables = run_signal(strategy, bars, config(), params={"stop": 0.1}).tables
    assert tables["fills"]["quantity"] == [50, -50, 44]
    assert [float(price) for price in tables["fills"]["price"]] == [20.0, 16.0, 18.0]
    wide = run_signal(strategy, bars, config(), params={"stop": 0.25}).tables
    assert wide["fills"]["quantity"] == [50]


def test_a_step_is_no_event_form():
    with pytest.raises(StrategyError, match="made is in step form; use run_signal"):
        run_event(strategy_of(TRAILING), make_bars({"A": [1, 2]}), config())


def test_what_comes_later_changes_no_weight():
    strategy = strategy_of(TRAILING)
    rng = np.random.default_rng(5)
    close = np.round(50 * np.exp(np.cumsum(rng.normal(0, 0.03, 60))), 2)
    other = np.concatenate([close[:40], close[40:] / 2])
    whole, changed = (
        strategy.target_weights(SignalBars(Market(make_bars({"A": values}))), Params())
        for values in (close, other)
    )
    assert len(np.unique(whole)) == 2
    np.testing.assert_array_equal(whole[:40], changed[:40])
    assert (whole != changed).any()
