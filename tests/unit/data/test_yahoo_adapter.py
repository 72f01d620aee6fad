"""Bars through yfinance itself, from a loopback server that speaks Yahoo's wire format."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import polars as pl
import pytest

from backtrail.data import BundleConfig, Dataset, Waiver, ingest_bundle
from backtrail.errors import ConfigError, DatasetError, DataValidationError
from tests.extras import needs

from .loopback import Answer, Loopback
from .yahoo import CHART, Listing, Yahoo, error, opening

pytestmark = needs("yfinance", "yfinance")


@pytest.fixture
def market(tmp_path, monkeypatch):
    """A Yahoo on loopback, and `ingest` of a bundle that is downloaded from it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    bundles = tmp_path / "bundles"
    yahoo = Yahoo()
    with Loopback(yahoo) as server:

        def ingest(timeframe="1d", waivers=(), **options):
            known = {
                "symbols": ["ACME"],
                "start": "2024-01-01",
                "end": "2024-01-31",
                "base_url": server.url,
                "retries": 2,
            }
            chosen = {key: value for key, value in {**known, **options}.items() if value}
            bundle = BundleConfig("b", "yfinance", "XNYS", timeframe, None, chosen, tuple(waivers))
            return ingest_bundle(bundle, root=work, bundles_dir=bundles)

        def read(manifest):
            return Dataset.open(bundles / "b" / manifest.dataset_id).bars()

        def adjustments(manifest):
            return Dataset.open(bundles / "b" / manifest.dataset_id).adjustments()

        yield SimpleNamespace(
            server=server,
            listings=yahoo.listings,
            yahoo=yahoo,
            bundles=bundles,
            ingest=ingest,
            read=read,
            adjustments=adjustments,
            outside=lambda: [*home.rglob("*"), *work.rglob("*")],
        )


def charts(market):
    return [item.path.removeprefix(CHART) for item in market.server.asked(CHART)]


def split_listing():
    """Ten days; the true close is 400 for five days and, after 4 for 1, 100 for five.

    Yahoo divides by every split: it says 100 throughout.
    """
    listing = Listing.daily("2024-01-08", 10, 100.0)
    listing.bars = [(row[0], 99.0, 101.0, 98.0, 100.0, 4000) for row in listing.bars]
    listing.splits = [(opening("2024-01-15"), 4.0, 1.0)]
    listing.dividends = [
        {"amount": 0.25, "date": opening("2024-01-10")},
        {"amount": 0.25, "date": opening("2024-01-17")},
    ]
    return listing


def test_bars_of_a_month_come_in_two_requests(market):
    market.listings["ACME"] = Listing.daily("2023-12-01", 60)
    manifest = market.ingest()
    assert charts(market) == ["ACME", "ACME"]  # its time zone, its bars
    assert [item.path for item in market.server.requests if CHART not in item.path] == [
        "/",
        "/v1/test/getcrumb",
    ]
    rows = market.read(manifest)
    assert rows.height == 23
    assert rows.row(0) == (
        "ACME",
        datetime(2024, 1, 1, tzinfo=UTC),
        120.0,
        122.0,
        119.0,
        121.0,
        1021.0,
    )
    assert str(rows["timestamp"][-1]) == "2024-01-31 00:00:00+00:00"
    assert market.outside() == []
    assert sorted(item.name for item in (market.bundles / "b").iterdir()) == sorted(
        ["HEAD.json", "receipt.json", manifest.dataset_id]
    )


def test_prices_are_those_of_their_day_and_splits_stand_beside_them(market):
    market.listings["ACME"] = split_listing()
    manifest = market.ingest()
    rows = market.read(manifest)
    assert rows["close"].to_list() == [400.0] * 5 + [100.0] * 5
    assert rows["open"].to_list() == [396.0] * 5 + [99.0] * 5
    assert rows["volume"].to_list() == [1000.0] * 5 + [4000.0] * 5
    found = market.adjustments(manifest).select("timestamp", "kind", "value").rows()
    assert [(str(at.date()), kind, value) for at, kind, value in found] == [
        ("2024-01-10", "dividend", 1.0),
        ("2024-01-15", "split", 4.0),
        ("2024-01-17", "dividend", 0.25),
    ]


