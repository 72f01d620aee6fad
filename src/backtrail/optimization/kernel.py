"""The compiled account: changes of target weights in, the statistics of parameter sets out.

The rules are those of the event engine with the float64 ledger (`backtrail.engine.simulation`),
written once more as loops over arrays, so that Numba can compile them. The same functions run
uncompiled where Numba is not installed and give the same numbers; tests hold both against the event
engine. Nothing is allocated per bar, and an equity curve is kept only when asked for.

A set goes from event to event: at a bar with a fill, a corporate action or a new weight the account
is worked on, and between two of them `_ride_one` or `_ride_many` only mark it. That loop is where
the time goes, so it keeps everything in scalars. All compiled functions stay in this file, because
Numba's cache on disk looks for changes in the file of the function that is called, and in no other.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from backtrail.optimization.compiling import compiled
from backtrail.optimization.statistics import STATISTICS

__all__ = [
    "CLIP",
    "CLOSES",
    "OPENS",
    "OVERDRAW",
    "REJECT",
    "STATE_SIZE",
    "Terms",
    "simulate_block",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

CLIP: Final = 0
REJECT: Final = 1
OVERDRAW: Final = 2

# Rows of prices, shape (4, k, n); at the open a split pays what is left of a lot.
CLOSES: Final = 0
OPENS: Final = 1
SPLITS: Final = 2  # new shares per old, 1.0 where nothing happens
DIVIDENDS: Final = 3  # cash per share

STATE_SIZE: Final = len(STATISTICS) + 2  # and the peak of equity so far, and cash
_FIRST, _EQUITY, _SUM, _SQUARES, _DOWNSIDE, _LARGEST, _DRAWDOWN = range(7)
_TRADES, _WINS, _PROFIT, _LOSS, _PEAK, _CASH = range(7, 13)


class Terms(NamedTuple):
    """Rules and costs.

    Attributes:
        rate: Commission as a fraction of a fill's value.
        capital: Cash at the start.
        lots_per_share: 1 for whole shares, 1e9 for fractional ones.
        at_fill: Size at the fill instead of at the signal's close.
        cash_policy: `CLIP`, `REJECT` or `OVERDRAW`.
        fills: Row of prices at which orders fill, `OPENS` or `CLOSES`.
        target: Return per bar below which a bar counts as a loss.
    """

    rate: float
    capital: float
    lots_per_share: float
    at_fill: bool
    cash_policy: int
    fills: int
    target: float


# What is known of each symbol, rows of an account of shape (ACCOUNT_SIZE, k): shares held; the last
# weight; 1 while an order waits, what it trades, once sized, and what is held after it; side (0
# without one), shares and cash flow of the open round trip.
_QUANTITY, _WEIGHT, _WAITS, _WANTED, _TARGET, _SIDE, _SHARES, _FLOW = range(8)
_ACCOUNT_SIZE: Final = 8
_NOTHING: Final = 5e-11  # what tables, which show money to 1e-10, round to zero


@compiled
def _round_quantity(quantity: float, lots_per_share: float) -> float:
    lots = quantity * lots_per_share
    nearest: float = np.rint(lots)
    if abs(lots - nearest) > min(1e-9 * max(1.0, abs(lots)), 1e-3):
        nearest = np.trunc(lots)
    return nearest / lots_per_share


@compiled
def _ride_one(
    row: int,
    end: int,
    cash: float,
    quantity: float,
    closes: FloatArray,
    target: float,
    equity: FloatArray,
    state: FloatArray,
) -> None:
    """Mark one symbol's account at the bars from `row` up to, and without, `end`."""
    if equity.shape[0] > 0:
        for index in range(row, end):
            equity[index] = cash + quantity * closes[index]
    before, peak = state[_EQUITY], state[_PEAK]
    total, squares, downside = state[_SUM], state[_SQUARES], state[_DOWNSIDE]
    if quantity == 0.0:  # after the first of these bars equity stays what it is
        downside += max(end - row - 1, 0) * min(-target, 0.0) ** 2
        end = min(end, row + 1)
    largest, deepest = state[_LARGEST], state[_DRAWDOWN]
    floor = peak * (1.0 + deepest)
    for index in range(row, end):
        value = cash + quantity * closes[index]
        change = value / before - 1.0
        size = abs(change)
        above = change - target
        fall = 0.5 * (above - abs(above))  # what is below the target, else zero; no branch
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
    quantities: FloatArray,
    held: IntArray,
    closes: FloatArray,
    target: float,
    equity: FloatArray,
    state: FloatArray,
) -> None:
    """Do as `_ride_one` for several symbols."""
    for now in range(row, end):
        value = state[_CASH]
        for index in range(held[-1]):
            value += quantities[held[index]] * closes[held[index], now]
        change = value / state[_EQUITY] - 1.0
        state[_SUM] += change
        state[_SQUARES] += change * change
        state[_DOWNSIDE] += min(change - target, 0.0) ** 2
        state[_LARGEST] = max(state[_LARGEST], abs(change))
        if value > state[_PEAK]:
            state[_PEAK] = value
        state[_DRAWDOWN] = min(state[_DRAWDOWN], value / state[_PEAK] - 1.0)
        state[_EQUITY] = value
        if equity.shape[0] > 0:
            equity[now] = value


