"""The equity curve: what an account was worth at every bar."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import Bars
from backtrail.engine.journal import Finished, Steps
from backtrail.engine.market import Market
from backtrail.engine.result import Table

__all__ = ["benchmark_returns", "curve_table", "equity_curve"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def curve_table(
    market: Market,
    cash_steps: Steps,
    held_steps: Mapping[int, Steps],
    benchmark: str | None,
    benchmark_bars: Bars | None,
    *,
    capital_base: float,
) -> Table:
    """Return the table `backtest_results`; NaN is missing.

    Wealth begins with the capital, before the fills of the first close: they are in the first
    return, which the second bar has, and in the drawdown of the first bar.

    Args:
        market: Prices.
        cash_steps: Cash.
        held_steps: Shares of every column that was ever held.
        benchmark: Symbol whose returns stand beside those of the account.
        benchmark_bars: Its bars, where it is not part of the market.
        capital_base: Cash at the start.
    """
    timestamps = market.bars.timestamps
    n = len(timestamps)
    cash = _stretched(*cash_steps, n)
    net, gross = _positions(market, held_steps, n)
    total = cash + net
    solvent = None if total.min() > 0.0 else total > 0.0
    returns = np.empty(n)
    returns[0] = np.nan
    _divide(total[1:], total[:-1], returns[1:], None if solvent is None else solvent[:-1])
    returns[1:] -= 1.0
    spent = total[0] != capital_base  # by fills at the close of the first bar alone
    if spent and n > 1 and (solvent is None or solvent[0]):
        returns[1] = total[1] / capital_base - 1.0
    if solvent is None:  # floats above zero are in the order of their bits, three times as fast
        drawdown = np.maximum.accumulate(total.view(np.int64)).view(np.float64)
    else:
        drawdown = np.maximum.accumulate(total)
    if spent:
        np.maximum(drawdown, capital_base, out=drawdown)
    np.divide(total, drawdown, out=drawdown)
    drawdown -= 1.0
    compared = np.full(n, np.nan)
    if benchmark is not None:
        source = market if benchmark_bars is None else Market(benchmark_bars)
        compared = benchmark_returns(source, benchmark, timestamps)
    net_exposure = _divide(net, total, np.empty(n), solvent)
    return {
        "timestamp": timestamps,
        "portfolio_value": total,
        "cash": cash,
        "positions_value": net,
        "gross_exposure": (
            net_exposure if gross is net else _divide(gross, total, np.empty(n), solvent)
        ),
        "net_exposure": net_exposure,
        "returns": returns,
        "drawdown": drawdown,
        "benchmark_returns": compared,
    }


def equity_curve(account: Finished) -> FloatArray:
    """Return what a finished account was worth at every bar."""
    cash_steps, held_steps = account.steps()
    n = len(account.market.bars.timestamps)
    return _stretched(*cash_steps, n) + _positions(account.market, held_steps, n)[0]


def _divide(
    above: FloatArray, below: FloatArray, out: FloatArray, where: npt.NDArray[np.bool_] | None
) -> FloatArray:
    """Divide into an array; NaN where it is not wanted."""
    if where is None:
        return np.divide(above, below, out=out)
    out[:] = np.nan
    return np.divide(above, below, out=out, where=where)


def _positions(
    market: Market, held_steps: Mapping[int, Steps], n: int
) -> tuple[FloatArray, FloatArray]:
    """Return net and gross value of what is held at every bar, one array without shorts."""
    values, has_short = [], False
    for column in sorted(held_steps, key=market.bars.symbols.__getitem__):
        rows, shares = held_steps[column]
        has_short = has_short or shares.min() < 0.0
        value = _stretched(rows, shares + 0.0, n)  # a split may leave minus zero shares
        if market.counts[column] is None:
            value *= market.mark_column(column)
        else:  # without a price nothing is held
            np.multiply(value, market.mark_column(column), out=value, where=value != 0.0)
        values.append(value)
    if not values:
        return np.zeros(n), np.zeros(n)
    net = values[0]
    gross = np.abs(net) if has_short else net
    for value in values[1:]:
        net += value
        if has_short:
            gross += np.abs(value)
    return net, gross


def _stretched(rows: IntArray, values: FloatArray, n: int) -> FloatArray:
    """Return steps as a value per bar."""
    lengths = np.empty(len(rows), dtype=np.int64)
    np.subtract(rows[1:], rows[:-1], out=lengths[:-1])
    lengths[-1] = n - rows[-1]
    return np.repeat(values, lengths)


def benchmark_returns(
    market: Market, benchmark: str, timestamps: npt.NDArray[np.int64]
) -> FloatArray:
    """Return what holding a symbol earned per bar, dividends reinvested.

    Args:
        market: Prices that have the symbol.
        benchmark: The symbol.
        timestamps: Bars that returns are wanted for; the last close up to each counts.

    Returns:
        NaN at the first bar, and before the symbol has a price.
    """
    column = market.index[benchmark]
    bars = market.bars
    factor = market.factors[column]
    # One share bought at the start, dividends reinvested at the close they are paid before.
    price = market.mark_column(column) * (1.0 if factor is None else factor)
    paid = bars.dividends[:, column] * (1.0 if factor is None else factor)
    growth = np.ones(len(price))
    known = ~np.isnan(price[:-1])
    np.divide(price[1:] + paid[1:], price[:-1], out=growth[1:], where=known)
    wealth = np.cumprod(growth)
    wealth[np.isnan(price)] = np.nan
    if timestamps is not bars.timestamps:
        at = np.searchsorted(bars.timestamps, timestamps, side="right") - 1
        wealth = np.where(at >= 0, wealth[np.maximum(at, 0)], np.nan)
    returns = np.full(len(timestamps), np.nan)
    returns[1:] = wealth[1:] / wealth[:-1] - 1.0
    return returns