def test_a_split_to_come_changes_no_bar_that_was_downloaded(market):
    market.listings["ACME"] = split_listing()
    before = market.ingest(end="2024-01-12").dataset_id
    later = market.listings["ACME"]
    later.splits.append((opening("2024-03-01"), 10.0, 1.0))
    later.bars = [
        (at, *(v / 10 for v in prices), volume * 10) for at, *prices, volume in later.bars
    ]
    later.dividends = [{**item, "amount": item["amount"] / 10} for item in later.dividends]
    later.bars.append((opening("2024-03-01"), 10.0, 10.0, 10.0, 10.0, 7))
    assert market.ingest(end="2024-01-12").dataset_id == before


def test_prices_that_yahoo_forgot_to_divide_are_refused(market):
    listing = split_listing()
    listing.bars = [
        (at, *(value * 4 for value in prices), volume) if index < 5 else (at, *prices, volume)
        for index, (at, *prices, volume) in enumerate(listing.bars)
    ]
    market.listings["ACME"] = listing
    with pytest.raises(DatasetError, match=r"ACME is listed with a split of 4 on 2024-01-15, but"):
        market.ingest()


def test_decimals_round_what_undoing_a_split_leaves(market):
    listing = split_listing()
    listing.splits = [(opening("2024-01-15"), 3.0, 1.0)]
    close = 33.33333206176758  # a float32: all that Yahoo has of 100 / 3
    listing.bars = [(row[0], close, close, close, close, 3000) for row in listing.bars]
    market.listings["ACME"] = listing
    assert market.read(market.ingest())["close"][0] == pytest.approx(99.99999618530274)
    assert market.read(market.ingest(decimals=2))["close"][0] == 100.0


def test_a_symbol_has_the_same_bars_alone_and_among_others(market):
    """Guards the adapter that took adjusted prices for one symbol and raw ones for many."""
    market.listings["ACME"] = split_listing()
    market.listings["BETA"] = Listing.daily("2024-01-02", 20, 50.0)
    alone = market.read(market.ingest(symbols=["ACME"]))
    both = market.read(market.ingest(symbols=["BETA", "ACME"]))
    assert both.filter(pl.col("symbol") == "ACME").equals(alone)
    assert both["symbol"].unique(maintain_order=True).to_list() == ["ACME", "BETA"]


def test_a_second_ingest_asks_again_and_makes_the_same_dataset(market):
    market.listings["ACME"] = split_listing()
    first = market.ingest().dataset_id
    asked = len(market.server.requests)
    assert market.ingest().dataset_id == first
    assert len(market.server.requests) == 2 * asked


def test_the_day_that_is_not_over_is_left_out(market):
    market.listings["ACME"] = Listing.daily("2024-05-20", 10)  # to 31 May
    market.server.now = datetime(2024, 6, 1, 3, 30, tzinfo=UTC)  # still 31 May in New York
    rows = market.read(market.ingest(start="2024-05-20", end=None))
    assert str(rows["timestamp"][-1]) == "2024-05-30 00:00:00+00:00"
    market.server.now = datetime(2024, 6, 1, 4, 30, tzinfo=UTC)
    rows = market.read(market.ingest(start="2024-05-20", end=None))
    assert str(rows["timestamp"][-1]) == "2024-05-31 00:00:00+00:00"


def test_every_symbol_that_yahoo_has_not_is_named_after_one_request_each(market):
    market.listings["ACME"] = split_listing()
    with pytest.raises(DatasetError) as caught:
        market.ingest(symbols=["GONE", "ACME", "NONE"])
    message = str(caught.value)
    assert "does not give 2 of 3 symbols" in message
    assert "GONE: No data found, symbol may be delisted" in message
    assert "NONE: No data found, symbol may be delisted" in message
    assert charts(market) == ["ACME", "ACME", "GONE", "NONE"]


