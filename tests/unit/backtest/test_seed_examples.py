"""Every example of the seed documents, as it is written there, with `backtrail` for `rustybt`.

Differences, all of them: folders of a test stand in for `/tmp`, `datetime.UTC` for `pytz.UTC`,
which is not installed, and the column of drawdowns is called `drawdown`, not `max_drawdown`.
Functions that the documents only name (`calculate_sharpe`, ...) are written out. Examples of seed
002 stand first, then those of seeds 000 and 001.
"""

import json
import re
import shutil
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
import yaml

from backtrail import run_algorithm
from backtrail.artifacts.manifest import inspect_run
from backtrail.artifacts.rundir import RunDir
from backtrail.backtest import (
    BacktestArtifactManager,
    BacktestMetadataGenerator,
    StrategyCodeCapture,
)
from backtrail.data.catalog import DataCatalog
from backtrail.errors import ArtifactManagerError, CatalogError, CodeCaptureError
from tests.unit.batch.support import batch_config

from .project import HOLD, WINDOW, manifest
from .support import become_nobody, in_child

ID = r"^\d{8}_\d{6}_\d{3}$"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder without any project around it, and the working directory in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quandl(project, monkeypatch):
    """A project whose bundle is called `quandl`, and the working directory in it."""
    (project.root / "bundles/prices").rename(project.root / "bundles/quandl")
    project.configure(batch_config(bundles={}))
    (project.root / "config/config.yaml").write_text("seed: 1\n")
    monkeypatch.chdir(project.root)
    return project


def write_strategy(folder):
    """Write the strategy of the documents: a file and the two helpers it imports."""
    (folder / "utils").mkdir()
    (folder / "utils/__init__.py").touch()
    (folder / "utils/indicators.py").write_text("def compute_sma(data, window): pass\n")
    (folder / "utils/risk.py").write_text("LIMIT = 1\n")
    (folder / "my_strategy.py").write_text(
        "from utils.indicators import compute_sma\nfrom utils import risk\n" + HOLD
    )


# Seed 002: constructor


def test_class_definition(here):
    manager = BacktestArtifactManager(base_dir="backtests", code_capture_mode="import_analysis")
    assert manager.base_dir == here / "backtests"
    assert manager.code_capture_mode == "import_analysis"


def test_constructor(here):
    # Default configuration
    manager = BacktestArtifactManager()
    assert manager.base_dir == here / "backtests"

    # Custom directory
    manager = BacktestArtifactManager(base_dir="my_backtests")
    assert manager.base_dir == here / "my_backtests"

    # Disable code capture
    manager = BacktestArtifactManager(code_capture_mode=None)
    (here / "my_strategy.py").write_text(HOLD)
    assert manager.capture_strategy_code("my_strategy.py") == []
    assert list(manager.code_dir.iterdir()) == []

    # Custom backtest ID
    manager = BacktestArtifactManager(backtest_id="test_run_001")
    assert manager.backtest_id == "test_run_001"
    assert manager.output_dir == here / "backtests/test_run_001"


def test_constructor_raises(here):
    with pytest.raises(ValueError, match="code_capture_mode"):
        BacktestArtifactManager(code_capture_mode="magic")
    (here / "file").touch()
    with pytest.raises(OSError, match="cannot make the base directory"):
        BacktestArtifactManager(base_dir="file/backtests")


# Seed 002: properties


def test_properties(here):
    manager = BacktestArtifactManager()
    assert re.match(ID, manager.backtest_id)
    home = here / "backtests" / manager.backtest_id
    assert manager.output_dir == home
    assert manager.results_dir == home / "results"
    assert manager.code_dir == home / "code"
    assert manager.metadata_dir == home / "metadata"


# Seed 002: methods


def test_initialize(here):
    manager = BacktestArtifactManager()
    manager.initialize()
    found = sorted(path.name for path in manager.output_dir.iterdir())
    assert found == ["code", "metadata", "results"]


