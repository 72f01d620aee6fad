"""Prices that are downloaded: the pages of a download live until the dataset is made of them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from backtrail.data.bundles import BundleConfig
from backtrail.data.ccxt_adapter import download_exchange_bars, exchange_request
from backtrail.data.downloads import open_download
from backtrail.data.raw_prices import RawPrices
from backtrail.data.yahoo_adapter import download_yahoo_bars, yahoo_request

__all__ = ["downloaded_prices"]

_REQUESTS: Final = {"ccxt": exchange_request, "yfinance": yahoo_request}
_DOWNLOADS: Final = {"ccxt": download_exchange_bars, "yfinance": download_yahoo_bars}


@contextmanager
def downloaded_prices(bundle: BundleConfig, folder: Path) -> Iterator[Iterable[RawPrices]]:
    """Download what a bundle asks for, and keep the pages if the block fails.

    Args:
        bundle: A bundle with an adapter of `NETWORK_ADAPTERS`.
        folder: `bundles/<bundle>`, below which the pages lie.

    Yields:
        The prices of each symbol in lexical order.

    Raises:
        ConfigError: If the source has a symbol or the timeframe not.
        DatasetError: If it refuses or keeps failing; what came is there for the next attempt.
    """
    request, is_open = _REQUESTS[bundle.adapter](bundle)
    with open_download(folder, request, is_open=is_open) as download:
        yield _DOWNLOADS[bundle.adapter](bundle, download)
        download.discard()
