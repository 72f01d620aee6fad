from datetime import timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from backtrail.artifacts.schemas import ARTIFACT_SCHEMAS
from backtrail.reports import trading

from . import runs

LATE = runs.moments(60)


def frame(name, columns):
    return pl.DataFrame(columns, schema=ARTIFACT_SCHEMAS[name])


def trades(*rows):
    return frame("trades", runs.trade_table(list(rows)))


def results(equity):
    equity = np.array(equity, dtype=float)
    return frame("backtest_results", runs.results_of(runs.moments(len(equity)), equity))


def action(kind, cash):
    return {"timestamp": LATE[4], "symbol": "A", "kind": kind, "quantity_before": Decimal(1),
            "quantity_after": Decimal(1), "cash": Decimal(cash)}  # fmt: skip


def test_costs_are_sums_of_the_fills_and_break_even_is_where_the_profit_ends():
    fills = [
        runs.fill(1, "A", LATE[1], 10, 100.0, 0.001),
        runs.fill(2, "A", LATE[9], -10, 110.0, 0.001),
    ]
    actions = frame("corporate_actions", runs.table("corporate_actions", [
        action("dividend", "3.5"), action("split", "0.25")]))  # fmt: skip
    equity = np.linspace(10_000, 10_101.4, 367)
    costs = trading.costs_of(results(equity), frame("fills", runs.table("fills", fills)), actions)
    assert (costs.commission, costs.traded, costs.fills, costs.dividends) == (2.1, 2100.0, 2, 3.5)
    assert costs.net == pytest.approx(101.4)
    assert costs.gross == pytest.approx(103.5)
    assert costs.paid_bps == pytest.approx(10.0)
    assert costs.break_even_bps == pytest.approx(492.857, abs=0.001)
    assert costs.drag == pytest.approx(2.1 / (366 / 365.25) / 10_050.7)


def test_a_run_without_a_fill_has_no_costs_per_value():
    costs = trading.costs_of(
        results([100.0]),
        frame("fills", runs.empty("fills")),
        frame("corporate_actions", runs.empty("corporate_actions")),
    )
    assert (costs.net, costs.commission, costs.gross) == (0.0, 0.0, 0.0)
    assert (costs.paid_bps, costs.break_even_bps, costs.drag) == (None, None, None)


def test_symbols_stand_by_profit_with_open_trips_in_the_sum_and_not_in_the_share_won():
    table = trades(
        runs.trade(1, "A", LATE[0], LATE[3], pnl=Decimal(-40), commission=Decimal(1)),
        runs.trade(2, "B", LATE[1], LATE[3], pnl=Decimal(60), commission=Decimal(2)),
        runs.trade(3, "B", LATE[4], LATE[9], pnl=Decimal(-10), commission=Decimal(3)),
        runs.trade(4, "C", LATE[5], None, pnl=Decimal(10)),
    )
    rows = trading.symbol_rows(table)
    assert [(row.symbol, row.pnl, row.trades, row.won, row.share) for row in rows] == [
        ("B", 50.0, 2, 0.5, 100.0),
        ("C", 10.0, 1, None, 20.0),
        ("A", -40.0, 1, 0.0, 80.0),
    ]
    assert rows[0].commission == 5.0
    assert trading.symbol_rows(trades()) == []


def test_sides_are_told_apart_when_both_occur_and_series_run_in_the_order_of_closing():
    gains = [(5, 9), (-1, 2), (-2, 3), (4, 4), (-3, 5), (-4, 6)]
    table = trades(
        *(
            runs.trade(number, "A", LATE[0], LATE[leave], pnl=Decimal(gain),
                       side="short" if gain == 4 else "long", **{"return": gain / 100})
            for number, (gain, leave) in enumerate(gains, 1)
        ),
        runs.trade(7, "A", LATE[0], None, pnl=Decimal(99)),
    )  # fmt: skip
    every, long, short = trading.side_rows(table)
    assert (every.side, every.trades, every.wins_in_row, every.losses_in_row) == ("all", 6, 1, 2)
    assert (long.side, long.trades, long.won, long.losses_in_row) == ("long", 5, 0.2, 4)
    assert (short.side, short.trades, short.best, short.profit_factor) == ("short", 1, 0.04, None)
    assert (every.best, every.worst) == (0.05, -0.04)
    assert every.profit_factor == pytest.approx(0.9)
    assert trading.side_rows(trades()) == []
    assert [row.side for row in trading.side_rows(table.filter(pl.col("side") == "long"))] == [
        "all"
    ]


def test_orders_that_ended_alike_are_counted_whatever_their_figures():
    base = {"created_at": LATE[0], "symbol": "A", "style": "market", "sizing": "shares",
            "amount": 1.0, "limit_price": None, "stop_price": None, "quantity": None,
            "filled_quantity": Decimal(0), "filled_at": None}  # fmt: skip
    clipped = [("filled", "clipped from 12.5 to 7"), ("filled", "clipped from 3 to 1")]
    said = [("filled", None), *clipped, ("rejected", "delisted"), *[("filled", None)] * 2]
    rows = [{**base, "order_id": i, "status": a, "reason": b} for i, (a, b) in enumerate(said)]
    counted = trading.order_counts(frame("orders", runs.table("orders", rows)))
    assert [(row.status, row.reason, row.count) for row in counted] == [
        ("filled", None, 3),
        ("filled", "clipped from … to …", 2),
        ("rejected", "delisted", 1),
    ]


def test_held_symbols_are_counted_after_every_bar():
    changes = [(2, "A", 5), (2, "B", 5), (4, "A", 8), (6, "B", 0), (8, "A", -3), (9, "A", 0)]
    rows = [
        {"timestamp": LATE[at], "symbol": name, "quantity": Decimal(n), "average_cost": None,
         "last_price": Decimal(1)}
        for at, name, n in changes
    ]  # fmt: skip
    positions = frame("positions", runs.table("positions", rows))
    counts = trading.held_symbols(results(np.ones(12)), positions)
    assert counts.tolist() == [0, 0, 2, 2, 2, 2, 1, 1, 1, 0, 0, 0]
    nothing = frame("positions", runs.empty("positions"))
    assert trading.held_symbols(results(np.ones(2)), nothing).tolist() == [0, 0]


def test_turnover_of_a_month_is_traded_value_over_its_mean_equity():
    start = LATE[0] + timedelta(days=3)
    fills = [runs.fill(1, "A", start, 10, 100.0, 0.0), runs.fill(2, "A", start, -5, 100.0, 0.0)]
    equity = np.concatenate((np.full(31, 1000.0), np.full(29, -10.0)))
    found = trading.monthly_turnover(results(equity), frame("fills", runs.table("fills", fills)))
    first, second = (int(LATE[i].timestamp() * 1e6) for i in (0, 31))
    assert found == [(first, 1.5), (second, None)]
