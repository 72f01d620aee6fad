"""Integration and usage examples of seed 002, as they are written there.

The text is that of the documents with `backtrail` for `rustybt`. Differences, all of them: folders
of a test stand in for `/tmp`, `datetime.UTC` for `pytz.UTC`, which is not installed, and the column
of drawdowns is called `drawdown`, not `max_drawdown`. Functions that the documents only name
(`calculate_sharpe`, ...) are written out.
"""

import shutil
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from backtrail import run_algorithm
from backtrail.artifacts.manifest import inspect_run
from backtrail.artifacts.rundir import RunDir
from backtrail.backtest import (
    BacktestArtifactManager,
)

from .project import HOLD, WINDOW, manifest


def test_integration_with_trading_algorithm(quandl):
    strategy = quandl.write(
        "my_strategy.py",
        """
        from backtrail import TradingAlgorithm

        class MyStrategy(TradingAlgorithm):
            def initialize(self, context):
                # Access artifact manager
                manager = self.artifact_manager

                print(f"Backtest ID: {manager.backtest_id}")
                print(f"Output dir: {manager.output_dir}")

            def handle_data(self, context, data):
                # Save custom artifacts
                custom_path = self.artifact_manager.get_result_path('custom_data.csv')
                custom_path.write_text("a,b\\n1,2\\n")
        """,
    )
    result = run_algorithm(strategy, **WINDOW)
    # Logs name places inside the run as from its folder: a repetition elsewhere says the same.
    assert result.stdout == f"Backtest ID: {result.backtest_id}\nOutput dir: .\n"
    assert (result.output_dir / "results/custom_data.csv").read_text() == "a,b\n1,2\n"
    assert "results/custom_data.csv" in manifest(result.output_dir)["inventory"]
    assert result.grade == "B"


def test_example_1_basic_backtest_output(quandl):
    printed = quandl.script(
        f"""{HOLD}
from backtrail import run_algorithm
from datetime import UTC, datetime

# Run backtest
result = run_algorithm(
    start=datetime(2020, 1, 2, tzinfo=UTC),
    end=datetime(2020, 2, 26, tzinfo=UTC),
    initialize=initialize,
    handle_data=handle_data,
    capital_base=10000,
    bundle='quandl'
)

# Access artifact manager
manager = result.artifact_manager

# Get output paths
print(f"Backtest ID: {{manager.backtest_id}}")
print(f"Results directory: {{manager.results_dir}}")
print(f"Code directory: {{manager.code_dir}}")
print(f"Metadata directory: {{manager.metadata_dir}}")
""",
        name="example.py",
    )
    (run,) = quandl.store.run_dirs()
    assert printed.splitlines() == [
        f"Backtest ID: {run.backtest_id}",
        f"Results directory: {run.path}/results",
        f"Code directory: {run.path}/code",
        f"Metadata directory: {run.path}/metadata",
    ]
    assert manifest(run.path)["identity"]["capital_base"] == "10000"


def test_example_2_custom_artifact_storage(quandl):
    strategy = quandl.write(
        "custom.py",
        """
        from backtrail import TradingAlgorithm
        import pandas as pd

        def calculate_custom_metric(data):
            return {"price": float(data.current("AAA", "close"))}

        class CustomStrategy(TradingAlgorithm):
            def initialize(self, context):
                context.custom_metrics = []

            def handle_data(self, context, data):
                # Track custom metrics
                metric = calculate_custom_metric(data)
                context.custom_metrics.append(metric)

            def analyze(self, context, perf):
                # Save custom metrics at end of backtest
                df = pd.DataFrame(context.custom_metrics)

                # Use artifact manager to get proper path
                custom_path = self.artifact_manager.get_result_path(
                    'custom_metrics.csv',
                    subfolder='analytics'
                )

                # Ensure directory exists
                custom_path.parent.mkdir(parents=True, exist_ok=True)

                # Save custom data
                df.to_csv(custom_path, index=False)
                print(f"Custom metrics saved to: {custom_path}")
        """,
    )
    result = run_algorithm(strategy, **WINDOW)
    path = result.output_dir / "results/analytics/custom_metrics.csv"
    assert result.stdout == "Custom metrics saved to: results/analytics/custom_metrics.csv\n"
    assert pl.read_csv(path).height == 40
    assert "results/analytics/custom_metrics.csv" in manifest(result.output_dir)["inventory"]
    assert not inspect_run(RunDir(result.output_dir))


