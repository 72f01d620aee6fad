"""Sweeps of the step form: compiled or not, the numbers are those of the engine."""

import math
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from decimal import Decimal
from types import FunctionType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtrail.engine import SlippageConfig, load_strategy, run_signal
from backtrail.engine.stepping import Step
from backtrail.engine.strategy import Strategy
from backtrail.metrics.summary import summarize_tables
from backtrail.optimization.sweep import SWEEP_METRICS, Sweep
from backtrail.validation import without_first
from tests.unit.engine.support import ROOT, config, make_bars, strategy_module
from tests.unit.optimization.test_sweep import RULES, random_bars

DEEPEST = 0.3


@dataclass(frozen=True)
class Params:
    stop: float = 0.05
    length: int = 5
    short: bool = False
    limit: float | None = None


def inputs(bars, params):
    return {"mean": bars.sma(params.length), "up": bars.close > bars.open}


def distance(peak, close):
    return min(1.0 - close / peak, DEEPEST)


def trailing(close, mean, up, weight, memory, symbols, stop, short, limit):
    """Follow a trailing stop, wait after it, and go short when it is allowed."""
    if weight != 0.0:
        memory[0] = max(memory[0], close)
        if distance(memory[0], close) > stop:
            memory[1] = 3.0
            return -0.5 / symbols if short else 0.0
        return None
    if memory[1] > 0.0:
        memory[1] -= 1.0
        return math.nan
    if limit is not None and close > limit:
        return None
    if close > mean and up:
        memory[0] = close
        return 1.0 / symbols
    return None


TRAILING = Strategy(
    "trailing", "step", Params, target_weights=Step("trailing", trailing, inputs, Params)
)


def swept(strategy, bars, sets, rules=None, **options):
    sweep = Sweep(strategy, bars, rules or config(), periods_per_year=252, **options)
    return sweep.evaluate(sets, keep_returns=True)


def of_step(function, inputs=None, params=None):
    step = Step("made", function, inputs, params)
    return Strategy("made", "step", params, target_weights=step)


def engine_metrics(strategy, bars, rules, values):
    result = run_signal(strategy, bars, replace(rules, ledger="float64"), params=values)
    rows = {row.metric: row.value for row in summarize_tables(result.tables, periods_per_year=252)}
    return [np.nan if rows[name] is None else rows[name] for name in SWEEP_METRICS]


def assert_equal(left, right):
    assert left.errors == right.errors
    for name in SWEEP_METRICS:
        np.testing.assert_allclose(
            left.metrics[name], right.metrics[name], rtol=1e-12, atol=1e-12, err_msg=name
        )
    np.testing.assert_allclose(left.returns, right.returns, rtol=1e-12, atol=1e-14)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    symbols=st.integers(1, 3),
    events=st.booleans(),
    cost=st.sampled_from(["0", "0.001", "0.02"]),
    rules=RULES,
)
def test_both_ways_give_the_metrics_of_the_event_engine(seed, symbols, events, cost, rules):
    rng = np.random.default_rng(seed)
    bars, rules = random_bars(seed, symbols, events=events), config(cost=cost, **rules)
    sets = [
        {"stop": float(rng.uniform(0.005, 0.2)), "length": int(rng.integers(1, 20)), "short": short}
        for short in (False, True)
    ]
    compiled, plain = (swept(TRAILING, bars, sets, rules, compiled=way) for way in (True, False))
    assert compiled.errors == (None, None)
    assert_equal(compiled, plain)
    for number, values in enumerate(sets):
        expected = engine_metrics(TRAILING, bars, rules, values)
        found = [compiled.metrics[name][number] for name in SWEEP_METRICS]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def test_fifty_sets_of_the_model_strategy_have_the_metrics_of_exact_runs():
    rng = np.random.default_rng(11)
    bars, rules = random_bars(11, 2, rows=900), config(cost="0.001", capital="100000")
    sets = [
        {
            "length": int(rng.integers(2, 60)),
            "stop": float(rng.uniform(0.01, 0.2)),
            "pause": int(rng.integers(0, 10)),
        }
        for _ in range(50)
    ]
    with strategy_module("trailing_breakout") as module:
        strategy = load_strategy(module)
        found = swept(strategy, bars, sets, rules, compiled=True)
        assert found.errors == (None,) * 50
        assert len(set(found.metrics["total_trades"])) > 10
        for number, values in enumerate(sets):
            tables = run_signal(strategy, bars, rules, params=values).tables
            for row in summarize_tables(tables, periods_per_year=252):
                if row.metric in SWEEP_METRICS:
                    value = np.nan if row.value is None else row.value
                    assert found.metrics[row.metric][number] == pytest.approx(
                        value, rel=1e-9, abs=1e-11, nan_ok=True
                    ), (row.metric, values)


