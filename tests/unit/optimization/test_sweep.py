import os
import subprocess
import sys
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtrail.engine import (
    CommissionConfig,
    InstrumentConfig,
    MarginConfig,
    SlippageConfig,
    TradingAlgorithm,
    run_event,
    run_signal,
)
from backtrail.engine.strategy import Strategy
from backtrail.metrics import metric
from backtrail.metrics.own import own_metrics
from backtrail.metrics.summary import summarize_tables
from backtrail.optimization.sweep import SWEEP_METRICS, Sweep
from backtrail.validation import without_first
from tests.unit.engine.support import config, make_bars

RULES = st.fixed_dictionaries(
    {
        "fill": st.sampled_from(["next_open", "next_close"]),
        "size_at": st.sampled_from(["signal_close", "fill"]),
        "shares": st.sampled_from(["whole", "fractional"]),
        "cash_policy": st.sampled_from(["clip", "reject", "overdraw"]),
    }
)


@dataclass(frozen=True)
class Seeded:
    seed: int = 0


def random_weights(bars, params):
    """Weights from -1 to 1 that change now and then, with some NaN."""
    rng = np.random.default_rng(params.seed)
    weights = rng.choice([0.0, 0.3, 0.5, 1.0, -0.4, np.nan], size=bars.close.shape)
    return np.where(rng.random(bars.close.shape) < 0.4, weights, np.nan)


RANDOM = Strategy("random", "signal", Seeded, target_weights=random_weights)


def random_bars(seed, symbols=1, rows=60, *, events=False):
    rng = np.random.default_rng(seed)
    closes, opens, splits, dividends = {}, {}, {}, {}
    for name in "CABD"[:symbols]:  # not in the order of the names
        close = np.round(50 * np.exp(np.cumsum(rng.normal(0, 0.02, rows))), 2)
        closes[name], opens[name] = close, np.round(close * (1 + rng.normal(0, 0.01, rows)), 2)
        if events:
            splits[name, int(rng.integers(5, rows))] = float(rng.choice([2.0, 3.0, 0.1]))
            dividends[name, int(rng.integers(5, rows))] = 0.37
    return make_bars(closes, opens, splits=splits, dividends=dividends)


def engine_metrics(strategy, bars, rules, values, risk_free=0.0):
    runner = run_signal if strategy.form == "signal" else run_event
    result = runner(strategy, bars, replace(rules, ledger="float64"), params=values)
    summary = summarize_tables(result.tables, periods_per_year=252, risk_free=risk_free)
    rows = {row.metric: row.value for row in summary}
    return [np.nan if rows[name] is None else rows[name] for name in SWEEP_METRICS], result


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    symbols=st.integers(1, 4),
    events=st.booleans(),
    cost=st.sampled_from(["0", "0.001", "0.02"]),
    rules=RULES,
    rate=st.sampled_from([0.0, 0.05, -0.02]),
)
def test_both_accounts_give_the_metrics_of_the_event_engine(
    seed, symbols, events, cost, rules, rate
):
    bars = random_bars(seed, symbols, events=events)
    rules = config(cost=cost, capital="10000", **rules)
    by_way = []
    for compiled in (True, False):
        sweep = Sweep(RANDOM, bars, rules, periods_per_year=252, risk_free=rate, compiled=compiled)
        assert sweep.is_compiled
        found = sweep.evaluate([{"seed": seed}, {"seed": seed + 1}], keep_returns=True)
        for number in range(2):
            values = {"seed": seed + number}
            expected, result = engine_metrics(RANDOM, bars, rules, values, rate)
            metrics = [found.metrics[name][number] for name in SWEEP_METRICS]
            np.testing.assert_allclose(metrics, expected, rtol=1e-9, atol=1e-11)
            curve = np.asarray(result.tables["backtest_results"]["portfolio_value"])
            returns = curve[1:] / curve[:-1] - 1
            np.testing.assert_allclose(found.returns[number], returns, atol=1e-11)
        assert found.errors == (None, None)
        by_way.append(found)
    for name in SWEEP_METRICS:
        left, right = (found.metrics[name] for found in by_way)
        np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(by_way[0].returns, by_way[1].returns, rtol=1e-12, atol=1e-14)


WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None  # as where it is not installed
from tests.unit.optimization.test_sweep import RANDOM, config, random_bars
from backtrail.optimization.sweep import SWEEP_METRICS, Sweep
sweep = Sweep(RANDOM, random_bars(7, 2), config(), periods_per_year=252, compiled=True)
for seed in (1, 2):
    found = sweep.evaluate([{"seed": seed}])
    print(*(repr(float(found.metrics[name][0])) for name in SWEEP_METRICS))
