"""backtrader: with cheat-on-open (sized at the fill) and without (sized at the close)."""

from datetime import datetime, timedelta

import backtrader as bt
from measuring import CAPITAL, FAST, SHARE, SLOW, Outcome, main

START = datetime(1970, 1, 1)  # noqa: DTZ001  backtrader's times have no zone


class Columns(bt.feed.DataBase):
    """Serves arrays, without pandas."""

    params = (("task", None), ("column", None))

    def start(self):
        super().start()
        task, column = self.p.task, self.p.column
        pick = (lambda a: a) if column is None else (lambda a: a[:, column])
        names = ("open", "high", "low", "close", "volume")
        self._rows = zip(
            [bt.date2num(START + timedelta(microseconds=t)) for t in task.timestamps.tolist()],
            *(pick(getattr(task, name)).tolist() for name in names),
            strict=True,
        )

    def _load(self):
        row = next(self._rows, None)
        if row is None:
            return False
        lines = self.lines
        lines.datetime[0], lines.open[0], lines.high[0] = row[0], row[1], row[2]
        lines.low[0], lines.close[0], lines.volume[0] = row[3], row[4], row[5]
        lines.openinterest[0] = 0
        return True


class Base(bt.Strategy):
    params = (("share", 1.0),)

    def __init__(self):
        self.fills, self.values = [], []
        self.ups = [
            bt.ind.SMA(data.close, period=FAST) > bt.ind.SMA(data.close, period=SLOW)
            for data in self.datas
        ]
        self.rejected = 0

    def notify_order(self, order):
        if order.status == order.Completed:
            done = order.executed
            self.fills.append((len(self.datas[0]) - 1, done.size, done.price))
        elif order.status == order.Margin:
            self.rejected += 1


class AtOpen(Base):
    """Sized by the price of the fill: cheat-on-open sees that open, and nothing after it."""

    def __init__(self):
        super().__init__()
        self.wanted = False

    def next(self):
        self.wanted = bool(self.ups[0][0])

    def next_open(self):
        data = self.datas[0]
        held = self.getposition(data).size
        if self.wanted and not held:
            cost = data.open[0] * (1.0 + self.broker.getcommissioninfo(data).p.commission)
            # All the cash, less what rounding may cost, as the broker refuses the last bit.
            self.buy(data, size=self.broker.getcash() * (1.0 - 1e-15) / cost)
        elif not self.wanted and held:
            self.close(data)


class AtClose(Base):
    """Sized by the last close, in whole shares; what costs more than the cash is rejected."""

    def next(self):
        for data, up in zip(self.datas, self.ups, strict=True):
            held = self.getposition(data).size
            if up[0] and not held:
                self.order_target_percent(data, target=self.p.share)
            elif not up[0] and held:
                self.close(data)


def prepare_for(strategy, *, at_open=False):
    def prepare(task):
        many = task.close.ndim > 1

        def call():
            cerebro = bt.Cerebro(stdstats=False, cheat_on_open=at_open)
            for column in range(task.close.shape[1]) if many else (None,):
                cerebro.adddata(Columns(task=task, column=column))
            cerebro.addstrategy(strategy, share=SHARE if many else 1.0)
            cerebro.broker.setcash(CAPITAL)
            cerebro.broker.setcommission(commission=task.rate)
            cerebro.broker.set_checksubmit(False)  # else all in is refused before it is tried
            (run,) = cerebro.run()
            return Outcome(cerebro.broker.getvalue(), len(run.fills), None, run.fills)

        return call

    return prepare


if __name__ == "__main__":
    main(
        ["backtrader"],
        {"at open": prepare_for(AtOpen, at_open=True), "at close": prepare_for(AtClose)},
    )