def test_initialize_raises(open_folder):
    closed = open_folder / "closed"
    closed.mkdir(mode=0o555)
    manager = BacktestArtifactManager(closed, backtest_id="mine")
    with pytest.raises(PermissionError, match="Permission denied"):
        in_child(manager.initialize, before=become_nobody)
    with pytest.raises(OSError, match=str(closed / "mine")):
        in_child(manager.initialize, before=become_nobody)


def test_capture_strategy_code(here):
    write_strategy(here)
    manager = BacktestArtifactManager()
    manager.initialize()

    # Capture with import analysis
    files = manager.capture_strategy_code("my_strategy.py")
    assert files == ["my_strategy.py", "utils/__init__.py", "utils/indicators.py", "utils/risk.py"]
    for file in files:
        assert (manager.code_dir / file).read_bytes() == (here / file).read_bytes()

    # Capture with explicit YAML
    (here / "strategy.yaml").write_text("files: [my_strategy.py, utils/risk.py]\n")
    manager = BacktestArtifactManager()
    files = manager.capture_strategy_code(
        strategy_path="my_strategy.py", strategy_yaml_path="strategy.yaml"
    )
    assert files == ["my_strategy.py", "strategy.yaml", "utils/risk.py"]


def test_capture_strategy_code_raises(here):
    manager = BacktestArtifactManager()
    with pytest.raises(FileNotFoundError, match=r"absent\.py does not exist"):
        manager.capture_strategy_code("absent.py")
    (here / "folder.py").mkdir()
    with pytest.raises(ValueError, match="invalid strategy path"):
        manager.capture_strategy_code("folder.py")


def test_save_metadata(here):
    manager = BacktestArtifactManager()
    metadata = {
        "backtest_id": manager.backtest_id,
        "timestamp": datetime.now(UTC).isoformat(),
        "framework_version": "0.2.0",
        "strategy_params": {"capital_base": 10000, "start_date": "2020-01-01"},
    }
    path = manager.save_metadata(metadata)
    assert path == manager.output_dir / "metadata/backtest_metadata.json"
    assert json.loads(path.read_text()) == metadata


def test_save_metadata_raises(here):
    manager = BacktestArtifactManager()
    with pytest.raises(ValueError, match="JSON"):
        manager.save_metadata({"value": object()})
    manager.initialize()
    shutil.rmtree(manager.metadata_dir)
    manager.metadata_dir.touch()
    with pytest.raises(OSError, match="cannot write"):
        manager.save_metadata({})


def test_get_result_path(here):
    manager = BacktestArtifactManager()
    # Simple result file
    path = manager.get_result_path("backtest_results.csv")
    assert path == manager.output_dir / "results/backtest_results.csv"
    # With subfolder
    path = manager.get_result_path("report.html", subfolder="reports")
    assert path == manager.output_dir / "results/reports/report.html"


def test_link_backtest_to_bundles(quandl):
    result = run_algorithm(quandl.hold, **WINDOW)

    catalog = DataCatalog()
    manager = BacktestArtifactManager.from_backtest_id(result.backtest_id)
    bundles = manager.link_backtest_to_bundles(catalog)
    assert bundles == ["quandl"]
    assert manager.link_backtest_to_bundles() == ["quandl"]

    # A manager of its own has no run yet, and is linked to nothing.
    assert BacktestArtifactManager().link_backtest_to_bundles(catalog) == []


def test_link_backtest_to_bundles_raises(quandl):
    result = run_algorithm(quandl.hold, **WINDOW)
    with pytest.raises(RuntimeError, match="was not linked: cannot write the catalog") as caught:
        result.artifact_manager.link_backtest_to_bundles(DataCatalog("sqlite:////proc/x.sqlite"))
    assert isinstance(caught.value, CatalogError)


def test_load_metadata(quandl):
    result = run_algorithm(quandl.hold, **WINDOW)
    manager = BacktestArtifactManager(backtest_id=result.backtest_id)
    metadata = manager.load_metadata()
    assert metadata["framework_version"] == "0.1.0"
    assert metadata["captured_files"] == ["strategies/hold.py"]


