"""Bars through ccxt itself, from a loopback server that speaks Binance's wire format."""

import json
import multiprocessing
import threading
import time
from types import SimpleNamespace

import polars as pl
import pytest

from backtrail.data import BundleConfig, Dataset, ingest_bundle
from backtrail.errors import ConfigError, DatasetError, DataValidationError
from tests.extras import needs

from .binance import Binance, bars, kline, milliseconds
from .kraken import Kraken
from .loopback import Answer, Loopback

pytestmark = needs("ccxt", "ccxt")

PARALLEL = multiprocessing.get_context("spawn")
KLINES = "/api/v3/klines"
HTML = Answer("<html>are you human?</html>", kind="text/html")


@pytest.fixture
def exchange(tmp_path, monkeypatch):
    """A Binance on loopback, and `ingest` of a bundle that is downloaded from it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    bundles = tmp_path / "bundles"
    binance = Binance()
    with Loopback(binance) as server:

        def bundle(timeframe="1m", waivers=(), **options):
            known = {
                "exchange": "binance",
                "symbols": ["BTC/USDT"],
                "start": "2024-01-01",
                "end": "2024-01-01",
                "base_url": server.url,
                "exchange_options": {"fetchMarkets": {"types": ["spot"]}},
                "retries": 2,
            }
            chosen = {key: value for key, value in {**known, **options}.items() if value}
            return BundleConfig("b", "ccxt", "24/7", timeframe, None, chosen, tuple(waivers))

        def ingest(*args, **options):
            return ingest_bundle(bundle(*args, **options), root=work, bundles_dir=bundles)

        def read(manifest):
            return Dataset.open(bundles / "b" / manifest.dataset_id).bars()

        yield SimpleNamespace(
            server=server,
            binance=binance,
            bundles=bundles,
            bundle=bundle,
            ingest=ingest,
            read=read,
            outside=lambda: [*home.rglob("*"), *work.rglob("*")],
        )


def pages(exchange):
    return [
        (item.query["symbol"], int(item.query["startTime"]), int(item.query["limit"]))
        for item in exchange.server.asked(KLINES)
    ]


def test_every_bar_of_a_day_comes_in_as_many_pages_as_it_has(exchange):
    exchange.binance.bars["BTCUSDT", "1m"] = bars("2023-12-31", 4320)
    manifest = exchange.ingest()
    first = milliseconds("2024-01-01")
    assert pages(exchange) == [
        ("BTCUSDT", first, 1000),
        ("BTCUSDT", first + 1000 * 60_000, 440),
    ]
    assert len(exchange.server.requests) == 3  # and one for the markets
    rows = exchange.read(manifest)
    assert rows.height == manifest.rows == 1440
    assert rows.row(0) == (
        "BTC/USDT",
        pl.Series(["2024-01-01T00:00:00Z"]).str.to_datetime(time_zone="UTC")[0],
        139.0,
        142.12345678,
        137.00000001,
        140.5,
        1441.001,
    )
    assert str(rows["timestamp"][-1]) == "2024-01-01 23:59:00+00:00"
    assert exchange.outside() == []
    assert sorted(item.name for item in (exchange.bundles / "b").iterdir()) == sorted(
        ["HEAD.json", "receipt.json", manifest.dataset_id]
    )


def test_the_manifest_says_where_bars_came_from(exchange):
    exchange.binance.bars["BTCUSDT", "1h"] = bars("2024-01-01", 24, "1h")
    manifest = exchange.ingest("1h")
    (source,) = manifest.sources
    assert (source.path, source.symbol) == ("ccxt:binance/BTC/USDT", "BTC/USDT")
    (record,) = manifest.dialect
    assert {key: record[key] for key in ("adapter", "exchange", "start", "end")} == {
        "adapter": "ccxt",
        "exchange": "binance",
        "start": "2024-01-01",
        "end": "2024-01-01",
    }
    assert "until" not in record  # a day that is over needs no clock


def test_a_second_ingest_asks_again_and_makes_the_same_dataset(exchange):
    exchange.binance.bars["BTCUSDT", "1h"] = bars("2024-01-01", 24, "1h")
    first = exchange.ingest("1h").dataset_id
    asked = len(exchange.server.requests)
    assert exchange.ingest("1h").dataset_id == first
    assert len(exchange.server.requests) == 2 * asked
    head = json.loads((exchange.bundles / "b/HEAD.json").read_text())
    assert head["history"] == [{"dataset_id": first}]


def test_the_size_of_pages_does_not_change_the_dataset(exchange):
    exchange.binance.bars["BTCUSDT", "1h"] = bars("2024-01-01", 24, "1h")
    whole = exchange.ingest("1h")
    parts = exchange.ingest("1h", page_limit=5)
    assert parts.dataset_id == whole.dataset_id
    assert parts.sources == whole.sources
    assert [limit for _, _, limit in pages(exchange)] == [24, 5, 5, 5, 5, 4]


def test_a_symbol_has_the_same_bars_alone_and_among_others(exchange):
    exchange.binance.bars["BTCUSDT", "1h"] = bars("2024-01-01", 24, "1h")
    exchange.binance.bars["ETHUSDT", "1h"] = bars("2023-12-31", 48, "1h")
    alone = exchange.read(exchange.ingest("1h", symbols=["ETH/USDT"]))
    both = exchange.read(exchange.ingest("1h", symbols=["ETH/USDT", "BTC/USDT"]))
    assert both["symbol"].unique(maintain_order=True).to_list() == ["BTC/USDT", "ETH/USDT"]
    assert both.filter(pl.col("symbol") == "ETH/USDT").equals(alone)


def test_the_bar_that_is_not_finished_is_left_out(exchange):
    """The exchange's clock decides: ours may be fast."""
    exchange.binance.bars["BTCUSDT", "1h"] = bars("2024-06-01", 13, "1h")  # to 12:00, now 12:00:30
    manifest = exchange.ingest("1h", start="2024-06-01", end=None)
    rows = exchange.read(manifest)
    assert str(rows["timestamp"][-1]) == "2024-06-01 11:00:00+00:00"
    assert manifest.dialect[0]["until"] == "2024-06-01T12:00:30Z"
    with_end = exchange.ingest("1h", start="2024-06-01", end="2024-06-30")
    assert with_end.dataset_id == manifest.dataset_id


