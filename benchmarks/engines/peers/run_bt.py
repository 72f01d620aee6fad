"""bt: weights per date, rebalanced at that date's price, the tree marked at the same price.

Its one price per date is the open; a last row with the last close marks the end.
"""

import bt
import numpy as np
import pandas as pd
from measuring import CAPITAL, Outcome, averages, main


def single(task):
    days = pd.DatetimeIndex(task.days())
    last = days[-1] + pd.Timedelta(hours=16)
    prices = pd.DataFrame(
        {"A": np.append(task.open, task.close[-1])}, index=days.append(pd.DatetimeIndex([last]))
    )

    def call():
        fast, slow = averages(task.close)
        up = np.append(False, fast > slow)  # decided at a close, traded at the next open
        turns = np.flatnonzero(up[1:] != up[:-1]) + 1
        turns = turns[turns < len(days)]
        weights = pd.DataFrame({"A": up[turns].astype(float)}, index=days[turns])
        steps = [bt.algos.WeighTarget(weights), bt.algos.Rebalance()]
        strategy = bt.Strategy("sma", steps)
        test = bt.Backtest(
            strategy,
            prices,
            initial_capital=CAPITAL,
            commissions=lambda quantity, price: abs(quantity) * price * task.rate,
            integer_positions=False,
            progress_bar=False,
        )
        result = bt.run(test)
        done = result.get_transactions()
        return Outcome(test.strategy.values.iloc[-1], len(done))

    return call


if __name__ == "__main__":
    main(["bt", "ffn", "pandas"], {"weights": single})
