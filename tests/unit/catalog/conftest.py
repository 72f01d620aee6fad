import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from backtrail.artifacts.manifest import inventory, seal
from backtrail.artifacts.store import RunStore
from backtrail.canonical import sha256_file
from backtrail.data import DatasetManifest
from backtrail.files import write_bytes, write_json

DATASET = "d" * 16


class Runs:
    """A run store whose runs are manifests, and the bundles they name."""

    def __init__(self, root):
        self.root = root
        self.store = RunStore(root / "backtests")
        self.bundles = root / "bundles"
        self.url = f"sqlite:///{root / 'backtests' / 'catalog.sqlite'}"

    def manifest(self, number, *, dataset=DATASET, **values):
        backtest_id = f"20260101_000000_{number:03d}"
        return {
            "backtest_id": backtest_id,
            "run_key": f"{number:064x}",
            "run_type": "backtest",
            "identity": {
                "strategy": {"entry": "strategies/s.py", "code_hash": "c" * 64},
                "dataset": {"dataset_id": dataset},
                "library": "f" * 16,
                "symbols": ["AAA"],
                "benchmark": None,
                "start": "2020-01-01",
                "end": "2020-12-31",
                "params": {"n": number},
                "engine": "event",
                "ledger": "decimal",
                "capital_base": "100000",
                "commission": {"model": "none", "cost": "0"},
                "slippage": {"model": "none"},
                "execution": {"fill": "next_open"},
                "seed": 1,
            },
            "labels": {"names": [f"run-{number}"], "bundle": "prices"},
            "status": "completed",
            "grade": "B",
            "attempt": 1,
            "started_at": "2026-01-01T00:00:00Z",
            "finished_at": "2026-01-01T00:00:01Z",
            "timings": {"execute_seconds": 0.5},
            "metrics": {"total_return": number / 100, "sharpe_ratio": None, "other": 3.0},
            "error": None,
            **values,
        }

    def seal(self, number, **values):
        manifest = self.manifest(number, **values)
        run = self.store.run(manifest["backtest_id"])
        run.failed.unlink(missing_ok=True)
        write_json(run.spec, {"run_key": manifest["run_key"]})
        write_json(run.results / "performance-metrics.json", manifest["metrics"])
        contents = {"results/performance-metrics.json": "a" * 64}
        seal(run, {**manifest, "inventory": inventory(run, contents)})
        trial = {
            "dataset_id": manifest["identity"]["dataset"]["dataset_id"],
            "run_key": manifest["run_key"],
            "family": "strategies/s.py",
            "code_hash": "c" * 64,
            "run_type": "backtest",
            "sets": 1,
            "sets_sha256": "e" * 64,
        }
        folder = self.store.ledger / "trials" / trial["dataset_id"]
        write_json(folder / f"{trial['run_key']}.json", trial)
        return run

    def fail(self, number, **error):
        error = {"kind": "ValueError", "message": "no", **error}
        manifest = self.manifest(number, status="failed", grade="D", error=error)
        del manifest["metrics"]
        run = self.store.run(manifest["backtest_id"])
        write_json(run.manifest, manifest)
        write_bytes(run.failed, f"{sha256_file(run.manifest)}\n".encode())
        return run

    def rewrite(self, number, **values):
        """Change a manifest behind the back of its mark; return what stood there before."""
        run = self.store.run(f"20260101_000000_{number:03d}")
        before = run.manifest.read_bytes()
        write_json(run.manifest, {**json.loads(before), **values})
        return before

    def dataset(self, bundle="prices", dataset=DATASET):
        """Write the folder of a dataset by copying a really ingested one under another id."""
        target = self.bundles / bundle / dataset
        shutil.copytree(self.ingested, target)
        path = target / "manifest.json"
        manifest = replace(DatasetManifest.load(path), dataset_id=dataset, bundle=bundle)
        write_bytes(path, manifest.to_json().encode())
        write_json(self.bundles / bundle / "HEAD.json", {"dataset_id": dataset, "history": []})
        return target


@pytest.fixture(scope="session")
def ingested(tmp_path_factory):
    from backtrail.data import BundleConfig, ingest_bundle

    root = tmp_path_factory.mktemp("source")
    (root / "prices").mkdir()
    (root / "prices/AAA.csv").write_text(
        "date,open,high,low,close,volume\n2020-01-02,1,2,1,2,5\n2020-01-03,2,3,2,3,5\n"
    )
    bundle = BundleConfig("prices", "csv", "XNYS", "1d", "prices", {}, ())
    manifest = ingest_bundle(bundle, root=root, bundles_dir=root / "bundles")
    return Path(root / "bundles" / "prices" / manifest.dataset_id)


@pytest.fixture
def runs(tmp_path, ingested):
    runs = Runs(tmp_path)
    runs.ingested = ingested
    return runs
