"""The artifact manager as seed 002 documents it: constructor, properties, methods.

The text is that of the documents with `backtrail` for `rustybt`. Differences, all of them: folders
of a test stand in for `/tmp`, `datetime.UTC` for `pytz.UTC`, which is not installed, and the column
of drawdowns is called `drawdown`, not `max_drawdown`. Functions that the documents only name
(`calculate_sharpe`, ...) are written out.
"""

import json
import re
import shutil
from datetime import UTC, datetime

import pytest

from backtrail import run_algorithm
from backtrail.backtest import (
    BacktestArtifactManager,
    DataCatalog,
)
from backtrail.errors import CatalogError

from .project import HOLD, WINDOW
from .support import ID, become_nobody, in_child, write_strategy

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
