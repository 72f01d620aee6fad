"""zipline-reloaded: its event loop; a slippage model of our own fills at the next open."""

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import CAPITAL, FAST, SHARE, SLOW, Outcome, main

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "src" / "backtrail" / "crosscheck"))
warnings.filterwarnings("ignore")

from zipline.algorithm import TradingAlgorithm  # noqa: E402
from zipline.api import order, order_target, set_commission, set_slippage  # noqa: E402
from zipline.finance import commission, slippage  # noqa: E402
from zipline.finance.metrics import load as load_metrics  # noqa: E402
from zipline.finance.trading import SimulationParameters  # noqa: E402
from zipline_world import make_world  # noqa: E402


class NextOpen(slippage.SlippageModel):
    def process_order(self, data, order):
        return data.current(order.asset, "open"), order.amount


def cross(share):
    def handle(context, data):
        for asset in context.assets:
            closes = data.history(asset, "close", SLOW, context.frequency).to_numpy()
            if np.isnan(closes[0]):
                continue
            up = closes[-FAST:].mean() > closes.mean()
            held = context.portfolio.positions[asset].amount
            if up and not held:
                # order_target_percent would round up what is within 1e-4 of a whole share.
                value = share * context.portfolio.portfolio_value
                order(asset, int(value / closes[-1]))
            elif not up and held:
                order_target(asset, 0)

    return handle


def prepare_for(make):
    def prepare(task):
        grid = (len(task.timestamps), -1)
        columns = {
            name: getattr(task, name).reshape(grid)
            for name in ("open", "high", "low", "close", "volume")
        }
        k = columns["close"].shape[1]

        folder = tempfile.TemporaryDirectory()
        world = make_world(
            Path(folder.name),
            symbols=[f"S{i:02d}" for i in range(k)],
            timestamps=task.timestamps,
            columns=columns,
            splits=np.ones_like(columns["close"]),
            dividends=np.zeros_like(columns["close"]),
            delisted=[-1] * k,
            calendar="XNYS",
        )

        def call():
            assert folder.name  # keeps the folder as long as the calls
            frequency = "daily" if task.is_daily else "minute"

            def initialize(context):
                context.assets = world.finder.retrieve_all(range(k))
                context.frequency = "1d" if task.is_daily else "1m"
                set_slippage(NextOpen())
                set_commission(commission.PerDollar(task.rate))

            sessions = world.calendar.sessions_in_range(world.first, world.last)
            algorithm = TradingAlgorithm(
                sim_params=SimulationParameters(
                    world.first, world.last, world.calendar, CAPITAL, data_frequency=frequency
                ),
                data_portal=world.portal,
                trading_calendar=world.calendar,
                initialize=initialize,
                handle_data=make(SHARE if k > 1 else 1.0),
                benchmark_returns=pd.Series(0.0, index=sessions),
                metrics_set=load_metrics("default"),
            )
            perf = algorithm.run()
            fills = sum(len(done) for done in perf["transactions"])
            values = perf["portfolio_value"].to_numpy()
            return Outcome(values[-1], fills, values if task.is_daily else None)

        return call

    return prepare


if __name__ == "__main__":
    nothing = lambda share: lambda context, data: None  # noqa: E731
    main(
        ["zipline-reloaded", "pandas"],
        {"history": prepare_for(cross), "empty": prepare_for(nothing)},
    )