def calculate_sharpe(returns):
    return returns.mean() / returns.std() * 252**0.5


def compare_backtests(backtest_ids: list[str]) -> pd.DataFrame:
    """Compare multiple backtests."""
    results = []

    for backtest_id in backtest_ids:
        # Load backtest
        manager = BacktestArtifactManager.from_backtest_id(backtest_id)

        # Load metadata
        metadata = manager.load_metadata()

        # Load results
        results_path = manager.get_result_path("backtest_results.parquet")
        perf = pd.read_parquet(results_path)

        # Extract metrics
        results.append(
            {
                "backtest_id": backtest_id,
                "timestamp": metadata["timestamp"],
                "framework_version": metadata["framework_version"],
                "total_return": perf["returns"].sum(),
                "sharpe_ratio": calculate_sharpe(perf["returns"]),
                "max_drawdown": perf["drawdown"].min(),
            }
        )

    return pd.DataFrame(results)


def test_example_3_programmatic_backtest_comparison(quandl):
    made = [
        run_algorithm(quandl.sma, **WINDOW, symbols=["AAA"], params={"fast": fast})
        for fast in (2, 3, 4)
    ]
    comparison = compare_backtests([item.backtest_id for item in made])
    assert comparison["backtest_id"].tolist() == [item.backtest_id for item in made]
    drawdowns = [item.metrics["max_drawdown"] for item in made]
    assert comparison["max_drawdown"].tolist() == pytest.approx(drawdowns, rel=1e-12)
    assert comparison["total_return"].nunique() == 3


def cleanup_old_backtests(base_dir="backtests", days=90):
    """Remove backtests older than specified days."""
    cutoff = datetime.now() - timedelta(days=days)  # noqa: DTZ005  as the document has it
    base_path = Path(base_dir)

    for backtest_dir in base_path.iterdir():
        if not backtest_dir.is_dir():
            continue

        # Parse backtest ID timestamp
        backtest_id = backtest_dir.name
        try:
            # Format: YYYYMMDD_HHMMSS_mmm
            date_str = backtest_id.split("_")[0]
            backtest_date = datetime.strptime(date_str, "%Y%m%d")  # noqa: DTZ007

            if backtest_date < cutoff:
                print(f"Removing old backtest: {backtest_id}")
                shutil.rmtree(backtest_dir)

        except (ValueError, IndexError):
            print(f"Skipping invalid backtest directory: {backtest_id}")


def test_example_4_cleanup_old_backtests(quandl, capsys):
    kept = run_algorithm(quandl.hold, **WINDOW)
    old = run_algorithm(quandl.sma, **WINDOW, backtest_id="20200102_030405_678")
    cleanup_old_backtests(days=90)
    assert "Removing old backtest: 20200102_030405_678" in capsys.readouterr().out
    assert kept.output_dir.is_dir()
    assert not old.output_dir.exists()
    # What was removed is made again when it is asked for, under its id.
    again = run_algorithm(quandl.sma, **WINDOW)
    assert (again.backtest_id, again.reused) == ("20200102_030405_678", False)


def test_thread_safety(here):
    found = []

    def run_backtest(thread_id):
        """Run backtest in separate thread."""
        manager = BacktestArtifactManager()
        found.append(manager.backtest_id)

    # Run concurrent backtests
    threads = []
    for i in range(10):
        t = threading.Thread(target=run_backtest, args=(i,))
        threads.append(t)
        t.start()

    for t in threads:
        t.join()

    # All backtest IDs are unique
    assert len(set(found)) == 10
