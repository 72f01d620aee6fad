"""What holds for every market and every strategy: hypothesis looks for a counter-example."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
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

from .support import config, listed, make_bars, rows

MAX_BARS = 14
SYMBOLS = ("A", "B", "C")


@st.composite
def markets(draw, actions=True):
    n = draw(st.integers(2, MAX_BARS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    closes, opens, splits, dividends = {}, {}, {}, {}
    for symbol in SYMBOLS:
        close = np.round(20 * np.exp(np.cumsum(rng.standard_normal(n) * 0.05)), 2)
        open_ = np.round(close * np.exp(rng.standard_normal(n) * 0.02), 2)
        gaps = rng.random(n) < draw(st.sampled_from([0.0, 0.3]))
        gaps[rng.integers(n)] = False
        close[gaps] = open_[gaps] = np.nan
        closes[symbol], opens[symbol] = close, open_
        if actions and draw(st.booleans()):
            splits[symbol, int(rng.integers(n))] = draw(st.sampled_from([2.0, 1.5, 0.1, 3.0]))
            dividends[symbol, int(rng.integers(n))] = 0.37
    delisted = {}
    if actions and draw(st.booleans()):
        delisted["B"] = int(np.flatnonzero(~np.isnan(closes["B"]))[-1])
    span = {s: np.round(np.abs(rng.standard_normal(n)) * 0.5, 2) for s in SYMBOLS}
    volumes = {
        s: np.where(np.isnan(closes[s]), np.nan, rng.choice([0.0, 40.0, 700.0], n)) for s in SYMBOLS
    }
    return make_bars(
        closes, opens, splits=splits, dividends=dividends, delisted=delisted, volumes=volumes,
        highs={s: np.maximum(opens[s], closes[s]) + span[s] for s in SYMBOLS},
        lows={s: np.minimum(opens[s], closes[s]) - span[s] for s in SYMBOLS},
    )  # fmt: skip


D = Decimal
commissions = st.sampled_from(
    [
        CommissionConfig(),
        CommissionConfig("per_dollar", D("0.001")),
        CommissionConfig("per_dollar", D("0.02")),
        CommissionConfig("per_share", D("0.03"), D("0.5")),
        CommissionConfig("per_trade", D("1.25")),
    ]
)
slippages = st.sampled_from(
    [
        SlippageConfig(),
        SlippageConfig("fixed", spread=D("0.07")),
        SlippageConfig("fixed_bps", basis_points=D(12), volume_limit=D("0.1")),
        SlippageConfig("volume_share", volume_limit=D("0.05"), price_impact=D("0.3")),
    ]
)
margins = st.sampled_from(
    [
        MarginConfig(),
        MarginConfig(initial=D("0.5")),
        MarginConfig(initial=D("0.4"), maintenance=D("0.3")),
    ]
)
rules = {
    "fill": st.sampled_from(["next_open", "next_close", "same_close"]),
    "size_at": st.sampled_from(["signal_close", "fill"]),
    "shares": st.sampled_from(["whole", "fractional"]),
    "cash_policy": st.sampled_from(["clip", "reject", "overdraw"]),
    "capital": st.sampled_from(["1000", "12345.67"]),
    "commission": commissions,
}
instruments = st.sampled_from(
    [{}, {"A": InstrumentConfig(tick=D("0.05"), lot=D(5)), "C": InstrumentConfig(lot=D(2))}]
)
plain_configs = st.builds(config, **rules)
configs = st.builds(config, **rules, slippage=slippages, margin=margins, instruments=instruments)
seeds = st.integers(0, 2**32)


def random_trader(seed, *, peek=True, aggressive=True):
    """Return a strategy whose orders depend on the bar, the prices seen, and nothing else."""

    class RandomTrader(TradingAlgorithm):
        def initialize(self, context):
            context.rng_orders = np.random.default_rng(seed)

        def handle_data(self, context, data):
            for symbol in SYMBOLS:
                kind, size = context.rng_orders.integers(12), context.rng_orders.standard_normal()
                away = 1 + context.rng_orders.standard_normal() * 0.03
                seen = data.history(symbol, "close", 3)
                if peek and len(seen) and seen[-1] > seen[0]:
                    size = -size
                if kind == 0:
                    self.order(symbol, int(size * 20))
                elif kind == 1:
                    self.order_target_percent(symbol, float(size) * 0.5)
                elif kind == 2:
                    self.order_target(symbol, 0)
                elif kind == 3:
                    self.order_value(symbol, float(size) * 300)
                elif kind in (5, 6, 7) and len(seen):
                    price = float(seen[-1]) * abs(away)
                    styles = [
                        {"limit_price": price},
                        {"stop_price": price},
                        {"limit_price": price * 1.01, "stop_price": price},
                    ]
                    self.order(symbol, int(size * 20), **styles[kind - 5])
                elif kind == 4 and aggressive:
                    for order in self.get_open_orders(symbol):
                        self.cancel_order(order.id)

    return RandomTrader


def tables_of(strategy, bars, engine_config):
    return run_event(strategy, bars, engine_config).tables


@given(markets(), configs, seeds)
def test_equity_is_cash_plus_positions_at_every_bar(bars, engine_config, seed):
    seen = []

    class Watched(random_trader(seed)):
        def initialize(self, context):
            super().initialize(context)
            self.subscribe("performance_updated", seen.append)

    curve = tables_of(Watched, bars, engine_config)["backtest_results"]
    assert np.array_equal(curve["portfolio_value"], curve["cash"] + curve["positions_value"])
    # What the account says of itself at the end of each bar is what the tables are made of.
    for name in ("cash", "positions_value", "portfolio_value"):
        found = [getattr(snapshot, name) for snapshot in seen]
        np.testing.assert_allclose(found, curve[name], rtol=1e-12, atol=1e-9)


@given(markets(), configs, seeds)
def test_cash_and_holdings_reconcile_exactly_from_the_tables(bars, engine_config, seed):
    tables = tables_of(random_trader(seed), bars, engine_config)
    cash, held = engine_config.capital_base, dict.fromkeys(SYMBOLS, Decimal(0))
    events = [(f["timestamp"], f["reason"] != "order", f) for f in rows(tables["fills"])]
    actions = [(a["timestamp"], -1, a) for a in rows(tables["corporate_actions"])]
    for _, _, event in sorted([*actions, *events], key=lambda item: item[:2]):
        if event.get("kind") == "delisting":
            continue  # its fill is in the fills
        if "kind" in event:
            cash += event["cash"]
            held[event["symbol"]] = event["quantity_after"]
        else:
            cash -= event["value"] + event["commission"]
            held[event["symbol"]] += event["quantity"]
            assert event["cash_after"] == cash
    curve = tables["backtest_results"]
    assert float(cash) == curve["cash"][-1]
    final = {row["symbol"]: row["quantity"] for row in rows(tables["positions"])}
    assert {s: q for s, q in held.items() if q} == {s: q for s, q in final.items() if q}
    pnl = sum(tables["trades"]["pnl"], start=engine_config.capital_base)
    assert abs(float(pnl) - curve["portfolio_value"][-1]) < 1e-8


@given(markets(), configs, seeds)
def test_cash_is_never_negative_without_overdraft_or_short_sales(bars, engine_config, seed):
    rng = np.random.default_rng(seed)
    weights = rng.choice([0.0, 0.3, 1.0, np.nan], size=bars.shape)
    tables = run_signal(lambda view, params: weights, bars, engine_config).tables
    if engine_config.rules.cash_policy != "overdraw":
        assert all(cash >= 0 for cash in tables["fills"]["cash_after"])


@given(markets(), seeds, st.sampled_from(["whole", "fractional"]))
def test_the_same_fills_without_cost_are_never_worse(bars, seed, shares):
    # Orders in shares with an overdraft: the same fills with and without commission.
    class Shares(TradingAlgorithm):
        def initialize(self, context):
            context.draw = np.random.default_rng(seed)

        def handle_data(self, context, data):
            for symbol in SYMBOLS:
                self.order(symbol, int(context.draw.integers(-5, 6)))

    free = tables_of(Shares, bars, config(shares=shares, cash_policy="overdraw"))
    paid = tables_of(Shares, bars, config(shares=shares, cash_policy="overdraw", cost="0.01"))
    assert free["fills"]["quantity"] == paid["fills"]["quantity"]
    better = (
        free["backtest_results"]["portfolio_value"] - paid["backtest_results"]["portfolio_value"]
    )
    assert (better >= -1e-9).all()
    assert abs(better[-1] - float(sum(paid["fills"]["commission"]))) < 1e-6


@given(markets(), configs, seeds, st.permutations(range(3)))
def test_permuted_symbols_give_the_same_result(bars, engine_config, seed, order):
    columns = {
        name: getattr(bars, name)[:, order]
        for name in ("open", "high", "low", "close", "volume", "splits", "dividends")
    }
    permuted = replace(
        bars,
        symbols=tuple(bars.symbols[i] for i in order),
        delisted=bars.delisted[order],
        **columns,
    )
    first = tables_of(random_trader(seed), bars, engine_config)
    second = tables_of(random_trader(seed), permuted, engine_config)
    weights = np.random.default_rng(seed).choice([0.0, 0.4, 1.0], size=bars.shape)
    third = run_signal(lambda v, p: weights, bars, engine_config).tables
    fourth = run_signal(lambda v, p: weights[:, order], permuted, engine_config).tables
    for left, right in ((first, second), (third, fourth)):
        for name in left:
            for column, values in left[name].items():
                assert listed(values) == listed(right[name][column]), (name, column)


@given(markets(), configs, seeds, st.integers(0, MAX_BARS))
def test_a_scrambled_future_does_not_change_the_past(bars, engine_config, seed, cut):
    cut = min(cut, bars.shape[0] - 1)
    rng = np.random.default_rng(seed)
    scrambled = {}
    for name in ("open", "high", "low", "close", "volume"):
        values = getattr(bars, name).copy()
        values[cut + 1 :] *= rng.uniform(0.5, 2.0, size=values[cut + 1 :].shape)
        scrambled[name] = values
    splits = bars.splits.copy()
    splits[cut + 1 :] = rng.choice([1.0, 2.0, 0.5], size=splits[cut + 1 :].shape)
    other = replace(bars, splits=splits, **scrambled)
    first = tables_of(random_trader(seed), bars, engine_config)
    second = tables_of(random_trader(seed), other, engine_config)
    last = int(bars.timestamps[cut])
    for name, column in (
        ("fills", "timestamp"),
        ("positions", "timestamp"),
        ("orders", "created_at"),
    ):
        keep = [_past(row, last) for row in rows(first[name]) if row[column] <= last]
        assert keep == [_past(row, last) for row in rows(second[name]) if row[column] <= last]
    left, right = first["backtest_results"], second["backtest_results"]
    for column in ("portfolio_value", "cash", "returns"):
        assert listed(left[column][: cut + 1]) == listed(right[column][: cut + 1])


def _past(row, last):
    """Return what of an order was settled by then: fills and splits after it change the rest."""
    if "order_id" in row and "created_at" in row:
        return {name: row[name] for name in ("order_id", "symbol", "sizing", "amount", "style")}
    return row


@given(markets(), configs, seeds, st.integers(1, MAX_BARS))
def test_a_history_that_ends_early_has_the_same_fills_as_far_as_it_goes(
    bars, engine_config, seed, cut
):
    cut = min(cut, bars.shape[0])
    known = ~np.isnan(bars.close[:cut]).all(axis=0)
    if not known.all():
        return  # a symbol without any bar is no part of a run
    names = ("open", "high", "low", "close", "volume", "splits", "dividends", "timestamps")
    early = replace(
        bars,
        **{name: getattr(bars, name)[:cut] for name in names},
        delisted=np.where(bars.delisted < cut, bars.delisted, -1),
    )
    first = tables_of(random_trader(seed), bars, engine_config)["fills"]
    second = rows(tables_of(random_trader(seed), early, engine_config)["fills"])
    last = int(early.timestamps[-1])
    assert [row for row in rows(first) if row["timestamp"] <= last] == second


@given(markets(), configs, seeds)
def test_every_fill_is_at_a_price_that_its_bar_had_and_within_its_limit(bars, engine_config, seed):
    unmoved = replace(engine_config, slippage=SlippageConfig(), instruments={})
    tables = tables_of(random_trader(seed), bars, unmoved)
    orders = {row["order_id"]: row for row in rows(tables["orders"])}
    for fill in rows(tables["fills"]):
        row = int(np.searchsorted(bars.timestamps, fill["timestamp"]))
        column = bars.symbols.index(fill["symbol"])
        price = float(fill["price"])
        assert bars.low[row, column] - 1e-9 <= price <= bars.high[row, column] + 1e-9
        order = orders.get(fill["order_id"])
        if order is not None and order["limit_price"] is not None and (bars.splits == 1.0).all():
            worse = (price - order["limit_price"]) * (1 if fill["quantity"] > 0 else -1)
            assert worse <= 1e-9


@given(markets(), configs, seeds)
def test_filled_quantities_of_orders_are_the_sums_of_their_fills(bars, engine_config, seed):
    tables = tables_of(random_trader(seed), bars, engine_config)
    if (bars.splits != 1.0).any():
        return  # a split changes the unit between the fills of an order
    sums = {}
    for fill in rows(tables["fills"]):
        sums[fill["order_id"]] = sums.get(fill["order_id"], 0) + fill["quantity"]
    for order in rows(tables["orders"]):
        assert order["filled_quantity"] == sums.get(order["order_id"], 0)
        if order["status"] == "filled":
            assert order["filled_quantity"] == order["quantity"]


@given(markets(actions=False), configs, seeds, st.sampled_from([2.0, 4.0]))
def test_a_split_changes_no_equity_of_a_strategy_in_fractions(bars, engine_config, seed, ratio):
    # The same company with and without a split: prices divide, everything in money stays.
    row = bars.shape[0] // 2
    splits = np.ones(bars.shape)
    splits[row, 0] = ratio
    prices = {}
    for name in ("open", "high", "low", "close"):
        values = getattr(bars, name).copy()
        values[row:, 0] /= ratio
        prices[name] = values
    # Market orders without slippage: steps of price and volume are not divided by a split.
    fractional = config(
        shares="fractional",
        commission=engine_config.commission
        if engine_config.commission.model != "per_share"
        else CommissionConfig(),
        fill=engine_config.rules.fill,
        size_at=engine_config.rules.size_at,
        cash_policy="overdraw",
    )
    weights = np.random.default_rng(seed).choice([0.0, 0.4, -0.3, np.nan], size=bars.shape)
    plain = run_signal(lambda v, p: weights, bars, fractional).tables
    split = run_signal(
        lambda v, p: weights, replace(bars, splits=splits, **prices), fractional
    ).tables
    np.testing.assert_allclose(
        plain["backtest_results"]["portfolio_value"],
        split["backtest_results"]["portfolio_value"],
        rtol=1e-8,
    )


@settings(max_examples=60)
@given(markets(), configs, seeds)
def test_decimal_and_float64_ledgers_agree(bars, engine_config, seed):
    exact = tables_of(random_trader(seed), bars, engine_config)
    fast = tables_of(random_trader(seed), bars, replace(engine_config, ledger="float64"))
    np.testing.assert_allclose(
        exact["backtest_results"]["portfolio_value"],
        fast["backtest_results"]["portfolio_value"],
        rtol=1e-9,
        atol=1e-9 * float(engine_config.capital_base),
    )
    assert exact["orders"]["status"] == fast["orders"]["status"]


@given(markets(), configs, seeds)
def test_equal_arguments_give_equal_tables(bars, engine_config, seed):
    first = tables_of(random_trader(seed), bars, engine_config)
    second = tables_of(random_trader(seed), bars, engine_config)
    for name in first:
        for column, values in first[name].items():
            assert listed(values) == listed(second[name][column])


@given(markets(), configs, seeds)
def test_an_added_symbol_that_is_never_traded_changes_no_fill(bars, engine_config, seed):
    n = bars.shape[0]
    columns = {
        name: np.column_stack((getattr(bars, name), np.full(n, value)))
        for name, value in {
            "open": 5.0, "high": 5.0, "low": 5.0, "close": 5.0, "volume": 1.0,
            "splits": 1.0, "dividends": 0.1,
        }.items()
    }  # fmt: skip
    wider = replace(
        bars, symbols=(*bars.symbols, "Z"), delisted=np.append(bars.delisted, -1), **columns
    )
    strategy = random_trader(seed)
    assert (
        tables_of(strategy, bars, engine_config)["fills"]
        == tables_of(strategy, wider, engine_config)["fills"]
    )
