"""Round trips of two fills: in and out."""

import numpy as np
import numpy.typing as npt

from backtrail.engine.ledger import Numbers
from backtrail.engine.settling.arithmetic import Arithmetic
from backtrail.engine.settling.fills import Fills
from backtrail.engine.trips import Trips

__all__ = ["paired_trips"]


def paired_trips(
    fills: Fills, prices: npt.NDArray[np.float64], arithmetic: Arithmetic
) -> Trips | None:
    """Return the round trips of one symbol; None where a trip has more than two fills.

    The sums are those of `backtrail.engine.round_trips`, for all trips at once.

    Args:
        fills: Of one symbol; one or more.
        prices: Of one share of each fill.
        arithmetic: What computed them.
    """
    shares, values = fills.shares, fills.values
    is_open = len(fills) % 2 == 1
    if fills.before[::2].any() or (not is_open and fills.before[-1] + shares[-1]):
        return None
    sizes, costs = np.abs(shares[::2]), fills.commissions[::2]
    back, spent, exits = values[1::2], fills.commissions[1::2], fills.rows[1::2]
    averages = arithmetic.averages(fills)
    sold: Numbers = averages[1::2]
    exit_prices = prices[1::2]
    held = np.zeros_like(sizes)
    if is_open:
        held[-1] = sizes[-1]
        back, spent = (np.append(column, held[:1] * 0) for column in (back, spent))
        exits, exit_prices = np.append(exits, -1), np.append(exit_prices, 0.0)
        sold = [*averages[1::2].tolist(), None]
    return Trips(
        columns=fills.columns[::2],
        entry_rows=fills.rows[::2],
        exit_rows=exits,
        signs=np.where(shares[::2] > 0, 1, -1),
        held=held,
        largest=sizes,
        entered=sizes,
        entry_values=np.abs(values[::2]),
        entry_averages=averages[::2],
        exit_averages=sold,
        commissions=costs + spent,
        slippages=np.zeros_like(sizes),
        cash=-values[::2] - costs - back - spent,
        exit_prices=exit_prices,
        saw_exit_bar=np.zeros(len(sizes), dtype=np.bool_),
    )