def test_an_account_may_begin_late_and_takes_the_weight_that_lasts():
    bars, sets = random_bars(3, 2, rows=120), [{"stop": 0.02}, {"stop": 0.1}]
    compiled, plain = (swept(TRAILING, bars, sets, first=40, compiled=way) for way in (True, False))
    assert_equal(compiled, plain)
    later = without_first(bars, 40)
    from backtrail.engine import SignalBars
    from backtrail.engine.market import Market

    whole = TRAILING.target_weights(SignalBars(Market(bars)), Params(0.02))
    wanted = run_signal(lambda *_: whole[40:], later, config())
    equity = np.asarray(wanted.tables["backtest_results"]["portfolio_value"])
    assert whole[40].max() > 0
    np.testing.assert_allclose(plain.returns[0], equity[1:] / equity[:-1] - 1.0, atol=1e-9)


def test_gaps_and_costs_that_the_kernel_does_not_know_go_through_the_engine():
    rng = np.random.default_rng(2)
    closes = {name: np.round(50 + np.cumsum(rng.normal(0, 1, 80)), 2) for name in "AB"}
    closes["B"][:7] = closes["A"][30:33] = np.nan
    bars = make_bars(closes, {name: values - 0.1 for name, values in closes.items()})
    rules = config(slippage=SlippageConfig("fixed_bps", basis_points=Decimal(10)))
    found = []
    for way in (True, False):
        sweep = Sweep(TRAILING, bars, rules, periods_per_year=252, compiled=way)
        assert not sweep.is_compiled
        found.append(sweep.evaluate([{"stop": 0.02}, {"stop": 0.1}], keep_returns=True))
    assert_equal(*found)
    assert found[0].metrics["total_trades"][0] > 3


def test_an_error_of_a_step_is_the_same_in_both_ways_and_is_the_row_s():
    def step(close, memory, stop):
        memory[0] += 1.0
        if stop == 0.1 and memory[0] > 4.0:
            raise ValueError("too long")
        if stop == 0.2:
            return close / (memory[0] - 3.0)
        if stop == 0.3:
            memory[int(memory[0]) * 2] = 1.0
        return math.inf if stop == 0.4 else stop

    bars = make_bars({"A": np.arange(10.0, 20.0)})
    sets = [{"stop": stop} for stop in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)]
    strategy = of_step(step, None, Params)
    compiled, plain = (swept(strategy, bars, sets, compiled=way) for way in (True, False))
    assert_equal(compiled, plain)
    assert [error and error.partition(":")[0] for error in compiled.errors] == [
        None, "ValueError", "ZeroDivisionError", "IndexError", "StrategyError", None,
    ]  # fmt: skip
    assert "an infinite weight for A at bar 0" in compiled.errors[4]


def of_words(close, weight):
    names = {"in": 1.0}
    names["out"] = [0.0]
    return names["in"] if close > 11 else names["out"][0]


LEVELS = {"in": 1.0}


def of_global(close):
    return LEVELS["in"] if close > 11 else 0.0


def of_file(close):
    with open(os.devnull) as stream:
        return 1.0 if not stream.read() and close > 11 else 0.0


@pytest.mark.parametrize(
    ("function", "line", "said"),
    [
        (of_words, 2, "No implementation of function Function(<built-in function setitem>)"),
        (of_global, 1, "Untyped global name 'LEVELS': Cannot determine Numba type of <class 'd"),
        (of_file, 0, "The 'with (context manager) as (variable):' construct is not supported"),
    ],
)
def test_a_step_that_numba_cannot_compile_is_stepped_in_python_which_is_said(
    function, line, said, caplog
):
    bars = make_bars({"A": [10, 11, 12, 13, 11, 9]})
    sweep = Sweep(of_step(function), bars, config(), periods_per_year=252, compiled=True)
    found = [sweep.evaluate([{}], keep_returns=True) for _ in range(2)]
    plain = swept(of_step(function), bars, [{}], compiled=False)
    assert_equal(found[0], plain)
    assert_equal(found[1], plain)
    assert plain.metrics["total_return"][0] != 0.0
    (record,) = caplog.records
    place = f"test_stepped.py, line {function.__code__.co_firstlineno + line}"
    assert record.getMessage().startswith(f"step of strategy made is not compiled ({place}: {said}")
    assert record.getMessage().endswith("or pass compiled=False")