def test_bars_after_the_last_are_left_out_when_earlier_ones_are_missing(exchange):
    """So many bars as are asked for then reach beyond the end."""
    known = bars("2024-05-30", 61, "1h")  # to 12:00 of 1 June, now 12:00:30
    exchange.binance.bars["BTCUSDT", "1h"] = known[:3] + known[6:]
    present = exchange.read(exchange.ingest("1h", start="2024-05-30", end=None))
    assert str(present["timestamp"][-1]) == "2024-06-01 11:00:00+00:00"
    day = exchange.read(exchange.ingest("1h", start="2024-05-30", end="2024-05-30"))
    assert str(day["timestamp"][-1]) == "2024-05-30 23:00:00+00:00"
    assert (present.height, day.height) == (57, 21)


def test_daily_bars_are_labelled_by_their_date(exchange):
    exchange.binance.bars["BTCUSDT", "1d"] = bars("2024-01-01", 40, "1d")
    rows = exchange.read(exchange.ingest("1d", end="2024-01-31"))
    assert rows.height == 31
    exchange.binance.bars["BTCUSDT", "1d"] = bars("2024-01-01T16:00", 40, "1d")
    with pytest.raises(DatasetError, match=r"begins at 2024-01-01T16:00:00\+00:00, not at midn"):
        exchange.ingest("1d", end="2024-01-31")


def test_a_page_without_a_bar_is_not_the_end(exchange):
    """Some exchanges answer a window of time, and a window may be empty."""
    kept = bars("2024-01-01", 24, "1h")
    windowed = [bar for index, bar in enumerate(kept) if not 4 <= index < 17]
    klines = exchange.binance.klines

    def window(query):
        answer = json.loads(klines({**query, "limit": "1000"}).body)
        stop = int(query["startTime"]) + int(query["limit"]) * 3_600_000
        return Answer(json.dumps([bar for bar in answer if bar[0] < stop]))

    exchange.binance.klines = window
    exchange.binance.bars["BTCUSDT", "1h"] = windowed
    rows = exchange.read(exchange.ingest("1h", page_limit=4))
    assert rows.height == 11
    assert str(rows["timestamp"][-1]) == "2024-01-01 23:00:00+00:00"


