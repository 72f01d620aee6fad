"""Orders: styles, sizes, controls, and the book in which they wait."""

from backtrail.engine.orders.order import SIZINGS, OpenOrder, Order, OrderBook, check_amount
from backtrail.engine.orders.sizing import sized
from backtrail.engine.orders.styles import (
    MARKET,
    LimitOrder,
    MarketOrder,
    StopLimitOrder,
    StopOrder,
    Style,
    style_of,
)

__all__ = [
    "MARKET",
    "SIZINGS",
    "LimitOrder",
    "MarketOrder",
    "OpenOrder",
    "Order",
    "OrderBook",
    "StopLimitOrder",
    "StopOrder",
    "Style",
    "check_amount",
    "sized",
    "style_of",
]
