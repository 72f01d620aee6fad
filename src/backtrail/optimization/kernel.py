"""The compiled account: changes of target weights in, the statistics of parameter sets out.

The rules are those of the event engine with the float64 ledger (`backtrail.engine.simulation`),
written once more as loops over arrays, so that Numba can compile them. The same functions run
uncompiled where Numba is not installed and give the same numbers; tests hold both against the event
engine. Nothing is allocated per bar, and an equity curve is kept only when asked for.

A set goes from event to event: at a bar with a fill, a corporate action or a new weight the account
is worked on, and between two of them `_ride_one` or `_ride_many` only mark it. That loop is where
the time goes, so it keeps everything in scalars.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.optimization.compiling import compiled

__all__ = [
    "CLIP",
    "OVERDRAW",
    "REJECT",
    "STATE_SIZE",
    "STATISTICS",
    "find_changes",
    "find_flips",
    "simulate_block",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]

_STRIDE: Final = 32

CLIP: Final = 0
REJECT: Final = 1
OVERDRAW: Final = 2

# What the kernel writes for each set, in this order.
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
    "fills",
)
STATE_SIZE: Final = len(STATISTICS) + 1  # and the peak of equity so far
_FIRST, _EQUITY, _SUM, _SQUARES, _DOWNSIDE, _LARGEST, _DRAWDOWN = range(7)
_TRADES, _WINS, _PROFIT, _LOSS, _FILLS, _PEAK = range(7, 13)


@compiled
def _next_change(weights: FloatArray, row: int, last: float) -> int:
    """Return the first row from `row` on at which one symbol has another weight than `last`."""
    end: int = weights.shape[0]
    while row + _STRIDE <= end:  # several at once, without a branch in between
        differs = False
        for index in range(row, row + _STRIDE):
            differs |= weights[index] != last
        if differs:
            for index in range(row, row + _STRIDE):
                if weights[index] != last and weights[index] == weights[index]:
                    return index
        row += _STRIDE
    for index in range(row, end):
        if weights[index] != last and weights[index] == weights[index]:
            return index
    return end


@compiled
def find_changes(
    weights: FloatArray,
    rows: IntArray,
    columns: IntArray,
    values: FloatArray,
    start: int,
) -> int:
    """Write down where the weights of a set change; before the first weight a symbol is flat.

    Args:
        weights: Target fractions of the portfolio value, float64, shape (n, k); NaN leaves
            a holding.
        rows: Takes the bar of each change, from `start` on.
        columns: Takes the symbol of each change.
        values: Takes the new weight.
        start: First free place of the three.

    Returns:
        The place after the last change, which may lie behind the arrays' end: then they are too
        short, and not all was written. Minus one when a weight is infinite.
    """
    place = start
    last = np.zeros(weights.shape[1])
    flat = weights.reshape(weights.size)
    row = 0
    while row < weights.shape[0]:
        if weights.shape[1] == 1:
            row = _next_change(flat, row, last[0])
            if row == weights.shape[0]:
                break
        for column in range(weights.shape[1]):
            weight = 1.0 * weights[row, column]
            if weight != last[column] and weight == weight:
                if abs(weight) == np.inf:
                    return -1
                last[column] = weight
                if place < rows.shape[0]:
                    rows[place] = row
                    columns[place] = column
                    values[place] = weight
                place += 1
        row += 1
    return place


@compiled
def find_flips(
    flags: ByteArray, rows: IntArray, columns: IntArray, values: FloatArray, start: int
) -> int:
    """Do as `find_changes` for one symbol that is held wholly or not at all.

    Args:
        flags: 1 while it is held, else 0, shape (n,).
        rows: As in `find_changes`.
        columns: Likewise.
        values: Likewise.
        start: Likewise.

    Returns:
        As `find_changes`.
    """
    place, row, end = start, 0, flags.shape[0]
    last = np.uint8(0)
    while row < end:
        stop = min(row + _STRIDE, end)
        if stop == row + _STRIDE:  # several at once, without a branch in between
            differs = np.uint8(0)
            for index in range(row, row + _STRIDE):
                differs |= flags[index] ^ last
            if differs == 0:
                row = stop
                continue
        for index in range(row, stop):
            if flags[index] != last:
                last = flags[index]
                if place < rows.shape[0]:
                    rows[place] = index
                    columns[place] = 0
                    values[place] = 1.0 * last
                place += 1
        row = stop
    return place


@compiled
def _round_quantity(quantity: float, lots_per_share: float) -> float:
    lots = quantity * lots_per_share
    nearest: float = np.rint(lots)
    if abs(lots - nearest) > 1e-9 * max(1.0, abs(lots)):
        nearest = np.trunc(lots)
    return nearest / lots_per_share


@compiled
def _ride_one(
    row: int,
    end: int,
    cash: float,
    quantity: float,
    closes: FloatArray,
    equity: FloatArray,
    state: FloatArray,
) -> None:
    """Mark one symbol's account at the bars from `row` up to, and without, `end`."""
    if equity.shape[0] > 0:
        for index in range(row, end):
            equity[index] = cash + quantity * closes[index]
    if quantity == 0.0:  # after the first of these bars equity stays what it is
        end = min(end, row + 1)
    before, peak = state[_EQUITY], state[_PEAK]
    total, squares, downside = state[_SUM], state[_SQUARES], state[_DOWNSIDE]
    largest, deepest = state[_LARGEST], state[_DRAWDOWN]
    floor = peak * (1.0 + deepest)
    for index in range(row, end):
        value = cash + quantity * closes[index]
        change = value / before - 1.0
        size = abs(change)
        fall = 0.5 * (change - size)  # the change where it is a loss, else zero; no branch
        total += change
        squares += change * change
        downside += fall * fall
        if size > largest:
            largest = size
        if value > peak:
            peak = value
            floor = peak * (1.0 + deepest)
        elif value < floor:
            floor = value
            deepest = value / peak - 1.0
        before = value
    state[_SUM], state[_SQUARES], state[_DOWNSIDE] = total, squares, downside
    state[_LARGEST], state[_DRAWDOWN] = largest, deepest
    state[_EQUITY], state[_PEAK] = before, peak


