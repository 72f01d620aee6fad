"""Momentum rotation: function form.

On the first bar of each month the symbols of the run are ranked by their return over the lookback;
the best are held with equal weights until the next month, and only while that return is positive.
"""

from dataclasses import dataclass

from lib.windows import check_window

from backtrail.engine import BarData, Context
from backtrail.engine.api import order_target_percent, record


@dataclass(frozen=True)
class Params:
    """How far to look back, in bars, and how many symbols to hold."""

    lookback: int = 126
    top: int = 2

    def __post_init__(self) -> None:
        check_window("lookback", self.lookback)
        if self.top < 1:
            raise ValueError(f"top is {self.top}; hold at least one symbol")


def initialize(context: Context) -> None:
    """Remember no month yet."""
    context.month = None


def handle_data(context: Context, data: BarData) -> None:
    """Rotate on the first bar of a month."""
    month = data.current_dt.month
    if month == context.month:
        return
    context.month = month
    winners = _winners(context, data)
    for symbol in context.universe:  # sells fill before buys, whatever the order of placing
        order_target_percent(symbol, 1.0 / context.params.top if symbol in winners else 0.0)
    record(winners=len(winners))


def _winners(context: Context, data: BarData) -> set[str]:
    growth = {}
    for symbol in context.universe:
        closes = data.history(symbol, "close", context.params.lookback + 1)
        if data.can_trade(symbol) and len(closes) > context.params.lookback:
            growth[symbol] = float(closes[-1] / closes[0]) - 1.0
    ranked = sorted(growth, key=lambda symbol: (-growth[symbol], symbol))
    return {symbol for symbol in ranked[: context.params.top] if growth[symbol] > 0.0}
