"""Configuration, `strategy.yaml` and metadata as seed 001 tells them.

The text is that of the documents with `backtrail` for `rustybt`. Differences, all of them: folders
of a test stand in for `/tmp`, `datetime.UTC` for `pytz.UTC`, which is not installed, and the column
of drawdowns is called `drawdown`, not `max_drawdown`. Functions that the documents only name
(`calculate_sharpe`, ...) are written out.
"""

import re

import pytest
import yaml

from backtrail import run_algorithm
from backtrail.errors import CodeCaptureError

from .project import HOLD, WINDOW


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