@compiled
def _ride_many(
    row: int,
    end: int,
    cash: float,
    quantities: FloatArray,
    held: IntArray,
    count: int,
    closes: FloatArray,
    equity: FloatArray,
    state: FloatArray,
) -> None:
    """Do as `_ride_one` for several symbols."""
    for now in range(row, end):
        value = cash
        for index in range(count):
            value += quantities[held[index]] * closes[held[index], now]
        change = value / state[_EQUITY] - 1.0
        state[_SUM] += change
        state[_SQUARES] += change * change
        state[_DOWNSIDE] += min(change, 0.0) ** 2
        state[_LARGEST] = max(state[_LARGEST], abs(change))
        if value > state[_PEAK]:
            state[_PEAK] = value
        state[_DRAWDOWN] = min(state[_DRAWDOWN], value / state[_PEAK] - 1.0)
        state[_EQUITY] = value
        if equity.shape[0] > 0:
            equity[now] = value


@compiled
def _trade(
    column: int,
    quantity: float,
    price: float,
    rate: float,
    sides: FloatArray,
    shares: FloatArray,
    flows: FloatArray,
    state: FloatArray,
) -> None:
    """Book a fill on the round trip of its symbol; one that turns it around is divided."""
    size = abs(quantity)
    side = 1.0 if quantity > 0.0 else -1.0
    if sides[column] == -side:
        closing = min(size, shares[column])
        flows[column] -= closing * price * (side + rate)
        shares[column] -= closing
        size -= closing
        if shares[column] == 0.0:
            _close_trip(flows[column], state)
            sides[column] = 0.0
    if size > 0.0:
        if sides[column] == 0.0:
            sides[column] = side
            flows[column] = 0.0
        shares[column] += size
        flows[column] -= size * price * (side + rate)


@compiled
def _close_trip(pnl: float, state: FloatArray) -> None:
    state[_TRADES] += 1.0
    if pnl > 0.0:
        state[_WINS] += 1.0
        state[_PROFIT] += pnl
    else:
        state[_LOSS] -= pnl