FAULTS = {
    "429": Answer("Too Many Requests", status=429, headers={"Retry-After": "0"}),
    "500 html": Answer("<html>oops</html>", status=500, kind="text/html"),
    "200 html": Answer("<html>*** Will be right back ***</html>", kind="text/html"),
    "half": Answer('{"chart":{"result":[{"meta":'),
    "cut": Answer('{"chart":{"result":[{"meta":{}}]}}', cut=10),
    "empty": Answer(""),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_passes_costs_one_more_request_and_no_bar(market, name):
    market.listings["ACME"] = split_listing()
    sound = market.ingest().dataset_id
    market.server.requests.clear()
    market.server.fail(CHART, FAULTS[name])
    assert market.ingest().dataset_id == sound
    assert len(charts(market)) == 3


@pytest.mark.parametrize("name", ["429", "200 html"])
def test_a_fault_that_stays_stops_the_ingest_and_leaves_nothing(market, name):
    market.listings["ACME"] = split_listing()
    market.server.fail(CHART, *[FAULTS[name]] * 3)
    with pytest.raises(DatasetError, match=r"Yahoo: ACME: .*after 3 attempts"):
        market.ingest()
    assert len(charts(market)) == 3
    assert not (market.bundles / "b").exists()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer('{"chart":{"result":[],"error":null}}'), "ACME: an empty answer"),
        (Answer('{"chart":{"result":null,"error":null}}'), "ACME: an empty answer"),
        (error("Bad Request", "Invalid cookie", 200), "ACME: Invalid cookie"),
        (Answer("{}", status=410), r"ACME: HTTP 410"),
    ],
    ids=["no result", "null result", "error", "410"],
)
def test_an_answer_without_bars_is_an_error_and_never_an_empty_dataset(market, answer, message):
    market.server.fail(CHART, answer)
    with pytest.raises(DatasetError, match=message):
        market.ingest()
    assert not (market.bundles / "b").exists()


def test_a_cookie_that_is_refused_is_replaced(market):
    market.listings["ACME"] = split_listing()
    sound = market.ingest().dataset_id
    market.server.requests.clear()
    refused = error("Unauthorized", "Invalid Crumb", 401)
    market.server.fail(CHART, refused)
    assert market.ingest().dataset_id == sound
    assert len(charts(market)) == 3
    market.server.fail(CHART, refused, refused)
    with pytest.raises(DatasetError, match="HTTP 401, also with another cookie"):
        market.ingest()


def test_dates_without_a_bar_are_an_error(market):
    market.listings["ACME"] = split_listing()
    with pytest.raises(
        DatasetError, match=r"no finished bar of ACME from 2023-12-01 to 2023-12-29"
    ):
        market.ingest(start="2023-12-01", end="2023-12-29")
    with pytest.raises(DatasetError, match=r"does not give 1 of 1 symbols.*\n  - ACME: no bars"):
        market.ingest(start="2024-03-01", end="2024-03-29")


def test_a_row_without_prices_is_named_and_can_be_waived(market):
    listing = split_listing()
    listing.bars[3] = (listing.bars[3][0], None, None, None, None, None)
    market.listings["ACME"] = listing
    with pytest.raises(DataValidationError, match=r"yfinance:ACME:4: ACME 2024-01-11 .*null_row"):
        market.ingest()
    waiver = Waiver("null_row", "Yahoo has no bar of this day")
    assert market.ingest(waivers=[waiver]).rows == 9


def test_an_unknown_volume_is_not_taken_for_zero(market):
    listing = split_listing()
    listing.bars[2] = (*listing.bars[2][:5], None)
    market.listings["ACME"] = listing
    with pytest.raises(DataValidationError, match=r"2024-01-10 volume = null: .*null_volume"):
        market.ingest()


def test_dividends_in_another_currency_are_refused(market):
    listing = split_listing()
    listing.dividends[0]["currency"] = "EUR"
    market.listings["ACME"] = listing
    with pytest.raises(DatasetError, match=r"ACME has prices in USD and dividends in EUR"):
        market.ingest()


def test_capital_gains_are_added_only_when_somebody_says_what_they_are(market):
    listing = Listing.daily("2024-01-02", 10, kind="ETF")
    day = opening("2024-01-04")
    listing.dividends = [{"amount": 0.5, "date": day}]
    listing.gains = [{"amount": 0.25, "date": day}]
    market.listings["ACME"] = listing
    with pytest.raises(DatasetError, match=r"capital gains 1 times, first 0.25 on 2024-01-04"):
        market.ingest()
    for meaning, paid in (("separate", 0.75), ("included", 0.5)):
        found = market.adjustments(market.ingest(capital_gains=meaning))
        assert found["value"].to_list() == [paid]


