"""Wealth begins with the capital: what the fills of the first close cost is lost nowhere."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from backtrail.artifacts.schemas import ARTIFACT_SCHEMAS
from backtrail.engine import Strategy, TradingAlgorithm, run_event, run_signal
from backtrail.metrics import attribution_columns, equity_returns, metric, summarize_tables
from backtrail.metrics.own import own_metrics
from backtrail.optimization.sweep import SWEEP_METRICS, Sweep
from backtrail.reports import charting, trading
from backtrail.reports.rolling import rolling_windows
from backtrail.reports.tables import monthly_returns, yearly_drawdowns
from tests.unit.engine.support import config, listed, make_bars, rows

CAPITAL = 100_000.0
RULES = {"capital": "100000", "cost": "0.05", "fill": "same_close"}
FLAT = make_bars({"A": [100.0] * 10})
UP = make_bars({"A": [100.0, 110.0, 110.0, 99.0, 110.0, 121.0]})


class BuyAtOnce(TradingAlgorithm):
    def initialize(self, context):
        context.is_new = True

    def handle_data(self, context, data):
        if context.is_new:
            self.order("A", 500)
        context.is_new = False


@dataclass(frozen=True)
class Params:
    share: float = 0.5


def first_bar_weights(bars, params):
    weights = np.full(bars.close.shape, np.nan)
    weights[0] = params.share
    return weights


HALF = Strategy("half", "signal", Params, target_weights=first_bar_weights)


def summary(bars, **rules):
    tables = run_event(BuyAtOnce, bars, config(**{**RULES, **rules})).tables
    made = summarize_tables(tables, periods_per_year=252, capital_base=CAPITAL)
    return {row.metric: row.value for row in made}, tables


def test_costs_of_the_first_close_are_in_growth_profit_and_drawdown():
    found, tables = summary(FLAT)
    assert list(tables["backtest_results"]["portfolio_value"]) == [97_500.0] * 10
    assert found["total_return"] == pytest.approx(-0.025, abs=1e-15)
    assert found["max_drawdown"] == pytest.approx(-0.025, abs=1e-15)
    assert found["cagr"] == pytest.approx(0.975 ** (252 / 9) - 1.0)
    assert found["calmar_ratio"] == pytest.approx((0.975 ** (252 / 9) - 1.0) / 0.025)
    assert found["ulcer_index"] == pytest.approx(0.025)
    assert (found["net_pnl"], found["gross_pnl"]) == (-2_500.0, 0.0)
    # One loss of 2.5 % among nine returns.
    assert found["worst_return"] == pytest.approx(-0.025)
    assert found["annual_mean_return"] == pytest.approx(-0.025 / 9 * 252)
    assert found["sharpe_ratio"] == pytest.approx(-(252**0.5) / 3.0)
    total = rows(attribution_columns(tables, CAPITAL))[0]
    assert (total["net_pnl"], total["gross_pnl"]) == (found["net_pnl"], found["gross_pnl"])


def test_a_rise_of_the_second_bar_does_not_hide_the_drawdown_of_the_first():
    found, tables = summary(UP)
    curve = tables["backtest_results"]
    assert list(curve["portfolio_value"]) == [97_500, 102_500, 102_500, 97_000, 102_500, 108_000]
    assert found["total_return"] == pytest.approx(0.08)
    assert curve["drawdown"][0] == pytest.approx(-0.025)
    assert found["max_drawdown"] == pytest.approx(97_000 / 102_500 - 1.0)
    assert np.isnan(curve["returns"][0])
    assert curve["returns"][1] == pytest.approx(0.025)  # from the capital
    assert curve["returns"][2:] == pytest.approx(
        [0.0, 97 / 102.5 - 1, 102.5 / 97 - 1, 108 / 102.5 - 1]
    )
    mild, _ = summary(make_bars({"A": [100.0, 110.0, 110.0]}))
    assert mild["max_drawdown"] == pytest.approx(-0.025)
    assert mild["calmar_ratio"] == pytest.approx((1.025 ** (252 / 2) - 1.0) / 0.025)


def test_the_count_of_returns_does_not_depend_on_a_cost_of_the_first_close():
    free, costly = (
        equity_returns([start, 101_000.0, 102_000.0], CAPITAL) for start in (100_000.0, 99_999.0)
    )
    assert list(free) == list(costly) == pytest.approx([0.01, 102 / 101 - 1])
    assert equity_returns([99_999.0, 101_000.0]) == pytest.approx([101_000 / 99_999 - 1])
    assert equity_returns([99_999.0], CAPITAL) is None
    assert equity_returns([99_999.0, -1.0, 5.0], CAPITAL) is None


def test_runs_whose_first_equity_is_the_capital_keep_every_bit():
    _, tables = summary(UP, fill="next_open")
    ours, without = (
        summarize_tables(tables, periods_per_year=252, capital_base=capital)
        for capital in (CAPITAL, None)
    )
    assert ours == without
    value = np.asarray(tables["backtest_results"]["portfolio_value"])
    assert value[0] == CAPITAL
    falls = value / np.maximum.accumulate(value) - 1.0
    assert list(tables["backtest_results"]["drawdown"]) == list(falls)
    assert list(tables["backtest_results"]["returns"][1:]) == list(value[1:] / value[:-1] - 1.0)


@pytest.mark.parametrize("ledger", ["decimal", "float64"])
def test_both_forms_have_the_same_curve(ledger):
    used = config(**RULES, ledger=ledger)
    event = run_event(BuyAtOnce, UP, used).tables["backtest_results"]
    signal = run_signal(HALF, UP, used).tables["backtest_results"]
    assert signal["drawdown"][0] == pytest.approx(-0.025)
    for name, values in event.items():
        assert listed(signal[name]) == listed(values), name


@metric
def compounded(returns):
    """What the returns compound to."""
    return float(np.prod(1.0 + returns) - 1.0)


def test_a_sweep_counts_the_costs_of_the_first_close():
    own = own_metrics({"compounded": compounded}, strategy="half", builtin=tuple)
    strategy = Strategy("half", "signal", Params, target_weights=first_bar_weights, metrics=own)
    sweep = Sweep(strategy, UP, config(**RULES), periods_per_year=252)
    found = sweep.evaluate([{"share": 0.5}, {"share": 0.0}], keep_returns=True)
    expected, _ = summary(UP, ledger="float64")
    for name in SWEEP_METRICS:
        value = np.nan if expected[name] is None else expected[name]
        assert found.metrics[name][0] == pytest.approx(value, rel=1e-9, nan_ok=True), name
    assert found.metrics["compounded"][0] == pytest.approx(0.08)
    assert np.prod(1.0 + found.returns[0]) == pytest.approx(1.08)
    assert list(found.returns[1]) == [0.0] * 5
    # An account in signal form that begins later begins there with the capital.
    late = Sweep(strategy, UP, config(**RULES), periods_per_year=252, first=3)
    found = late.evaluate([{"share": 0.5}], keep_returns=True)
    shares = 505  # half of the capital at 99, in whole shares
    last = CAPITAL - shares * 99 * 1.05 + shares * 121
    assert found.metrics["total_return"][0] == pytest.approx(last / CAPITAL - 1.0)
    assert np.prod(1.0 + found.returns[0]) == pytest.approx(last / CAPITAL)


def test_an_account_in_event_form_that_is_looked_at_from_a_later_row_begins_with_its_value():
    strategy = Strategy("event", "class", None, algorithm=BuyAtOnce)
    sweep = Sweep(strategy, UP, config(**RULES), periods_per_year=252, first=3)
    found = sweep.evaluate([{}], keep_returns=True)
    assert found.metrics["total_return"][0] == pytest.approx(108 / 97 - 1.0)
    assert found.returns[0] == pytest.approx([102.5 / 97 - 1.0, 108 / 102.5 - 1.0])


def frame(name, columns):
    schema = ARTIFACT_SCHEMAS[name]
    taken = {column: listed(columns[column]) for column in schema}
    return pl.DataFrame(taken).cast(schema)


def test_reports_begin_with_the_capital():
    _, tables = summary(UP)
    curve = {**tables["backtest_results"], "benchmark_returns": [None, *[0.1] * 5]}
    results = frame("backtest_results", {**curve, "drawdown": list(curve["drawdown"])})
    start = charting.starting_equity(results)
    assert start == pytest.approx(CAPITAL)
    assert charting.benchmark_equity(results)[0] == pytest.approx(CAPITAL)
    moments = results["timestamp"].to_physical().to_numpy()
    equity = results["portfolio_value"].to_numpy()
    (year,) = monthly_returns(moments, equity, start)
    assert year.total == pytest.approx(0.08)
    mild = equity[:3]
    (fall,) = yearly_drawdowns(moments[:3], mild, start).values()
    assert fall == pytest.approx(-0.025)
    fills = frame("fills", tables["fills"])
    costs = trading.costs_of(
        results, fills, pl.DataFrame(schema=ARTIFACT_SCHEMAS["corporate_actions"])
    )
    assert (costs.net, costs.gross) == (pytest.approx(8_000.0), pytest.approx(10_500.0))


def test_a_rolling_window_has_the_first_return():
    days = np.arange(200, dtype=np.int64) * 86_400_000_000
    equity = np.full(200, 97_500.0)
    windows = [
        rolling_windows(days, equity, None, calendar="XNYS", timeframe="1d", start=start)[0]
        for start in (CAPITAL, None)
    ]
    assert windows[0].volatility[0] > 0.0
    assert windows[1].volatility[0] == 0.0
    assert windows[0].volatility[-1] == 0.0
