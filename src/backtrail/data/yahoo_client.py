"""Yahoo Finance through yfinance, with every refusal said and nothing kept outside the bundle.

As it comes, yfinance answers a symbol that Yahoo has not, a page of HTML and half a JSON text alike
with an empty frame, asks many times over before it does, and writes caches to the home folder.
"""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from backtrail.data.patience import PASSING_STATUS, Patience, answered_at, retry_after
from backtrail.errors import DatasetError

__all__ = ["YahooClient", "YahooRefusalError"]

_EXTRA = (
    "the `yfinance` adapter needs the package yfinance; install it with: "
    "pip install 'backtrail[yfinance]'"
)
_CHART = "/v8/finance/chart/"
_COOKIE_PAGE = "https://fc.yahoo.com"
_TIMEOUT = 30


class YahooRefusalError(Exception):
    """Yahoo has not what was asked for, and says why."""


class YahooClient:
    """Charts of Yahoo Finance.

    Attributes:
        requests: How many charts were asked for.
        chart: The last answer with a chart, as Yahoo sent it.

    Args:
        base_url: Takes the place of Yahoo's own hosts.
        retries: How often a request is repeated.
    """

    def __init__(self, base_url: str | None, retries: int) -> None:
        self._base_url = base_url.rstrip("/") if base_url is not None else None
        self._patience = Patience(retries)
        self._answered: datetime | None = None
        self._yfinance: Any = None
        self._session: Any = None
        self._cookie_page: Any = None
        self._turned_away = False
        self.requests = 0
        self.chart: dict[str, Any] = {}

    @property
    def version(self) -> str:
        """Version of yfinance."""
        return str(self._yfinance.__version__)

    @property
    def now(self) -> datetime:
        """The present, no later than Yahoo's clock where it told it."""
        present = datetime.now(UTC)
        return present if self._answered is None else min(present, self._answered)

    @contextmanager
    def opened(self) -> Iterator["YahooClient"]:
        """Set yfinance up for one download, and leave it as it was found.

        Raises:
            DatasetError: If yfinance is not installed.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own, about pandas to come
            self._yfinance = _import_yfinance()
            shown = self._yfinance.config.debug.hide_exceptions
            self._yfinance.config.debug.hide_exceptions = False
            _forget_everything()
            self._session = _strict_session(self)
            try:
                yield self
            finally:
                self._session.close()
                self._yfinance.config.debug.hide_exceptions = shown
                _forget_everything()

    def history(
        self, symbol: str, interval: str, start: datetime, end: datetime | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Return bars of a symbol with splits and dividends, and what Yahoo says about it.

        Args:
            symbol: As Yahoo writes it.
            interval: Length of a bar, as Yahoo writes it.
            start: First moment.
            end: Moment after the last; None for the present.

        Returns:
            A pandas frame on times of the exchange, prices adjusted for splits alone; and the
            chart's `meta`.

        Raises:
            YahooRefusalError: If Yahoo has no such symbol, or no bars of it.
            DatasetError: If it keeps failing.
        """
        self.chart = {}
        ticker = self._yfinance.Ticker(symbol, session=self._session)
        try:
            frame = ticker.history(
                start=start,
                end=end,
                interval=interval,
                auto_adjust=False,
                keepna=True,  # a row without prices is for the validation to name
                timeout=_TIMEOUT,
            )
        except (DatasetError, YahooRefusalError):
            raise
        except self._yfinance.exceptions.YFPricesMissingError as error:
            raise YahooRefusalError(f"no bars ({error})") from error
        except Exception as error:
            text = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise DatasetError(
                f"Yahoo: {symbol}: yfinance cannot read the chart ({text})"
            ) from error
        return frame, self.chart["meta"]

    def _request(self, send: Callable[..., Any], method: str, url: str, options: Any) -> Any:
        moved = url if self._base_url is None else self._base_url + _path(url)
        if url == _COOKIE_PAGE:
            if self._cookie_page is None:  # else yfinance asks before each chart
                self._cookie_page = send(method=method, url=moved, **options)
            return self._cookie_page
        if _CHART not in url:
            return send(method=method, url=moved, **options)
        what = f"Yahoo: {url.partition(_CHART)[2]}"
        attempt = 0
        while True:
            attempt += 1
            self.requests += 1
            wait, why = None, ""
            try:
                response = send(method=method, url=moved, **options)
            except OSError as error:  # every error of the session is one
                why = f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            else:
                wait = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
                why = self._fault(what, response)
                if not why:
                    return response
            if not self._patience.wait(attempt, wait, why):
                raise DatasetError(_given_up(why, attempt, wait))

    def _fault(self, what: str, response: Any) -> str:
        """Return why a chart is to be asked for again; empty if it is not."""
        status = response.status_code
        chart = _chart(response.text)
        if status in PASSING_STATUS:
            return f"{what}: HTTP {status}"
        if status in (401, 403) and not self._turned_away:
            self._turned_away, self._cookie_page = True, None
            return ""  # yfinance asks once more, with another cookie
        if status in (401, 403):
            raise DatasetError(f"{what}: HTTP {status}, also with another cookie; try again later")
        if chart is not None and chart.get("error"):
            raise YahooRefusalError(str(chart["error"].get("description")))
        if status >= 400:
            raise YahooRefusalError(f"HTTP {status}: {response.text[:80]!r}")
        if chart is None:
            return f"{what}: no chart but {response.text[:80]!r}"
        result = (chart.get("result") or [{}])[0] or {}
        if not result.get("meta"):
            raise YahooRefusalError("an empty answer")
        self._answered = answered_at(response.headers.get("Date"), datetime.now(UTC))
        self.chart, self._turned_away = result, False
        return ""


def _import_yfinance() -> Any:
    try:
        import yfinance
    except ImportError as error:
        raise DatasetError(f"{_EXTRA} ({error})") from error
    return yfinance


def _forget_everything() -> None:
    """Take the files and the session that yfinance keeps for the length of a process.

    There is no public way to have no cache: with a folder for it, a second download in one process
    would still use the first one's.
    """
    from yfinance import cache, data

    cache._TzCacheManager._tz_cache = cache._TzCacheDummy()
    cache._CookieCacheManager._Cookie_cache = cache._CookieCacheDummy()
    data.YfData.cache_get.cache_clear()
    data.SingletonMeta._instances.pop(data.YfData, None)


def _strict_session(client: YahooClient) -> Any:
    from curl_cffi import requests

    plain: Any = requests.Session

    class StrictSession(plain):  # type: ignore[misc]
        def request(self, method: str, url: str, **options: Any) -> Any:
            return client._request(super().request, method, url, options)

    return StrictSession(impersonate="chrome")  # Yahoo turns away what is no browser


def _path(url: str) -> str:
    _, _, rest = url.partition("://")
    return "/" + rest.partition("/")[2]


def _chart(text: str) -> Mapping[str, Any] | None:
    try:
        values = json.loads(text)
    except ValueError:
        return None
    chart = values.get("chart") if isinstance(values, dict) else None
    return chart if isinstance(chart, dict) else None


def _given_up(why: str, attempts: int, asked: float | None) -> str:
    times = f" after {attempts} attempts" if attempts > 1 else ""
    again = f"; it asks to wait {asked:.0f} s" if asked is not None else ""
    return f"{why}{times}{again}; what came so far is kept, and the next ingest goes on from there"
