from dataclasses import dataclass
from decimal import Decimal
from types import ModuleType
from typing import Literal

import pytest

from backtrail.engine import TradingAlgorithm, load_strategy, params_from
from backtrail.errors import StrategyError

HANDLER = "def handle_data(context, data): pass\n"
CLASS = (
    "from backtrail.engine import TradingAlgorithm\n"
    "class One(TradingAlgorithm):\n    def handle_data(self, context, data): pass\n"
)


def module(source, name="made"):
    made = ModuleType(name)
    exec(compile(source, name, "exec"), made.__dict__)
    return made


@pytest.mark.parametrize(
    ("source", "form", "name"),
    [
        (HANDLER, "function", "made"),
        (CLASS, "class", "One"),
        (CLASS + "class Two(One): pass\n", "class", "Two"),
        ("def target_weights(bars, params): pass\n", "signal", "made"),
        ("def step(close, weight): return 1.0\n", "step", "made"),
    ],
)
def test_form_is_found(source, form, name):
    strategy = load_strategy(module(source))
    assert (strategy.form, strategy.name, strategy.params_type) == (form, name, None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "no entry point"),
        ("from backtrail.engine import TradingAlgorithm\n", "no entry point"),
        (HANDLER + "def target_weights(b, p): pass\n", "handle_data and target_weights"),
        (HANDLER + CLASS, "class One and handle_data"),
        (CLASS + CLASS.replace("One", "Two"), "class One and class Two"),
        (
            "def target_weights(b, p): pass\ndef before_trading_start(c, d): pass\n",
            "target_weights and before_trading_start",
        ),
        (
            "from backtrail.engine import TradingAlgorithm\nclass A(TradingAlgorithm): pass\n",
            "no handle_data",
        ),
        (
            "def step(x): return x\n" + CLASS,
            "class One and step; .*; if step is a helper, give it another name, as _step, or",
        ),
        (
            "def step(close): close > 1\n",
            "step of strategy made returns a value at no place, so it would never trade",
        ),
        (
            "def step(close):\n    if close > 1:\n        return\n",
            "step of strategy made returns a value at no place",
        ),
        (
            "def handle_data(context): pass\n",
            r"handle_data of strategy made takes \(context\); it is called with \(context, data\)",
        ),
        (
            HANDLER + "def initialize(): pass\n",
            r"initialize of strategy made takes \(\); it is called with \(context\)",
        ),
        (
            CLASS + "    def analyze(context, perf): pass\n",
            r"analyze of class One takes \(context, perf\); it is called with \(self, context, p",
        ),
        (
            CLASS + "    def __init__(self, n): pass\n",
            r"class One takes \(n\); it is called with \(\)",
        ),
        (
            "def target_weights(bars): pass\n",
            r"target_weights of strategy made takes \(bars\); it is called with \(bars, params\)",
        ),
        (
            "def inputs(bars): pass\ndef step(close): return 1.0\n",
            r"inputs of strategy made takes \(bars\); it is called with \(bars, params\)",
        ),
        (
            HANDLER + "import dataclasses as d\n@d.dataclass(frozen=True)\nclass Params:\n"
            "    days: int = 3\n    window = 20\n    LIMITS = (1, 2)\n    _own = 3\n",
            "Params of strategy made has window without a type, so no run can set it; write window:"
            " int = 20, or",
        ),
        (HANDLER + "class Params: pass\n", "no frozen dataclass"),
        (HANDLER + "import dataclasses as d\n@d.dataclass\nclass Params: pass\n", "no frozen"),
        (
            HANDLER
            + "import dataclasses as d\n@d.dataclass(frozen=True)\nclass Params:\n    x: int\n",
            "no default for x",
        ),
    ],
)
def test_module_that_breaks_the_contract_is_refused(source, message):
    with pytest.raises(StrategyError, match=message):
        load_strategy(module(source))