def root(close):
    return math.sqrt(close - 11.0)


def test_what_math_refuses_is_refused_by_a_compiled_step_and_is_no_reason_to_leave_it(caplog):
    fine, low = (make_bars({"A": [first, 13, 14, 15, 13, 11, 12]}) for first in (12, 9))
    sets = [{}, {}]
    compiled, plain = (swept(of_step(root), low, sets, compiled=way) for way in (True, False))
    assert_equal(compiled, plain)
    assert plain.errors == ("ValueError: math domain error",) * 2
    assert swept(of_step(root), fine, sets, compiled=True).errors == (None, None)
    assert caplog.records == []


def power(close):  # of a number below zero, which is complex in Python
    return 1.0 if abs((close - 11.0) ** 0.5) > 0.0 else 0.0


def whole(close, length):
    return 1.0 if close < 2**length else 0.5


def product(close, length):
    return 1.0 if close < length * 2_000_000_000_000_000_000 else 0.5


def run_of(close, length):
    total = 1
    for _ in range(length):
        total *= 10
    return 1.0 if close < total else 0.5


def shifted(close, length):
    return 1.0 if close < 1 << length else 0.5


def cut(close, length):
    return int(close * 10.0**length) % 7 / 10.0


def tie(close, length):
    return round(close / 1000.0, length)


def divided(close, length):  # by zero, which numbers of NumPy may do in Python
    with_numpy = np.full(1, close)
    return 1.0 if np.abs(with_numpy[0]) // 1.0 / (length - 70.0) > 0.0 else 0.5


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize(
    ("function", "first", "second", "said"),
    [
        (power, None, None, "compiled it raises ArithmeticError (numbers that math refuses)"),
        (whole, 3, 70, "(a whole number beyond 64 bits, or none), in Python it does not"),
        (product, 3, 70, "compiled it raises ArithmeticError (a whole number beyond 64 bits)"),
        (run_of, 3, 70, "compiled it raises ArithmeticError (a whole number beyond 64 bits)"),
        (shifted, 3, 70, "(a whole number beyond 64 bits, or none), in Python it does not"),
        (cut, 3, 70, "(a whole number beyond 64 bits, or none), in Python it does not"),
        (tie, 1, 2, "compiled it raises ArithmeticError (a number that is rounded otherwise)"),
        (divided, 3, 70, "compiled it raises ZeroDivisionError (division by zero)"),
    ],
)
def test_a_set_for_which_a_step_would_mean_something_else_compiled_is_stepped_in_python_and_so_on(
    function, first, second, said, caplog
):
    bars = make_bars({"A": [1, 2, 10, 125, 13, 11, 9]})
    values = [{}] if first is None else [{"length": length} for length in (first, second, first)]
    params = None if first is None else Params
    compiled, plain = (
        swept(of_step(function, params=params), bars, values, compiled=way) for way in (True, False)
    )
    assert_equal(compiled, plain)
    assert plain.errors == (None,) * len(values)
    (record,) = caplog.records
    assert said in record.getMessage()


def sums(close, length):
    numbers = np.array([close, 2.0])
    same = numbers
    numbers += 1.0
    numbers *= 2.0
    numbers **= 2
    count = 0
    count += length - 2
    cubed = (close / 7.0) ** 3 + close**-0.3 + pow(length, 2) + 1.5**length
    rest = round(close) + round(close / 7.0, 3) + int(close) + math.floor(close / 3.0) + True
    return math.tanh((same[0] + count + cubed + rest + math.pi + (length << 2)) / 1e4)


@pytest.mark.slow
def test_guards_change_no_number(caplog):
    bars = random_bars(7)
    sets = [{"length": length} for length in range(1, 30)]
    strategy = of_step(sums, params=Params)
    compiled, plain = (swept(strategy, bars, sets, compiled=way) for way in (True, False))
    assert_equal(compiled, plain)
    assert set(plain.errors) == {None}
    assert len(set(plain.metrics["total_return"])) > 20
    assert caplog.records == []


def nameless(close):
    if close > 10.0:
        share = 0.5
    return share


