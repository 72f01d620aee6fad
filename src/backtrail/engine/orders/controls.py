"""Trading controls: what an order must not do, checked when its size is known."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from backtrail.errors import RiskViolationError, StrategyError

__all__ = [
    "ON_ERROR",
    "Breach",
    "Control",
    "ProposedOrder",
    "check_on_error",
    "do_not_order",
    "long_only",
    "max_order_size",
    "max_position_size",
    "permitted",
    "refuse",
]

ON_ERROR: Final = ("fail", "log", "reject")


@dataclass(frozen=True, slots=True)
class ProposedOrder:
    """An order before it is accepted.

    Attributes:
        order_id: Its id.
        symbol: What it trades.
        amount: Signed shares.
        price: Last known close.
        held: Signed shares held now.
        expected: Signed shares after this and all open orders of the symbol.
        sizing: Unit of `requested`.
        requested: The amount as asked.
        limit: Limit price; None without one.
        stop: Stop price; None without one.
    """

    order_id: int
    symbol: str
    amount: float
    price: float
    held: float
    expected: float
    sizing: str
    requested: float
    limit: float | None
    stop: float | None


@dataclass(frozen=True, slots=True)
class Breach:
    """How an order breaks a control: its limit and what was found, where they are numbers."""

    message: str
    limit: float | None = None
    found: float | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """A rule for orders.

    Attributes:
        rule: Its name, that of the function that sets it.
        on_error: `fail` ends the run, `log` records it and lets the order pass, `reject` rejects
            it.
        find: Returns how an order breaks the rule, or None.
    """

    rule: str
    on_error: str
    find: Callable[[ProposedOrder], Breach | None]


def check_on_error(on_error: str) -> str:
    """Return what to do about a breach.

    Raises:
        StrategyError: If it is none of `fail`, `log`, `reject`.
    """
    if on_error not in ON_ERROR:
        raise StrategyError(f"on_error is {on_error!r}; use one of {', '.join(ON_ERROR)}")
    return on_error


def _limits(rule: str, shares: float | None, notional: float | None) -> tuple[float, float]:
    if shares is None and notional is None:
        raise StrategyError(f"{rule} without a limit; give max_shares, max_notional or both")
    for limit in (shares, notional):
        if limit is not None and not limit >= 0:
            raise StrategyError(f"{rule} has the limit {limit!r}; give zero or above")
    return (
        float("inf") if shares is None else float(shares),
        float("inf") if notional is None else float(notional),
    )


def _size_breach(
    what: str, size: float, price: float, limits: tuple[float, float]
) -> Breach | None:
    shares, notional = limits
    if abs(size) > shares:
        message = f"{what} of {abs(size):g} shares is above {shares:g}"
        return Breach(message, shares, abs(size))
    if abs(size) * price > notional:
        value = abs(size) * price
        return Breach(f"{what} worth {value:g} is above {notional:g}", notional, value)
    return None


def max_order_size(
    asset: str | None, max_shares: float | None, max_notional: float | None, on_error: str
) -> Control:
    """Limit the size of an order, in shares, or in money at the last close."""
    limits = _limits("set_max_order_size", max_shares, max_notional)

    def find(order: ProposedOrder) -> Breach | None:
        if asset is not None and order.symbol != asset:
            return None
        return _size_breach("an order", order.amount, order.price, limits)

    return Control("max_order_size", check_on_error(on_error), find)


def max_position_size(
    asset: str | None, max_shares: float | None, max_notional: float | None, on_error: str
) -> Control:
    """Limit a holding, open orders counted as filled; what makes it smaller passes."""
    limits = _limits("set_max_position_size", max_shares, max_notional)

    def find(order: ProposedOrder) -> Breach | None:
        if asset is not None and order.symbol != asset:
            return None
        if abs(order.expected) < abs(order.expected - order.amount):
            return None
        return _size_breach("a holding", order.expected, order.price, limits)

    return Control("max_position_size", check_on_error(on_error), find)


def long_only(on_error: str) -> Control:
    """Forbid short holdings, open orders counted as filled."""

    def find(order: ProposedOrder) -> Breach | None:
        if order.expected >= 0 or order.amount > 0:
            return None
        return Breach(f"it would be short {-order.expected:g} shares", 0.0, order.expected)

    return Control("long_only", check_on_error(on_error), find)


def do_not_order(restricted: Collection[str], on_error: str) -> Control:
    """Forbid orders for some symbols."""
    if isinstance(restricted, str):
        raise StrategyError(f"set_do_not_order_list({restricted!r}); pass a list of symbols")
    names = frozenset(restricted)

    def find(order: ProposedOrder) -> Breach | None:
        return Breach("the symbol is on the do-not-order list") if order.symbol in names else None

    return Control("do_not_order_list", check_on_error(on_error), find)


def permitted(decision: object, order: ProposedOrder) -> tuple[float, str | None]:
    """Return the amount that a risk hook leaves of an order, and why nothing is left.

    Raises:
        StrategyError: If it decided anything but None, True, False, a reason, or a smaller amount
            of the same sign.
    """
    if decision is None or decision is True:
        return order.amount, None
    if decision is False:
        return 0.0, "vetoed by the risk hook"
    if isinstance(decision, str):
        return 0.0, decision
    try:
        amount = float(decision)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        amount = float("nan")
    if not abs(amount) <= abs(order.amount) or amount * order.amount < 0:
        raise StrategyError(
            f"the risk hook returned {decision!r} for an order of {order.amount:g} {order.symbol};"
            " return None to accept it, False or a reason to veto it, or a smaller amount of the"
            " same sign"
        )
    return amount, None if amount else "shrunk to nothing by the risk hook"


def refuse(rule: str, order: ProposedOrder, breach: Breach) -> None:
    """End the run over a breach.

    Raises:
        RiskViolationError: Always.
    """
    raise RiskViolationError(
        f"order {order.order_id} of {order.amount:g} {order.symbol} breaks {rule}:"
        f" {breach.message}; set the control with on_error='reject' to have such orders rejected"
    )
