"""Order styles: the prices at which an order may trade, and at which a bar fills it."""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from backtrail.engine.costs.slippage import on_tick
from backtrail.errors import OrderError

__all__ = [
    "MARKET",
    "LimitOrder",
    "MarketOrder",
    "StopLimitOrder",
    "StopOrder",
    "Style",
    "Touch",
    "style_of",
    "touch",
]


@dataclass(frozen=True)
class Style:
    """Limit and stop of an order.

    Attributes:
        limit: Worst price at which it may trade; None for any.
        stop: Price that has to be reached before it may trade; None for at once.
    """

    limit: float | None = None
    stop: float | None = None

    @property
    def name(self) -> str:
        """`market`, `limit`, `stop` or `stop_limit`."""
        if self.stop is None:
            return "market" if self.limit is None else "limit"
        return "stop" if self.limit is None else "stop_limit"

    def split(self, ratio: float) -> "Style":
        """Return the style after a split of `ratio` new shares per old."""
        if self is MARKET:
            return self
        return Style(
            None if self.limit is None else self.limit / ratio,
            None if self.stop is None else self.stop / ratio,
        )

    def on_ticks(self, tick: Decimal, *, buys: bool) -> "Style":
        """Return the style with prices on ticks, none of them worse for the order."""
        return Style(
            None if self.limit is None else on_tick(self.limit, tick, up=not buys),
            None if self.stop is None else on_tick(self.stop, tick, up=buys),
        )


class MarketOrder(Style):
    """Trades at the next price."""

    def __init__(self) -> None:
        super().__init__()


class LimitOrder(Style):
    """Trades at `limit_price` or better."""

    def __init__(self, limit_price: float) -> None:
        super().__init__(_price("limit_price", limit_price), None)


class StopOrder(Style):
    """Becomes a market order when the price reaches `stop_price`."""

    def __init__(self, stop_price: float) -> None:
        super().__init__(None, _price("stop_price", stop_price))


class StopLimitOrder(Style):
    """Becomes a limit order when the price reaches `stop_price`."""

    def __init__(self, limit_price: float, stop_price: float) -> None:
        super().__init__(_price("limit_price", limit_price), _price("stop_price", stop_price))


MARKET: Final = Style()


def _price(name: str, value: float) -> float:
    try:
        number = math.nan if isinstance(value, (str, bytes, bool)) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number <= 0.0:
        raise OrderError(f"{name} is {value!r}; a price is a finite number above zero")
    return number


def style_of(limit_price: float | None, stop_price: float | None, style: Style | None) -> Style:
    """Return the style that the arguments of an order function ask for.

    Raises:
        OrderError: If a price cannot be one, or prices and a style are both given.
    """
    if style is not None:
        if limit_price is not None or stop_price is not None:
            raise OrderError("both style and limit_price or stop_price were given; give one")
        if not isinstance(style, Style):
            raise OrderError(f"style is {style!r}; use LimitOrder(price) and its like")
        return style if style.limit is not None or style.stop is not None else MARKET
    if limit_price is None and stop_price is None:
        return MARKET
    return Style(
        None if limit_price is None else _price("limit_price", limit_price),
        None if stop_price is None else _price("stop_price", stop_price),
    )


class Touch(NamedTuple):
    """How a bar meets an order: the price, and whether it is that of the bar's beginning."""

    price: float
    at_start: bool


def touch(
    style: Style, side: int, *, triggered: bool, bar: tuple[float, float, float, float]
) -> tuple[Touch | None, bool]:
    """Return at which price a bar fills an order, and whether its stop is reached now.

    A bar is seen as its open first, then prices between low and high in unknown order, then its
    close. A price that the open has passed already fills at the open. A stop-limit whose stop is
    reached within the bar fills at the stop where that is within the limit; else only if the close
    is within the limit, at the limit, because only the close is known to come after the stop.

    Args:
        style: Limit and stop.
        side: 1 buys, -1 sells.
        triggered: Whether the stop was reached at an earlier bar.
        bar: Open, high, low, close; four times the close where only closes count.
    """
    open_, high, low, close = bar
    best, worst = (low, high) if side > 0 else (high, low)
    limit, stop = style.limit, style.stop
    if stop is None or triggered or (open_ - stop) * side >= 0:
        if limit is None or (limit - open_) * side >= 0:
            return Touch(open_, at_start=True), True
        reached = (limit - best) * side >= 0
        return (Touch(limit, at_start=False) if reached else None), True
    if (worst - stop) * side < 0:
        return None, False
    if limit is None or (limit - stop) * side >= 0:
        return Touch(stop, at_start=False), True
    later = (limit - close) * side >= 0
    return (Touch(limit, at_start=False) if later else None), True