@compiled
def _trade(
    account: FloatArray, column: int, quantity: float, price: float, rate: float, state: FloatArray
) -> None:
    """Book a fill on the round trip of its symbol; one that turns it around is divided."""
    size = abs(quantity)
    side = 1.0 if quantity > 0.0 else -1.0
    if account[_SIDE, column] == -side:
        closing = min(size, account[_SHARES, column])
        account[_FLOW, column] -= closing * price * (side + rate)
        account[_SHARES, column] -= closing
        size -= closing
        if account[_SHARES, column] == 0.0:
            _close_trip(account, column, state)
    if size > 0.0:
        if account[_SIDE, column] == 0.0:
            account[_SIDE, column] = side
            account[_FLOW, column] = 0.0
        account[_SHARES, column] += size
        account[_FLOW, column] -= size * price * (side + rate)


@compiled
def _close_trip(account: FloatArray, column: int, state: FloatArray) -> None:
    pnl = account[_FLOW, column]
    account[_SIDE, column] = 0.0
    state[_TRADES] += 1.0
    if pnl > _NOTHING:
        state[_WINS] += 1.0
        state[_PROFIT] += pnl
    else:
        state[_LOSS] -= pnl


@compiled
def _hold(account: FloatArray, held: IntArray, column: int, quantity: float) -> None:
    """Change a holding, and with it the list of what is held; its last place has their number."""
    count = held[-1]
    if account[_QUANTITY, column] == 0.0:
        held[count] = column
        held[-1] = count + 1
    elif quantity == 0.0:
        place = 0
        while held[place] != column:
            place += 1
        for index in range(place, count - 1):
            held[index] = held[index + 1]
        held[-1] = count - 1
    account[_QUANTITY, column] = quantity


@compiled
def _act(
    account: FloatArray,
    held: IntArray,
    prices: FloatArray,
    order: IntArray,
    terms: Terms,
    row: int,
    state: FloatArray,
) -> None:
    """Apply the splits and dividends of a bar."""
    for index in range(order.shape[0]):
        column = order[index]
        if prices[SPLITS, column, row] != 1.0:
            _split(account, held, prices, column, terms, row, state)
        dividend = prices[DIVIDENDS, column, row]
        if dividend != 0.0 and account[_QUANTITY, column] != 0.0:
            paid = account[_QUANTITY, column] * dividend
            state[_CASH] += paid
            account[_FLOW, column] += paid


@compiled
def _split(
    account: FloatArray,
    held: IntArray,
    prices: FloatArray,
    column: int,
    terms: Terms,
    row: int,
    state: FloatArray,
) -> None:
    """Divide a holding and the order that waits; what is left of a lot is paid in cash."""
    ratio, lots = prices[SPLITS, column, row], terms.lots_per_share
    if account[_QUANTITY, column] != 0.0:
        exact = account[_QUANTITY, column] * ratio
        quantity = _round_quantity(exact, lots)
        paid = (exact - quantity) * prices[OPENS, column, row]
        state[_CASH] += paid
        account[_FLOW, column] += paid
        account[_SHARES, column] = abs(quantity)
        _hold(account, held, column, quantity)
        if quantity == 0.0:
            _close_trip(account, column, state)
    if account[_WAITS, column] != 0.0 and not terms.at_fill:
        account[_WANTED, column] = _round_quantity(account[_WANTED, column] * ratio, lots)
        account[_TARGET, column] = _round_quantity(account[_TARGET, column] * ratio, lots)
        account[_WAITS, column] = 1.0 if account[_WANTED, column] != 0.0 else 0.0


@compiled
def _size(account: FloatArray, column: int, value: float, price: float, terms: Terms) -> None:
    """Size an order for the weight of a symbol; one that trades nothing does not wait."""
    target = _round_quantity(account[_WEIGHT, column] * value / price, terms.lots_per_share)
    account[_TARGET, column] = target
    account[_WANTED, column] = target - account[_QUANTITY, column]
    account[_WAITS, column] = 1.0 if account[_WANTED, column] != 0.0 else 0.0


@compiled
def _size_waiting(
    account: FloatArray,
    held: IntArray,
    prices: FloatArray,
    terms: Terms,
    row: int,
    state: FloatArray,
) -> None:
    """Size what waits at the prices that it fills at."""
    value = state[_CASH]
    for index in range(held[-1]):
        value += account[_QUANTITY, held[index]] * prices[terms.fills, held[index], row]
    for column in range(account.shape[1]):
        if account[_WAITS, column] != 0.0:
            _size(account, column, value, prices[terms.fills, column, row], terms)