@pytest.mark.parametrize(
    "fault",
    [
        HTML,
        Answer('[[1704067200000,"1","2'),
        Answer('[[1704067200000,"1","2"]]', cut=9),
        Answer("slow down", status=429, headers={"Retry-After": "0"}),
        Answer("teapot", status=418, headers={"Retry-After": "0"}),
        Answer("oops", status=503),
        Answer(json.dumps([kline(milliseconds("2024-01-01"), 60_000, 7)[:3]])),
        Answer(json.dumps([[milliseconds("2024-01-01"), "1", None, "1", "1", "1"]])),
        Answer(json.dumps([kline(milliseconds("2024-01-01"), 60_000, 7)] * 2)),
    ],
    ids=["html", "half", "cut", "429", "418", "503", "short", "null", "twice"],
)
def test_a_fault_that_passes_costs_one_more_request_and_no_bar(exchange, fault):
    exchange.binance.bars["BTCUSDT", "1h"] = bars("2024-01-01", 24, "1h")
    sound = exchange.ingest("1h")
    exchange.server.requests.clear()
    exchange.server.fail(KLINES, fault)
    assert exchange.ingest("1h").dataset_id == sound.dataset_id
    assert len(exchange.server.asked(KLINES)) == 2


def test_a_wait_that_is_asked_for_is_waited(exchange):
    exchange.binance.bars["BTCUSDT", "1h"] = bars("2024-01-01", 24, "1h")
    exchange.server.fail(KLINES, Answer("{}", status=429, headers={"Retry-After": "1"}))
    exchange.ingest("1h")
    first, second = exchange.server.asked(KLINES)
    assert second.at - first.at >= 1.0


def test_a_long_wait_ends_the_ingest_with_what_to_do(exchange):
    exchange.server.fail(KLINES, Answer("{}", status=418, headers={"Retry-After": "3600"}))
    with pytest.raises(DatasetError, match=r"HTTP 418.*asks to wait 3600 s; .*goes on from there"):
        exchange.ingest("1h")
    assert len(exchange.server.asked(KLINES)) == 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (HTML, r"BTC/USDT 1h from 2024-01-01T00:00:00\+00:00: BadResponse.*after 3 attempts"),
        (Answer("{}", status=500), r"HTTP 500.*after 3 attempts"),
        (Answer("", cut=0, status=200), "after 3 attempts"),
    ],
    ids=["html", "500", "empty"],
)
def test_a_fault_that_stays_stops_the_ingest_and_leaves_nothing(exchange, fault, message):
    exchange.binance.bars["BTCUSDT", "1h"] = bars("2024-01-01", 24, "1h")
    exchange.server.fail(KLINES, *[fault] * 3)
    with pytest.raises(DatasetError, match=message):
        exchange.ingest("1h")
    assert len(exchange.server.asked(KLINES)) == 3
    assert not (exchange.bundles / "b").exists()


def test_an_answer_that_cannot_pass_is_not_asked_again(exchange):
    exchange.server.fail(KLINES, Answer('{"code":-1,"msg":"gone"}', status=404))
    with pytest.raises(DatasetError, match="HTTP 404"):
        exchange.ingest("1h")
    assert len(exchange.server.asked(KLINES)) == 1


def test_a_value_that_stays_away_is_named_by_the_validation(exchange):
    faulty = bars("2024-01-01", 24, "1h")
    faulty[3][2] = None
    exchange.binance.bars["BTCUSDT", "1h"] = faulty
    with pytest.raises(DataValidationError, match=r"2024-01-01T03:00.* high = null.*null_price"):
        exchange.ingest("1h", retries=1)


def test_a_download_that_was_cut_goes_on_where_it_stopped(exchange):
    exchange.binance.bars["BTCUSDT", "1h"] = bars("2024-01-01", 24, "1h")
    exchange.binance.bars["ETHUSDT", "1h"] = bars("2024-01-01", 24, "1h")
    both = {"symbols": ["BTC/USDT", "ETH/USDT"], "page_limit": 10}
    whole = exchange.ingest("1h", **both).dataset_id
    exchange.server.requests.clear()
    klines, left = exchange.binance.klines, [4]

    def cut(query):
        left[0] -= 1
        return klines(query) if left[0] >= 0 else Answer("{}", status=502)

    exchange.binance.klines = cut
    with pytest.raises(DatasetError, match=r"ETH/USDT 1h from 2024-01-01T10:00.*HTTP 502"):
        exchange.ingest("1h", **both)
    assert len(list((exchange.bundles / "b/.downloads").rglob("000*.json"))) == 4
    exchange.binance.klines = klines
    exchange.server.requests.clear()
    assert exchange.ingest("1h", **both).dataset_id == whole
    ten = milliseconds("2024-01-01T10:00")
    assert pages(exchange) == [("ETHUSDT", ten, 10), ("ETHUSDT", ten + 36_000_000, 4)]
    assert len(exchange.server.requests) == 2  # the markets were not asked for again
    assert not (exchange.bundles / "b/.downloads").exists()


