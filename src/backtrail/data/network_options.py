"""Options of the adapters that download; light, because listing symbols must not import Polars.

Of both, `symbols` and `start` being required:

- `symbols`: list of names as the source writes them, such as `BTC/USDT` or `AAPL`.
- `start`, `end`: dates, both included, in UTC for `ccxt` and in the exchange's zone for `yfinance`.
  Without `end`, or with one to come, the last finished bar is the last.
- `base_url`: takes the place of scheme and host of every address, for a mirror or a proxy.
- `retries`: how often a request is repeated that failed for a reason that may pass; 5 if not given.

Of `ccxt` also:

- `exchange`: id of the exchange in ccxt, such as `binance` or `kraken`; required.
- `exchange_options`: mapping for ccxt's own `options`, such as `{fetchMarkets: {types: [spot]}}`.
- `late_start`: `fail` (the default) or `allow` symbols whose first bar is more than a day after
  `start`.
- `page_limit`: bars asked for at once, where ccxt does not know or not rightly.

Of `yfinance` also:

- `capital_gains`: `separate` adds capital gains that Yahoo lists to the dividends, `included` says
  that the dividends contain them; needed where there are some.
- `decimals`: to how many places raw prices and dividends are rounded; unrounded if not given.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any, Final

from backtrail.errors import Problem

__all__ = [
    "CCXT_OPTIONS",
    "NETWORK_ADAPTERS",
    "NETWORK_REQUIRED",
    "YAHOO_INTERVALS",
    "YFINANCE_OPTIONS",
    "CcxtConfig",
    "YahooConfig",
    "network_option_problems",
]

NETWORK_ADAPTERS: Final = ("ccxt", "yfinance")
"""Adapters that download."""

NETWORK_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "ccxt": ("exchange", "start", "symbols"),
    "yfinance": ("start", "symbols"),
}
"""Keys without which a bundle of such an adapter means nothing."""

YAHOO_INTERVALS: Final[Mapping[str, str]] = {
    "1m": "1m",
    "2m": "2m",
    "5m": "5m",
    "15m": "15m",
    "30m": "30m",
    "60m": "1h",
    "90m": "90m",
    "1h": "1h",
    "1d": "1d",
}
"""Yahoo's name of each timeframe that it has."""

_RETRIES: Final = 5


@dataclass(frozen=True, slots=True)
class CcxtConfig:
    """What to download from an exchange; see the module for each option."""

    exchange: str
    symbols: tuple[str, ...]
    start: date
    end: date | None = None
    base_url: str | None = None
    exchange_options: Mapping[str, Any] = field(default_factory=dict)
    late_start: str = "fail"
    page_limit: int | None = None
    retries: int = _RETRIES

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "CcxtConfig":
        """Return the options of a checked `BundleConfig.options`."""
        return cls(**_typed(options))


@dataclass(frozen=True, slots=True)
class YahooConfig:
    """What to download from Yahoo Finance; see the module for each option."""

    symbols: tuple[str, ...]
    start: date
    end: date | None = None
    base_url: str | None = None
    capital_gains: str | None = None
    decimals: int | None = None
    retries: int = _RETRIES

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "YahooConfig":
        """Return the options of a checked `BundleConfig.options`."""
        return cls(**_typed(options))


CCXT_OPTIONS: Final = frozenset(item.name for item in fields(CcxtConfig))
"""Keys that the options of a `ccxt` bundle may have."""

YFINANCE_OPTIONS: Final = frozenset(item.name for item in fields(YahooConfig))
"""Keys that the options of a `yfinance` bundle may have."""


def _typed(options: Mapping[str, Any]) -> dict[str, Any]:
    values = {key: value for key, value in options.items() if value is not None}
    values["symbols"] = tuple(sorted(values["symbols"]))
    for key in ("start", "end"):
        if key in values:
            values[key] = _date(values[key])
    return values


def network_option_problems(
    where: str, adapter: str, timeframe: str, options: Mapping[str, Any]
) -> list[Problem]:
    """Return what is wrong with the options of a bundle that downloads.

    Args:
        where: Key of the bundle in messages, such as `bundles.coins`.
        adapter: One of `NETWORK_ADAPTERS`.
        timeframe: The bundle's.
        options: Known keys with any values.
    """
    problems = [
        Problem(f"{where}.{key}", "missing", f"add `{key}:`")
        for key in NETWORK_REQUIRED[adapter]
        if options.get(key) is None
    ]
    for key, value in options.items():
        remedy = None if value is None else _mistake(key, value)
        if remedy is not None:
            problems.append(Problem(f"{where}.{key}", repr(value), remedy))
    start, end = _date(options.get("start")), _date(options.get("end"))
    if start is not None and end is not None and start > end:
        problems.append(Problem(f"{where}.start", f"{start} is after {end}", "swap them"))
    if adapter == "yfinance" and timeframe not in YAHOO_INTERVALS:
        remedy = f"Yahoo has {', '.join(YAHOO_INTERVALS)}"
        if timeframe.endswith("w"):
            remedy += "; its weeks mix prices before and after a split, so take 1d"
        problems.append(Problem(f"{where}.timeframe", repr(timeframe), remedy))
    return problems


def _mistake(key: str, value: object) -> str | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    remedy: str | None = None
    if key == "symbols":
        remedy = _symbols_mistake(value)
    elif key in ("start", "end"):
        remedy = None if _date(value) else "write dates as YYYY-MM-DD"
    elif key == "exchange":
        sound = isinstance(value, str) and re.fullmatch(r"[a-z0-9_]+", value)
        remedy = None if sound else "write an id of ccxt, such as binance"
    elif key == "base_url":
        sound = isinstance(value, str) and re.fullmatch(r"https?://[^/\s]+(/\S*)?", value)
        remedy = None if sound else "write an address such as https://mirror.example"
    elif key == "exchange_options":
        remedy = None if isinstance(value, Mapping) else "write a mapping"
    elif key == "late_start":
        remedy = None if value in ("allow", "fail") else "write allow or fail"
    elif key == "capital_gains":
        remedy = None if value in ("included", "separate") else "write included or separate"
    elif key == "page_limit":
        remedy = None if whole and int(str(value)) >= 1 else "write a number of bars"
    elif key in ("decimals", "retries"):
        remedy = None if whole and 0 <= int(str(value)) <= 20 else "write a number from 0 to 20"
    return remedy


def _symbols_mistake(value: object) -> str | None:
    if not isinstance(value, list | tuple) or not value:
        return "write a list of symbols"
    if not all(isinstance(item, str) and item.strip() == item and item for item in value):
        return "write each symbol as text; YAML reads some names, such as ON, as other things"
    twice = sorted({item for item in value if value.count(item) > 1})
    return f"name each symbol once; twice there: {', '.join(twice)}" if twice else None


def _date(value: object) -> date | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    return None
