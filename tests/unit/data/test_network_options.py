from datetime import date

import pytest

from backtrail.data import BundleConfig, list_symbols, source_checksum
from backtrail.data.network_options import CcxtConfig, YahooConfig
from backtrail.errors import ConfigError

COINS = {"exchange": "binance", "symbols": ["ETH/USDT", "BTC/USDT"], "start": "2024-01-01"}
STOCKS = {"symbols": ["ACME"], "start": "2024-01-01"}


def bundle(adapter="ccxt", options=COINS, timeframe="1d", **more):
    return BundleConfig("b", adapter, "24/7", timeframe, None, {**options, **more})


def test_options_become_what_they_mean():
    config = CcxtConfig.of(bundle(end="2024-02-01", retries=0).options)
    assert config.symbols == ("BTC/USDT", "ETH/USDT")
    assert (config.start, config.end) == (date(2024, 1, 1), date(2024, 2, 1))
    assert (config.retries, config.late_start, config.page_limit) == (0, "fail", None)
    assert YahooConfig.of(bundle("yfinance", STOCKS).options).retries == 5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"exchange": None}, r"exchange: missing"),
        ({"exchange": "Binance Inc"}, r"id of ccxt"),
        ({"symbols": "BTC/USDT"}, r"write a list of symbols"),
        ({"symbols": []}, r"write a list of symbols"),
        ({"symbols": [True]}, r"such as ON"),
        ({"symbols": ["A", "B", "A"]}, r"twice there: A"),
        ({"start": "01.02.2024"}, r"YYYY-MM-DD"),
        ({"end": "2023-12-31"}, r"2024-01-01 is after 2023-12-31"),
        ({"base_url": "mirror.example"}, r"https://mirror"),
        ({"late_start": "maybe"}, r"allow or fail"),
        ({"page_limit": 0}, r"a number of bars"),
        ({"retries": True}, r"from 0 to 20"),
        ({"exchange_options": []}, r"write a mapping"),
        ({"decimals": 2}, r"unknown key"),
    ],
)
def test_a_wrong_option_is_refused_with_what_would_do(wrong, message):
    with pytest.raises(ConfigError, match=message):
        bundle(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"capital_gains": "yes"}, r"included or separate"),
        ({"decimals": -1}, r"from 0 to 20"),
        ({"exchange": "binance"}, r"unknown key"),
    ],
)
def test_a_wrong_option_of_yahoo_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        bundle("yfinance", STOCKS, **wrong)


def test_symbols_and_checksum_are_known_without_a_download(tmp_path):
    assert list_symbols(bundle(), tmp_path) == ("BTC/USDT", "ETH/USDT")
    one, other = bundle(), bundle(end="2024-02-01")
    assert source_checksum(one, tmp_path) == source_checksum(bundle(), tmp_path)
    assert source_checksum(one, tmp_path) != source_checksum(other, tmp_path)