def test_a_download_that_was_killed_goes_on_where_it_stopped(exchange):
    exchange.binance.bars["BTCUSDT", "1h"] = bars("2024-01-01", 24, "1h")
    whole = exchange.ingest("1h", page_limit=5).dataset_id
    exchange.server.requests.clear()
    klines, released = exchange.binance.klines, threading.Event()

    def hold(query):
        if len(exchange.server.asked(KLINES)) == 4:
            released.wait(60)
        return klines(query)

    exchange.binance.klines = hold
    process = PARALLEL.Process(
        target=ingest_bundle,
        args=(exchange.bundle("1h", page_limit=5),),
        kwargs={"root": exchange.bundles.parent, "bundles_dir": exchange.bundles},
    )
    process.start()
    while len(exchange.server.asked(KLINES)) < 4:
        assert process.is_alive()
        time.sleep(0.01)
    process.kill()
    process.join()
    released.set()
    exchange.binance.klines = klines
    exchange.server.requests.clear()
    assert exchange.ingest("1h", page_limit=5).dataset_id == whole
    assert [limit for _, _, limit in pages(exchange)] == [5, 4]
    assert not list((exchange.bundles / "b").glob(".*"))


def test_an_exchange_that_keeps_only_its_last_bars_is_found_out(exchange):
    """Kraken answers any `since` with its last 720 bars."""
    exchange.binance.bars["BTCUSDT", "1h"] = bars("2024-01-03", 24, "1h")
    with pytest.raises(DatasetError, match=r"from 2024-01-03T00:00:00Z on.*late_start: allow"):
        exchange.ingest("1h", end="2024-01-03")
    late = exchange.ingest("1h", end="2024-01-03", late_start="allow")
    assert late.symbols["BTC/USDT"].first == "2024-01-03T00:00:00Z"


def test_another_exchange_is_another_wire_format_and_nothing_else(tmp_path):
    kraken = Kraken()
    first = milliseconds("2024-01-01") // 1000
    values = ["30306.1", "30306.2", "30305.7", "30305.9", "30306.0", "3.39243896", 23]
    kraken.bars = [[first + 3600 * index, *values] for index in range(1000)]
    options = {"exchange": "kraken", "symbols": ["BTC/USD"], "retries": 0}
    with Loopback(kraken) as server:

        def ingest(start):
            chosen = {**options, "start": start, "end": "2024-02-08", "base_url": server.url}
            bundle = BundleConfig("k", "ccxt", "24/7", "1h", None, chosen)
            return ingest_bundle(bundle, root=tmp_path, bundles_dir=tmp_path / "bundles")

        with pytest.raises(DatasetError, match=r"gives BTC/USD from 2024-01-12T16:00:00Z on"):
            ingest("2024-01-01")
        manifest = ingest("2024-01-20")
    assert manifest.symbols["BTC/USD"].first == "2024-01-20T00:00:00Z"
    rows = Dataset.open(tmp_path / "bundles/k" / manifest.dataset_id).bars()
    assert rows.height == 20 * 24
    assert rows.row(0)[2:] == (30306.1, 30306.2, 30305.7, 30305.9, 3.39243896)
    assert len(server.asked("OHLC")) == 2


def test_a_symbol_without_a_bar_is_an_error(exchange):
    exchange.binance.bars["BTCUSDT", "1h"] = []
    with pytest.raises(DatasetError, match=r"no finished bar of BTC/USDT from 2024-01-01"):
        exchange.ingest("1h")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"symbols": ["BTC/USD"]}, r"binance has no 'BTC/USD'.*it has BTC/USDT"),
        ({"exchange": "binanse"}, "did you mean binance"),
        ({"timeframe": "7m"}, r"'7m', which binance has not.*1m, 3m"),
    ],
)
def test_what_the_exchange_has_not_is_said_with_what_it_has(exchange, options, message):
    with pytest.raises(ConfigError, match=message):
        exchange.ingest(**options)
    assert not (exchange.bundles / "b").exists()
    assert exchange.server.asked(KLINES) == []