"""


def test_without_numba_a_sweep_says_so_once_and_gives_the_same_numbers():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMBA], cwd=root, capture_output=True, text=True, check=True
    )
    said = [[float(value) for value in line.split()] for line in done.stdout.splitlines()]
    sweep = Sweep(RANDOM, random_bars(7, 2), config(), periods_per_year=252, compiled=True)
    found = sweep.evaluate([{"seed": 1}, {"seed": 2}])
    expected = np.array([found.metrics[name] for name in SWEEP_METRICS]).T
    np.testing.assert_allclose(said, expected, rtol=1e-12)
    assert done.stderr.count("install backtrail[sweep]") == 1


def test_a_trip_that_earned_no_more_than_a_rounding_is_no_win():
    bars = random_bars(32419, 4)
    rules = config(capital="10000", fill="next_close", cash_policy="reject")
    expected, result = engine_metrics(RANDOM, bars, rules, {"seed": 32420})
    assert Decimal(0) in result.tables["trades"]["pnl"]
    for compiled in (True, False):
        sweep = Sweep(RANDOM, bars, rules, periods_per_year=252, compiled=compiled)
        found = sweep.evaluate([{"seed": 32420}])
        assert found.metrics["win_rate"][0] == expected[SWEEP_METRICS.index("win_rate")]


NUMBA_LOADED = """
import sys
from tests.unit.optimization.test_sweep import RANDOM, config, random_bars
from backtrail.optimization.sweep import Sweep
sweep = Sweep(RANDOM, random_bars(7, 2), config(), periods_per_year=252)
loaded = ["numba" in sys.modules]
for sets in (20, 2000):
    sweep.evaluate([{"seed": 1}] * sets)
    loaded.append("numba" in sys.modules)
