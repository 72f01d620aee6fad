import json
import math
import pickle
import types
from array import array
from decimal import Decimal

import numpy as np
import pytest

from backtrail.artifacts.schemas import ARTIFACT_SCHEMAS
from backtrail.batch.execution.evaluation import calendar_sessions, engine_config, evaluate_run
from backtrail.engine import Bars, load_strategy
from backtrail.errors import StrategyError

IDENTITY = {
    "ledger": "decimal",
    "execution": {
        "fill": "next_close", "size_at": "fill", "shares": "fractional", "cash_policy": "reject",
    },
    "commission": {"model": "per_dollar", "cost": "0.001"},
    "capital_base": "5000.5",
    "benchmark": "AAA",
    "params": {},
}  # fmt: skip
DAY = 86_400_000_000


def bars_of(*closes, symbol="AAA"):
    column = np.array(closes, dtype=float)
    names = ("open", "high", "low", "close", "volume")
    return Bars.single(symbol, np.arange(len(closes)) * DAY, dict.fromkeys(names, column))


def holder(module="event"):
    found = types.ModuleType("holder")
    if module == "signal":
        found.target_weights = lambda bars, params: np.full(bars.close.shape, 1.0)
        return load_strategy(found)
    from backtrail.engine.api import order

    found.handle_data = lambda context, data: order("AAA", 1) if context.start else None
    found.initialize = lambda context: setattr(context, "start", True)
    return load_strategy(found)


def evaluate(strategy, bars, benchmark_bars=None, **changes):
    return evaluate_run(
        strategy, {**IDENTITY, **changes}, bars, benchmark_bars, seed=3, periods_per_year=252.0
    )


@pytest.mark.parametrize("form", ["event", "signal"])
def test_every_artifact_of_a_run_comes_with_its_declared_columns(form):
    tables = evaluate(holder(form), bars_of(10, 11, 12))
    assert list(tables) == [
        "backtest_results", "orders", "fills", "positions", "trades", "corporate_actions",
        "recorded", "risk_violations", "attribution", "summary",
    ]  # fmt: skip
    for name, table in tables.items():
        assert set(table) == set(ARTIFACT_SCHEMAS[name])


def test_columns_are_lists_and_arrays_that_need_no_numpy_to_be_read():
    tables = evaluate(holder(), bars_of(10, 11, 12))
    for table in tables.values():
        assert {type(column) for column in table.values()} <= {list, array}
    curve = tables["backtest_results"]
    assert curve["timestamp"] == array("q", [0, DAY, 2 * DAY])
    assert curve["portfolio_value"].typecode == "d"
    assert math.isnan(curve["returns"][0])  # missing
    assert b"numpy" not in pickle.dumps(tables)


def test_the_identity_decides_how_the_engine_runs():
    tables = evaluate(holder(), bars_of(10, 11, 12))
    fills = tables["fills"]
    assert fills["price"] == [Decimal(11), Decimal(12)]  # the close of the next bar
    assert fills["commission"] == [Decimal("0.011"), Decimal("0.012")]
    assert tables["backtest_results"]["cash"][0] == 5000.5
    config = engine_config({**IDENTITY, "ledger": "float64"}, 7)
    assert (config.ledger, config.seed, config.capital_base) == ("float64", 7, Decimal("5000.5"))
    assert (config.rules.fill, config.rules.size_at) == ("next_close", "fill")
    assert (config.rules.shares, config.rules.cash_policy) == ("fractional", "reject")
    assert (config.commission.model, config.commission.cost) == ("per_dollar", Decimal("0.001"))


def test_costs_margin_and_instruments_of_the_identity_reach_the_engine():
    used = engine_config(
        {
            **IDENTITY,
            "commission": {"model": "per_share", "cost": "0.01", "min_trade_cost": "2"},
            "slippage": {"model": "volume_share", "volume_limit": "0.1", "price_impact": "0.2"},
            "margin": {"initial": "0.5"},
            "instruments": {"AAA": {"lot": "0.5", "tick": "0.01"}},
        },
        7,
    )
    assert (used.commission.cost, used.commission.min_trade_cost) == (Decimal("0.01"), 2)
    assert used.slippage.values == {"volume_limit": Decimal("0.1"), "price_impact": Decimal("0.2")}
    assert (used.margin.initial, used.margin.maintenance) == (Decimal("0.5"), None)
    assert used.instruments["AAA"].lot == Decimal("0.5")


def test_what_a_strategy_sets_stands_beside_the_figures_it_made():
    from backtrail.engine import api

    def initialize(context):
        api.set_slippage(api.slippage.FixedSlippage(0.2))
        api.set_benchmark("AAA")

    module = types.ModuleType("setting")
    module.initialize = initialize
    module.handle_data = lambda context, data: api.order("AAA", 1)
    tables = evaluate(load_strategy(module), bars_of(10, 11, 12), benchmark=None)
    summary = tables["summary"]
    said = dict(zip(summary["metric"], summary["assumption"], strict=True))
    assert said["total_slippage"].endswith(", fixed spread 0.2, set by the strategy")
    assert said["total_commission"].endswith("all fills, per_dollar cost 0.001")
    assert said["benchmark_total_return"] == "2 common bars, AAA, set by the strategy"
    total = dict(zip(tables["attribution"], next(zip(*tables["attribution"].values(), strict=True)),
                     strict=True))  # fmt: skip
    assert total["slippage"] == pytest.approx(0.2)


