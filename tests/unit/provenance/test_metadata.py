import json
import logging
import os
from pathlib import Path

import pytest

from backtrail.errors import CatalogError, MetadataGenerationError
from backtrail.provenance.metadata import BacktestMetadataGenerator, describe_run_metadata

SPEC = {
    "backtest_id": "20260102_030405_678",
    "run_key": "ab" * 32,
    "identity": {
        "run_type": "backtest",
        "engine": "event",
        "ledger": "decimal",
        "strategy": {"entry": "strategies/sma.py", "form": "class", "code_hash": "cd" * 32},
        "dataset": {"dataset_id": "0123456789abcdef", "calendar": "XNYS", "timeframe": "1d"},
        "symbols": ["AAA"],
        "benchmark": None,
        "start": "2020-01-02",
        "end": "2020-02-26",
        "params": {"fast": 3},
        "capital_base": "100000",
        "commission": {"model": "none", "cost": "0"},
        "slippage": {"model": "none"},
        "execution": {"fill": "next_open"},
        "seed": 7,
        "library": "f" * 16,
    },
    "labels": {"names": ["sma"], "bundle": "prices"},
    "code": {
        "mode": "import_analysis",
        "origin": None,
        "files": [{"path": "strategies/sma.py"}, {"path": "strategies/lib/means.py"}],
        "warnings": ["x.py does not parse"],
    },
    "data": {"content": {"bars": "ef" * 32, "adjustments": "01" * 32}},
    "origin": {"strategy": "/home/me/project/strategies/sma.py", "git": {"commit": "c0ffee"}},
}
RECORD = {
    "status": "running",
    "attempt": 2,
    "started_at": "2026-01-02T03:04:06Z",
    "framework_version": "0.1.0",
    "python_version": "3.11.7",
    "machine": {"processor": "a processor", "cores": 2, "threads": {"OMP_NUM_THREADS": "1"}},
    "error": None,
    "timings": {"capture_seconds": 0.01},
}
ENVIRONMENT = {"python": "3.11.7", "system": "Linux", "packages": {"numpy": "2.4.6"}}


class Links:
    """A catalog that knows one run."""

    def get_datasets_for_backtest(self, backtest_id):
        return ["uuid-1", "uuid-2"] if backtest_id == "mine" else []

    def get_bundles_for_backtest(self, backtest_id):
        return ["quandl"] if backtest_id == "mine" else []


class Broken(Links):
    def get_datasets_for_backtest(self, backtest_id):
        raise CatalogError("there is no catalog")


def test_every_key_of_the_seeds_has_its_value():
    metadata = describe_run_metadata(SPEC, RECORD, ENVIRONMENT)
    assert metadata["backtest_id"] == "20260102_030405_678"
    assert metadata["timestamp"] == "2026-01-02T03:04:06Z"
    assert metadata["framework_version"] == "0.1.0"
    assert metadata["python_version"] == "3.11.7"
    assert metadata["strategy_entry_point"] == "/home/me/project/strategies/sma.py"
    assert metadata["captured_files"] == ["strategies/sma.py", "strategies/lib/means.py"]
    assert metadata["data_bundle_info"]["bundle_name"] == "prices"
    assert metadata["data_bundle_info"]["dataset_ids"] == ["0123456789abcdef"]


def test_metadata_have_what_decided_the_run_and_what_executed_it():
    metadata = describe_run_metadata(SPEC, RECORD, ENVIRONMENT)
    assert metadata["data_bundle_info"]["content"] == {"bars": "ef" * 32, "adjustments": "01" * 32}
    assert metadata["parameters"] == {"fast": 3}
    assert (metadata["start"], metadata["end"]) == ("2020-01-02", "2020-02-26")
    assert metadata["capital_base"] == "100000"
    assert metadata["commission"] == {"model": "none", "cost": "0"}
    assert metadata["seed"] == 7
    assert 0 < metadata["run_seed"] < 2**63
    assert metadata["git"] == {"commit": "c0ffee"}
    assert metadata["packages"] == {"numpy": "2.4.6"}
    assert metadata["environment"] == {"python": "3.11.7", "system": "Linux"}
    assert metadata["machine"]["threads"] == {"OMP_NUM_THREADS": "1"}
    assert metadata["code_capture"]["warnings"] == ["x.py does not parse"]
    assert metadata["status"] == "running"
    assert metadata["attempt"] == 2
    assert metadata["timings"] == {"capture_seconds": 0.01}