print(*loaded)
"""


def test_numba_is_loaded_for_as_many_sets_as_are_worth_it():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    done = subprocess.run(
        [sys.executable, "-c", NUMBA_LOADED], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False", "True"]


def test_gaps_and_delistings_go_through_the_event_engine():
    closes = {"A": [10.0, np.nan, 11.0, 12.0, 13.0], "B": [20.0, 21.0, 22.0, np.nan, np.nan]}
    bars = make_bars(closes, delisted={"B": 2})
    rules = config(capital="10000")
    sweep = Sweep(RANDOM, bars, rules, periods_per_year=252)
    assert not sweep.is_compiled
    found = sweep.evaluate([{"seed": 3}])
    expected, _ = engine_metrics(RANDOM, bars, rules, {"seed": 3})
    assert [found.metrics[name][0] for name in SWEEP_METRICS] == pytest.approx(
        expected, nan_ok=True
    )


@dataclass(frozen=True)
class Amount:
    shares: int = 1


class BuyAndHold(TradingAlgorithm):
    def handle_data(self, context, data):
        if not context.portfolio.positions:
            self.order("A", context.params.shares)


def test_a_strategy_in_event_form_is_swept_with_the_same_interface():
    bars = make_bars({"A": [10.0, 11.0, 12.0, 12.0]})
    strategy = Strategy("hold", "class", Amount, algorithm=BuyAndHold)
    found = Sweep(strategy, bars, config(), periods_per_year=252).evaluate(
        [{"shares": 10}, {"shares": 20}]
    )
    # Bought at 11 on the second bar, worth 12 from the third on: 1 of gain a share on 1,000.
    assert found.metrics["total_return"].tolist() == pytest.approx([0.01, 0.02])


@pytest.mark.parametrize("compiled", [True, False])
def test_a_set_that_fails_is_a_row_with_its_error_and_the_others_go_on(compiled):
    def weights(bars, params):
        if params.seed == 1:
            raise RuntimeError("no signal today")
        return np.full(bars.close.shape, np.inf if params.seed == 2 else 1.0)

    bars = make_bars({"A": [10.0, 11.0, 12.0]})
    strategy = Strategy("fails", "signal", Seeded, target_weights=weights)
    sets = [{"seed": 0}, {"seed": 1}, {"seed": 2}, {"seed": "x"}, {"seed": 4}]
    sweep = Sweep(strategy, bars, config(), periods_per_year=252, compiled=compiled)
    found = sweep.evaluate(sets)
    assert found.errors[0] is None
    assert found.errors[1] == "RuntimeError: no signal today"
    assert "infinite weight for A at bar 0" in found.errors[2]
    assert "parameter 'seed' is 'x', expected int" in found.errors[3]
    assert np.isnan(found.metrics["total_return"]).tolist() == [False, True, True, True, False]
    assert found.metrics["total_return"][4] == found.metrics["total_return"][0] > 0


class Trader(TradingAlgorithm):
    """Buys, fails or breaks its own limit, as the seed says."""

    def initialize(self, context):
        if context.params.seed == 2:
            self.set_max_leverage(0.5, on_error="fail")

    def handle_data(self, context, data):
        self.order("A" if context.params.seed != 1 else "B", 10)
        if context.params.seed == 3:
            raise RuntimeError("no signal today")


TRADER = Strategy("trader", "class", Seeded, algorithm=Trader)


@pytest.mark.parametrize(
    "settings_", [{}, {"commission": CommissionConfig("per_share", Decimal("0.01"))}]
)
def test_a_fault_of_the_engine_is_none_of_a_set(settings_):
    """Of our own is what happens when the periods per year are no number."""
    bars = make_bars({"A": [10.0, 11.0, 12.0]})
    for strategy in (RANDOM, TRADER):
        sweep = Sweep(strategy, bars, config(**settings_), periods_per_year="many")
        with pytest.raises(TypeError):
            sweep.evaluate([{"seed": 0}])


def test_what_a_strategy_in_event_form_raises_or_may_not_do_fails_its_set_alone():
    bars = make_bars({"A": [10.0, 11.0, 12.0]})
    small = config(capital="100")
    found = Sweep(TRADER, bars, small, periods_per_year=252).evaluate(
        [{"seed": seed} for seed in range(4)]
    )
    assert found.errors[0] is None
    assert found.errors[1].startswith("OrderError: unknown symbol 'B'")
    assert found.errors[2].startswith("RiskViolationError: set_max_leverage")
    assert found.errors[3] == "RuntimeError: no signal today"


def test_memory_that_runs_out_is_no_failure_of_a_set():
    def greedy(bars, params):
        raise MemoryError

    strategy = Strategy("greedy", "signal", Seeded, target_weights=greedy)
    bars = make_bars({"A": [10.0, 11.0, 12.0]})
    with pytest.raises(MemoryError):
        Sweep(strategy, bars, config(), periods_per_year=252).evaluate([{}])


@pytest.mark.parametrize("compiled", [True, False])
def test_a_ruined_account_has_the_metrics_that_the_engine_gives_it(compiled):
    bars = make_bars({"A": [10.0, 10.0, 30.0, 40.0]})
    strategy = Strategy(
        "short", "signal", None, target_weights=lambda bars, _: np.full(bars.close.shape, -1.0)
    )
    sweep = Sweep(strategy, bars, config(), periods_per_year=252, compiled=compiled)
    found = sweep.evaluate([{}])
    expected, _ = engine_metrics(strategy, bars, config(), {})
    assert [found.metrics[name][0] for name in SWEEP_METRICS] == pytest.approx(
        expected, nan_ok=True
    )
    assert np.isnan(found.metrics["sharpe_ratio"][0])


UNCOMPILED = """
import numpy as np
from tests.unit.optimization.test_sweep import RANDOM, config, random_bars
from backtrail.optimization.sweep import SWEEP_METRICS, Sweep
from backtrail.validation import without_first
bars = random_bars(7, 3, events=True)
rules = config(cost="0.001", capital="10000")
sweep = Sweep(RANDOM, bars, rules, periods_per_year=252, compiled=True)
found = sweep.evaluate([{"seed": number} for number in range(5)])
print([[found.metrics[name][row].hex() for name in SWEEP_METRICS] for row in range(5)])
"""


def test_without_compilation_every_number_is_the_same_to_the_last_bit():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    said = [
        subprocess.run(
            [sys.executable, "-c", UNCOMPILED],
            cwd=root,
            env={**os.environ, "NUMBA_DISABLE_JIT": disabled},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for disabled in ("0", "1")
    ]
    assert said[0] == said[1]
    assert said[0].count("0x") > 40


@pytest.mark.parametrize(
    "settings_",
    [
        {"fill": "same_close"},
        {"commission": CommissionConfig("per_share", Decimal("0.01"), Decimal(1))},
        {"commission": CommissionConfig("per_trade", Decimal(5))},
        {"slippage": SlippageConfig("fixed_bps", basis_points=Decimal(10))},
        {"margin": MarginConfig(initial=Decimal(2))},
        {"instruments": {"C": InstrumentConfig(lot=Decimal(10))}},
    ],
    ids=lambda one: next(iter(one)) + str(next(iter(one.values())))[:40],
)
def test_what_the_kernel_has_no_rule_for_is_swept_by_the_event_engine(settings_):
    bars = random_bars(11)
    rules = config(capital="10000", **{k: v for k, v in settings_.items() if k == "fill"})
    rules = replace(rules, **{k: v for k, v in settings_.items() if k != "fill"})
    sweep = Sweep(RANDOM, bars, rules, periods_per_year=252)
    assert not sweep.is_compiled
    expected, _ = engine_metrics(RANDOM, bars, rules, {"seed": 5})
    plain, _ = engine_metrics(RANDOM, bars, config(capital="10000"), {"seed": 5})
    found = sweep.evaluate([{"seed": 5}])
    metrics = [found.metrics[name][0] for name in SWEEP_METRICS]
    np.testing.assert_allclose(metrics, expected, rtol=1e-9)
    assert abs(expected[0] - plain[0]) > 1e-6


def test_true_and_false_are_weights_of_one_and_zero():
    def rising(bars, params):
        return bars.sma(2) > bars.sma(5)

    def weights(bars, params):
        return np.where(rising(bars, params), 1.0, 0.0)

    bars = random_bars(3, rows=200)
    found = [
        Sweep(
            Strategy("s", "signal", None, target_weights=one),
            bars,
            config(),
            periods_per_year=1,
            compiled=True,
        )
        .evaluate([{}])
        .metrics
        for one in (rising, weights)
    ]
    assert found[0]["total_trades"][0] > 5
    assert {n: v[0].hex() for n, v in found[0].items()} == {
        n: v[0].hex() for n, v in found[1].items()
    }


@pytest.mark.parametrize("compiled", [True, False])
def test_sets_of_several_blocks_stand_in_the_order_they_were_given(compiled):
    def weights(bars, params):
        if params.seed % 100 == 7:
            raise RuntimeError(f"not {params.seed}")
        if params.seed == 400:  # borrows until the account is ruined
            return np.full(bars.close.shape, -60.0)
        return random_weights(bars, params)  # some hundred changes: more than was set aside

    bars = random_bars(5, rows=400)
    strategy = Strategy("mixed", "signal", Seeded, target_weights=weights)
    rules = config(cost="0.001", capital="10000", cash_policy="overdraw")
    sweep = Sweep(strategy, bars, rules, periods_per_year=252, compiled=compiled)
    found = sweep.evaluate([{"seed": seed} for seed in range(600)], keep_returns=True)
    assert [n for n, text in enumerate(found.errors) if text] == [7, 107, 207, 307, 407, 507]
    assert found.errors[307] == "RuntimeError: not 307"
    for seed in (0, 255, 256, 400, 511, 512, 599):
        expected, result = engine_metrics(strategy, bars, rules, {"seed": seed})
        metrics = [found.metrics[name][seed] for name in SWEEP_METRICS]
        np.testing.assert_allclose(metrics, expected, rtol=1e-9, atol=1e-11)
        curve = np.asarray(result.tables["backtest_results"]["portfolio_value"])
        np.testing.assert_allclose(found.returns[seed], curve[1:] / curve[:-1] - 1, atol=1e-11)
    assert np.isnan(found.metrics["sharpe_ratio"]).nonzero()[0].tolist() == sorted(
        [7, 107, 207, 307, 400, 407, 507]
    )
    assert np.isnan(found.returns[307]).all()


def known_weights(bars, params):
    """Weights by the mean of ten bars, NaN wherever nothing changes."""
    sums = np.cumsum(np.vstack([np.zeros(bars.close.shape[1]), bars.close]), axis=0)
    above = np.zeros(bars.close.shape)
    above[9:] = bars.close[9:] > (sums[10:] - sums[:-10]) / 10.0
    changed = np.diff(above, axis=0, prepend=np.nan) != 0.0
    return np.where(changed, above, np.nan)


@pytest.mark.parametrize("compiled", [True, False])
def test_an_account_may_begin_when_the_indicators_are_full(compiled):
    bars = random_bars(3, rows=120)
    # With the margin the kernel has no rules, and the event engine takes over.
    rules = config(shares="fractional", margin=MarginConfig(None if compiled else Decimal("0.9")))
    own = Strategy("known", "signal", Seeded, target_weights=known_weights)
    sweep = Sweep(own, bars, rules, periods_per_year=252, first=40, compiled=compiled)
    assert sweep.is_compiled is compiled
    found = sweep.evaluate([{"seed": 0}], keep_returns=True)
    assert found.errors == (None,)
    # The account of the rows from 40 on, that begins with the weight which lasts there.
    whole = known_weights(bars, None)
    lasting = whole[40:].copy()
    lasting[0] = whole[:41][~np.isnan(whole[:41, 0])][-1]
    later = without_first(bars, 40)
    wanted = run_signal(lambda *_: lasting, later, rules)
    equity = np.asarray(wanted.tables["backtest_results"]["portfolio_value"])
    assert found.returns[0] == pytest.approx(equity[1:] / equity[:-1] - 1.0, abs=1e-9)
    rows = {row.metric: row.value for row in summarize_tables(wanted.tables, periods_per_year=252)}
    for name in SWEEP_METRICS:
        assert found.metrics[name][0] == pytest.approx(rows[name], rel=1e-9), name


class Buyer(TradingAlgorithm):
    """Buys one share every third bar and sells all at the twelfth."""

    def initialize(self, context):
        context.bar = 0

    def handle_data(self, context, data):
        if context.bar % 12 == 11:
            self.order_target("A", 0)
        elif context.bar % 3 == 0:
            self.order("A", 1)
        context.bar += 1


def test_in_event_form_the_account_goes_on_and_is_looked_at_from_there():
    bars = random_bars(4, rows=80)
    bars = replace(bars, symbols=("A",))
    own = Strategy("buyer", "class", None, algorithm=Buyer)
    whole = Sweep(own, bars, config(), periods_per_year=252).evaluate([{}], keep_returns=True)
    later = Sweep(own, bars, config(), periods_per_year=252, first=30)
    found = later.evaluate([{}], keep_returns=True)
    assert found.returns[0] == pytest.approx(whole.returns[0][30:])
    # Round trips are entered at the bars 1, 13, 25, 37, 49, 61 and 73.
    assert (whole.metrics["total_trades"][0], found.metrics["total_trades"][0]) == (6.0, 3.0)


@metric
def worst_five(returns, periods_per_year):
    return float(np.sort(returns)[:5].sum() * periods_per_year)


@metric
def above_cash(returns, risk_free_per_period):
    return float(np.mean(returns) - risk_free_per_period)


@metric
def later_half(equity, timestamps):
    middle = timestamps[0] + (timestamps[-1] - timestamps[0]) / 2
    return float(equity[-1] / equity[timestamps >= middle][0])


@metric
def longest_trade(trades):
    return int(trades["bars_held"].max()) if len(trades["bars_held"]) else None


def with_metrics(*functions):
    named = {function.__name__: function for function in functions}
    return replace(RANDOM, metrics=own_metrics(named, strategy="random", builtin=lambda: ()))


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    first=st.sampled_from([0, 20]),
    fill=st.sampled_from(["next_open", "next_close"]),
    shares=st.sampled_from(["whole", "fractional"]),
)
def test_own_metrics_of_the_kernel_are_those_of_the_event_engine(seed, first, fill, shares):
    bars, rules = random_bars(seed, 2), config(capital="10000", fill=fill, shares=shares)
    quick, slow = (
        Sweep(with_metrics(*functions), bars, rules, periods_per_year=252, first=first)
        for functions in ((worst_five, later_half), (worst_five, later_half, longest_trade))
    )
    assert (quick.is_compiled, slow.is_compiled) == (True, False)
    assert quick.metric_names == (*SWEEP_METRICS, "worst_five", "later_half")
    sets = [{"seed": seed}, {"seed": seed + 1}]
    found, expected = quick.evaluate(sets), slow.evaluate(sets)
    assert found.errors == expected.errors == (None, None)
    assert set(found.metrics) == set(quick.metric_names)
    for name in quick.metric_names:
        np.testing.assert_allclose(
            found.metrics[name], expected.metrics[name], rtol=1e-9, atol=1e-11, err_msg=name
        )


@pytest.mark.parametrize("compiled", [False, True])
def test_cash_is_below_a_risk_free_rate_at_every_bar(compiled):
    """An account that never trades: 4 returns of 0 below a target of 0.1, by hand."""
    still = Strategy("still", "signal", target_weights=lambda b, p: np.zeros(b.close.shape))
    bars = make_bars({"A": [10.0, 11.0, 12.0, 13.0, 14.0]})
    sweep = Sweep(still, bars, config(), periods_per_year=2, risk_free=0.21, compiled=compiled)
    found = sweep.evaluate([{}]).metrics
    assert np.isnan(found["sharpe_ratio"][0])  # nothing varies
    # -0.1 over sqrt(4 * 0.1^2 / 4), times sqrt(2)
    assert found["sortino_ratio"][0] == pytest.approx(-(2.0**0.5), rel=1e-12)


@pytest.mark.parametrize("functions", [(above_cash,), (above_cash, longest_trade)])
def test_an_own_metric_gets_the_rate_of_a_bar_in_both_ways_of_a_sweep(functions):
    bars, sets = random_bars(8, 2), [{"seed": 8}]
    strategy = with_metrics(*functions)
    plain = Sweep(strategy, bars, config(), periods_per_year=2).evaluate(sets)
    found = Sweep(strategy, bars, config(), periods_per_year=2, risk_free=0.21).evaluate(sets)
    lower = plain.metrics["above_cash"][0] - found.metrics["above_cash"][0]
    assert lower == pytest.approx(0.1, rel=1e-12)


def test_own_metrics_of_a_sweep_are_those_of_an_exact_run():
    strategy = with_metrics(worst_five, later_half, longest_trade)
    bars, exact = random_bars(5, 2), config(capital="10000", ledger="decimal")
    found = Sweep(strategy, bars, exact, periods_per_year=252).evaluate([{"seed": 5}])
    tables = run_signal(strategy, bars, exact, params={"seed": 5}).tables
    rows = summarize_tables(tables, periods_per_year=252, own=strategy.metrics)[-3:]
    assert [row.metric for row in rows] == ["worst_five", "later_half", "longest_trade"]
    assert rows[2].value > 1.0
    assert [found.metrics[row.metric][0] for row in rows] == pytest.approx(
        [row.value for row in rows], rel=1e-9
    )


def test_a_set_whose_own_metric_raises_is_a_row_with_its_error_and_no_figure():
    @metric
    def picky(equity):
        if equity[-1] < 1_000:
            raise ValueError("a loss")
        return 1.0

    bars = random_bars(3)
    for functions, compiled in (((later_half, picky), True), ((picky, longest_trade), False)):
        sweep = Sweep(with_metrics(*functions), bars, config(), periods_per_year=252)
        assert sweep.is_compiled is compiled
        found = sweep.evaluate([{"seed": n} for n in range(8)], keep_returns=True)
        told = (
            "StrategyError: metric picky raised ValueError: a loss; let it return None where it is "
            "undefined"
        )
        assert set(found.errors) == {None, told}
        failed = np.array([error is not None for error in found.errors])
        for name, column in found.metrics.items():
            assert np.isnan(column[failed]).all(), name
        assert (found.metrics["picky"][~failed] == 1.0).all()
        assert np.isnan(found.returns[failed]).all()
        assert np.isfinite(found.returns[~failed]).all()


@metric
def beat(returns, benchmark_returns):
    return float(np.mean(returns > benchmark_returns))


@metric
def beat_by_trades(returns, benchmark_returns, trades):
    return float(np.mean(returns > benchmark_returns)) + len(trades["pnl"])


@pytest.mark.parametrize("first", [0, 5])
@pytest.mark.parametrize("outside", [False, True])
def test_own_metrics_against_the_benchmark_are_those_of_an_exact_run(first, outside):
    bars = random_bars(5, 2, 40)
    other = random_bars(6, 1, 40)
    symbol, others = ("C", other) if outside else ("A", None)
    for wanted in ((beat,), (beat, beat_by_trades)):  # by the kernel, and by the event engine
        strategy = with_metrics(*wanted)
        sweep = Sweep(
            strategy, bars, config(), periods_per_year=252, benchmark=symbol,
            benchmark_bars=others, first=first, compiled=True,
        )  # fmt: skip
        found = sweep.evaluate([{"seed": 3}], keep_returns=True)
        source = (other if outside else bars).close
        column = 0 if outside else bars.symbols.index("A")
        held = source[1:, column] / source[:-1, column] - 1.0
        share = float(np.mean(found.returns[0] > held[first:]))
        assert 0.0 < share < 1.0
        assert found.metrics["beat"].tolist() == [share]
        if len(wanted) == 2:
            assert found.metrics["beat_by_trades"][0] % 1.0 == pytest.approx(share)
    alone = Sweep(with_metrics(beat), bars, config(), periods_per_year=252)
    assert np.isnan(alone.evaluate([{}]).metrics["beat"]).all()
    assert alone.evaluate([{}]).errors == (None,)
