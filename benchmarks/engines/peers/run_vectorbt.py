"""vectorbt: signals from arrays, its compiled portfolio."""

import gc

import numpy as np
import pandas as pd
import vectorbt as vbt
from measuring import CAPITAL, FAST, PAIRS, SHARE, SLOW, Outcome, main


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


def sweep(chunk, *, metrics):
    """Every average once, then blocks of pairs: its fastest way, though not its documented one."""

    def prepare(task):
        close = pd.Series(task.close, pd.DatetimeIndex(task.days()))
        opens = task.open[:, None]

        def call():
            lengths = sorted({length for pair in PAIRS for length in pair})
            means = vbt.MA.run(close, lengths).ma.to_numpy()
            place = {length: column for column, length in enumerate(lengths)}
            total = 0.0
            for first in range(0, len(PAIRS), chunk):
                pairs = PAIRS[first : first + chunk]
                fast = means[:, [place[pair[0]] for pair in pairs]]
                up = np.zeros(fast.shape, bool)
                up[1:] = (fast > means[:, [place[pair[1]] for pair in pairs]])[:-1]
                portfolio = vbt.Portfolio.from_signals(
                    close, up, ~up, price=opens, fees=task.rate, init_cash=CAPITAL, freq="1D"
                )
                total += float(portfolio.total_return().sum())
                if metrics:
                    portfolio.max_drawdown()
                    portfolio.sharpe_ratio()
                    portfolio.orders.count()
                del portfolio
                gc.collect()  # else blocks pile up
            return Outcome(total / len(PAIRS), len(PAIRS))

        return call

    return prepare


if __name__ == "__main__":
    variants = {
        "single": single,
        "shared": shared,
        "sweep": sweep(1_000, metrics=False),
        "sweep, at once": sweep(len(PAIRS), metrics=False),
        "sweep, four metrics": sweep(1_000, metrics=True),
    }
    main(["vectorbt", "numba", "pandas"], variants, compiles=True)
