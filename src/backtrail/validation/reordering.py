"""The same trades in another order: what of a result depends on when they came.

Reordering keeps every trade, so whatever is a sum or a mean over trades cannot move: total return,
Sharpe ratio, win rate, profit factor. A p-value of such a statistic would be rounding noise; it is
refused. What does move is the path: how deep equity fell, how long it stayed under water, and how
low it came.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from backtrail.errors import EmptySeriesError, OrderInvariantError

__all__ = ["PATH_STATISTICS", "Reordering", "reorder_trades", "ruin_share"]

FloatArray = npt.NDArray[np.float64]

_BLOCK_VALUES = 2_000_000  # 16 MB of equity at a time


def _max_drawdown(equity: FloatArray) -> FloatArray:
    peaks = np.maximum.accumulate(equity, axis=1)
    return np.asarray((equity / peaks - 1.0).min(axis=1))


def _longest_drawdown(equity: FloatArray) -> FloatArray:
    under = equity < np.maximum.accumulate(equity, axis=1)
    longest = np.zeros(len(equity))
    length = np.zeros(len(equity))
    for column in under.T:
        length = np.where(column, length + 1.0, 0.0)
        np.maximum(longest, length, out=longest)
    return longest


def _lowest_equity(equity: FloatArray) -> FloatArray:
    return np.asarray(equity.min(axis=1))


# Each takes equity before the first and after every trade, shape (samples, trades + 1).
PATH_STATISTICS: Mapping[str, Callable[[FloatArray], FloatArray]] = MappingProxyType(
    {
        "max_drawdown": _max_drawdown,
        "longest_drawdown": _longest_drawdown,
        "lowest_equity": _lowest_equity,
    }
)
_BETTER_LOW = frozenset({"longest_drawdown"})
_INVARIANT = frozenset(
    {
        "annual_return",
        "average_loss",
        "average_trade",
        "average_win",
        "cagr",
        "expectancy",
        "payoff_ratio",
        "profit_factor",
        "sharpe_ratio",
        "sortino_ratio",
        "total_return",
        "total_trades",
        "win_rate",
    }
)


@dataclass(frozen=True, slots=True)
class Reordering:
    """A path statistic of a run beside the same statistic over reordered trades.

    Attributes:
        statistic: Its name.
        observed: Its value for the trades in the order in which they came.
        samples: Its value for each reordering, shape (n,), sorted.
        p_worse: Share of orders, the observed one counted, whose value is as bad as the observed
            one or worse: (1 + k) / (1 + n), Davison and Hinkley (1997), 4.11. Small when the order
            in which the trades came was unusually unkind.
        p_better: The same for as good or better. Small when the order was unusually kind.
    """

    statistic: str
    observed: float
    samples: FloatArray
    p_worse: float
    p_better: float

    def quantile(self, share: float) -> float:
        """Return the value that a share of the reorderings stays below."""
        return float(np.quantile(self.samples, share))


def reorder_trades(
    pnl: npt.ArrayLike,
    statistic: str,
    *,
    capital: float,
    samples: int,
    generator: np.random.Generator,
) -> Reordering:
    """Return what a path statistic would have been had the same trades come in other orders.

    The null hypothesis is that trades are exchangeable: every order was as likely as the one that
    came. Profits are in money and are not compounded, so every order ends at the same equity.

    Args:
        pnl: Net profit of each trade in money, in the order of their exits, shape (n,).
        statistic: `max_drawdown` (fraction, zero or negative), `longest_drawdown` (trades in a row
            that ended below the highest equity so far) or `lowest_equity` (money).
        capital: Equity before the first trade.
        samples: Number of random orders.
        generator: Source of the orders.

    Raises:
        OrderInvariantError: If the statistic does not depend on the order of the trades, by what it
            is, or because these trades give the same value in every order that was tried.
        EmptySeriesError: If there are fewer than two trades.
        ValueError: If a profit is not finite, capital is not positive, samples are fewer than one,
            or there is no statistic of that name.
    """
    profits = np.asarray(pnl, dtype=np.float64)
    _check(profits, statistic, capital, samples)
    measure = PATH_STATISTICS[statistic]
    # With losses greater than the capital a drawdown is more than whole; equity is taken as it is.
    observed = float(measure(_equity(profits[np.newaxis], capital))[0])
    found = _drawn(profits, measure, capital, samples, generator)
    _require_spread(found, observed, statistic)
    tolerance = 1e-12 * max(1.0, abs(observed))  # sums in another order differ in the last digits
    low = int(np.count_nonzero(found <= observed + tolerance))
    high = int(np.count_nonzero(found >= observed - tolerance))
    worse, better = (high, low) if statistic in _BETTER_LOW else (low, high)
    found.sort()
    return Reordering(
        statistic, observed, found, (1 + worse) / (1 + samples), (1 + better) / (1 + samples)
    )


def ruin_share(
    pnl: npt.ArrayLike,
    *,
    capital: float,
    floor: float,
    samples: int,
    generator: np.random.Generator,
) -> float:
    """Return the share of random orders of the trades in which equity falls to a floor.

    It is a share and no p-value, so there is one also where every order gives the same lowest
    equity: trades without a loss cannot end in ruin, whatever their order.

    Args:
        pnl: As in `reorder_trades`.
        capital: Equity before the first trade.
        floor: Equity at which the account counts as ruined, in money.
        samples: Number of random orders.
        generator: Source of the orders; those of `reorder_trades` with an equal one are the same.

    Raises:
        EmptySeriesError: If there are fewer than two trades.
        ValueError: As `reorder_trades`.
    """
    profits = np.asarray(pnl, dtype=np.float64)
    _check(profits, "lowest_equity", capital, samples)
    lowest = _drawn(profits, _lowest_equity, capital, samples, generator)
    return float(np.mean(lowest <= floor))


def _drawn(
    profits: FloatArray,
    measure: Callable[[FloatArray], FloatArray],
    capital: float,
    samples: int,
    generator: np.random.Generator,
) -> FloatArray:
    """Return a path statistic of random orders, in the order in which they were drawn."""
    found = np.empty(samples)
    block = max(1, _BLOCK_VALUES // len(profits))
    for start in range(0, samples, block):
        orders = np.tile(profits, (min(block, samples - start), 1))
        generator.permuted(orders, axis=1, out=orders)
        found[start : start + len(orders)] = measure(_equity(orders, capital))
    return found


def _check(profits: FloatArray, statistic: str, capital: float, samples: int) -> None:
    if statistic in _INVARIANT:
        raise OrderInvariantError(
            f"{statistic} is the same for every order of the trades, so reordering them says "
            "nothing about it, and a p-value would be rounding noise. Reordering is for "
            f"{', '.join(PATH_STATISTICS)}; for {statistic} draw returns with replacement instead "
            "(a block bootstrap)"
        )
    if statistic not in PATH_STATISTICS:
        known = ", ".join(PATH_STATISTICS)
        raise ValueError(f"there is no path statistic {statistic!r}; use one of {known}")
    if profits.ndim != 1 or len(profits) < 2:
        raise EmptySeriesError(f"reordering needs two trades or more, and there are {profits.size}")
    if not np.isfinite(profits).all():
        first = int(np.flatnonzero(~np.isfinite(profits))[0])
        raise ValueError(f"the profit of trade {first} is {profits[first]}; it must be finite")
    if not (np.isfinite(capital) and capital > 0.0):
        raise ValueError(f"capital is {capital}; it must be positive")
    if samples < 1:
        raise ValueError(f"samples is {samples}; at least one order is needed")


def _equity(profits: FloatArray, capital: float) -> FloatArray:
    equity = np.empty((profits.shape[0], profits.shape[1] + 1))
    equity[:, 0] = capital
    np.cumsum(profits, axis=1, out=equity[:, 1:])
    equity[:, 1:] += capital
    return equity


def _require_spread(found: FloatArray, observed: float, statistic: str) -> None:
    spread = max(float(found.max()), observed) - min(float(found.min()), observed)
    if spread <= 1e-9 * max(1.0, abs(observed)):
        raise OrderInvariantError(
            f"{statistic} is {observed:g} in every one of {len(found):,} orders of these trades; "
            "their order does not matter to it, so nothing can be said of luck in it"
        )