@compiled
def _drop(held: IntArray, count: int, column: int) -> int:
    place = 0
    while held[place] != column:
        place += 1
    for index in range(place, count - 1):
        held[index] = held[index + 1]
    return count - 1


@compiled
def simulate_set(
    change_rows: IntArray,
    change_columns: IntArray,
    change_weights: FloatArray,
    equity: FloatArray,
    state: FloatArray,
    fill_prices: FloatArray,
    closes: FloatArray,
    opens: FloatArray,
    splits: FloatArray,
    dividends: FloatArray,
    action_rows: IntArray,
    order: IntArray,
    rate: float,
    capital: float,
    lots_per_share: float,
    at_fill: bool,
    cash_policy: int,
) -> None:
    """Trade the changes of a set's weights and write the statistics of the account.

    Every symbol has a bar in every row. All prices are raw.

    Args:
        change_rows: Bars at which a weight changes, ascending, shape (c,).
        change_columns: Symbol of each change.
        change_weights: The new target, a fraction of the portfolio value.
        equity: Takes the equity curve, shape (n,); shape (0,) when it is not wanted.
        state: Takes the statistics, shape (STATE_SIZE,), in the order of `STATISTICS`.
        fill_prices: Price at which an order fills, per bar, shape (k, n).
        closes: Last prices, shape (k, n).
        opens: First prices, shape (k, n); at them a split pays what is left of a lot.
        splits: New shares per old, 1.0 where nothing happens, shape (k, n).
        dividends: Cash per share, shape (k, n).
        action_rows: Rows with a split or dividend, ascending.
        order: Columns in the order of their symbols' names.
        rate: Commission as a fraction of a fill's value.
        capital: Cash at the start.
        lots_per_share: 1 for whole shares, 1e9 for fractional ones.
        at_fill: Size at the fill instead of at the signal's close.
        cash_policy: `CLIP`, `REJECT` or `OVERDRAW`.
    """
    symbols, n = closes.shape
    cash = capital
    quantities = np.zeros(symbols)
    held = np.zeros(symbols, dtype=np.int64)  # in the order in which they were bought
    count = 0
    last_weights = np.zeros(symbols)
    waits = np.zeros(symbols, dtype=np.bool_)
    wanted = np.zeros(symbols)  # shares to trade, once sized
    targets = np.zeros(symbols)  # shares to hold after that
    # The open round trip of each symbol: its side (0 without one), shares and cash flow.
    sides = np.zeros(symbols)
    shares = np.zeros(symbols)
    flows = np.zeros(symbols)
    waiting = False
    next_action = 0
    next_change, changes = 0, change_rows.shape[0]
    state[:] = 0.0
    state[_FIRST] = state[_EQUITY] = state[_PEAK] = capital

    row = 0
    while row < n:
        if next_action < action_rows.shape[0] and action_rows[next_action] == row:
            next_action += 1
            for index in range(symbols):
                column = order[index]
                ratio = splits[column, row]
                if ratio != 1.0:
                    if quantities[column] != 0.0:
                        exact = quantities[column] * ratio
                        quantities[column] = _round_quantity(exact, lots_per_share)
                        paid = (exact - quantities[column]) * opens[column, row]
                        cash += paid
                        flows[column] += paid
                        shares[column] = abs(quantities[column])
                        if quantities[column] == 0.0:
                            count = _drop(held, count, column)
                            _close_trip(flows[column], state)
                            sides[column] = 0.0
                    if waits[column] and not at_fill:
                        wanted[column] = _round_quantity(wanted[column] * ratio, lots_per_share)
                        targets[column] = _round_quantity(targets[column] * ratio, lots_per_share)
                        waits[column] = wanted[column] != 0.0
                if dividends[column, row] != 0.0 and quantities[column] != 0.0:
                    paid = quantities[column] * dividends[column, row]
                    cash += paid
                    flows[column] += paid

        if waiting:
            waiting = False
            if at_fill:
                value = cash
                for index in range(count):
                    value += quantities[held[index]] * fill_prices[held[index], row]
                for column in range(symbols):
                    if waits[column]:
                        price = fill_prices[column, row]
                        targets[column] = _round_quantity(
                            last_weights[column] * value / price, lots_per_share
                        )
                        wanted[column] = targets[column] - quantities[column]
                        waits[column] = wanted[column] != 0.0
            for buying in range(2):  # who sells comes first
                for index in range(symbols):
                    column = order[index]
                    if not waits[column] or (wanted[column] > 0.0) != (buying == 1):
                        continue
                    waits[column] = False
                    price = fill_prices[column, row]
                    before = quantities[column]
                    quantity = targets[column] - before
                    if quantity > 0.0 and cash_policy != OVERDRAW:
                        cost = quantity * price * (1.0 + rate)
                        if cost > cash + 1e-9 * max(1.0, cash):
                            quantity = 0.0
                            if cash_policy == CLIP and cash > 0.0:
                                most = cash / (price * (1.0 + rate))
                                quantity = _round_quantity(most, lots_per_share)
                    if quantity == 0.0:
                        continue
                    paid = quantity * price
                    cash = cash - paid - abs(paid) * rate
                    quantities[column] = before + quantity
                    if before == 0.0:
                        held[count] = column
                        count += 1
                    elif quantities[column] == 0.0:
                        count = _drop(held, count, column)
                    state[_FILLS] += 1.0
                    _trade(column, quantity, price, rate, sides, shares, flows, state)

        end = n
        if next_action < action_rows.shape[0]:
            end = action_rows[next_action]
        if next_change < changes and change_rows[next_change] < end:
            end = change_rows[next_change] + 1
        if symbols == 1:
            _ride_one(row, end, cash, quantities[0], closes[0], equity, state)
        else:
            _ride_many(row, end, cash, quantities, held, count, closes, equity, state)
        row = end - 1
        value = state[_EQUITY]
        while next_change < changes and change_rows[next_change] == row:
            column = change_columns[next_change]
            weight = change_weights[next_change]
            next_change += 1
            last_weights[column] = weight
            waits[column] = True
            if not at_fill:
                targets[column] = _round_quantity(
                    weight * value / closes[column, row], lots_per_share
                )
                wanted[column] = targets[column] - quantities[column]
                waits[column] = wanted[column] != 0.0
            waiting = waiting or waits[column]
        row += 1