def test_the_manifest_says_what_was_done_to_prices(market):
    market.listings["ACME"] = split_listing()
    manifest = market.ingest()
    (record,) = manifest.dialect
    assert record["split_adjustment"] == "undone"
    assert (record["currency"], record["exchangeTimezoneName"]) == ("USD", "America/New_York")
    assert [source.path for source in manifest.sources] == ["yfinance:ACME"]


def minutes(day, count, price=50.0, first="09:30"):
    start = opening(day, at=first)
    return [
        (start + 60 * index, price, price + 1, price - 1, price, 10 + index)
        for index in range(count)
    ]


@pytest.fixture
def recent():
    """Three weekdays of the last two weeks, oldest first: Yahoo keeps minutes for a month."""
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=back) for back in range(3, 14)]
    return [day.isoformat() for day in days if day.weekday() < 5][-1:-4:-1]


def test_minutes_come_in_weeks_and_the_splits_since_are_undone(market, recent):
    market.server.now = datetime.now(UTC)
    listing = Listing.daily(recent[0], 3)
    listing.bars = [(opening(day), 50.0, 51.0, 49.0, 50.0, 1) for day in recent]
    listing.intraday = minutes(recent[0], 390) + minutes(recent[1], 390)
    listing.splits = [(opening(recent[2]), 2.0, 1.0)]
    market.listings["ACME"] = listing
    start = (datetime.fromisoformat(recent[0]) - timedelta(days=1)).date().isoformat()
    manifest = market.ingest("1m", start=start, end=recent[1])
    rows = market.read(manifest)
    assert rows.height == 780
    assert (rows["close"][0], rows["volume"][0]) == (100.0, 5.0)
    assert rows["timestamp"][0] == datetime.fromtimestamp(opening(recent[0]), tz=UTC)
    intervals = [item.query["interval"] for item in market.server.asked(CHART)]
    assert intervals[0] == intervals[-1] == "1d"  # its time zone first, its splits last
    assert set(intervals[1:-1]) == {"1m"}
    spans = [
        int(item.query["period2"]) - int(item.query["period1"])
        for item in market.server.asked(CHART)
        if item.query["interval"] == "1m"
    ]
    assert max(spans) <= 7 * 86_400


def test_bars_before_and_after_a_session_do_not_stand_among_its_own(market, recent):
    market.server.now = datetime.now(UTC)
    listing = Listing.daily(recent[0], 1)
    listing.intraday = minutes(recent[0], 5, first="08:00") + minutes(recent[0], 5)
    market.listings["ACME"] = listing
    rows = market.read(market.ingest("1m", start=recent[0], end=recent[0]))
    assert rows["timestamp"].to_list() == [
        datetime.fromtimestamp(opening(recent[0]) + 60 * index, tz=UTC) for index in range(5)
    ]


def test_minutes_that_yahoo_does_not_keep_so_long_are_refused_before_a_request(market):
    with pytest.raises(ConfigError, match=r"bars of 1m from 2024-01-01; Yahoo keeps them for 30"):
        market.ingest("1m")
    with pytest.raises(ConfigError, match=r"Yahoo has 1m, 2m, .*take 1d"):
        market.ingest("1w")
    assert market.server.requests == []


def test_a_download_that_was_cut_goes_on_where_it_stopped(market):
    market.listings["ACME"] = split_listing()
    market.listings["BETA"] = Listing.daily("2024-01-02", 20, 50.0)
    both = {"symbols": ["ACME", "BETA"]}
    whole = market.ingest(**both).dataset_id
    chart = market.yahoo.chart
    market.yahoo.chart = lambda symbol, query: (
        Answer("", status=503) if symbol == "BETA" else chart(symbol, query)
    )
    with pytest.raises(DatasetError, match=r"Yahoo: BETA: HTTP 503 after 3 attempts"):
        market.ingest(**both)
    (page,) = (market.bundles / "b/.downloads").rglob("000000.json")
    assert len(json.loads(page.read_text())["rows"]) == 10
    market.yahoo.chart = chart
    market.server.requests.clear()
    assert market.ingest(**both).dataset_id == whole
    assert charts(market) == ["BETA", "BETA"]
    assert not (market.bundles / "b/.downloads").exists()
