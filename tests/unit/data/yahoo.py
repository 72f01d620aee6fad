"""Yahoo's chart service as it is on the wire: cookie, crumb, and v8 chart JSON."""

import json
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from .loopback import Answer, Request

CHART = "/v8/finance/chart/"


def opening(day: str, zone: str = "America/New_York", at: str = "09:30") -> int:
    """The second at which a session opens; Yahoo labels its daily bars so."""
    moment = datetime.fromisoformat(f"{day}T{at}").replace(tzinfo=ZoneInfo(zone))
    return int(moment.timestamp())


def weekdays(start: str, count: int) -> list[str]:
    day, found = date.fromisoformat(start), []
    while len(found) < count:
        if day.weekday() < 5:
            found.append(day.isoformat())
        day += timedelta(days=1)
    return found


def error(code: str, description: str, status: int = 404) -> Answer:
    body = {"chart": {"result": None, "error": {"code": code, "description": description}}}
    return Answer(json.dumps(body), status=status)


class Listing:
    """One symbol: `bars` of (second, open, high, low, close, volume), and its events."""

    def __init__(self, bars, *, zone="America/New_York", currency="USD", kind="EQUITY"):
        self.bars = bars
        self.zone, self.currency, self.kind = zone, currency, kind
        self.splits: list[tuple[int, float, float]] = []
        self.dividends: list[dict[str, object]] = []
        self.gains: list[dict[str, object]] = []
        self.intraday: list[tuple[object, ...]] = []

    @classmethod
    def daily(cls, start: str, count: int, price: float = 100.0, **how: object) -> "Listing":
        rows = []
        for index, day in enumerate(weekdays(start, count)):
            close = price + index
            rows.append((opening(day), close - 1, close + 1, close - 2, close, 1000 + index))
        return cls(rows, **how)


class Yahoo:
    """Answers for the listings in `listings`."""

    def __init__(self) -> None:
        self.listings: dict[str, Listing] = {}

    def __call__(self, request: Request) -> Answer:
        if request.path == "/":  # fc.yahoo.com, which gives a cookie with its 404
            cookie = {"Set-Cookie": "A3=d=AQAB; Max-Age=31557600; Path=/"}
            return Answer("", status=404, headers=cookie, kind="text/html")
        if request.path == "/v1/test/getcrumb":
            return Answer("kKzQeTPMEl8", kind="text/plain")
        if request.path.startswith(CHART):
            return self.chart(request.path.removeprefix(CHART), request.query)
        return Answer("<html>not found</html>", status=404, kind="text/html")

    def chart(self, symbol: str, query: dict[str, str]) -> Answer:
        listing = self.listings.get(symbol)
        if listing is None:
            return error("Not Found", "No data found, symbol may be delisted")
        interval = query["interval"]
        known = listing.bars if interval == "1d" else listing.intraday
        first, last = int(query.get("period1", 0)), int(query.get("period2", 1 << 40))
        rows = [row for row in known if first <= row[0] < last]
        if "range" in query:
            rows = known[-1:]
        result = self.result(listing, rows, query)
        return Answer(json.dumps({"chart": {"result": [result], "error": None}}))

    def result(self, listing: Listing, rows: list[tuple], query: dict[str, str]) -> dict:
        first, last = int(query.get("period1", 0)), int(query.get("period2", 1 << 40))
        values = {
            name: [row[place] for row in rows]
            for place, name in enumerate(("open", "high", "low", "close", "volume"), start=1)
        }
        indicators: dict[str, object] = {"quote": [values]}
        if query["interval"] == "1d":
            paid = [None if close is None else close * 0.98 for close in values["close"]]
            indicators["adjclose"] = [{"adjclose": paid}]
        inside = [item for item in listing.splits if first <= item[0] < last]
        splits = {
            str(at): {
                "date": at,
                "numerator": new,
                "denominator": old,
                "splitRatio": f"{new:g}:{old:g}",
            }
            for at, new, old in inside
        }
        events = {"splits": splits}
        for name in ("dividends", "gains"):
            paid = [item for item in getattr(listing, name) if first <= item["date"] < last]
            key = "capitalGains" if name == "gains" else name
            events[key] = {str(item["date"]): item for item in paid}
        result = {
            "meta": self.meta(listing, rows, query["interval"]),
            "timestamp": [row[0] for row in rows],
            "indicators": indicators,
            "events": {name: found for name, found in events.items() if found},
        }
        if not rows:
            del result["timestamp"]
            result["indicators"] = {"quote": [{}]}
        return result

    def meta(self, listing: Listing, rows: list[tuple], interval: str) -> dict:
        meta = {
            "currency": listing.currency,
            "symbol": "X",
            "exchangeName": "NMS",
            "instrumentType": listing.kind,
            "firstTradeDate": 345479400,
            "regularMarketTime": rows[-1][0] if rows else 0,
            "gmtoffset": -18000,
            "timezone": "EST",
            "exchangeTimezoneName": listing.zone,
            "regularMarketPrice": 1.0,
            "priceHint": 2,
            "dataGranularity": interval,
            "range": "",
            "validRanges": ["1d", "5d", "1mo", "max"],
        }
        if interval != "1d":
            meta["tradingPeriods"] = self.periods(listing, rows)
        return meta

    def periods(self, listing: Listing, rows: list[tuple]) -> list[list[dict]]:
        zone = ZoneInfo(listing.zone)
        days = sorted(
            {datetime.fromtimestamp(row[0], tz=UTC).astimezone(zone).date() for row in rows}
        )
        return [
            [
                {
                    "timezone": "EST",
                    "start": opening(day.isoformat(), listing.zone),
                    "end": opening(day.isoformat(), listing.zone, "16:00"),
                    "gmtoffset": -18000,
                }
            ]
            for day in days
        ]
