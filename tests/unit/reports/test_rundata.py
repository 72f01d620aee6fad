import polars as pl
import pytest

from backtrail.errors import ArtifactManagerError, DatasetError
from backtrail.reports.rundata import read_dataset_manifest, read_prices, read_run

from . import runs


def test_a_run_is_read_with_its_names_and_tables(tmp_path):
    store = runs.write_small_run(tmp_path, names=["a", "b"])
    run = read_run(store.run_dir)
    assert (run.backtest_id, run.names, run.bundle) == (
        runs.BACKTEST_ID,
        ("a", "b"),
        "us-indices",
    )
    assert run.table("backtest_results").height == 60
    assert run.manifest["grade"] == "B"


def test_a_run_without_a_name_is_called_by_its_strategy(tmp_path):
    store = runs.write_small_run(tmp_path, names=[])
    assert read_run(store.run_dir).names == ("strategies/sma_cross.py",)


@pytest.mark.parametrize(
    ("timeframe", "intraday"), [("1d", False), ("1w", False), ("1mo", False), ("1m", True)]
)
def test_bars_shorter_than_a_day_are_intraday(tmp_path, timeframe, intraday):
    store = runs.write_small_run(tmp_path, dataset={"timeframe": timeframe})
    assert read_run(store.run_dir).intraday is intraday


def test_what_is_missing_or_not_of_its_schema_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(ArtifactManagerError, match=r"run_spec\.json is missing"):
        read_run(tmp_path)
    store = runs.write_small_run(tmp_path)
    run = read_run(store.run_dir)
    (store.run_dir / "results" / "fills.parquet").unlink()
    with pytest.raises(ArtifactManagerError, match=r"fills\.parquet is missing"):
        run.table("fills")
    path = store.run_dir / "results" / "summary.parquet"
    pl.DataFrame({"metric": ["x"], "value": [1]}).write_parquet(path)
    with pytest.raises(ArtifactManagerError, match="the schema of summary is"):
        run.table("summary")
    (store.run_dir / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(ArtifactManagerError, match=r"run\.json is not JSON"):
        read_run(store.run_dir)


def test_prices_come_per_symbol_and_a_missing_dataset_says_what_to_do(tmp_path):
    store = runs.write_small_run(tmp_path)
    run = read_run(store.run_dir)
    prices = read_prices(run, store.bundles_dir, ["SPX", "NONE"], ["close"])
    assert list(prices) == ["SPX"]
    assert prices["SPX"].columns == ["timestamp", "close"]
    assert prices["SPX"]["close"][0] == 100.0
    assert read_dataset_manifest(run, store.bundles_dir)["synthetic"] is False
    with pytest.raises(DatasetError, match="ingest bundle us-indices again"):
        read_dataset_manifest(run, tmp_path / "elsewhere")


def test_prices_that_were_put_back_and_other_questions_are_read_anew(tmp_path):
    store = runs.write_small_run(tmp_path)
    run = read_run(store.run_dir)
    assert read_prices(run, store.bundles_dir, ["NONE"], ["close"]) == {}
    before = read_prices(run, store.bundles_dir, ["SPX"], ["close"])
    before.clear()  # what a caller does with its answer is no other one's
    assert read_prices(run, store.bundles_dir, ["SPX"], ["close"])["SPX"]["close"][0] == 100.0
    (bars,) = store.bundles_dir.rglob("bars.parquet")
    pl.read_parquet(bars).with_columns(close=pl.lit(7.0)).write_parquet(bars)
    assert read_prices(run, store.bundles_dir, ["SPX"], ["close"])["SPX"]["close"][0] == 7.0
