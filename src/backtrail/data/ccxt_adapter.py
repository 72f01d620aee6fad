"""Bars of exchanges through ccxt: any exchange that it knows and that gives bars.

Options are explained in `backtrail.data.network_options`. A download walks forward from `start`,
each page beginning after the last bar of the one before, and ends when the bar is reached that
is the last to be finished. A page without a bar is not the end: some exchanges answer so when
nothing was traded in its time.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import polars as pl

from backtrail.data.bundles import BundleConfig
from backtrail.data.calendars import is_daily, timeframe_minutes
from backtrail.data.downloads import Download, ProgressLine
from backtrail.data.exchange import ExchangeClient
from backtrail.data.identity import TIMESTAMP
from backtrail.data.manifest import SourceRecord
from backtrail.data.network_options import CcxtConfig
from backtrail.data.raw_prices import RawPrices
from backtrail.errors import DatasetError

__all__ = ["download_exchange_bars", "exchange_request"]

_DAY_MS: Final = 86_400_000
_COLUMNS: Final = ["timestamp", "open", "high", "low", "close", "volume"]

_log = logging.getLogger(__name__)


def exchange_request(bundle: BundleConfig) -> tuple[dict[str, Any], bool]:
    """Return what names the download of a bundle, and whether it ends at the present."""
    config = CcxtConfig.of(bundle.options)
    request = {
        "adapter": bundle.adapter,
        "base_url": config.base_url,
        "end": config.end.isoformat() if config.end else None,
        "exchange": config.exchange,
        "exchange_options": dict(config.exchange_options),
        "page_limit": config.page_limit,
        "start": config.start.isoformat(),
        "timeframe": bundle.timeframe,
    }
    return request, config.end is None or config.end >= datetime.now(UTC).date()


def download_exchange_bars(bundle: BundleConfig, download: Download) -> Iterator[RawPrices]:
    """Yield the bars of each symbol in lexical order; all are downloaded before the first.

    Args:
        bundle: What to download.
        download: Keeps its pages.

    Raises:
        ConfigError: If the exchange has a symbol or the timeframe not.
        DatasetError: If it refuses, keeps failing, or has no bar where there should be some.
    """
    config = CcxtConfig.of(bundle.options)
    client = ExchangeClient(f"bundles.{bundle.name}", config)
    client.check_timeframe(bundle.timeframe)
    walk = _Walk(bundle, config, client, download)
    progress = ProgressLine(len(config.symbols))
    try:
        for index, symbol in enumerate(config.symbols):
            walk.follow(symbol, index + 1, progress)
    finally:
        progress.clear()
    _log.info("%s: %d requests in all", config.exchange, client.requests)
    for symbol in config.symbols:
        yield walk.prices(symbol)


class _Walk:
    """The pages of every symbol, from the first bar to the last finished one."""

    def __init__(
        self, bundle: BundleConfig, config: CcxtConfig, client: ExchangeClient, download: Download
    ) -> None:
        self.bundle, self.config, self.client, self.download = bundle, config, client, download
        self.step = (timeframe_minutes(bundle.timeframe) or 0) * 60_000
        markets = download.noted("markets") or {}
        if set(config.symbols) <= set(markets):
            client.use_markets(markets)
        else:
            found = client.load_markets()
            download.note("markets", {**markets, **found})
        self.present = download.noted("present") or _milliseconds(client.now)
        download.note("present", self.present)
        self.first = _milliseconds(_midnight(config.start))
        self.until = self.present
        if config.end is not None:
            self.until = min(self.until, _milliseconds(_midnight(config.end)) + _DAY_MS)

    def follow(self, symbol: str, index: int, progress: ProgressLine) -> None:
        """Download what is missing of a symbol."""
        limit = self.client.page_limit(symbol)
        cursor, number, bars = self.first, 0, 0
        while cursor < self.until and cursor + self.step <= self.present:
            page = self.download.page(symbol, number)
            if page is None:
                page = self._ask(symbol, cursor, limit, is_first=not bars)
                self.download.keep(symbol, number, page)
            cursor, bars, number = page["next"], bars + len(page["rows"]), number + 1
            share = (cursor - self.first) / max(1, self.until - self.first)
            progress.show(index, symbol, min(1.0, share), bars)
        if not bars:
            raise DatasetError(
                f"{self.config.exchange} has no finished bar of {symbol} from "
                f"{self.config.start} to {self.config.end or 'now'}; leave it out, or ask for "
                "other dates"
            )
        _log.info("%s: bars %d, pages %d", symbol, bars, number)

    def _ask(self, symbol: str, cursor: int, limit: int, *, is_first: bool) -> dict[str, Any]:
        last = min(self.until, self.present - self.step + 1)
        wanted = min(limit, -(-(last - cursor) // self.step))
        rows = self.client.page(symbol, self.bundle.timeframe, cursor, wanted)
        times = [row[0] for row in rows if row[0] is not None]
        if not times:
            return {"next": cursor + wanted * self.step, "rows": []}
        if is_first and self.config.late_start == "fail":
            self._check_start(symbol, min(times))
        # A bar is labelled by its open; it is finished a whole step later.
        finished = [row for row in rows if row[0] is None or row[0] < last]
        return {"next": max(times) + self.step, "rows": finished}

    def _check_start(self, symbol: str, found: int) -> None:
        if found < self.first + max(self.step, _DAY_MS):
            return
        raise DatasetError(
            f"{self.config.exchange} gives {symbol} from {_iso(found)} on, and was asked from "
            f"{self.config.start}: it was listed later, or the exchange keeps no more bars of "
            f"{self.bundle.timeframe} (Kraken gives the last 720 whatever is asked); set `start` "
            "to that date, or `late_start: allow` to take what there is"
        )

    def prices(self, symbol: str) -> RawPrices:
        """Return the bars of a symbol as the exchange gave them."""
        label = f"ccxt:{self.config.exchange}/{symbol}"
        frames, checksum, size = [], hashlib.sha256(), 0
        for page in self.download.pages(symbol):
            text = "".join(json.dumps(row) + "\n" for row in page["rows"]).encode()
            checksum.update(text)
            size += len(text)
            frames.append(_numbers(page["rows"]))
        frame = _frame(symbol, pl.concat(frames))
        if is_daily(self.bundle.timeframe):
            _refuse_other_days(label, frame)
        return RawPrices(
            frame=frame,
            files=(label,),
            sources=(SourceRecord(label, checksum.hexdigest(), size, symbol),),
            dialect=(self._record(),),
        )

    def _record(self) -> dict[str, Any]:
        config = self.config
        until = {"until": _iso(self.until)} if self.until == self.present else {}
        return {
            "adapter": "ccxt",
            "version": self.client.version,
            "exchange": config.exchange,
            "base_url": config.base_url,
            "start": config.start.isoformat(),
            "end": config.end.isoformat() if config.end else None,
            "late_start": config.late_start,
            **until,
        }


def _numbers(rows: list[list[Any]]) -> pl.DataFrame:
    schema = {"timestamp": pl.Int64(), **dict.fromkeys(_COLUMNS[1:], pl.String())}
    texts = pl.DataFrame(rows, schema=schema, orient="row")
    # Text that is no number becomes null, which the validation names.
    return texts.with_columns(pl.col(_COLUMNS[1:]).cast(pl.Float64, strict=False))


def _frame(symbol: str, numbers: pl.DataFrame) -> pl.DataFrame:
    return numbers.with_columns(
        pl.lit(symbol, dtype=pl.Enum([symbol])).alias("symbol"),
        (pl.col("timestamp") * 1000).cast(TIMESTAMP),
        pl.lit(0, dtype=pl.UInt32).alias("file"),
        pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).alias("line"),
    )


def _refuse_other_days(label: str, frame: pl.DataFrame) -> None:
    other = frame.filter(pl.col("timestamp").dt.time() != time())
    if other.height:
        raise DatasetError(
            f"{label}: a bar of a day begins at {other['timestamp'][0].isoformat()}, not at "
            "midnight UTC, so that its date is in doubt; take a timeframe in hours"
        )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _iso(milliseconds: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
