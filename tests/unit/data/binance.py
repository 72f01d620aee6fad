"""Binance's REST interface as it is on the wire, for a few markets; see its API documentation."""

import json
from datetime import UTC, datetime

from .loopback import Answer, Request

MINUTE = 60_000
STEPS = {"1m": MINUTE, "5m": 5 * MINUTE, "1h": 60 * MINUTE, "1d": 1440 * MINUTE}


def milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def kline(opened: int, step: int, index: int) -> list[object]:
    """One bar; prices and volume are text with eight places, as Binance writes them."""
    close = 100 + index % 50
    return [
        opened,
        f"{close - 1}.00000000",
        f"{close + 2}.12345678",
        f"{close - 3}.00000001",
        f"{close}.50000000",
        f"{index + 1}.00100000",
        opened + step - 1,
        "0.55490906",
        40,
        "10.92900000",
        "0.27336462",
        "0",
    ]


def bars(start: str, count: int, timeframe: str = "1m") -> list[list[object]]:
    first, step = milliseconds(start), STEPS[timeframe]
    return [kline(first + index * step, step, index) for index in range(count)]


def market(base: str, quote: str) -> dict[str, object]:
    return {
        "symbol": base + quote,
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "icebergAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": "0.01000000",
                "maxPrice": "1000000.00000000",
                "tickSize": "0.01000000",
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": "0.00001000",
                "maxQty": "9000.00000000",
                "stepSize": "0.00001000",
            },
        ],
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
    }


class Binance:
    """Answers `exchangeInfo` and `klines` from `bars`, which holds bars by symbol and interval."""

    def __init__(self) -> None:
        self.bars: dict[tuple[str, str], list[list[object]]] = {}
        self.markets = [market("BTC", "USDT"), market("ETH", "USDT")]

    def __call__(self, request: Request) -> Answer:
        if request.path == "/api/v3/exchangeInfo":
            info = {"timezone": "UTC", "serverTime": 0, "rateLimits": [], "exchangeFilters": []}
            return Answer(json.dumps({**info, "symbols": self.markets}))
        if request.path == "/api/v3/klines":
            return self.klines(request.query)
        return Answer(json.dumps({"code": -1, "msg": "not found"}), status=404)

    def klines(self, query: dict[str, str]) -> Answer:
        if query["symbol"] not in {item["symbol"] for item in self.markets}:
            return Answer(json.dumps({"code": -1121, "msg": "Invalid symbol."}), status=400)
        known = self.bars.get((query["symbol"], query["interval"]), [])
        since = int(query.get("startTime", 0))
        found = [bar for bar in known if bar[0] >= since]
        return Answer(json.dumps(found[: min(1000, int(query.get("limit", 500)))]))
