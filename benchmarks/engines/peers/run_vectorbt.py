"""vectorbt: signals from arrays, its compiled portfolio."""

import numpy as np
import pandas as pd
import vectorbt as vbt
from measuring import CAPITAL, FAST, SHARE, SLOW, Outcome, main


def outcome(portfolio, details):
    orders = portfolio.order_records
    if not details:
        return Outcome(portfolio.final_value(), len(orders))
    signs = np.where(orders["side"] == 0, 1.0, -1.0)
    trades = list(zip(orders["idx"], orders["size"] * signs, orders["price"], strict=True))
    return Outcome(portfolio.final_value(), len(orders), portfolio.value().to_numpy(), trades)


def single(task):
    index = pd.DatetimeIndex(task.days())
    close, opens = pd.Series(task.close, index), pd.Series(task.open, index)

    def call():
        up = vbt.MA.run(close, FAST).ma_above(vbt.MA.run(close, SLOW))
        portfolio = vbt.Portfolio.from_signals(
            close,
            up.vbt.signals.fshift(1),
            (~up).vbt.signals.fshift(1),
            price=opens,
            fees=task.rate,
            init_cash=CAPITAL,
            freq="1D",
        )
        return outcome(portfolio, task.details)

    return call


def shared(task):
    index = pd.DatetimeIndex(task.days())
    close, opens = pd.DataFrame(task.close, index), pd.DataFrame(task.open, index)

    def call():
        fast, slow = (vbt.MA.run(close, length).ma.to_numpy() for length in (FAST, SLOW))
        up = np.vstack([np.zeros((1, close.shape[1]), bool), (fast > slow)[:-1]])
        before = np.vstack([np.zeros((1, close.shape[1]), bool), up[:-1]])
        size = np.where(up & ~before, SHARE, np.where(before & ~up, 0.0, np.nan))
        portfolio = vbt.Portfolio.from_orders(
            close,
            size=pd.DataFrame(size, index),
            size_type="targetpercent",
            price=opens,
            val_price=opens,
            fees=task.rate,
            init_cash=CAPITAL,
            group_by=True,
            cash_sharing=True,
            call_seq="auto",
            freq="1D",
        )
        return outcome(portfolio, task.details)

    return call


if __name__ == "__main__":
    variants = {"single": single, "shared": shared}
    main(["vectorbt", "numba", "pandas"], variants, compiles=True)