def test_a_name_that_may_have_no_value_is_not_compiled(caplog):
    strategy = of_step(nameless)
    bars = make_bars({"A": [11, 12, 13, 9, 12]})
    compiled, plain = (swept(strategy, bars, [{}], compiled=way) for way in (True, False))
    assert_equal(compiled, plain)
    (error,) = plain.errors
    assert error.startswith("UnboundLocalError: ")
    (record,) = caplog.records
    assert "Detected uninitialized variable share" in record.getMessage()


@dataclass(frozen=True)
class Sized:
    size: int | float = 1.5


def compared(close, size):  # compiled, a whole number is a float first
    return 1.0 if size == 9007199254740992.0 and close > 9.0 else 0.5


def test_another_type_of_a_parameter_is_held_against_python_once_more(caplog):
    strategy = of_step(compared, params=Sized)
    bars = make_bars({"A": [11, 12, 13, 9, 12]})
    sets = [{"size": 1.5}, {"size": 9007199254740993}, {"size": 1.5}]
    compiled, plain = (swept(strategy, bars, sets, compiled=way) for way in (True, False))
    assert_equal(compiled, plain)
    (record,) = caplog.records
    assert "for A at bar 0 it would ask for 1.0, in Python for 0.5" in record.getMessage()


STOP = 0.0
LEVELS_THEN = np.array([0.0])


def inputs_that_set(bars, params):
    global STOP
    STOP = float(params.length)
    return {}


def inputs_that_write(bars, params):
    LEVELS_THEN[0] = params.length
    return {}


def above_stop(close):
    return 1.0 if close > STOP else 0.5


def above_level(close):
    return 1.0 if close > LEVELS_THEN[0] else 0.5


@pytest.mark.parametrize(
    ("function", "inputs"), [(above_stop, inputs_that_set), (above_level, inputs_that_write)]
)
def test_a_global_that_changes_between_sets_is_seen(function, inputs, caplog):
    strategy = of_step(function, inputs, Params)
    bars = make_bars({"A": [11, 12, 13, 9, 12]})
    sets = [{"length": 12}, {"length": 1}, {"length": 12}]
    plain = swept(strategy, bars, sets, compiled=False)
    compiled = swept(strategy, bars, sets, compiled=True)
    assert_equal(compiled, plain)
    assert plain.metrics["total_return"][0] != plain.metrics["total_return"][1]
    (record,) = caplog.records
    assert "a global that it names was changed" in record.getMessage()


SCRIPT = """
import sys
from tests.unit.optimization.test_stepped import TRAILING, config, random_bars
from backtrail.engine import run_signal
from backtrail.optimization.sweep import SWEEP_METRICS, Sweep
if {hidden}:
    sys.modules["numba"] = None
bars = random_bars(7, 2)
run_signal(TRAILING, bars, config(), params={{"stop": 0.03}})
sweep = Sweep(TRAILING, bars, config(), periods_per_year=252, compiled={compiled})
found = sweep.evaluate([{{"stop": 0.03}}, {{"stop": 0.1}}])
print(sys.modules.get("numba") is not None, *(found.metrics[n].tolist() for n in SWEEP_METRICS))
"""


def run_script(**how):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(**how)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )


def test_runs_and_small_sweeps_do_not_import_numba_and_without_it_the_numbers_are_the_same():
    small, hidden = (
        run_script(hidden=False, compiled=None),
        run_script(hidden=True, compiled=True),
    )
    assert small.stdout.startswith("False ")
    assert small.stdout == hidden.stdout
    assert hidden.stderr.count("install backtrail[sweep]") == 1
    assert small.stderr == ""


FACTOR = 2.0
LEVEL = np.array([1.0, 2.0])


def shared(close):
    return close * FACTOR


def using(close):
    return shared(close) + LEVEL[0] + math.floor(np.abs(close)) + np.pi


def content(function=using, **names):
    """Return the content of a function that stands elsewhere, among other globals."""
    from backtrail.optimization.compiled_step import content_of  # imports Numba

    moved = function.__code__.replace(co_filename="/elsewhere/x.py", co_firstlineno=99)
    there = {**function.__globals__, **names}
    return content_of(Step("x", FunctionType(moved, there, "step")))


def test_a_step_is_known_by_what_it_does_and_by_nothing_else():
    def other(close):
        return close * FACTOR + 1.0

    from backtrail.optimization.compiled_step import content_of

    alike = content_of(Step("y", using))
    assert alike == content()
    assert len(alike) == 64
    changed = [
        content(shared=other),
        content(LEVEL=np.array([1.0, 2.5])),
        content(LEVEL=np.array([1, 2])),
        content(np=math),
        content(shared=3),
        content_of(Step("y", shared)),
    ]
    assert len({alike, *changed}) == 7
    deeper = FunctionType(shared.__code__, {**shared.__globals__, "FACTOR": 3.0}, "shared")
    assert content(shared=deeper) not in {alike, *changed}


