"""The shortcuts of the signal form against its long way, bar by bar through `Simulation`."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtrail.engine import CommissionConfig, InstrumentConfig, MarginConfig, SlippageConfig
from backtrail.engine.decisions import decisions_of
from backtrail.engine.market import Market
from backtrail.engine.rebalancing import rebalance
from backtrail.engine.settling import settle
from backtrail.engine.signal import _simulate, check_weights, run_signal
from backtrail.engine.tables import build_result

from .support import config, listed, make_bars
from .test_properties import configs, markets

SYMBOLS = "CAB"  # not in the order of the names


@st.composite
def long_markets(draw, plain):
    """Markets of two to sixty bars, with late starts, delistings, splits and dividends or none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, places = draw(st.integers(2, 60)), draw(st.sampled_from([0, 2, 6, 14]))
    symbols = SYMBOLS[: draw(st.integers(1, 3))]
    closes, opens, splits, dividends, delisted = {}, {}, {}, {}, {}
    for name in symbols:
        close = np.round(30 * np.exp(np.cumsum(rng.standard_normal(n) * 0.05)) + 1, places)
        closes[name], opens[name] = close, np.round(close * rng.uniform(0.9, 1.1, n), places)
        opens[name] = np.maximum(opens[name], 1.0)
        if not plain:
            first, last = sorted(rng.integers(0, n, 2))
            if rng.random() < 0.3:
                closes[name][:first] = opens[name][:first] = np.nan
            if rng.random() < 0.3:
                closes[name][last + 1 :] = opens[name][last + 1 :] = np.nan
                delisted[name] = int(last)
            for _ in range(2):
                splits[name, int(rng.integers(n))] = float(rng.choice([2.0, 1.5, 0.1, 0.013]))
                dividends[name, int(rng.integers(n))] = 0.37
    return make_bars(closes, opens, splits=splits, dividends=dividends, delisted=delisted)


@st.composite
def weights_for(draw, bars):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["switches", "rebalances", "borrows"]))
    if kind == "switches":
        return (rng.random(bars.shape) < 0.5) / bars.shape[1]
    values = rng.choice([0.0, 0.3, 1 / 3, 1.0, -0.4, 1.7], size=bars.shape)
    if kind == "borrows":
        values = rng.standard_normal(bars.shape)
    return np.where(rng.random(bars.shape) < draw(st.sampled_from([0.2, 0.9])), values, np.nan)


def assert_equal_tables(found, expected):
    for name, table in expected.items():
        assert list(found[name]) == list(table)
        for column, values in table.items():
            assert listed(found[name][column]) == listed(values), (name, column)


def assert_ways_agree(bars, settings_, weights, way):
    market = Market(bars)
    changes = decisions_of(check_weights(weights, bars), bars)
    told = ((), bars.symbols[0], None, float(settings_.capital_base))
    expected = build_result(_simulate(market, settings_, changes), *told)
    account = way(market, settings_, changes)
    if account is not None:
        found = build_result(account, *told)
        assert_equal_tables(found.tables, expected.tables)
    return account is not None


ways = st.fixed_dictionaries(
    {
        "fill": st.sampled_from(["next_open", "next_close"]),
        "size_at": st.sampled_from(["signal_close", "fill"]),
        "cash_policy": st.sampled_from(["clip", "reject", "overdraw"]),
        "capital": st.sampled_from(["1000", "12345.67", "0.5", "700000000", "987654321098.7"]),
        "cost": st.sampled_from(["0", "0.001", "0.02", "0.00123456789"]),
        "ledger": st.sampled_from(["decimal", "float64"]),
    }
)


@settings(deadline=None, max_examples=300)
@given(st.data(), long_markets(plain=True), ways)
def test_settling_at_once_gives_every_table_of_the_simulation(data, bars, rules):
    weights = data.draw(weights_for(bars))
    done = assert_ways_agree(bars, config(**rules), weights, settle)
    few_places = all((np.round(x, 6) == x).all() for x in (bars.open, bars.close))
    changes = decisions_of(check_weights(weights, bars), bars)
    assert done == bool(len(changes) and (few_places or rules["ledger"] == "float64"))