def test_scheduled_functions_know_the_calendar_beyond_the_bars():
    from backtrail.engine import api

    found = []
    module = types.ModuleType("monthly")
    module.initialize = lambda context: api.schedule_function(
        lambda context, data: found.append(str(data.current_dt.date())),
        api.date_rules.month_end(),
    )
    module.handle_data = lambda context, data: None
    days = np.arange("2021-03-29", "2021-04-30", dtype="datetime64[D]")
    known = days[np.is_busday(days, holidays=["2021-04-02"])]  # Good Friday; 04-30 is left out
    stamps = known.astype("datetime64[us]").astype(np.int64)
    price = np.full(len(known), 10.0)
    names = ("open", "high", "low", "close", "volume")
    evaluate(load_strategy(module), Bars.single("AAA", stamps, dict.fromkeys(names, price)))
    assert found == ["2021-03-31"]


def test_sessions_of_a_calendar_reach_over_both_ends_of_the_bars_as_far_as_its_table_goes():
    day = np.array([np.datetime64("2021-11-26", "us").astype(np.int64)])
    names = ("open", "high", "low", "close", "volume")
    found = calendar_sessions(Bars.single("A", day, dict.fromkeys(names, np.ones(1))))
    place = int(np.searchsorted(found.days, day[0] // DAY))
    assert 25 < place < len(found.days) - 25
    assert found.closes[place] - found.opens[place] == 210 * 60_000_000
    assert found.opens[place] - day[0] == (14 * 60 + 30) * 60_000_000
    early = np.array([np.datetime64("1700-01-01", "us").astype(np.int64), day[0]])
    columns = dict.fromkeys(names, np.ones(2))
    assert calendar_sessions(Bars.single("A", early, columns)).days[-1] > day[0] // DAY


def test_the_summary_holds_the_metrics_of_the_run_with_their_year():
    summary = evaluate(holder("signal"), bars_of(10, 11, 12))["summary"]
    rows = dict(zip(summary["metric"], summary["value"], strict=True))
    assert rows["benchmark_total_return"] == pytest.approx(0.2)
    assert rows["total_trades"] == 0
    texts = dict(zip(summary["metric"], summary["assumption"], strict=True))
    assert texts["cagr"] == "252 bars a year"
    json.dumps(summary, allow_nan=False)


def test_the_risk_free_rate_of_the_identity_is_that_of_the_metrics():
    """Bought at the second bar: returns of 0, 10 and 20 percent, less 10 percent a bar."""
    identity = {
        **IDENTITY,
        "execution": {**IDENTITY["execution"], "cash_policy": "clip"},
        "commission": {"model": "none", "cost": "0"},
        "risk_free_rate": "0.21",
    }
    bars = bars_of(10, 10, 11, 13.2)
    found = evaluate_run(holder("signal"), identity, bars, None, seed=3, periods_per_year=2.0)
    rows = dict(zip(found["summary"]["metric"], found["summary"]["value"], strict=True))
    assert rows["total_return"] == pytest.approx(0.32, rel=1e-9)
    assert rows["sharpe_ratio"] == pytest.approx(0.0, abs=1e-7)  # of -0.1, 0 and 0.1
    assert rows["omega_ratio"] == pytest.approx(1.0, rel=1e-7)


def test_a_benchmark_outside_the_universe_is_measured_on_its_own_bars():
    other = bars_of(4, 5, 6, symbol="IDX")
    summary = evaluate(holder(), bars_of(10, 11, 12), other, benchmark="IDX")["summary"]
    rows = dict(zip(summary["metric"], summary["value"], strict=True))
    assert rows["benchmark_total_return"] == pytest.approx(0.5)


def test_parameters_that_the_strategy_does_not_know_are_refused():
    with pytest.raises(StrategyError, match="takes no parameters, got fast"):
        evaluate(holder(), bars_of(10, 11), params={"fast": 1})


@pytest.mark.parametrize("form", ["event", "signal"])
def test_a_run_that_buys_at_its_first_close_says_one_profit_everywhere(form):
    tables = evaluate(
        holder(form),
        bars_of(10, 10, 10),
        execution={**IDENTITY["execution"], "fill": "same_close", "cash_policy": "overdraw"},
        commission={"model": "per_dollar", "cost": "0.05"},
    )
    summary = dict(zip(tables["summary"]["metric"], tables["summary"]["value"], strict=True))
    paid = float(tables["fills"]["commission"][0])
    assert summary["net_pnl"] == tables["attribution"]["net_pnl"][0] < -0.4
    assert summary["net_pnl"] == pytest.approx(-sum(map(float, tables["fills"]["commission"])))
    assert summary["gross_pnl"] == pytest.approx(0.0, abs=1e-9)
    assert summary["total_return"] == pytest.approx(summary["net_pnl"] / 5000.5)
    assert tables["backtest_results"]["drawdown"][0] == pytest.approx(-paid / 5000.5)