def test_a_failed_run_says_what_failed_without_its_traceback():
    error = {"stage": "run_backtest", "kind": "ValueError", "message": "m", "traceback": "long"}
    failed = {**RECORD, "status": "failed", "error": {**error, "log": ["a"]}}
    metadata = describe_run_metadata(SPEC, failed, ENVIRONMENT)
    assert metadata["status"] == "failed"
    assert metadata["error"] == {"stage": "run_backtest", "kind": "ValueError", "message": "m"}


def test_the_same_run_has_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        generator = BacktestMetadataGenerator("20260102_030405_678", tmp_path / folder)
        generator.generate_for_run(SPEC, RECORD, ENVIRONMENT)
    first, second = (tmp_path / folder / "backtest_metadata.json" for folder in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    lines = first.read_text().splitlines()
    assert lines[0] == "{"
    assert lines[1] == '  "attempt": 2,'


def test_metadata_of_a_run_kept_by_hand_name_what_is_known(tmp_path):
    generator = BacktestMetadataGenerator("mine", tmp_path / "metadata")
    path = generator.generate(Path("/p/strategy.py"), [Path("strategy.py"), "utils/a.py"], Links())
    assert path == tmp_path / "metadata" / "backtest_metadata.json"
    metadata = json.loads(path.read_bytes())
    assert metadata["backtest_id"] == "mine"
    assert metadata["strategy_entry_point"] == "/p/strategy.py"
    assert metadata["captured_files"] == ["strategy.py", "utils/a.py"]
    assert metadata["data_bundle_info"] == {
        "bundle_name": "quandl",
        "dataset_ids": ["uuid-1", "uuid-2"],
    }
    assert metadata["timestamp"].endswith("Z")


def test_a_bundle_is_never_guessed(tmp_path, caplog):
    """Guards defect 4 of known-defects.md: the bundle ingested last was named."""
    empty = {"bundle_name": None, "dataset_ids": []}
    for catalog in (None, Links()):
        path = BacktestMetadataGenerator("other", tmp_path).generate("/p/s.py", [], catalog)
        assert json.loads(path.read_bytes())["data_bundle_info"] == empty
    with caplog.at_level(logging.WARNING):
        path = BacktestMetadataGenerator("mine", tmp_path).generate("/p/s.py", [], Broken())
    assert json.loads(path.read_bytes())["data_bundle_info"] == empty
    assert "lacks its bundle: there is no catalog" in caplog.text


def test_what_cannot_be_written_is_an_error_and_leaves_the_old_file(tmp_path):
    generator = BacktestMetadataGenerator("mine", tmp_path)
    generator.write({"a": 1})
    with pytest.raises(MetadataGenerationError, match=r"cannot be written as JSON: \$\.a is nan"):
        generator.write({"a": float("nan")})
    assert json.loads(generator.path.read_bytes()) == {"a": 1}
    (tmp_path / "file").touch()
    blocked = BacktestMetadataGenerator("mine", tmp_path / "file" / "metadata")
    with pytest.raises(MetadataGenerationError, match=r"cannot write .*: Not a directory"):
        blocked.write({"a": 1})


def test_nothing_unfinished_is_ever_seen_under_the_files_name(tmp_path, monkeypatch):
    generator = BacktestMetadataGenerator("mine", tmp_path)
    generator.write({"a": 1})
    seen = []
    rename = os.replace

    def watched(source, target):
        seen.append(json.loads(generator.path.read_bytes()))
        rename(source, target)

    monkeypatch.setattr(os, "replace", watched)
    generator.write({"a": 2})
    assert seen == [{"a": 1}]
    assert json.loads(generator.path.read_bytes()) == {"a": 2}
