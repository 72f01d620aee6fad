"""An exchange of ccxt that says so when it answers something else than was asked.

As it comes, ccxt takes a page of HTML or half a JSON text for an empty answer, which a download
reads as the end of history; and it leaves waiting to its user.
"""

import difflib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, TypeVar

from backtrail.data.network_options import CcxtConfig
from backtrail.data.patience import PASSING_STATUS, Patience, answered_at, retry_after
from backtrail.errors import ConfigError, DatasetError, Problem

__all__ = ["ExchangeClient"]

_Answer = TypeVar("_Answer")
_EXTRA = "the `ccxt` adapter needs the package ccxt; install it with: pip install 'backtrail[ccxt]'"


class ExchangeClient:
    """Bars of one exchange, page by page.

    Attributes:
        now: The present as far as it is known: by our clock, but no later than the exchange's.
        requests: How many requests were sent.

    Args:
        where: Key of the bundle in messages, such as `bundles.coins`.
        config: What the bundle asks for.

    Raises:
        DatasetError: If ccxt is not installed.
        ConfigError: If ccxt does not know the exchange, or it has no bars.
    """

    def __init__(self, where: str, config: CcxtConfig) -> None:
        self._where = where
        self._config = config
        self._patience = Patience(config.retries)
        self._status: int | None = None
        self._wait: str | None = None
        self._answered: datetime | None = None
        self.requests = 0
        self._ccxt = _import_ccxt()
        self._exchange = self._make()

    @property
    def version(self) -> str:
        """Version of ccxt."""
        return str(self._ccxt.__version__)

    @property
    def now(self) -> datetime:
        """The present, no later than the exchange's clock where it told it."""
        present = datetime.now(UTC)
        return present if self._answered is None else min(present, self._answered)

    def load_markets(self) -> dict[str, Any]:
        """Ask for the exchange's markets and return those of the configured symbols.

        Raises:
            ConfigError: If it has one of them not.
        """
        markets = self._ask("its markets", self._exchange.load_markets)
        problems = []
        for symbol in self._config.symbols:
            if symbol not in markets:
                near = difflib.get_close_matches(symbol, markets, n=3, cutoff=0.4)
                hint = f"it has {', '.join(near)}" if near else f"it has {len(markets):,} others"
                found = f"{self._config.exchange} has no {symbol!r}"
                problems.append(Problem(f"{self._where}.symbols", found, hint))
        if problems:
            raise ConfigError(problems)
        return {symbol: _plain(markets[symbol]) for symbol in self._config.symbols}

    def use_markets(self, markets: Mapping[str, Any]) -> None:
        """Take markets that `load_markets` returned before, without a request."""
        self._exchange.set_markets(list(markets.values()))

    def check_timeframe(self, timeframe: str) -> None:
        """Refuse a timeframe that the exchange has not.

        Raises:
            ConfigError: Naming those it has.
        """
        known = self._exchange.timeframes or {}
        if timeframe not in known:
            found = f"{timeframe!r}, which {self._config.exchange} has not"
            where = self._where.removesuffix(".options") + ".timeframe"
            raise ConfigError([Problem(where, found, f"it has {', '.join(known)}")])

    def page_limit(self, symbol: str) -> int:
        """Return how many bars the exchange gives at once."""
        if self._config.page_limit is not None:
            return self._config.page_limit
        known = self._exchange.feature_value(symbol, "fetchOHLCV", "limit", None)
        return int(known) if known else 100

    def page(self, symbol: str, timeframe: str, since: int, limit: int) -> list[list[Any]]:
        """Return bars from a moment on: time, open, high, low, close, volume as the text sent.

        Args:
            symbol: Name in ccxt.
            timeframe: Length of a bar.
            since: Milliseconds since 1970, UTC.
            limit: How many bars to ask for.

        Raises:
            DatasetError: If the exchange refuses, or keeps failing.
        """
        moment = datetime.fromtimestamp(since / 1000, tz=UTC).isoformat(timespec="seconds")
        what = f"{symbol} {timeframe} from {moment}"
        rows = self._ask(
            what,
            lambda: self._exchange.fetch_ohlcv(symbol, timeframe, since=since, limit=limit),
            sound=_is_sound,
        )
        return [[row[0], *(_text(value) for value in row[1:6])] for row in rows]

    def _ask(
        self,
        what: str,
        call: Callable[[], _Answer],
        sound: Callable[[_Answer], bool] = lambda answer: True,
    ) -> _Answer:
        attempt = 0
        while True:
            attempt += 1
            self._status, self._wait = None, None
            try:
                answer = call()
            except self._ccxt.BaseError as error:
                why = f"{self._config.exchange}: {what}: {_reason(error, self._status)}"
                asked = retry_after(self._wait, datetime.now(UTC))
                if not (self._passes(error) and self._patience.wait(attempt, asked, why)):
                    raise DatasetError(_given_up(why, attempt, asked)) from error
                continue
            if sound(answer) or not self._patience.wait(
                attempt, None, f"{self._config.exchange}: {what}: rows out of order or not whole"
            ):
                return answer  # what is still wrong then is for the validation to name

    def _passes(self, error: Exception) -> bool:
        if self._status is None or self._status < 400 or self._status in PASSING_STATUS:
            return isinstance(error, self._ccxt.OperationFailed)
        return isinstance(error, self._ccxt.DDoSProtection | self._ccxt.RateLimitExceeded)

    def _make(self) -> Any:
        name = self._config.exchange
        if name not in self._ccxt.exchanges:
            near = difflib.get_close_matches(name, self._ccxt.exchanges, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "see the list of ccxt"
            found = f"{name!r} is no exchange of ccxt {self._ccxt.__version__}"
            raise ConfigError([Problem(f"{self._where}.exchange", found, hint)])
        client, ccxt = self, self._ccxt

        class StrictExchange(getattr(ccxt, name)):  # type: ignore[misc]
            def fetch(self, *args: Any, **kwargs: Any) -> Any:
                client.requests += 1
                return super().fetch(*args, **kwargs)

            def handle_errors(
                self, code: int, reason: str, url: str, method: str, headers: Any, *more: Any
            ) -> Any:
                client._heard(code, headers)
                body, response = more[0], more[1]
                if code < 400 and response is None:
                    raise ccxt.BadResponse(f"{url}: no JSON but {body[:80]!r}")
                return super().handle_errors(code, reason, url, method, headers, *more)

        exchange = StrictExchange({"enableRateLimit": True, "options": self._options()})
        exchange.number = str  # prices as the exchange wrote them
        exchange.has["fetchCurrencies"] = False  # not needed, and one more request
        if self._config.base_url is not None:
            exchange.urls["api"] = _moved(exchange.urls["api"], self._config.base_url.rstrip("/"))
        if exchange.has.get("fetchOHLCV") is not True:
            found = f"{name} has no bars to download"
            remedy = "take another exchange, or files by the csv adapter"
            raise ConfigError([Problem(f"{self._where}.exchange", found, remedy)])
        return exchange

    def _options(self) -> dict[str, Any]:
        plain: dict[str, Any] = json.loads(json.dumps(dict(self._config.exchange_options)))
        return plain

    def _heard(self, status: int, headers: Mapping[str, str]) -> None:
        self._status = status
        self._wait = headers.get("Retry-After")
        if status < 400:
            self._answered = answered_at(headers.get("Date"), datetime.now(UTC))


def _import_ccxt() -> Any:
    try:
        import ccxt
    except ImportError as error:
        raise DatasetError(f"{_EXTRA} ({error})") from error
    return ccxt


def _moved(urls: Any, base_url: str) -> Any:
    if isinstance(urls, Mapping):
        return {key: _moved(value, base_url) for key, value in urls.items()}
    _, _, rest = str(urls).partition("://")
    _, slash, path = rest.partition("/")
    return base_url + slash + path


def _plain(market: Any) -> Any:
    """Return a market without the exchange's whole answer, as JSON holds it."""
    return json.loads(json.dumps({**market, "info": {}}, default=str))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _is_sound(rows: list[list[Any]]) -> bool:
    times = [row[0] for row in rows]
    if any(time is None for time in times):
        return False
    whole = all(len(row) == 6 and None not in row for row in rows)
    return whole and all(one < two for one, two in pairwise(times))


def _reason(error: Exception, status: int | None) -> str:
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}{f' (HTTP {status})' if status else ''}: {text}"


def _given_up(why: str, attempts: int, asked: float | None) -> str:
    times = f" after {attempts} attempts" if attempts > 1 else ""
    again = f"; it asks to wait {asked:.0f} s" if asked is not None else ""
    return f"{why}{times}{again}; what came so far is kept, and the next ingest goes on from there"
