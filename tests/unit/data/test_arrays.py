from datetime import date

import numpy as np
import pytest

from backtrail.data import BundleConfig, Dataset, ingest_bundle, load_bars
from backtrail.errors import DatasetError

from .places import PROJECT, SAMPLE, daily_row

HEADER = "date,open,high,low,close,volume,dividend,split\n"
ALWAYS = (date(1990, 1, 1), date(2026, 1, 1))


@pytest.fixture
def dataset(store):
    rows = (
        "2020-01-02,20,21,19,20,5,0,1\n"
        "2020-01-03,10,11,9,10,6,0,2\n"
        "2020-01-07,10,11,9,10,7,0.25,1\n"
    )
    store.write("AAA.csv", rows, HEADER)
    store.write("BBB.csv", daily_row("2020-01-06", 30.0) + daily_row("2020-01-07", 31.0))
    return Dataset.open(store.bundles / "b" / store.ingest().dataset_id)


def test_load_bars_lays_symbols_on_the_union_of_their_timestamps(dataset):
    bars = load_bars(dataset, ["BBB", "AAA"], *ALWAYS)
    days = bars.timestamps.astype("datetime64[us]").astype("datetime64[D]").astype(str)
    assert bars.symbols == ("BBB", "AAA")
    assert days.tolist() == ["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07"]
    np.testing.assert_array_equal(bars.close[:, 0], [np.nan, np.nan, 30.0, 31.0])
    np.testing.assert_array_equal(bars.close[:, 1], [20.0, 10.0, np.nan, 10.0])
    np.testing.assert_array_equal(bars.volume[:, 1], [5.0, 6.0, np.nan, 7.0])
    np.testing.assert_array_equal(bars.splits, [[1, 1], [1, 2], [1, 1], [1, 1]])
    np.testing.assert_array_equal(bars.dividends, [[0, 0], [0, 0], [0, 0], [0, 0.25]])
    assert bars.delisted.tolist() == [-1, -1]
    assert (bars.calendar, bars.timeframe) == ("XNYS", "1d")
    assert bars.open.flags.f_contiguous


def test_load_bars_of_a_window_has_only_its_events(dataset):
    bars = load_bars(dataset, ["AAA"], date(2020, 1, 4), date(2020, 1, 31))
    np.testing.assert_array_equal(bars.splits, [[1.0]])
    np.testing.assert_array_equal(bars.dividends, [[0.25]])


def test_load_bars_moves_an_event_without_a_bar_to_the_next_bar(store):
    from backtrail.data import Waiver

    rows = "2020-01-02,20,21,19,20,5,0,1\n2020-01-03,,,,,,0.5,1\n2020-01-06,19,20,18,19,5,0,1\n"
    store.write("AAA.csv", rows, HEADER)
    manifest = store.ingest(waivers=[Waiver("null_row", "vendor's hole")])
    dataset = Dataset.open(store.bundles / "b" / manifest.dataset_id)
    bars = load_bars(dataset, ["AAA"], *ALWAYS)
    np.testing.assert_array_equal(bars.dividends[:, 0], [0.0, 0.5])


def test_load_bars_marks_the_last_bar_of_a_delisted_symbol(tmp_path):
    options = {
        "kind": "daily_universe",
        "symbols": 2,
        "start": "2020-01-02",
        "end": "2020-03-31",
        "seed": 1,
    }
    bundle = BundleConfig("syn", "synthetic", "XNYS", "1d", None, options)
    manifest = ingest_bundle(bundle, root=tmp_path, bundles_dir=tmp_path)
    dataset = Dataset.open(tmp_path / "syn" / manifest.dataset_id)
    bars = load_bars(dataset, ["SYN01", "SYN02"], *ALWAYS)
    assert bars.shape == (62, 2)
    assert bars.delisted.tolist() == [-1, 30]
    assert not np.isnan(bars.close[30, 1])
    assert np.isnan(bars.close[31:, 1]).all()
    early = load_bars(dataset, ["SYN02"], date(2020, 1, 2), date(2020, 1, 31))
    assert early.delisted.tolist() == [-1]


def test_load_bars_says_what_exists_when_asked_for_what_does_not(dataset):
    with pytest.raises(DatasetError, match="has no ZZZ; it has AAA, BBB"):
        load_bars(dataset, ["ZZZ"], *ALWAYS)
    with pytest.raises(DatasetError, match="it has BBB from 2020-01-06T00:00:00Z to 2020-01-07"):
        load_bars(dataset, ["AAA", "BBB"], date(2020, 1, 2), date(2020, 1, 3))
    with pytest.raises(DatasetError, match="each once"):
        load_bars(dataset, ["AAA", "AAA"], *ALWAYS)


def test_sample_reaches_the_engine_with_its_splits(tmp_path):
    bundle = BundleConfig("sample", "csv", "XNYS", "1d", SAMPLE)
    manifest = ingest_bundle(bundle, root=PROJECT, bundles_dir=tmp_path)
    dataset = Dataset.open(tmp_path / "sample" / manifest.dataset_id)
    bars = load_bars(dataset, ["ACME", "BRK.A"], *ALWAYS)
    assert np.argwhere(bars.splits != 1.0).tolist() == [[15, 0], [28, 0]]
    assert bars.dividends[19].tolist() == [0.0, 0.56]
    assert bars.close[0].tolist() == [150.89, 92.69]
