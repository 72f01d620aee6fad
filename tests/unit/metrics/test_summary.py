import numpy as np
import pytest

from backtrail import metrics as m
from backtrail.errors import EmptySeriesError
from backtrail.metrics import summarize

from .golden import BENCHMARK, EQUITY, GOLDEN, RETURNS, TIMES

NAMES = [
    "total_return", "cagr", "cagr_calendar", "annual_mean_return", "best_return", "worst_return",
    "positive_share", "annual_volatility", "downside_deviation", "sharpe_ratio", "sortino_ratio",
    "max_drawdown", "calmar_ratio", "ulcer_index", "omega_ratio", "tail_ratio", "skewness",
    "excess_kurtosis", "value_at_risk", "conditional_value_at_risk", "stability",
    "probabilistic_sharpe_ratio", "benchmark_total_return", "beta", "alpha", "r_squared",
    "tracking_error", "information_ratio", "total_trades", "open_trades", "win_rate",
    "profit_factor", "expectancy", "average_win", "average_loss", "average_bars_held", "exposure",
    "turnover", "gross_pnl", "net_pnl", "total_commission", "total_slippage", "break_even_cost",
]  # fmt: skip


def _rows(*args, **options):
    return {row.metric: row for row in summarize(*args, **options)}


def test_summary_of_the_golden_series_has_the_golden_numbers():
    rows = _rows(EQUITY, TIMES, periods_per_year=252, benchmark_returns=[None, *BENCHMARK])
    assert list(rows) == NAMES
    pairs = {
        "total_return": "total_return", "cagr": "cagr_252", "cagr_calendar": "cagr_calendar_365_25",
        "annual_volatility": "ann_vol", "sharpe_ratio": "sharpe_rf0",
        "sortino_ratio": "sortino_rf0",
        "max_drawdown": "max_drawdown", "calmar_ratio": "calmar_252", "beta": "beta",
        "alpha": "alpha_geom_ann", "information_ratio": "info_ratio_ann",
        "probabilistic_sharpe_ratio": "psr_0_popmoments", "ulcer_index": "ulcer_n",
    }  # fmt: skip
    for metric, golden in pairs.items():
        assert rows[metric].value == pytest.approx(GOLDEN[golden], rel=1e-11), metric
    assert "252 bars a year" in rows["sharpe_ratio"].assumption


def test_summary_with_a_risk_free_rate_compounds_it():
    rows = _rows(EQUITY, TIMES, periods_per_year=252, risk_free=0.02)
    assert rows["sharpe_ratio"].value == pytest.approx(GOLDEN["sharpe_rf2_geom"], rel=1e-11)
    assert rows["sortino_ratio"].value == pytest.approx(GOLDEN["sortino_rf2_geom"], rel=1e-11)


def test_summary_of_flat_equity_says_what_is_undefined():
    rows = _rows([100.0] * 5, range(5), periods_per_year=252)
    assert rows["total_return"].value == 0.0
    assert rows["sharpe_ratio"].value is None
    assert rows["sharpe_ratio"].assumption == "undefined: the returns have no variance"
    assert rows["beta"].assumption == "undefined: no benchmark"
    assert rows["win_rate"].assumption == "undefined: no closed trade"
    assert rows["total_trades"].value == 0.0


def test_summary_of_one_bar_and_of_ruin_defines_no_return():
    assert _rows([1.0], [0], periods_per_year=252)["cagr"].assumption == "undefined: a single bar"
    ruin = _rows([1.0, -1.0, 1.0], [0, 1, 2], periods_per_year=252)
    assert ruin["max_drawdown"].value is None
    assert ruin["total_return"].assumption == "undefined: equity fell to zero or below"


def test_summary_counts_closed_trades_only():
    columns = {"pnl": [5, -2, 9], "bars_held": [1, 3, 7], "is_open": [False, False, True]}
    rows = _rows(
        [100.0, 110.0],
        [0, 1],
        periods_per_year=252,
        trade_columns=columns,
        gross_exposure=[0.0, 1.0],
        fills={"value": [100, -50], "commission": [2, 1], "slippage": [0.5, 0]},
    )
    assert rows["total_trades"].value == 2.0
    assert rows["open_trades"].value == 1.0
    assert rows["profit_factor"].value == 2.5
    assert rows["average_bars_held"].value == 2.0
    assert rows["exposure"].value == 0.5
    assert rows["turnover"].value == pytest.approx(150 / 105 * 252)


