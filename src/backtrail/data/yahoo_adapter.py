"""Bars of Yahoo Finance through yfinance: raw prices, with splits and dividends beside them.

Options are explained in `backtrail.data.network_options`. What Yahoo calls `Close` is divided by
every split since, and so are its dividends, while volumes are multiplied. This is undone: a bar's
prices are multiplied by the splits after its date. Splits are therefore asked for up to the
present, whatever `end` is, and a split to come will not change a bar that was downloaded before.
One symbol or many, each is asked for by itself.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from backtrail.data.bundles import BundleConfig
from backtrail.data.calendars import is_daily, timeframe_minutes
from backtrail.data.downloads import Download, ProgressLine
from backtrail.data.manifest import SourceRecord
from backtrail.data.network_options import YAHOO_INTERVALS, YahooConfig
from backtrail.data.raw_prices import RawPrices
from backtrail.data.yahoo_client import YahooClient, YahooRefusalError
from backtrail.data.yahoo_prices import chart_page, raw_prices_of
from backtrail.errors import ConfigError, DatasetError, Problem

__all__ = ["download_yahoo_bars", "yahoo_request"]

# Days of bars that Yahoo keeps, and days that it gives at once.
_KEPT_DAYS: Final = {"1m": 30, "2m": 60, "5m": 60, "15m": 60, "30m": 60, "90m": 60, "1h": 730}
_DAYS_AT_ONCE: Final = {"1m": 7}

_log = logging.getLogger(__name__)


def yahoo_request(bundle: BundleConfig) -> tuple[dict[str, Any], bool]:
    """Return what names the download of a bundle, and whether it ends at the present.

    It always does: the splits until today are asked for.
    """
    config = YahooConfig.of(bundle.options)
    request = {
        "adapter": bundle.adapter,
        "base_url": config.base_url,
        "end": config.end.isoformat() if config.end else None,
        "start": config.start.isoformat(),
        "timeframe": bundle.timeframe,
    }
    return request, True


def download_yahoo_bars(bundle: BundleConfig, download: Download) -> Iterator[RawPrices]:
    """Yield the bars of each symbol in lexical order; all are downloaded before the first.

    Args:
        bundle: What to download.
        download: Keeps its pages.

    Raises:
        ConfigError: If Yahoo keeps no bars so short for so long.
        DatasetError: If Yahoo has a symbol not, each of which is named, or keeps failing.
    """
    config = YahooConfig.of(bundle.options)
    with YahooClient(config.base_url, config.retries).opened() as client:
        shelf = _Shelf(bundle, config, client, download)
        shelf.fill()
        version = client.version
    for symbol in config.symbols:
        yield shelf.prices(symbol, version)


class _Shelf:
    """The charts of every symbol, each downloaded once."""

    def __init__(
        self, bundle: BundleConfig, config: YahooConfig, client: YahooClient, download: Download
    ) -> None:
        self.bundle, self.config, self.client, self.download = bundle, config, client, download
        self.interval = YAHOO_INTERVALS[bundle.timeframe]
        self.daily = is_daily(bundle.timeframe)
        self.step = (timeframe_minutes(bundle.timeframe) or 0) * 60
        if not self.daily:
            self._check_range()

    def fill(self) -> None:
        """Download what is missing; a symbol that Yahoo has not does not hold up the others."""
        refused: list[str] = []
        progress = ProgressLine(len(self.config.symbols))
        for index, symbol in enumerate(self.config.symbols):
            progress.show(index + 1, symbol, 0.0, 0)
            try:
                self._follow(symbol)
            except YahooRefusalError as error:
                refused.append(f"{symbol}: {error}")
            else:
                _log.info("%s: downloaded", symbol)
        progress.clear()
        _log.info("Yahoo: %d charts asked for in all", self.client.requests)
        if refused:
            raise DatasetError(
                f"Yahoo does not give {len(refused)} of {len(self.config.symbols)} symbols from "
                f"{self.config.start} to {self.config.end or 'now'}; mend or drop them:\n  - "
                + "\n  - ".join(refused)
            )

    def _follow(self, symbol: str) -> None:
        spans = self._spans()
        empty: YahooRefusalError | None = None
        found = False
        for number, (start, end) in enumerate(spans):
            page = self.download.page(symbol, number)
            if page is None:
                try:
                    page = self._page(symbol, self.interval, start, end)
                except YahooRefusalError as error:
                    if len(spans) == 1:
                        raise
                    empty, page = error, {"rows": [], "splits": [], "meta": {}}
                self.download.keep(symbol, number, page)
            found = found or bool(page["rows"])
        if not found:
            raise empty or YahooRefusalError("no bars")
        if not self.daily and self.download.page(symbol, len(spans)) is None:
            start = _midnight(self.config.start)
            self.download.keep(symbol, len(spans), self._page(symbol, "1d", start, None))

    def _spans(self) -> list[tuple[datetime, datetime | None]]:
        start = _midnight(self.config.start)
        if self.daily:
            return [(start, None)]
        last = self.config.end or self.client.now.date()
        end = min(_midnight(last) + timedelta(days=2), self.client.now)
        step = timedelta(days=_DAYS_AT_ONCE.get(self.bundle.timeframe, 1000))
        spans: list[tuple[datetime, datetime | None]] = []
        while start < end:
            spans.append((start, min(start + step, end)))
            start += step
        return spans

    def _page(
        self, symbol: str, interval: str, start: datetime, end: datetime | None
    ) -> dict[str, Any]:
        frame, meta = self.client.history(symbol, interval, start, end)
        kept = ("currency", "exchangeTimezoneName", "instrumentType")
        return chart_page(
            symbol,
            frame,
            self.client.chart,
            {name: meta.get(name) for name in kept},
            now=self.client.now,
            step=None if interval == "1d" else self.step,
        )

    def _check_range(self) -> None:
        kept = _KEPT_DAYS[YAHOO_INTERVALS[self.bundle.timeframe]]
        earliest = (datetime.now(UTC) - timedelta(days=kept - 1)).date()
        if self.config.start < earliest:
            where = f"bundles.{self.bundle.name}.start"
            found = f"bars of {self.bundle.timeframe} from {self.config.start}"
            remedy = f"Yahoo keeps them for {kept} days: write {earliest} or later, or take 1d"
            raise ConfigError([Problem(where, found, remedy)])

    def prices(self, symbol: str, version: str) -> RawPrices:
        """Return the raw bars of a symbol."""
        *charts, days = self.download.pages(symbol)
        rows = [row for page in charts or [days] for row in page["rows"]]
        zone = None if self.daily else str(days["meta"]["exchangeTimezoneName"])
        kept = [row for row in rows if self._is_wanted(row, zone)]
        if not kept:
            raise DatasetError(
                f"Yahoo has no finished bar of {symbol} from {self.config.start} to "
                f"{self.config.end or 'now'}; drop it, or ask for other dates"
            )
        label = f"yfinance:{symbol}"
        text = "".join(json.dumps(row) + "\n" for row in kept).encode()
        frame = raw_prices_of(
            symbol,
            kept,
            splits=[(date.fromisoformat(day), ratio) for day, ratio in days["splits"]],
            zone=zone,
            capital_gains=self.config.capital_gains,
            decimals=self.config.decimals,
        )
        return RawPrices(
            frame=frame,
            files=(label,),
            sources=(SourceRecord(label, hashlib.sha256(text).hexdigest(), len(text), symbol),),
            dialect=(self._record(days["meta"], version),),
        )

    def _is_wanted(self, row: list[Any], zone: str | None) -> bool:
        if zone is None:
            day = date.fromisoformat(row[0])
        else:
            day = datetime.fromtimestamp(row[0], tz=ZoneInfo(zone)).date()
        return self.config.start <= day <= (self.config.end or date.max)

    def _record(self, meta: dict[str, Any], version: str) -> dict[str, Any]:
        config = self.config
        return {
            "adapter": "yfinance",
            "version": version,
            "base_url": config.base_url,
            "start": config.start.isoformat(),
            "end": config.end.isoformat() if config.end else None,
            "capital_gains": config.capital_gains,
            "decimals": config.decimals,
            "split_adjustment": "undone",
            **meta,
        }


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
