"""The engine against numbers computed without it: tests/golden/ says by whom."""

import importlib.util
import json
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest

from backtrail.engine import load_strategy, params_from, run_event, run_signal

from .support import ROOT, config, listed, rows, spx_bars, strategy_module

GOLDEN = json.loads((ROOT / "tests/golden/sma_10_50_spx.json").read_text())
CENT = Decimal("0.005")


def _independent():
    path = ROOT / "tests/golden/sma_10_50_spx.py"
    spec = importlib.util.spec_from_file_location("golden_script", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(engine_config, bars=None, name="sma_cross"):
    with strategy_module(name) as module:
        strategy = load_strategy(module)
        run = run_signal if strategy.form == "signal" else run_event
        return run(strategy, bars or spx_bars(), engine_config, params=params_from(strategy)).tables


def _day(stamp):
    return None if stamp is None else str(date(1970, 1, 1) + timedelta(microseconds=stamp))


@pytest.mark.parametrize("ledger", ["decimal", "float64"])
def test_demo_trades_equal_the_independent_script(ledger):
    trades = rows(_run(config(cost="0.001", capital="100000", ledger=ledger))["trades"])
    assert len(trades) == len(GOLDEN["trades"]) == 68
    for found, golden in zip(trades, GOLDEN["trades"], strict=True):
        assert _day(found["entry_at"]) == golden["entry_at"]
        assert _day(found["exit_at"]) == golden["exit_at"]
        for name in ("entry_price", "exit_price", "quantity", "pnl", "commission"):
            assert abs(found[name] - Decimal(golden[name])) < Decimal("1e-6"), (name, golden)


def test_demo_equity_equals_the_independent_script_at_every_bar():
    script = _independent()
    expected = script.simulate(script.read_rows(), 100_000)
    curve = _run(config(cost="0.001", capital="100000"))["backtest_results"]
    found = curve["portfolio_value"]
    assert [_day(stamp) for stamp in curve["timestamp"].tolist()] == expected.dates
    assert np.abs(found - np.array([float(value) for value in expected.equity])).max() < 1e-6
    assert round(found[-1], 2) == 113910.18 == round(float(GOLDEN["final_equity"]), 2)


def test_committed_golden_numbers_are_what_the_script_prints():
    assert _independent().golden() == GOLDEN


@pytest.mark.parametrize(
    ("rule", "published", "places", "settings"),
    [
        # Sized at the fill, fractional, commission inside the size: vectorbt, raptorbt, backtrader.
        ("R1", "1140763.8437", None, {"size_at": "fill", "shares": "fractional"}),
        # Sized at the close, whole, commission left out, may overdraw: zipline-reloaded, rustybt.
        ("R3", "1139393.7400", 3, {"cash_policy": "overdraw"}),
        # Sized at the close, whole, clipped to what cash buys with the commission: our default.
        ("clip", "1139775.8904", None, {}),
    ],
)
def test_final_equity_equals_the_parity_table(rule, published, places, settings):
    tables = _run(config(cost="0.001", capital="1000000", **settings), spx_bars(places))
    final = Decimal(repr(float(tables["backtest_results"]["portfolio_value"][-1])))
    assert abs(final - Decimal(published)) < CENT
    assert abs(final - Decimal(GOLDEN["parity"][rule])) < Decimal("1e-4")


def test_fills_at_the_same_close_are_those_of_nautilus_but_for_its_cents():
    # Nautilus rounds money to cents at every fill, which makes up to two of them in 136 fills.
    tables = _run(config(cost="0.001", capital="1000000", fill="same_close"), spx_bars())
    assert len(tables["fills"]["price"]) == 136
    assert abs(tables["backtest_results"]["portfolio_value"][-1] - 1_120_192.80) < 0.02


def test_clip_without_commission_is_the_rule_of_pybroker_and_not_ours():
    # R5 clips to cash / open and lets the commission overdraw; the independent script has both.
    assert abs(Decimal(GOLDEN["parity"]["R5"]) - Decimal("1139890.66")) < CENT


def test_sma_in_signal_form_gives_the_fills_of_the_event_form_to_the_last_digit():
    engine_config = config(cost="0.001", capital="100000")
    event, signal = _run(engine_config), _run(engine_config, name="sma_signal")
    for table in ("orders", "fills", "trades", "positions"):
        assert event[table] == signal[table], table
    for column, values in event["backtest_results"].items():
        assert listed(values) == listed(signal["backtest_results"][column]), column
