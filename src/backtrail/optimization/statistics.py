"""The statistics of a parameter set, and how the engine's own account gives them without Numba."""

from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.engine import Bars, EngineConfig
from backtrail.engine.curve import equity_curve
from backtrail.engine.decisions import decisions_of
from backtrail.engine.journal import Finished
from backtrail.engine.market import Market
from backtrail.engine.rebalancing import rebalance
from backtrail.engine.settling import settle

__all__ = ["STATISTICS", "ArrayAccount", "statistics_of"]

FloatArray = npt.NDArray[np.float64]

# What is known of each set, in the order in which the kernel writes it.
STATISTICS: Final = (
    "first_equity",
    "last_equity",
    "sum_returns",
    "sum_squares",
    "sum_downside_squares",
    "largest_return",
    "max_drawdown",
    "trades",
    "wins",
    "gross_profit",
    "gross_loss",
)
_NOTHING: Final = 5e-11  # what tables, which show money to 1e-10, round to zero


class ArrayAccount:
    """Trades one set after another by the shortest ways of the signal form.

    Args:
        bars: Prices, of every symbol in every row.
        config: Rules and costs that the compiled account knows, with the float64 ledger.
        target: Return per bar below which a bar counts as a loss.
    """

    def __init__(self, bars: Bars, config: EngineConfig, target: float = 0.0) -> None:
        self._market: Final = Market(bars)
        self._config: Final = config
        self._target: Final = target

    def run(self, weights: FloatArray, curve: FloatArray) -> list[float]:
        """Return the statistics of one set.

        Args:
            weights: What its signal function returned, after `check_weights`.
            curve: Takes the equity curve, unless it is empty.
        """
        bars = self._market.bars
        decisions = decisions_of(weights, bars)
        account: Finished | None = settle(self._market, self._config, decisions)
        account = account or rebalance(self._market, self._config, decisions)
        if account is None:
            raise ValueError("bars or rules that the compiled account does not know")
        equity = equity_curve(account)
        if len(curve):
            curve[:] = equity
        return statistics_of(equity, account, self._target)


def statistics_of(equity: FloatArray, account: Finished, target: float = 0.0) -> list[float]:
    """Return the statistics of a finished account, in the order of `STATISTICS`.

    Sums go from the first bar to the last, as those of the kernel do.

    Args:
        equity: Its value per bar.
        account: With its round trips.
        target: Return per bar below which a bar counts as a loss.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # of a ruined account, in vain
        returns = equity[1:] / equity[:-1] - 1.0
    losses = np.minimum(returns - target, 0.0)
    record = account.record()
    trips = record.trips()
    gains = record.amounts.floats(
        [cash for cash, row in zip(trips.cash, trips.exit_rows.tolist(), strict=True) if row >= 0]
    ).tolist()
    won = [gain for gain in gains if gain > _NOTHING]
    return [
        float(equity[0]),
        float(equity[-1]),
        _sum(returns),
        _sum(returns * returns),
        _sum(losses * losses),
        float(np.abs(returns).max(initial=0.0)),
        float((equity / np.maximum.accumulate(equity) - 1.0).min()),
        float(len(gains)),
        float(len(won)),
        float(sum(won)),
        float(-sum(gain for gain in gains if not gain > _NOTHING)),
    ]


def _sum(values: FloatArray) -> float:
    return float(np.add.accumulate(values)[-1]) if len(values) else 0.0
