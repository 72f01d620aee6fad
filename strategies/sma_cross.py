"""SMA crossover, long or flat: event form.

At the close: all in when the fast moving average is above the slow one, out when it is not. The
first decision falls on the bar that completes the slow window; an exact tie counts as not above.
"""

from dataclasses import dataclass

from lib.indicators import is_uptrend
from lib.windows import check_window

from backtrail.engine import BarData, Context, TradingAlgorithm


@dataclass(frozen=True)
class Params:
    """Lengths of the two windows, in bars."""

    fast: int = 10
    slow: int = 50

    def __post_init__(self) -> None:
        check_window("fast", self.fast)
        if self.fast >= self.slow:
            raise ValueError(f"fast is {self.fast}, slow is {self.slow}; fast has to be below slow")


class SmaCross(TradingAlgorithm):
    """Hold the first symbol of the run while its trend is up."""

    def initialize(self, context: Context) -> None:
        """Start flat."""
        context.asset = context.universe[0]
        context.is_long = False

    def handle_data(self, context: Context, data: BarData) -> None:
        """Trade when the trend turns."""
        params = context.params
        closes = data.history(context.asset, "close", params.slow)
        if len(closes) < params.slow:
            return
        is_up = is_uptrend(closes, params.fast, params.slow)
        if is_up != context.is_long:
            self.order_target_percent(context.asset, 1.0 if is_up else 0.0)
            context.is_long = is_up
