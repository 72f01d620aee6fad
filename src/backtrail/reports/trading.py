"""What trading cost, where the profit came from, and how the trades of each side went.

All sums are exact: they are taken over the decimal columns of the artifacts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtrail.metrics import average_bars_held, average_loss, average_win, expectancy, win_rate
from backtrail.metrics import profit_factor as profit_factor_of
from backtrail.reports.charting import starting_equity

__all__ = [
    "Costs",
    "OrderCount",
    "SideRow",
    "SymbolRow",
    "cost_rows",
    "costs_of",
    "held_symbols",
    "monthly_turnover",
    "order_counts",
    "side_rows",
    "symbol_rows",
]

_ZERO = Decimal(0)
_US_PER_YEAR = 365.25 * 86_400_000_000


@dataclass(frozen=True, slots=True)
class Costs:
    """What a run paid to trade, in the currency of its account.

    Attributes:
        net: Equity at the end minus equity at the start.
        commission: Sum of all commissions.
        slippage: Sum of what fills lost against the prices of their bars.
        dividends: Cash received for holdings, signed.
        traded: Sum of the values of all fills, unsigned.
        fills: How many fills there were.
        gross: `net` with commissions and slippage given back, for the same fills.
        paid_bps: Commission and slippage per traded value, in basis points; None without a fill.
        break_even_bps: Costs per traded value at which the profit would be nil, at the same
            fills; None without a fill, negative for a run that loses before costs.
        drag: Both per year over mean equity, a fraction; None where equity is not positive
            or the run has no duration.
    """

    net: float
    commission: float
    slippage: float
    dividends: float
    traded: float
    fills: int
    gross: float
    paid_bps: float | None
    break_even_bps: float | None
    drag: float | None


def _sum(column: pl.Series) -> Decimal:
    total = column.sum()
    return total if isinstance(total, Decimal) else _ZERO


def costs_of(results: pl.DataFrame, fills: pl.DataFrame, actions: pl.DataFrame) -> Costs:
    """Return the costs of a run.

    Args:
        results: The artifact `backtest_results`, with a row at least.
        fills: The artifact `fills`.
        actions: The artifact `corporate_actions`.
    """
    equity = results["portfolio_value"]
    net = float(equity[-1]) - starting_equity(results)
    commission = float(_sum(fills["commission"]))
    slippage = float(_sum(fills["slippage"]))
    paid = commission + slippage
    traded = float(_sum(fills["value"].abs()))
    dividends = float(_sum(actions.filter(pl.col("kind") == "dividend")["cash"]))
    gross = net + paid
    moments = results["timestamp"].to_physical()
    years = (int(moments[-1]) - int(moments[0])) / _US_PER_YEAR
    mean = float(equity.to_numpy().mean())
    return Costs(
        net=net,
        commission=commission,
        slippage=slippage,
        dividends=dividends,
        traded=traded,
        fills=fills.height,
        gross=gross,
        paid_bps=paid / traded * 10_000 if traded else None,
        break_even_bps=gross / traded * 10_000 if traded else None,
        drag=paid / years / mean if years and mean > 0 else None,
    )


def cost_rows(costs: Costs) -> list[tuple[str, float | None, str, str]]:
    """Return costs as rows of a table: name, value, unit, meaning; `ratio` is basis points."""
    return [
        (
            "Gross profit",
            costs.gross,
            "money",
            "net profit with what trading took given back",
        ),
        ("Commission", costs.commission, "money", "sum over all fills"),
        ("Slippage", costs.slippage, "money", "lost against the bars' prices, sum over all fills"),
        ("Net profit", costs.net, "money", "equity at the end minus equity at the start"),
        ("Dividends", costs.dividends, "money", "received for holdings, in both profits"),
        ("Traded value", costs.traded, "money", "bought and sold, unsigned"),
        ("Fills", float(costs.fills), "count", "executions"),
        (
            "Paid per traded value",
            costs.paid_bps,
            "ratio",
            "both over traded value",
        ),
        ("Break-even", costs.break_even_bps, "ratio", "gross profit over traded value"),
        (
            "Drag a year",
            costs.drag,
            "fraction",
            "both per year over mean equity",
        ),
    ]


@dataclass(frozen=True, slots=True)
class SymbolRow:
    """What one symbol brought.

    Attributes:
        symbol: The symbol.
        trades: Round trips, open ones included.
        won: Share of closed round trips with a profit; None without one.
        pnl: Profit of all round trips, net of commission, open ones at their last price.
        commission: Commission of these round trips.
        share: Width of its bar: |pnl| in percent of the largest.
    """

    symbol: str
    trades: int
    won: float | None
    pnl: float
    commission: float
    share: float


def symbol_rows(trades: pl.DataFrame) -> list[SymbolRow]:
    """Return what each symbol brought, the best first."""
    closed = ~pl.col("is_open")
    grouped = trades.group_by("symbol").agg(
        trades=pl.len(),
        won=((pl.col("pnl") > 0) & closed).sum() / pl.when(closed.sum() > 0).then(closed.sum()),
        pnl=pl.col("pnl").sum(),
        commission=pl.col("commission").sum(),
    )
    rows = grouped.sort(["pnl", "symbol"], descending=[True, False]).to_dicts()
    largest = max((abs(row["pnl"]) for row in rows), default=_ZERO) or Decimal(1)
    return [
        SymbolRow(
            symbol=row["symbol"],
            trades=row["trades"],
            won=row["won"],
            pnl=float(row["pnl"]),
            commission=float(row["commission"]),
            share=round(float(abs(row["pnl"]) / largest * 100), 2),
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class SideRow:
    """How the closed round trips of one side went; None where there is nothing to measure.

    Attributes:
        side: `all`, `long` or `short`.
        trades: How many closed.
        won: Share with a profit.
        profit_factor: Profits over losses.
        expectancy: Mean profit, money.
        average_win: Mean of the profits, money.
        average_loss: Mean of the losses, money.
        best: Best return, a fraction of the entry value.
        worst: Worst return, a fraction of the entry value.
        bars: Mean bars held.
        wins_in_row: Longest series of profits, in the order of closing.
        losses_in_row: Longest series of losses.
    """

    side: str
    trades: int
    won: float | None
    profit_factor: float | None
    expectancy: float | None
    average_win: float | None
    average_loss: float | None
    best: float
    worst: float
    bars: float | None
    wins_in_row: int
    losses_in_row: int


def _longest(flags: Sequence[bool]) -> int:
    longest = current = 0
    for flag in flags:
        current = current + 1 if flag else 0
        longest = max(longest, current)
    return longest


def side_rows(trades: pl.DataFrame) -> list[SideRow]:
    """Return how closed round trips went: all, and each side when both occur."""
    closed = trades.filter(~pl.col("is_open")).sort("exit_at", "trade_id")
    sides = sorted(closed["side"].unique().to_list())
    chosen = ["all", *(sides if len(sides) > 1 else [])]
    rows = []
    for side in chosen:
        part = closed if side == "all" else closed.filter(pl.col("side") == side)
        if not part.height:
            continue
        pnl = part["pnl"].cast(pl.Float64).to_list()
        returns = part["return"].fill_nan(None).drop_nulls()
        rows.append(
            SideRow(
                side=side,
                trades=part.height,
                won=win_rate(pnl),
                profit_factor=profit_factor_of(pnl),
                expectancy=expectancy(pnl),
                average_win=average_win(pnl),
                average_loss=average_loss(pnl),
                best=max(returns, default=0.0),
                worst=min(returns, default=0.0),
                bars=average_bars_held(part["bars_held"].to_list()),
                wins_in_row=_longest([value > 0 for value in pnl]),
                losses_in_row=_longest([value < 0 for value in pnl]),
            )
        )
    return rows


@dataclass(frozen=True, slots=True)
class OrderCount:
    """How many orders ended alike, and what was said of them."""

    status: str
    reason: str | None
    count: int


def order_counts(orders: pl.DataFrame) -> list[OrderCount]:
    """Return how orders ended, the most frequent first; figures in reasons count as alike."""
    alike = pl.col("reason").str.replace_all(r"-?\d[\d.,]*", "…")
    grouped = orders.group_by("status", alike).len(name="count")
    rows = grouped.sort(
        ["count", "status", "reason"], descending=[True, False, False], nulls_last=True
    )
    return [OrderCount(**row) for row in rows.to_dicts()]


def held_symbols(results: pl.DataFrame, positions: pl.DataFrame) -> NDArray[np.float64]:
    """Return how many symbols are held after each bar."""
    changes = (
        positions.sort("timestamp", maintain_order=True)
        .with_columns(held=(pl.col("quantity") != 0).cast(pl.Int64))
        .with_columns(change=pl.col("held") - pl.col("held").shift(1, fill_value=0).over("symbol"))
        .group_by("timestamp", maintain_order=True)
        .agg(pl.col("change").sum())
    )
    rows = results["timestamp"].to_physical().to_numpy()
    counts = np.zeros(rows.size)
    if changes.height:
        at = np.searchsorted(rows, changes["timestamp"].to_physical().to_numpy())
        counts[at] = changes["change"].to_numpy()
    return np.cumsum(counts)


def monthly_turnover(results: pl.DataFrame, fills: pl.DataFrame) -> list[tuple[int, float | None]]:
    """Return per month its first bar (microseconds) and traded value over mean equity.

    None where mean equity is not positive.
    """
    month = pl.col("timestamp").dt.truncate("1mo").alias("month")
    equity = results.group_by(month, maintain_order=True).agg(
        pl.col("timestamp").first(), pl.col("portfolio_value").mean()
    )
    traded = fills.group_by(month).agg(pl.col("value").abs().sum().cast(pl.Float64))
    joined = equity.join(traded, on="month", how="left", maintain_order="left")
    return [
        (int(moment), (value or 0.0) / mean if mean > 0 else None)
        for moment, value, mean in zip(
            joined["timestamp"].to_physical(),
            joined["value"],
            joined["portfolio_value"],
            strict=True,
        )
    ]
