"""nautilus_trader: market orders on bars fill at the close of the bar that decided them."""

from collections import deque
from decimal import Decimal

import numpy as np
import pandas as pd
from measuring import CAPITAL, FAST, SHARE, SLOW, Outcome, main
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("XNYS")


class CrossConfig(StrategyConfig, frozen=True):
    bar_types: tuple = ()
    rate: float = 0.0
    share: float = 1.0


class Cross(Strategy):
    def on_start(self):
        self.closes, self.held = {}, {}
        for bar_type in self.config.bar_types:
            self.closes[bar_type] = deque(maxlen=SLOW)
            self.held[bar_type] = 0
            self.subscribe_bars(bar_type)

    def on_bar(self, bar):
        closes = self.closes[bar.bar_type]
        closes.append(float(bar.close))
        if len(closes) < SLOW:
            return
        values = np.fromiter(closes, float, SLOW)
        up = values[-FAST:].mean() > values.mean()
        held = self.held[bar.bar_type]
        if up and not held:
            self.trade(bar, OrderSide.BUY, self.size(values[-1]))
        elif not up and held:
            self.trade(bar, OrderSide.SELL, held)

    def size(self, price):
        account = self.portfolio.account(VENUE)
        cash = float(account.balance_total(USD))
        if self.config.share == 1.0:
            return int(cash / (price * (1.0 + self.config.rate)))
        worth = cash
        for bar_type, held in self.held.items():
            if held:
                worth += held * self.closes[bar_type][-1]
        return int(self.config.share * worth / price)

    def trade(self, bar, side, quantity):
        instrument = bar.bar_type.instrument_id
        order = self.order_factory.market(instrument, side, Quantity.from_int(quantity))
        self.held[bar.bar_type] = quantity if side == OrderSide.BUY else 0
        self.submit_order(order)


class Empty(Cross):
    def on_bar(self, bar):
        pass


def prepare_for(strategy):
    def prepare(task):
        grid = task.close.reshape(len(task.timestamps), -1)
        k = grid.shape[1]
        index = pd.DatetimeIndex(task.days(), tz="UTC")
        loads = []
        cents = np.rint(grid * 100) / 100
        places = 2 if (cents == grid).all() else 6
        for column in range(k):
            name = f"S{column:02d}"
            identity = InstrumentId(Symbol(name), VENUE)
            instrument = Equity(
                instrument_id=identity,
                raw_symbol=Symbol(name),
                currency=USD,
                price_precision=places,
                price_increment=Price(10.0**-places, places),
                lot_size=Quantity.from_int(1),
                maker_fee=Decimal(repr(task.rate)),
                taker_fee=Decimal(repr(task.rate)),
                ts_event=0,
                ts_init=0,
            )
            step = "1-DAY" if task.is_daily else "1-MINUTE"
            bar_type = BarType.from_str(f"{identity}-{step}-LAST-EXTERNAL")
            frame = pd.DataFrame(
                {
                    field: getattr(task, field).reshape(len(index), k)[:, column]
                    for field in ("open", "high", "low", "close", "volume")
                },
                index=index,
            )
            loads.append(
                (instrument, bar_type, BarDataWrangler(bar_type, instrument).process(frame))
            )

        def call():
            logging = LoggingConfig(bypass_logging=True)
            engine = BacktestEngine(BacktestEngineConfig(logging=logging))
            engine.add_venue(
                VENUE, OmsType.NETTING, AccountType.CASH, [Money(CAPITAL, USD)], base_currency=USD
            )
            for instrument, _, bars in loads:
                engine.add_instrument(instrument)
                engine.add_data(bars)
            types = tuple(bar_type for _, bar_type, _ in loads)
            share = SHARE if k > 1 else 1.0
            running = strategy(CrossConfig(bar_types=types, rate=task.rate, share=share))
            engine.add_strategy(running)
            engine.run()
            worth = float(engine.portfolio.account(VENUE).balance_total(USD))
            for column, (_, bar_type, _) in enumerate(loads):
                worth += running.held[bar_type] * grid[-1, column]
            orders = engine.cache.orders_closed()
            trades = None
            if task.details:
                places = {int(stamp): row for row, stamp in enumerate(task.timestamps * 1000)}
                trades = sorted(
                    (
                        places[order.ts_last],
                        float(order.filled_qty) * (1 if order.is_buy else -1),
                        float(order.avg_px),
                    )
                    for order in orders
                )
            fills = len(orders)
            engine.dispose()
            return Outcome(worth, fills, None, trades)

        return call

    return prepare


if __name__ == "__main__":
    main(
        ["nautilus_trader", "pandas"],
        {"history": prepare_for(Cross), "empty": prepare_for(Empty)},
    )
