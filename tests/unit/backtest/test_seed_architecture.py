"""Unit tests, security and names of the architecture document, seed 000.

The text is that of the documents with `backtrail` for `rustybt`. Differences, all of them: folders
of a test stand in for `/tmp`, `datetime.UTC` for `pytz.UTC`, which is not installed, and the column
of drawdowns is called `drawdown`, not `max_drawdown`. Functions that the documents only name
(`calculate_sharpe`, ...) are written out.
"""

import json
import re
import shutil
import threading
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import yaml

from backtrail import run_algorithm
from backtrail.backtest import (
    BacktestArtifactManager,
    BacktestMetadataGenerator,
    StrategyCodeCapture,
)
from backtrail.errors import ArtifactManagerError

from .project import WINDOW
from .support import become_nobody, in_child, write_strategy

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