def test_summary_says_what_trading_cost_and_what_it_could_have_cost():
    fills = {"value": [100, -50], "commission": [2, 1], "slippage": [0.5, 0]}
    words = {"commission": "per_trade cost 2, set by the strategy", "benchmark": "SPX"}
    rows = _rows(
        [100.0, 110.0], [0, 1], periods_per_year=252, fills=fills, costs=words,
        benchmark_returns=[None, 0.1],
    )  # fmt: skip
    assert (rows["net_pnl"].value, rows["gross_pnl"].value) == (10.0, 13.5)
    assert (rows["total_commission"].value, rows["total_slippage"].value) == (3.0, 0.5)
    assert rows["break_even_cost"].value == pytest.approx(13.5 / 150)
    found = rows["total_commission"].assumption
    assert found == "all fills, per_trade cost 2, set by the strategy"
    assert rows["benchmark_total_return"].assumption == "1 common bars, SPX"
    idle = _rows([1.0, 1.0], [0, 1], periods_per_year=252, fills=dict.fromkeys(fills, ()))
    assert idle["total_commission"].value == 0.0
    assert idle["break_even_cost"].assumption == "undefined: nothing was traded"
    unknown = _rows([1.0, 1.0], [0, 1], periods_per_year=252)
    assert unknown["gross_pnl"].assumption == "undefined: fills are not known"


def test_summary_leaves_out_bars_without_a_benchmark():
    rows = _rows(
        [1.0, 1.1, 1.2], [0, 1, 2], periods_per_year=252, benchmark_returns=[None, None, 0.5]
    )
    assert rows["benchmark_total_return"].value == 0.5
    assert rows["benchmark_total_return"].assumption == "1 common bars"


def test_summary_of_minutes_that_gain_too_much_for_a_year_says_so():
    rows = _rows(
        np.cumprod([1.0, 1.02, 0.99, 1.03]), range(4), periods_per_year=252 * 390,
        benchmark_returns=[None, 0.01, -0.02, 0.02],
    )  # fmt: skip
    assert rows["alpha"].value is None
    assert rows["alpha"].assumption == "undefined: a year of it is no number"
    assert rows["beta"].value == pytest.approx(1.0, abs=0.01)


def test_summary_of_nothing_is_an_error():
    with pytest.raises(EmptySeriesError):
        summarize(np.empty(0), np.empty(0), periods_per_year=252)
    with pytest.raises(ValueError, match="differ in length"):
        summarize([1.0, 2.0], [0], periods_per_year=252)


def test_a_public_function_of_a_metrics_name_gives_the_number_of_the_summary():
    rate = m.risk_free_per_period(0.02, 252)
    fills = {"value": [100.0, -50.0], "commission": [2.0, 1.0], "slippage": [0.5, 0.0]}
    pnl, bars_held = [5.0, -2.0, 3.0], [1, 3, 8]
    exposure = [0.0, 1.0] * (len(EQUITY) // 2) + [1.0]
    rows = _rows(
        EQUITY, TIMES, periods_per_year=252, benchmark_returns=[None, *BENCHMARK],
        trade_columns={"pnl": pnl, "bars_held": bars_held, "is_open": [False] * 3},
        gross_exposure=exposure, fills=fills, risk_free=0.02,
    )  # fmt: skip
    pair, year = (RETURNS, BENCHMARK), (RETURNS, 252)
    arguments = {
        "total_return": (RETURNS,), "cagr": year, "annual_mean_return": year,
        "cagr_calendar": (RETURNS, int(TIMES[0]), int(TIMES[-1])),
        "best_return": (RETURNS,), "worst_return": (RETURNS,), "positive_share": (RETURNS,),
        "annual_volatility": year, "downside_deviation": (*year, rate),
        "sharpe_ratio": (*year, rate), "sortino_ratio": (*year, rate), "max_drawdown": (RETURNS,),
        "calmar_ratio": year, "ulcer_index": (RETURNS,), "omega_ratio": (RETURNS, rate),
        "tail_ratio": (RETURNS,), "skewness": (RETURNS,), "excess_kurtosis": (RETURNS,),
        "value_at_risk": (RETURNS,), "conditional_value_at_risk": (RETURNS,),
        "stability": (RETURNS,), "probabilistic_sharpe_ratio": (RETURNS, 0.0, rate),
        "beta": pair,
        "alpha": (*pair, 252, rate), "r_squared": pair, "tracking_error": (*pair, 252),
        "information_ratio": (*pair, 252), "total_trades": (pnl,), "win_rate": (pnl,),
        "profit_factor": (pnl,), "expectancy": (pnl,), "average_win": (pnl,),
        "average_loss": (pnl,), "average_bars_held": (bars_held,), "exposure": (exposure,),
        "turnover": (fills["value"], EQUITY, 252),
        "break_even_cost": (rows["gross_pnl"].value, 150.0),
    }  # fmt: skip
    assert set(arguments) == set(NAMES) & set(m.__all__)
    for name, given in arguments.items():
        value = rows[name].value
        assert value is not None, name
        assert getattr(m, name)(*given) == pytest.approx(value, rel=1e-12), name