@compiled
def simulate_block(
    starts: IntArray,
    change_rows: IntArray,
    change_columns: IntArray,
    change_weights: FloatArray,
    equities: FloatArray,
    states: FloatArray,
    fill_prices: FloatArray,
    closes: FloatArray,
    opens: FloatArray,
    splits: FloatArray,
    dividends: FloatArray,
    action_rows: IntArray,
    order: IntArray,
    rate: float,
    capital: float,
    lots_per_share: float,
    at_fill: bool,
    cash_policy: int,
) -> None:
    """Do as `simulate_set` for several sets, whose changes follow one another.

    Args:
        starts: Where the changes of each set begin, and where the last one's end, shape (m + 1,).
        change_rows: As in `simulate_set`, of all sets.
        change_columns: Likewise.
        change_weights: Likewise.
        equities: Takes the equity curves, shape (m, n), or (m, 0).
        states: Takes the statistics, shape (m, STATE_SIZE).
        fill_prices: From here on as in `simulate_set`.
        closes: Likewise.
        opens: Likewise.
        splits: Likewise.
        dividends: Likewise.
        action_rows: Likewise.
        order: Likewise.
        rate: Likewise.
        capital: Likewise.
        lots_per_share: Likewise.
        at_fill: Likewise.
        cash_policy: Likewise.
    """
    for number in range(states.shape[0]):
        first, last = starts[number], starts[number + 1]
        simulate_set(
            change_rows[first:last],
            change_columns[first:last],
            change_weights[first:last],
            equities[number],
            states[number],
            fill_prices,
            closes,
            opens,
            splits,
            dividends,
            action_rows,
            order,
            rate,
            capital,
            lots_per_share,
            at_fill,
            cash_policy,
        )