@settings(deadline=None, max_examples=300)
@given(st.data(), st.one_of(long_markets(plain=False), markets()), configs, st.booleans())
def test_working_at_events_only_gives_every_table_of_the_simulation(data, bars, rules, is_fast):
    if is_fast:
        rules = replace(rules, ledger="float64")
    assert_ways_agree(bars, rules, data.draw(weights_for(bars)), rebalance)
    assert_ways_agree(bars, rules, data.draw(weights_for(bars)), settle)


@pytest.mark.parametrize("other", ["A", "BA"])
def test_closes_at_which_nothing_is_decided_keep_every_place_when_settled_at_once(other):
    # Decided at 10, bought at 10; the closes after that have more places than both.
    path = [10.0, 10.00001, 10.123456789012]
    bars = make_bars(dict.fromkeys(other, path), {name: [10.0, 10.0, 10.12] for name in other})
    weights = np.zeros(bars.shape)
    weights[:, 0] = 1.0
    assert assert_ways_agree(bars, config(), weights, settle)
    tables = run_signal(lambda view, params: weights, bars, config()).tables
    assert tables["positions"]["last_price"] == [Decimal("10.00001")]
    assert tables["trades"]["pnl"] == [Decimal("12.3456789012")]  # of 100 shares


def test_events_only_is_the_way_of_late_starts_splits_and_delistings():
    n = float("nan")
    bars = make_bars(
        {"A": [n, 10, 10, 5, 5, 5], "B": [4, 4, 4, 4, n, n]},
        splits={("A", 3): 2.0},
        dividends={("A", 4): 0.25},
        delisted={"B": 3},
    )
    weights = np.full(bars.shape, 0.3)
    for slippage in (SlippageConfig(), SlippageConfig("fixed", spread=Decimal("0.02"))):
        used = config(slippage=slippage, commission=CommissionConfig("per_trade", Decimal(1)))
        assert assert_ways_agree(bars, used, weights, rebalance)
        assert not assert_ways_agree(bars, used, weights, settle)


@pytest.mark.parametrize(
    ("part", "first"),
    [
        ({"margin": MarginConfig(initial=Decimal("0.5"))}, 166),  # 1.9 would be 172
        ({"slippage": SlippageConfig("fixed_bps", volume_limit=Decimal("0.1"))}, 5),
    ],
    ids=["margin", "volume limit"],
)
def test_what_the_shortcuts_have_no_rules_for_is_simulated(part, first):
    bars = make_bars({"A": [10, 11, 12, 13, 11, 12]}, volumes={"A": [50] * 6})
    weights = np.array([[0.0], [1.9], [0.0], [0.5], [0.5], [0.0]])
    used = config(cash_policy="overdraw", **part)
    assert not assert_ways_agree(bars, used, weights, rebalance)
    assert not assert_ways_agree(bars, used, weights, settle)
    quantities = run_signal(lambda view, params: weights, bars, used).tables["fills"]["quantity"]
    assert quantities[0] == first


def test_gaps_and_lots_are_no_matter_for_settling_at_once():
    bars = make_bars({"A": [10, float("nan"), 12]})
    assert not assert_ways_agree(bars, config(), np.full(bars.shape, 0.5), settle)
    assert not assert_ways_agree(bars, config(), np.full(bars.shape, 0.5), rebalance)
    lots = config(instruments={"A": InstrumentConfig(lot=Decimal(5))})
    bars = make_bars({"A": [10, 11, 12]})
    assert not assert_ways_agree(bars, lots, np.full(bars.shape, 0.47), settle)
    assert assert_ways_agree(bars, lots, np.full(bars.shape, 0.47), rebalance)
