"""Where a run's profit came from, and what trading took of it: by symbol, side and month.

Money of the tables in, money out, float64. Gross is net plus commission plus slippage, so it is the
profit of the same fills at the bars' own prices without commission.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["attribution_columns", "break_even_cost"]

FloatArray = npt.NDArray[np.float64]
Columns = Mapping[str, Sequence[Any]]

_COLUMNS = (
    "dimension",
    "key",
    "gross_pnl",
    "commission",
    "slippage",
    "net_pnl",
    "contribution",
    "traded_value",
    "break_even_cost",
    "trades",
)


def break_even_cost(gross_pnl: float, traded_value: float) -> float | None:
    """Return gross_pnl / traded value: the cost at which the net profit of these fills is zero.

    A fraction of the traded value. Negative where the fills lose without any cost; None where
    nothing was traded.

    Source: own.
    """
    return gross_pnl / traded_value if traded_value > 0.0 else None


def attribution_columns(
    tables: Mapping[str, Mapping[str, Any]], capital_base: float
) -> dict[str, list[Any]]:
    """Return the profit of a run by symbol, by side and by month, and the total.

    The rows of each dimension add up to the total. By symbol and side they are sums over round
    trips (open ones at the last close, dividends included); by month they are changes of the
    portfolio value, so a round trip over several months counts in each of them.

    Args:
        tables: `backtest_results`, `fills` and `trades` of a run.
        capital_base: Cash at the start.

    Returns:
        The columns of the artifact `attribution`.
    """
    rows = [
        _total_row(tables, capital_base),
        *_symbol_rows(tables, capital_base),
        *_side_rows(tables["trades"], capital_base),
        *_month_rows(tables, capital_base),
    ]
    return {name: [row[place] for row in rows] for place, name in enumerate(_COLUMNS)}


def _floats(values: Sequence[Any]) -> FloatArray:
    return np.array([float(value) for value in values], dtype=np.float64)


def _total_row(tables: Mapping[str, Mapping[str, Any]], capital: float) -> list[Any]:
    fills = tables["fills"]
    costs = (
        float(_floats(fills["commission"]).sum()),
        float(_floats(fills["slippage"]).sum()),
        float(np.abs(_floats(fills["value"])).sum()),
    )
    net = float(tables["backtest_results"]["portfolio_value"][-1]) - capital
    return _row(("total", "total"), costs, net, capital, len(tables["trades"]["pnl"]))


def _row(
    place: tuple[str, str],
    costs: tuple[float, float, float | None],
    net: float,
    capital: float,
    trades: int | None = None,
) -> list[Any]:
    """Return a row; `place` is dimension and key, `costs` commission, slippage, traded value."""
    commission, slippage, traded = costs
    gross = net + commission + slippage
    even = None if traded is None else break_even_cost(gross, traded)
    share = net / capital
    return [*place, gross, commission, slippage, net, share, traded, even, trades]


def _symbol_rows(tables: Mapping[str, Mapping[str, Any]], capital: float) -> list[list[Any]]:
    trades, fills = tables["trades"], tables["fills"]
    of_trade, of_fill = np.array(trades["symbol"]), np.array(fills["symbol"])
    pnl = _floats(trades["pnl"])
    commission, slippage = _floats(fills["commission"]), _floats(fills["slippage"])
    value = np.abs(_floats(fills["value"]))
    found = []
    for symbol in sorted(set(fills["symbol"])):
        own, filled = of_trade == symbol, of_fill == symbol
        costs = (
            float(commission[filled].sum()),
            float(slippage[filled].sum()),
            float(value[filled].sum()),
        )
        count = int(np.count_nonzero(own))
        found.append(_row(("symbol", symbol), costs, float(pnl[own].sum()), capital, count))
    return found


def _side_rows(trades: Columns, capital: float) -> list[list[Any]]:
    sides = np.array(trades["side"])
    values = {name: _floats(trades[name]) for name in ("commission", "slippage", "pnl")}
    found = []
    for side in sorted(set(trades["side"])):
        own = sides == side
        commission, slippage, net = (float(column[own].sum()) for column in values.values())
        count = int(np.count_nonzero(own))
        # A fill may close a long and open a short, so value is not divided by side.
        found.append(_row(("side", side), (commission, slippage, None), net, capital, count))
    return found


def _month_rows(tables: Mapping[str, Mapping[str, Any]], capital: float) -> list[list[Any]]:
    curve, fills = tables["backtest_results"], tables["fills"]
    months, last = np.unique(_months(curve["timestamp"])[::-1], return_index=True)
    equity = _floats(curve["portfolio_value"])[::-1][last]
    gains = np.diff(equity, prepend=capital)
    place = np.searchsorted(months, _months(fills["timestamp"]))
    sums = [
        np.bincount(place, weights=values, minlength=len(months))
        for values in (
            _floats(fills["commission"]),
            _floats(fills["slippage"]),
            np.abs(_floats(fills["value"])),
        )
    ]
    return [
        _row(("month", str(month)), (paid, lost, traded), gain, capital)
        for month, gain, paid, lost, traded in zip(
            months, gains.tolist(), *(column.tolist() for column in sums), strict=True
        )
    ]


def _months(timestamps: Sequence[int]) -> "npt.NDArray[np.datetime64]":
    times: npt.NDArray[np.int64] = np.array(timestamps, dtype=np.int64)
    return times.astype("datetime64[us]").astype("datetime64[M]")
