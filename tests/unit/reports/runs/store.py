"""A project folder with one run and its dataset, and the spec of that run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from backtrail.artifacts.schemas import ARTIFACT_SCHEMAS

DATASET_ID = "1e028cbb9c40aa17"


BACKTEST_ID = "20260301_091500_123"


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict) and key != "params"
        result[key] = merged(base[key], value) if both else value
    return result


def empty(name: str) -> dict[str, list[Any]]:
    return {column: [] for column in ARTIFACT_SCHEMAS[name]}


def spec(**changes: Any) -> dict[str, Any]:
    """Return a run spec; `names`, `bundle` and keys of the identity can be changed."""
    names = changes.pop("names", ["sma-cross"])
    identity = {
        "run_type": "backtest",
        "engine": "event",
        "ledger": "decimal",
        "strategy": {
            "entry": "strategies/sma_cross.py",
            "form": "class",
            "code_hash": "c0de" * 16,
        },
        "dataset": {"dataset_id": DATASET_ID, "calendar": "XNYS", "timeframe": "1d"},
        "symbols": ["SPX"],
        "benchmark": "SPX",
        "start": "1999-01-04",
        "end": "2018-12-31",
        "params": {"fast": 10, "slow": 30},
        "capital_base": "100000",
        "commission": {"model": "per_dollar", "cost": "0.0005"},
        "slippage": {"model": "none"},
        "execution": {
            "fill": "next_open",
            "size_at": "signal_close",
            "shares": "whole",
            "cash_policy": "clip",
        },
        "seed": 20260101,
        "library": "f1b5" * 16,
    }
    return {
        "backtest_id": BACKTEST_ID,
        "run_key": "ab" * 32,
        "identity": merged(identity, changes),
        "labels": {"names": names, "bundle": "us-indices"},
    }


@dataclass(frozen=True)
class Store:
    """A project folder with one run and its dataset."""

    root: Path

    @property
    def run_dir(self) -> Path:
        return self.root / "backtests" / BACKTEST_ID

    @property
    def bundles_dir(self) -> Path:
        return self.root / "bundles"

    @property
    def dataset_dir(self) -> Path:
        return self.bundles_dir / "us-indices" / DATASET_ID

    def write_json(self, path: Path, value: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")

    def write_spec(self, value: dict[str, Any]) -> None:
        self.write_json(self.run_dir / "metadata" / "run_spec.json", value)

    def write_manifest(self, **value: Any) -> None:
        self.write_json(self.run_dir / "run.json", value)

    def write_table(self, name: str, columns: dict[str, Any]) -> None:
        frame = pl.DataFrame(columns, schema=ARTIFACT_SCHEMAS[name])
        folder = self.run_dir / "results"
        folder.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(folder / f"{name}.parquet")

    def write_dataset(self, bars: pl.DataFrame, *, synthetic: bool = False) -> None:
        self.dataset_dir.mkdir(parents=True, exist_ok=True)
        bars.write_parquet(self.dataset_dir / "bars.parquet")
        self.write_json(
            self.dataset_dir / "manifest.json",
            {"dataset_id": DATASET_ID, "bundle": "us-indices", "synthetic": synthetic},
        )