@compiled
def _fill_waiting(
    account: FloatArray,
    held: IntArray,
    prices: FloatArray,
    order: IntArray,
    terms: Terms,
    row: int,
    state: FloatArray,
) -> None:
    """Fill what waits; who sells comes first."""
    for buying in range(2):
        for index in range(order.shape[0]):
            column = order[index]
            wanted = account[_WANTED, column]
            if account[_WAITS, column] == 0.0 or (wanted > 0.0) != (buying == 1):
                continue
            account[_WAITS, column] = 0.0
            price = prices[terms.fills, column, row]
            quantity = account[_TARGET, column] - account[_QUANTITY, column]
            if quantity > 0.0 and terms.cash_policy != OVERDRAW:
                quantity = _within_cash(state[_CASH], quantity, price, terms)
            if quantity == 0.0:
                continue
            paid = quantity * price
            state[_CASH] = state[_CASH] - paid - abs(paid) * terms.rate
            _hold(account, held, column, account[_QUANTITY, column] + quantity)
            _trade(account, column, quantity, price, terms.rate, state)


@compiled
def _within_cash(cash: float, quantity: float, price: float, terms: Terms) -> float:
    """Return how much of a purchase the cash allows."""
    cost = quantity * price * (1.0 + terms.rate)
    if cost <= cash + 1e-9 * max(1.0, cash):
        return quantity
    if terms.cash_policy == CLIP and cash > 0.0:
        return _round_quantity(cash / (price * (1.0 + terms.rate)), terms.lots_per_share)
    return 0.0


@compiled
def _simulate_set(
    change_rows: IntArray,
    change_columns: IntArray,
    change_weights: FloatArray,
    equity: FloatArray,
    state: FloatArray,
    prices: FloatArray,
    action_rows: IntArray,
    order: IntArray,
    terms: Terms,
) -> None:
    """Trade the changes of a set's weights and write the statistics of the account."""
    symbols, n = prices.shape[1], prices.shape[2]
    account = np.zeros((_ACCOUNT_SIZE, symbols))
    held = np.zeros(symbols + 1, dtype=np.int64)  # in the order in which they were bought
    closes = prices[CLOSES]
    first = closes[0]
    state[:] = 0.0
    state[_FIRST] = state[_EQUITY] = state[_PEAK] = state[_CASH] = terms.capital
    # The first bar is marked as all others, and has no return: what it adds is taken away before.
    state[_DOWNSIDE] = -(min(-terms.target, 0.0) ** 2)
    next_action, next_change, changes = 0, 0, change_rows.shape[0]
    waiting = False
    row = 0
    while row < n:
        if next_action < action_rows.shape[0] and action_rows[next_action] == row:
            next_action += 1
            _act(account, held, prices, order, terms, row, state)
        if waiting:
            waiting = False
            if terms.at_fill:
                _size_waiting(account, held, prices, terms, row, state)
            _fill_waiting(account, held, prices, order, terms, row, state)
        end = n
        if next_action < action_rows.shape[0]:
            end = action_rows[next_action]
        if next_change < changes and change_rows[next_change] < end:
            end = change_rows[next_change] + 1
        if symbols == 1:
            cash, quantity = state[_CASH], account[_QUANTITY, 0]
            _ride_one(row, end, cash, quantity, first, terms.target, equity, state)
        else:
            _ride_many(row, end, account[_QUANTITY], held, closes, terms.target, equity, state)
        row = end - 1
        while next_change < changes and change_rows[next_change] == row:
            column = change_columns[next_change]
            account[_WEIGHT, column] = change_weights[next_change]
            account[_WAITS, column] = 1.0
            if not terms.at_fill:
                _size(account, column, state[_EQUITY], closes[column, row], terms)
            waiting = waiting or account[_WAITS, column] != 0.0
            next_change += 1
        row += 1


@compiled
def simulate_block(
    starts: IntArray,
    change_rows: IntArray,
    change_columns: IntArray,
    change_weights: FloatArray,
    equities: FloatArray,
    states: FloatArray,
    prices: FloatArray,
    action_rows: IntArray,
    order: IntArray,
    terms: Terms,
) -> None:
    """Trade the changes of the weights of several sets and write their statistics.

    Args:
        starts: Where the changes of each set begin, and where the last one's end, shape (m + 1,).
        change_rows: Bars at which a weight changes, of all sets, ascending in each.
        change_columns: Symbol of each change.
        change_weights: The new target, a fraction of the portfolio value.
        equities: Takes the equity curves, shape (m, n), or (m, 0) when they are not wanted.
        states: Takes the statistics, shape (m, STATE_SIZE), in the order of `STATISTICS`.
        prices: Raw, in the order of `CLOSES`, `OPENS`, `SPLITS` and `DIVIDENDS`, shape (4, k, n);
            every symbol has a bar in every row.
        action_rows: Rows with a split or dividend, ascending.
        order: Columns in the order of their symbols' names.
        terms: Rules and costs.
    """
    for number in range(states.shape[0]):
        own = slice(starts[number], starts[number + 1])
        _simulate_set(
            change_rows[own],
            change_columns[own],
            change_weights[own],
            equities[number],
            states[number],
            prices,
            action_rows,
            order,
            terms,
        )
