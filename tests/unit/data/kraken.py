"""Kraken's REST interface as it is on the wire: the last 720 bars, whatever `since` says."""

import json

from .loopback import Answer, Request

PAIR = {
    "altname": "XBTUSD",
    "wsname": "XBT/USD",
    "aclass_base": "currency",
    "base": "XXBT",
    "aclass_quote": "currency",
    "quote": "ZUSD",
    "lot": "unit",
    "cost_decimals": 5,
    "pair_decimals": 1,
    "lot_decimals": 8,
    "lot_multiplier": 1,
    "leverage_buy": [2, 3],
    "leverage_sell": [2, 3],
    "fees": [[0, 0.4]],
    "fees_maker": [[0, 0.25]],
    "fee_volume_currency": "ZUSD",
    "margin_call": 80,
    "margin_stop": 40,
    "ordermin": "0.00005",
    "costmin": "0.5",
    "tick_size": "0.1",
    "status": "online",
}


class Kraken:
    """Answers `AssetPairs` and `OHLC` from `bars`: seconds, four prices, vwap, volume, count."""

    def __init__(self) -> None:
        self.bars: list[list[object]] = []

    def __call__(self, request: Request) -> Answer:
        if request.path == "/0/public/AssetPairs":
            return self.result({"XXBTZUSD": PAIR})
        if request.path == "/0/public/OHLC":
            last = self.bars[-720:]
            return self.result({"XXBTZUSD": last, "last": last[-1][0]})
        return Answer(json.dumps({"error": ["EGeneral:Unknown method"]}))

    @staticmethod
    def result(values: dict[str, object]) -> Answer:
        return Answer(json.dumps({"error": [], "result": values}))