def test_load_metadata_raises(here):
    manager = BacktestArtifactManager(backtest_id="20251019_143527_123")
    with pytest.raises(FileNotFoundError):
        manager.load_metadata()
    manager.initialize()
    (manager.metadata_dir / "backtest_metadata.json").write_text("no JSON")
    with pytest.raises(json.JSONDecodeError):
        manager.load_metadata()


def test_list_result_files(quandl):
    result = run_algorithm(quandl.hold, **WINDOW)
    manager = BacktestArtifactManager(backtest_id=result.backtest_id)
    sizes = {file.name: file.stat().st_size for file in manager.list_result_files()}
    for name in ("backtest_results.csv", "backtest_results.parquet", "summary_statistics.csv"):
        assert sizes[name] > 0


# Seed 002: class methods


def test_generate_backtest_id():
    assert re.match(ID, BacktestArtifactManager.generate_backtest_id())


def test_from_backtest_id(quandl):
    made = run_algorithm(quandl.hold, **WINDOW)
    manager = BacktestArtifactManager.from_backtest_id(made.backtest_id)
    metadata = manager.load_metadata()
    results = manager.list_result_files()
    assert metadata["backtest_id"] == made.backtest_id
    assert made.output_dir / "results/trades.parquet" in results
    with pytest.raises(FileNotFoundError):
        BacktestArtifactManager.from_backtest_id("20251019_143527_123")


# Seed 002: integration and usage


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


# Seed 000: unit tests of the document


def test_backtest_id_generation_format(tmp_path):
    """Backtest ID must match YYYYMMDD_HHMMSS_mmm format."""
    manager = BacktestArtifactManager(base_dir=tmp_path / "backtests")
    assert re.match(r"^\d{8}_\d{6}_\d{3}$", manager.backtest_id)


def test_directory_structure_creation(tmp_path):
    """Output directory must contain results/, code/, metadata/ subdirectories."""
    manager = BacktestArtifactManager(base_dir=tmp_path)
    manager.create_output_structure()

    assert (manager.output_dir / "results").exists()
    assert (manager.output_dir / "code").exists()
    assert (manager.output_dir / "metadata").exists()


