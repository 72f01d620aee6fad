"""pybroker: sized at the close, whole shares, filled at the next open within what cash buys."""

import warnings

import numpy as np
import pandas as pd
import pybroker
from measuring import CAPITAL, FAST, SHARE, SLOW, Outcome, main
from pybroker import FeeMode, PriceType, Strategy, StrategyConfig

warnings.filterwarnings("ignore")
pybroker.disable_logging()
pybroker.disable_progress_bar()


def decide(share):
    def handle(ctx):
        closes = ctx.close
        if len(closes) < SLOW:
            return
        up = closes[-FAST:].mean() > closes[-SLOW:].mean()
        held = ctx.long_pos()
        if up and not held:
            ctx.buy_shares = ctx.calc_target_shares(share)
            ctx.buy_fill_price = PriceType.OPEN
        elif not up and held:
            ctx.sell_all_shares()
            ctx.sell_fill_price = PriceType.OPEN

    return handle


def nothing(ctx):
    pass


def prepare_for(make):
    def prepare(task):
        many = task.close.ndim > 1
        k = task.close.shape[1] if many else 1
        days = pd.DatetimeIndex(task.days())
        columns = {
            name: getattr(task, name).reshape(len(days), k).T.ravel()
            for name in ("open", "high", "low", "close", "volume")
        }
        frame = pd.DataFrame(
            {
                "date": np.tile(days, k),
                "symbol": np.repeat([f"S{i:02d}" for i in range(k)], len(days)),
                **columns,
            }
        )
        names = sorted(frame["symbol"].unique())

        def call():
            config = StrategyConfig(
                initial_cash=CAPITAL,
                fee_mode=FeeMode.ORDER_PERCENT,
                fee_amount=task.rate * 100,
                max_long_positions=None,
                round_fill_price=False,
            )
            strategy = Strategy(frame, days[0], days[-1], config)
            strategy.add_execution(make(SHARE if many else 1.0), names)
            result = strategy.backtest(calc_bootstrap=False)
            equity = result.portfolio["equity"].to_numpy()
            return Outcome(equity[-1], len(result.orders), equity)

        return call

    return prepare


if __name__ == "__main__":
    variants = {"history": prepare_for(decide), "empty": prepare_for(lambda share: nothing)}
    main(["lib-pybroker", "pandas", "numba"], variants, compiles=True)