@dataclass(frozen=True)
class Params:
    fast: int = 10
    slow: int = 50
    weight: float = 1.0
    side: Literal["long", "short"] = "long"
    cost: Decimal = Decimal(0)
    names: tuple[str, ...] = ()
    stop: float | None = None
    strict: bool = True

    def __post_init__(self):
        if self.fast >= self.slow:
            raise ValueError("fast has to be below slow")


def _strategy():
    made = module(HANDLER)
    made.Params = Params
    return load_strategy(made)


def test_params_are_converted_to_their_annotations():
    found = params_from(
        _strategy(),
        {"fast": 5, "weight": 1, "cost": 0.1, "names": ["A", "B"], "stop": 2, "side": "short"},
    )
    assert found == Params(5, 50, 1.0, "short", Decimal("0.1"), ("A", "B"), 2.0)
    assert type(found.weight) is float
    assert type(found.stop) is float
    assert params_from(_strategy()) == Params()
    assert params_from(_strategy(), {"stop": None}).stop is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fats": 5}, r"unknown parameter 'fats' \(there are: cost, fast,"),
        ({"fast": 5.0}, "'fast' is 5.0, expected int"),
        ({"fast": True}, "'fast' is True, expected int"),
        ({"strict": 1}, "expected bool"),
        ({"side": "flat"}, "one of 'long', 'short'"),
        ({"cost": "much"}, "expected a number"),
        ({"names": "A"}, "expected a list"),
        ({"names": [1]}, "expected str"),
        ({"stop": "x"}, "expected float or null"),
        ({"fast": "5", "other": 1}, "unknown parameter 'other'.*; parameter 'fast' is '5'"),
        ({"fast": 60}, "refuses its parameters: fast has to be below slow"),
    ],
)
def test_wrong_params_are_named(values, message):
    with pytest.raises(StrategyError, match=message):
        params_from(_strategy(), values)


def test_strategy_without_params_takes_none():
    strategy = load_strategy(module(HANDLER))
    assert params_from(strategy, {}) is None
    with pytest.raises(StrategyError, match="takes no parameters, got fast"):
        params_from(strategy, {"fast": 1})


def test_base_class_is_no_strategy_and_needs_a_run():
    with pytest.raises(StrategyError, match="no run is bound"):
        TradingAlgorithm().order("A", 1)


TOOLS = """
from backtrail.engine import TradingAlgorithm


def prepare(context): ...
def decide(context, data): ...
def look(context, perf): ...


class One(TradingAlgorithm):
    def handle_data(self, context, data): ...

    @staticmethod
    def inner(context, data): ...


class Two(TradingAlgorithm):
    def handle_data(self, context, data): ...


NUMBER = 5
"""


def test_what_is_the_strategy_may_be_given_by_qualified_names():
    made = module(TOOLS)
    found = load_strategy(made, {"handle_data": "decide", "analyze": "look"})
    assert (found.form, found.handle_data, found.analyze) == (
        "function", made.decide, made.look
    )  # fmt: skip
    assert found.initialize is None
    found = load_strategy(made, {"initialize": "prepare", "handle_data": "One.inner"})
    assert (found.initialize, found.handle_data) == (made.prepare, made.One.inner)
    found = load_strategy(made, {"class": "Two"})
    assert (found.form, found.algorithm, found.name) == ("class", made.Two, "Two")


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"handle_data": "absent"}, r"defines no 'absent', which was given as handle_data"),
        ({"handle_data": "decide.<locals>.f"}, r"defines no 'decide\.<locals>\.f'"),
        ({"handle_data": "NUMBER"}, r"'NUMBER' .* is int and cannot be called"),
        ({"class": "decide"}, r"decide of strategy \w+ is no subclass of TradingAlgorithm"),
        ({"initialize": "prepare"}, r"is given by initialize; name a class, or handle_data"),
        ({"handle_data": "decide", "class": "One"}, r"is given by class, handle_data"),
        ({"handle_data": "decide", "before": "prepare"}, r"is given by before, handle_data"),
        ({}, r"is given by nothing"),
    ],
)
def test_names_that_make_no_strategy_are_refused(functions, message):
    with pytest.raises(StrategyError, match=message):
        load_strategy(module(TOOLS), functions)