def test_a_step_with_parts_that_cannot_be_looked_at_is_kept_nowhere():
    assert content(shared=os) is None
    assert content(shared=LEVELS) is None
    assert content(LEVEL=object()) is None


def test_a_number_that_a_step_names_is_the_one_it_has_when_a_sweep_begins(monkeypatch):
    bars, found = random_bars(7), []
    for deepest in (DEEPEST, 0.01):
        monkeypatch.setitem(distance.__globals__, "DEEPEST", deepest)
        for way in (True, False):
            found.append(swept(TRAILING, bars, [{"stop": 0.03}], compiled=way))
    assert_equal(found[0], found[1])
    assert_equal(found[2], found[3])
    assert found[0].metrics["total_return"][0] != found[2].metrics["total_return"][0]


KEPT = """
import sys
from pathlib import Path
from backtrail.optimization import compiled_step
from tests.unit.optimization import test_stepped as own
compiled_step.cache_from_source = lambda _: sys.argv[1] + "/x.pyc"
own.DEEPEST = float(sys.argv[2])
found = own.swept(own.TRAILING, own.random_bars(7, 2), [{"stop": 0.03}], compiled=True)
loop = compiled_step.compiled_step(own.TRAILING.target_weights)._loop
print(
    found.metrics["total_return"][0].hex(),
    len(list(Path(sys.argv[1], "steps").glob("*/loop.txt"))),
    sum(loop.stats.cache_hits.values()),
)
"""


def kept(folder, deepest=DEEPEST):
    """Return what a new process finds, how many loops are kept, and whether it loaded its own."""
    done = subprocess.run(
        [sys.executable, "-c", KEPT, str(folder), str(deepest)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    value, loops, loaded = done.stdout.split()
    return float.fromhex(value), int(loops), bool(int(loaded))


@pytest.mark.slow
def test_what_was_compiled_is_found_by_the_next_process_and_never_by_a_changed_step(tmp_path):
    result, *first = kept(tmp_path)
    assert first == [1, False]
    assert kept(tmp_path) == (result, 1, True)
    # A number that is named by a function which the step calls.
    other, *changed = kept(tmp_path, 0.01)
    assert changed == [2, False]
    assert other != result
    for path in tmp_path.rglob("*.nbc"):
        path.write_bytes(b"damaged")
    assert kept(tmp_path)[0] == result
    assert list(tmp_path.rglob("*.py")) == []  # the library's fingerprint looks at those


def test_loops_made_long_before_the_latest_are_forgotten_but_for_the_latest_few(tmp_path):
    from backtrail.optimization.compiled_step import forget_old

    for number in range(70):
        folder = tmp_path / f"{number:02}"
        folder.mkdir()
        (folder / "loop.txt").write_text("a loop")
        age = 3_600 * number  # an hour between two
        os.utime(folder, (10**9 - age, 10**9 - age))
    forget_old(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{n:02}" for n in range(64)]
    for path in tmp_path.iterdir():  # all of the same day
        os.utime(path, (10**9, 10**9))
    for number in range(70, 80):
        (tmp_path / str(number)).mkdir()
        os.utime(tmp_path / str(number), (10**9 - 60, 10**9 - 60))
    forget_old(tmp_path)
    assert len(list(tmp_path.iterdir())) == 74


def test_where_nothing_can_be_kept_a_step_is_compiled_all_the_same(tmp_path, monkeypatch, caplog):
    from backtrail.optimization import compiled_step

    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(
        compiled_step, "cache_from_source", lambda _: str(tmp_path / "file" / "x.pyc")
    )

    def step(close, mean, memory):
        memory[-1] += 1.0
        return 1.0 if close > mean and memory[2] > 4.0 else 0.0

    made = Step("made", step, lambda bars, _: {"mean": bars.sma(3)}, None, 3)
    strategy = Strategy("made", "step", target_weights=made)
    bars = random_bars(4, 2)
    assert_equal(*(swept(strategy, bars, [{}], compiled=way) for way in (True, False)))
    assert caplog.records == []
    loop = compiled_step.compiled_step(made)._loop
    assert len(loop.signatures) == 1
    assert loop.stats.cache_path is None
