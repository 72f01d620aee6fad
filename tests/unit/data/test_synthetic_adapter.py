from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from backtrail.data import BundleConfig, Dataset, ingest_bundle, list_symbols, load_bars
from backtrail.errors import ConfigError

DAILY = {
    "kind": "daily_universe",
    "symbols": 20,
    "start": "2010-01-04",
    "end": "2014-12-31",
    "seed": 5,
}
MINUTES = {
    "kind": "minute_bars",
    "symbols": 2,
    "start": "2019-11-27",
    "end": "2019-11-29",
    "seed": 5,
}


def ingest(tmp_path, options, timeframe="1d", name="syn"):
    bundle = BundleConfig(name, "synthetic", "XNYS", timeframe, None, options)
    manifest = ingest_bundle(bundle, root=tmp_path, bundles_dir=tmp_path / "bundles")
    return manifest, Dataset.open(tmp_path / "bundles" / name / manifest.dataset_id)


def test_daily_universe_has_the_same_id_on_every_machine(tmp_path):
    manifest, _ = ingest(tmp_path, DAILY)
    assert manifest.dataset_id == "1fae5387f473bb1e"
    assert manifest.synthetic
    assert ingest(tmp_path, {**DAILY, "seed": 6})[0].dataset_id != manifest.dataset_id


def test_daily_universe_has_splits_dividends_and_one_delisting(tmp_path):
    manifest, dataset = ingest(tmp_path, DAILY)
    table = dataset.adjustments()
    assert sorted(manifest.symbols) == [f"SYN{index:02d}" for index in range(1, 21)]
    splits = table.filter(pl.col("kind") == "split")
    assert set(splits["value"]) == {2.0, 1.5, 7.0, 0.1, 3.0}
    paying = table.filter(pl.col("kind") == "dividend")["symbol"].unique()
    assert len(paying) == 10
    gone = table.filter(pl.col("kind") == "delisting")
    assert gone["symbol"].to_list() == ["SYN11"]
    last = dataset.bars(["SYN11"]).row(-1, named=True)
    assert gone.select("timestamp", "value").row(0) == (last["timestamp"], last["close"])
    assert manifest.symbols["SYN11"].rows == 629
    assert {item.rows for name, item in manifest.symbols.items() if name != "SYN11"} == {1258}
    cents = dataset.bars().select(pl.col("open", "high", "low", "close") * 100)
    assert cents.select((pl.all() - pl.all().round()).abs().max()).max_horizontal()[0] < 1e-6


def test_raw_prices_drop_at_splits(tmp_path):
    manifest, dataset = ingest(tmp_path, DAILY)
    for symbol in manifest.symbols:
        bars = load_bars(dataset, [symbol], date(2010, 1, 1), date(2014, 12, 31))
        rows = np.nonzero(bars.splits[:, 0] != 1.0)[0]
        ratio = bars.close[rows - 1, 0] / bars.open[rows, 0]
        np.testing.assert_allclose(ratio, bars.splits[rows, 0], rtol=0.1)


def test_symbols_do_not_depend_on_how_many_there_are(tmp_path):
    _, few = ingest(tmp_path, {**DAILY, "symbols": 3}, name="few")
    _, many = ingest(tmp_path, DAILY, name="many")
    assert few.bars(["SYN01"]).equals(many.bars(["SYN01"]))


def test_minute_bars_fill_regular_sessions_with_half_days(tmp_path):
    manifest, dataset = ingest(tmp_path, MINUTES, "1m")
    assert manifest.dataset_id == "3714277c6d0d01a9"
    assert {name: item.rows for name, item in manifest.symbols.items()} == {
        "SYNM1": 600,
        "SYNM2": 600,
    }
    stamps = dataset.bars(["SYNM1"])["timestamp"]
    assert stamps[0] == datetime(2019, 11, 27, 14, 30, tzinfo=UTC)
    assert stamps[389] == datetime(2019, 11, 27, 20, 59, tzinfo=UTC)
    assert stamps[390] == datetime(2019, 11, 29, 14, 30, tzinfo=UTC)
    assert stamps[-1] == datetime(2019, 11, 29, 17, 59, tzinfo=UTC)


def test_list_symbols_of_a_synthetic_bundle_computes_nothing(tmp_path):
    bundle = BundleConfig("syn", "synthetic", "XNYS", "1d", None, {**DAILY, "symbols": 2})
    assert list_symbols(bundle, tmp_path) == ("SYN01", "SYN02")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "ticks"}, "known kinds: daily_universe, minute_bars"),
        ({"kind": "minute_bars"}, "write timeframe 1m"),
        ({"symbols": 1}, "write a number from 2"),
        ({"seed": "x"}, "write an integer"),
        ({"start": "4 Jan"}, "write dates as YYYY-MM-DD"),
        ({"start": "2015-01-01"}, "is after 2014-12-31"),
        ({"start": "2014-12-29"}, "3 sessions of XNYS .*; take at least 10"),
    ],
)
def test_refused_options_are_named(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        ingest(tmp_path, {**DAILY, **change})
