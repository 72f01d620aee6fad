"""Mean reversion on minute bars: event form.

Buys when the close lies far below the mean of its window, sells when it is back near the mean.
Works on bars of any length; the defaults are meant for minutes.
"""

from dataclasses import dataclass

from lib.indicators import zscore
from lib.windows import check_window

from backtrail.engine import BarData, Context, TradingAlgorithm


@dataclass(frozen=True)
class Params:
    """Window in bars; distances in standard deviations below the mean; share of the portfolio."""

    window: int = 60
    enter_below: float = 2.0
    leave_below: float = 0.5
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_window("window", self.window)
        if not 0.0 <= self.leave_below < self.enter_below:
            raise ValueError(
                f"leave_below is {self.leave_below}, enter_below is {self.enter_below};"
                " 0 <= leave_below < enter_below"
            )


class MeanReversion(TradingAlgorithm):
    """Buy weakness in the first symbol of the run, sell the recovery."""

    def initialize(self, context: Context) -> None:
        """Start flat."""
        context.asset = context.universe[0]
        context.is_long = False

    def handle_data(self, context: Context, data: BarData) -> None:
        """Enter far below the mean, leave near it."""
        params = context.params
        closes = data.history(context.asset, "close", params.window)
        if len(closes) < params.window:
            return
        distance = -zscore(closes)
        if not context.is_long and distance > params.enter_below:
            self.order_target_percent(context.asset, params.weight)
            context.is_long = True
        elif context.is_long and distance < params.leave_below:
            self.order_target_percent(context.asset, 0.0)
            context.is_long = False
