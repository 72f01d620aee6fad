"""Golden numbers of SMA 10/50 on the S&P 500, worked out without backtrail.

Who computed: this script, in plain Python and `decimal`; nothing of the library is imported. Data:
the S&P 500 daily bars 1999-01-04 to 2018-12-31 in the `arch` package (sp500.csv.gz, NCSA licence).
`python tests/golden/sma_10_50_spx.py` prints the JSON committed as `sma_10_50_spx.json`.

Derivation, bar by bar (prices are the exact decimals of the file):

1. At the open of bar t the order of bar t-1 is filled at open[t]. A buy of q shares costs q * open
   and the commission 0.1 % of that; when this is more than the cash, q becomes the largest whole
   number for which it is not. A sale pays the same commission.
2. Equity of bar t is cash + shares * close[t].
3. From the bar on which 50 closes exist: up = sum of the last 10 closes * 5 > sum of the last 50
   closes (the two averages, cross-multiplied: exact). If up and flat: buy floor(equity / close[t])
   shares. If not up and not flat: sell all.

Rules of other engines follow by three switches of `simulate`; the figures were measured first by
running those engines on the same data, and are recomputed here:
R1 = sized at the fill, fractional lots of 1e-9, commission inside the size: 1,140,763.8437.
R3 = sized at the close, whole shares, commission ignored in the size, cash may go negative, prices
at three decimals: 1,139,393.74 (zipline-reloaded). R5 = sized at the close, whole shares, clipped
to cash / open WITHOUT the commission, which may overdraw: 1,139,890.66 (pybroker); with the
commission inside the clip, which is backtrail's `clip`, the same is 1,139,775.89.
"""

import csv
import gzip
import importlib.util
import json
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal, getcontext, localcontext
from pathlib import Path

RATE = Decimal("0.001")
FAST, SLOW = 10, 50


@dataclass
class Outcome:
    equity: list = field(default_factory=list)
    dates: list = field(default_factory=list)
    trades: list = field(default_factory=list)


def read_rows():
    origin = importlib.util.find_spec("arch").origin
    path = Path(origin).parent / "data" / "sp500" / "sp500.csv.gz"
    with gzip.open(path, "rt") as stream:
        return list(csv.DictReader(stream))


def simulate(rows, capital, *, size="close", lot="1", clip="with_commission", places=None):
    """Return the outcome under one set of rules.

    size: "close" (at the signal's close) or "fill"; lot: "1" or "1e-9"; clip: "with_commission",
    "price_only" or "none"; places: round prices first.
    """
    lot = Decimal(lot)

    def price(text):
        value = Decimal(text)
        return value if places is None else round(value, places)

    def whole(quantity):
        return quantity.quantize(lot, ROUND_DOWN)

    def cents(value):
        return value.quantize(Decimal("1e-10"), ROUND_HALF_EVEN)

    opens = [price(row["Open"]) for row in rows]
    closes = [price(row["Close"]) for row in rows]
    cash, shares, order = Decimal(capital), Decimal(0), None
    out = Outcome()
    for t, (at_open, at_close) in enumerate(zip(opens, closes, strict=True)):
        date = datetime.strptime(rows[t]["Date"], "%m/%d/%Y").date().isoformat()  # noqa: DTZ007
        if order is not None:
            side, quantity = order
            if side == "buy":
                if size == "fill":
                    quantity = whole(cash / at_open)
                each = at_open * (1 + RATE) if clip == "with_commission" else at_open
                if clip != "none":
                    quantity = min(quantity, whole(cash / each))
                commission = cents(quantity * at_open * RATE)
                cash -= cents(quantity * at_open) + commission
                shares = quantity
                out.trades.append([date, None, at_open, None, quantity, None, commission])
            else:
                commission = cents(shares * at_open * RATE)
                cash += cents(shares * at_open) - commission
                trade = out.trades[-1]
                bought, sold = cents(shares * trade[2]), cents(shares * at_open)
                paid = trade[6] + commission
                trade[1], trade[3], trade[5], trade[6] = date, at_open, sold - bought - paid, paid
                shares = Decimal(0)
            order = None
        equity = cash + cents(shares * at_close)
        out.equity.append(equity)
        out.dates.append(date)
        if t + 1 >= SLOW:
            fast_sum = sum(closes[t + 1 - FAST : t + 1])
            slow_sum = sum(closes[t + 1 - SLOW : t + 1])
            up = fast_sum * (SLOW // FAST) > slow_sum
            if up and not shares:
                order = ("buy", whole(equity / at_close))
            elif not up and shares:
                order = ("sell", shares)
    return out


def golden():
    rows = read_rows()
    with localcontext() as context:
        context.prec = 60
        out = simulate(rows, 100_000)
        parity = {
            "R1": simulate(rows, 1_000_000, size="fill", lot="1e-9").equity[-1],
            "R3": simulate(rows, 1_000_000, clip="none", places=3).equity[-1],
            "R5": simulate(rows, 1_000_000, clip="price_only").equity[-1],
            "clip": simulate(rows, 1_000_000).equity[-1],
        }
    months = {date[:7]: row for row, date in enumerate(out.dates)}
    names = ("entry_at", "exit_at", "entry_price", "exit_price", "quantity", "pnl", "commission")
    return {
        "computed_by": "tests/golden/sma_10_50_spx.py, plain Python and decimal",
        "bars": len(out.equity),
        "final_equity": str(out.equity[-1]),
        "month_end_equity": {out.dates[row]: str(out.equity[row]) for row in months.values()},
        "trades": [
            {
                name: None if value is None else str(value)
                for name, value in zip(names, trade, strict=True)
            }
            for trade in out.trades
        ],
        "parity": {name: str(value) for name, value in parity.items()},
    }


if __name__ == "__main__":
    getcontext().prec = 60
    print(json.dumps(golden(), indent=2))
