"""backtesting.py: next-open fills of whole shares, its own loop over bars."""

import warnings

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy
from measuring import CAPITAL, Outcome, averages, main

warnings.filterwarnings("ignore")


class SmaCross(Strategy):
    def init(self):
        fast, slow = averages(np.asarray(self.data.Close))
        self.fast, self.slow = self.I(lambda: fast), self.I(lambda: slow)

    def next(self):
        if self.fast[-1] > self.slow[-1]:
            if not self.position:
                self.buy()
        elif self.position:
            self.position.close()


class Empty(Strategy):
    def init(self):
        pass

    def next(self):
        pass


def by_class(strategy):
    def prepare(task):
        names = ("Open", "High", "Low", "Close", "Volume")
        columns = {name: getattr(task, name.lower()) for name in names}
        frame = pd.DataFrame(columns, index=pd.DatetimeIndex(task.days()))

        def call():
            backtest = Backtest(frame, strategy, cash=CAPITAL, commission=task.rate)
            found = backtest.run()
            equity = found["_equity_curve"]["Equity"].to_numpy()
            fills = []
            if task.details:
                for trade in found["_strategy"].closed_trades + tuple(found["_strategy"].trades):
                    fills.append((trade.entry_bar, trade.size, trade.entry_price))
                    if trade.exit_bar is not None:
                        fills.append((trade.exit_bar, -trade.size, trade.exit_price))
            still_open = len(found["_strategy"].trades)
            count = 2 * len(found["_strategy"].closed_trades) + still_open
            return Outcome(equity[-1], count, equity, sorted(fills) or None)

        return call

    return prepare


if __name__ == "__main__":
    main(["backtesting", "pandas"], {"look-up": by_class(SmaCross), "empty": by_class(Empty)})
