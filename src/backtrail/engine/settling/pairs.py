"""Round trips of two fills: in and out."""

import operator
from collections.abc import Sequence
from typing import Any

from backtrail.engine.ledger import Amount
from backtrail.engine.trips import Trips

__all__ = ["paired_trips"]


def paired_trips(fills: Sequence[Sequence[Any]], prices: memoryview, zero: Amount) -> Trips | None:
    """Return the round trips of one symbol; None where a trip has more than two fills.

    The sums are those of `backtrail.engine.trades`, for all trips at once.

    Args:
        fills: Columns of the fills of one symbol, of which there is one or more.
        prices: Of its fills, by row.
        zero: Nothing, as an amount.
    """
    rows, columns, _, shares, _, values, costs, _, before = fills
    is_open = len(rows) % 2
    if any(before[::2]) or (not is_open and before[-1] + shares[-1]):
        return None
    sizes, paid = list(map(abs, shares[::2])), list(map(abs, values[::2]))
    exits, tail = rows[1::2], [zero] * is_open
    left, spent = [*values[1::2], *tail], [*costs[1::2], *tail]
    amounts = zip(values[::2], costs[::2], left, spent, strict=True)
    return Trips(
        columns=columns[::2],
        entry_rows=rows[::2],
        exit_rows=(*exits, None) if is_open else exits,
        signs=[1 if quantity > 0 else -1 for quantity in shares[::2]],
        held=[zero] * len(exits) + sizes[len(exits) :],
        largest=sizes,
        entered=sizes,
        entry_values=paid,
        exited=sizes[: len(exits)] + tail,
        exit_values=[*map(abs, values[1::2]), *tail],
        commissions=list(map(operator.add, costs[::2], spent)),
        slippages=[zero] * len(sizes),
        cash=[-value - cost - back - last for value, cost, back, last in amounts],
        exit_prices=[prices[row] for row in exits] + [0.0] * is_open,
        saw_exit_bar=[False] * len(sizes),
    )
