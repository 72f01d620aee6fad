"""The strategies a user copies: they run, trade, and refuse wrong parameters."""

import numpy as np
import pytest

from backtrail.engine import load_strategy, params_from, run_event, run_signal
from backtrail.errors import StrategyError

from .support import ROOT, config, make_bars, rows, strategy_module

MODELS = {
    "sma_cross": "class",
    "momentum_rotation": "function",
    "sma_signal": "signal",
    "mean_reversion_minute": "class",
    "trailing_breakout": "step",
}


def _walk(seed, n=700, symbols=("A", "B", "C")):
    rng = np.random.default_rng(seed)
    return make_bars({s: 50 * np.exp(np.cumsum(rng.standard_normal(n) * 0.02)) for s in symbols})


def _run(name, bars, engine_config, **values):
    with strategy_module(name) as module:
        strategy = load_strategy(module)
        assert strategy.form == MODELS[name]
        run = run_signal if strategy.gives_weights else run_event
        return run(strategy, bars, engine_config, params=params_from(strategy, values)).tables


def test_every_strategy_file_is_a_tested_model_and_in_the_readme():
    files = {path.stem for path in (ROOT / "strategies").glob("*.py")}
    assert files == set(MODELS)
    readme = (ROOT / "strategies/README.md").read_text()
    assert all(f"`{name}.py`" in readme for name in files)


@pytest.mark.parametrize("name", MODELS)
def test_model_trades_and_keeps_its_capital_positive(name):
    tables = _run(name, _walk(3), config(cost="0.001", capital="100000"))
    assert len(tables["fills"]["fill_id"]) >= 6
    assert (tables["backtest_results"]["portfolio_value"] > 0).all()
    assert set(tables["orders"]["status"]) <= {"filled", "expired"}


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("sma_cross", {"fast": 50}, "fast has to be below slow"),
        ("sma_cross", {"fast": 1}, "at least 2 bars"),
        ("sma_signal", {"fast": 60}, "fast has to be below slow"),
        ("momentum_rotation", {"top": 0}, "at least one symbol"),
        ("trailing_breakout", {"stop": 1.5}, "fraction between 0 and 1"),
        ("mean_reversion_minute", {"leave_below": 3.0}, "leave_below < enter_below"),
        ("mean_reversion_minute", {"windw": 3}, "unknown parameter 'windw'"),
    ],
)
def test_model_refuses_wrong_parameters(name, values, message):
    with strategy_module(name) as module, pytest.raises(StrategyError, match=message):
        params_from(load_strategy(module), values)


def test_sma_forms_agree_on_random_walks_for_every_parameter():
    for seed in range(6):
        bars = _walk(seed, symbols=("A",))
        engine_config = config(cost="0.002", capital="100000", size_at="fill", shares="fractional")
        for fast, slow in ((2, 7), (5, 20), (10, 130), (20, 200)):
            values = {"fast": fast, "slow": slow}
            event = _run("sma_cross", bars, engine_config, **values)
            signal = _run("sma_signal", bars, engine_config, **values)
            assert event["fills"] == signal["fills"], (seed, values)


def test_rotation_trades_on_the_first_bar_of_a_month_only_and_holds_the_best():
    bars = _walk(1, 400)
    tables = _run("momentum_rotation", bars, config(capital="100000"), lookback=60, top=1)
    months = (bars.timestamps // 1000 // 1000).astype("datetime64[s]").astype("datetime64[M]")
    firsts = set(bars.timestamps[1:][months[1:] != months[:-1]].tolist())
    assert {order["created_at"] for order in rows(tables["orders"])} <= firsts
    decided = int(np.searchsorted(bars.timestamps, tables["orders"]["created_at"][0]))
    growth = bars.close[decided] / bars.close[decided - 60]
    assert tables["fills"]["symbol"][0] == bars.symbols[int(np.argmax(growth))]


def test_breakout_buys_above_the_channel_sells_below_its_peak_and_waits():
    #        channel of 2      bought   peak  stopped  waits   waits  bought
    closes = [10, 10, 10, 11, 12, 14, 12.5, 20, 30, 31, 32, 33]
    bars = make_bars({"A": closes})
    values = {"length": 2, "stop": 0.1, "pause": 2}
    tables = _run("trailing_breakout", bars, config(), **values)
    # Above the channel at 11, filled at 12; 12.5 is more than 10 % below 14, filled at 20; the bars
    # at 20 and 30 are waited for, so it is bought after 31, at 32.
    assert [float(price) for price in tables["fills"]["price"]] == [12.0, 20.0, 32.0]
    assert [int(np.sign(float(n))) for n in tables["fills"]["quantity"]] == [1, -1, 1]