def test_concurrent_backtest_id_uniqueness(tmp_path):
    """Concurrent backtests must generate unique IDs."""
    ids = set()

    def generate_id():
        manager = BacktestArtifactManager(base_dir=tmp_path)
        ids.add(manager.backtest_id)

    threads = [threading.Thread(target=generate_id) for _ in range(100)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()

    assert len(ids) == 100  # All IDs unique


def test_import_analysis_detects_local_modules(tmp_path):
    """Import analysis must detect local modules, exclude framework/stdlib."""
    strategy_file = tmp_path / "strategy.py"
    helper_file = tmp_path / "utils" / "indicators.py"
    helper_file.parent.mkdir()

    strategy_file.write_text("""
import sys
import polars as pl
from backtrail import TradingAlgorithm
from utils.indicators import compute_sma
""")
    helper_file.write_text("def compute_sma(data, window): pass")

    capture = StrategyCodeCapture(entry_point=strategy_file, code_dir=tmp_path / "code")
    files = capture.detect_strategy_files()

    assert strategy_file in files
    assert helper_file in files
    assert len(files) == 2  # Only strategy + helper, no stdlib/framework


def test_strategy_yaml_manifest_parsing(tmp_path):
    """strategy.yaml must override import analysis."""
    strategy_file = tmp_path / "strategy.py"
    config_file = tmp_path / "config.json"
    yaml_file = tmp_path / "strategy.yaml"

    yaml_file.write_text("""
files:
  - strategy.py
  - config.json
""")

    capture = StrategyCodeCapture(entry_point=strategy_file, code_dir=tmp_path / "code")
    files = capture.detect_strategy_files()

    assert strategy_file in files
    assert config_file in files


def test_metadata_json_format(tmp_path):
    """Metadata JSON must include all required fields and be pretty-printed."""
    metadata_dir = tmp_path / "metadata"
    metadata_dir.mkdir()

    generator = BacktestMetadataGenerator(
        backtest_id="20251018_143527_123", metadata_dir=metadata_dir
    )
    generator.generate(
        strategy_entry_point=Path("/path/to/strategy.py"),
        captured_files=[Path("strategy.py"), Path("utils/indicators.py")],
        data_catalog=None,  # Test without catalog
    )

    metadata_file = metadata_dir / "backtest_metadata.json"
    assert metadata_file.exists()

    metadata = json.loads(metadata_file.read_text())
    assert metadata["backtest_id"] == "20251018_143527_123"
    assert "timestamp" in metadata
    assert "framework_version" in metadata
    assert "python_version" in metadata
    assert metadata["captured_files"] == ["strategy.py", "utils/indicators.py"]

    # Verify pretty-printing (check for indentation)
    assert "  " in metadata_file.read_text()  # Indented JSON


def test_full_backtest_with_artifact_capture(project, tmp_path):
    """Complete backtest run must create organized output directory."""
    # The document's symbol and year; prices of the test project stand in for Apple's.
    shutil.copytree(project.root / "prices", tmp_path / "prices")
    (tmp_path / "prices/AAA.csv").rename(tmp_path / "prices/AAPL.csv")
    for file in (tmp_path / "prices").iterdir():
        lines = file.read_text().splitlines()
        days = pl.date_range(date(2023, 1, 2), date(2023, 12, 31), "1d", eager=True)
        weekdays = days.filter(days.dt.weekday() < 6).to_list()
        rows = [f"{day},{lines[1 + i % 40].partition(',')[2]}" for i, day in enumerate(weekdays)]
        file.write_text("\n".join([lines[0], *rows]) + "\n")
    bundles = {"daily": {"adapter": "csv", "path": "prices", "calendar": "24/5", "timeframe": "1d"}}

    # Create simple strategy
    strategy_file = tmp_path / "strategy.py"
    strategy_file.write_text("""
from backtrail import TradingAlgorithm

class MyStrategy(TradingAlgorithm):
    def initialize(self, context):
        self.asset = self.symbol('AAPL')

    def handle_data(self, context, data):
        self.order(self.asset, 100)
""")

    # Run backtest with artifact management enabled
    config = {
        "backtest_output": {"enabled": True, "base_dir": str(tmp_path / "backtests")},
        "bundles": bundles,
    }
    backtest = run_algorithm(
        strategy_file=strategy_file, start="2023-01-01", end="2023-12-31", config=config
    )

    # Verify output structure
    output_dir = backtest.output_dir
    assert output_dir.exists()
    assert (output_dir / "results" / "backtest_results.csv").exists()
    assert (output_dir / "results" / "backtest_results.parquet").exists()
    assert (output_dir / "code" / "strategy.py").exists()
    assert (output_dir / "metadata" / "backtest_metadata.json").exists()

    # Verify metadata accuracy
    metadata = json.loads((output_dir / "metadata" / "backtest_metadata.json").read_text())
    assert metadata["strategy_entry_point"] == str(strategy_file)
    assert "strategy.py" in metadata["captured_files"]
    assert backtest.fills.height > 1
    assert metadata["data_bundle_info"]["bundle_name"] == "daily"


# Seed 000: security


def test_base_dir_validation_rejects_traversal():
    """Base directory validation must reject directory traversal attempts."""
    with pytest.raises(ValueError, match="Invalid base directory"):
        BacktestArtifactManager(base_dir=Path("../../etc/passwd"))


def test_strategy_yaml_safe_load(tmp_path):
    """strategy.yaml parsing must use safe_load to prevent code injection."""
    malicious_yaml = tmp_path / "malicious.yaml"
    malicious_yaml.write_text(f"!!python/object/apply:os.system ['touch {tmp_path}/struck']")

    capture = StrategyCodeCapture(entry_point=tmp_path / "strategy.py", code_dir=tmp_path / "code")
    # Should not execute malicious code, should raise error or ignore
    with pytest.raises(yaml.YAMLError):
        capture._parse_strategy_yaml(malicious_yaml)
    assert not (tmp_path / "struck").exists()


# Seed 000: names and errors


def test_names_of_the_architecture_document(here):
    write_strategy(here)
    manager = BacktestArtifactManager(base_dir=here / "backtests")
    manager.create_output_structure()
    manager.capture_strategy_code(here / "my_strategy.py")
    assert manager.get_output_path("backtest_results.csv") == (
        manager.results_dir / "backtest_results.csv"
    )
    assert manager.get_output_path("notes.json", subdirectory="metadata") == (
        manager.metadata_dir / "notes.json"
    )
    path = manager.generate_metadata(data_catalog=None)
    metadata = json.loads(path.read_bytes())
    assert metadata["strategy_entry_point"] == str(here / "my_strategy.py")
    assert metadata["captured_files"][0] == "my_strategy.py"


def test_creation_error_is_ours_and_names_the_cause(open_folder):
    closed = open_folder / "closed"
    closed.mkdir(mode=0o555)
    manager = BacktestArtifactManager(closed, backtest_id="mine")
    with pytest.raises(ArtifactManagerError, match="Permission denied") as caught:
        in_child(manager.create_output_structure, before=become_nobody)
    assert isinstance(caught.value, PermissionError)


def test_start_of_a_backtest_is_logged_with_its_fields(quandl, caplog):
    with caplog.at_level("INFO"):
        result = run_algorithm(quandl.hold, **WINDOW)
    (record,) = [item for item in caplog.records if "output goes to" in item.getMessage()]
    assert record.levelname == "INFO"
    assert record.backtest_id == result.backtest_id
    assert record.output_dir == str(result.output_dir)


# Seed 001: configuration, strategy.yaml, metadata


def test_configuration(quandl):
    config = yaml.safe_load("""
backtest_output:
  enabled: true
  base_dir: "backtests"
  code_capture_mode: "import_analysis"  # or "strategy_yaml"
""")
    result = run_algorithm(quandl.hold, **WINDOW, config=config)
    assert result.output_dir.parent == quandl.root / "backtests"
    config["backtest_output"]["code_capture_mode"] = "strategy_yaml"
    with pytest.raises(CodeCaptureError, match=r"strategies/hold\.py has no strategy\.yaml"):
        run_algorithm(quandl.hold, **WINDOW, config=config)


def test_strategy_yaml(quandl, caplog):
    quandl.write("my/my_strategy.py", HOLD)
    quandl.write("my/utils/indicators.py", "")
    quandl.write("my/config/strategy_config.json", '{"window": 3}')
    quandl.write(
        "my/strategy.yaml",
        """
        files:
          - my_strategy.py
          - utils/indicators.py
          - config/strategy_config.json
        """,
    )
    with caplog.at_level("INFO"):
        result = run_algorithm(quandl.root / "my/my_strategy.py", **WINDOW)
    assert "Using strategy.yaml for code capture" in caplog.text
    code = result.output_dir / "code/my"
    captured = {path.relative_to(code).as_posix() for path in code.rglob("*") if path.is_file()}
    assert captured == {
        "my_strategy.py", "strategy.yaml", "utils/indicators.py", "config/strategy_config.json",
    }  # fmt: skip
    metadata = result.artifact_manager.load_metadata()
    assert metadata["code_capture"]["mode"] == "strategy_yaml"


def test_metadata_format(quandl):
    result = run_algorithm(quandl.hold, **WINDOW)
    metadata = result.artifact_manager.load_metadata()
    wanted = {
        "backtest_id", "timestamp", "framework_version", "python_version", "strategy_entry_point",
        "captured_files", "data_bundle_info",
    }  # fmt: skip
    assert wanted <= set(metadata)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", metadata["timestamp"])
    assert metadata["strategy_entry_point"] == str(quandl.hold)
    assert metadata["data_bundle_info"]["bundle_name"] == "quandl"
    (dataset,) = metadata["data_bundle_info"]["dataset_ids"]
    assert (quandl.root / "bundles/quandl" / dataset).is_dir()
