"""The catalog of a large store: made anew, brought level, and asked."""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import grid_project, manifests, options, save, show, snakemake, work_folder

from backtrail.artifacts.store import RunStore
from backtrail.canonical import sha256_file
from backtrail.catalog.catalog import Catalog
from backtrail.catalog.filters import RunFilter
from backtrail.catalog.queries import RunQuery, select_runs
from backtrail.files import write_bytes, write_json

BUDGETS = {  # seconds
    "rebuild": 40.0,
    "sync of 1,000 new runs": 1.0,
    "links of one run": 0.005,
    "group-by over runs.parquet": 0.050,
}
NEW = 1_000


def stock(project: Path, model: dict[str, Any], numbers: range) -> None:
    """Write runs that say of themselves what a real one says, each with key and figures of its own.

    A catalog reads the manifest and the mark of a run, and nothing else of it.
    """
    store = RunStore(project / "backtests")
    drawn = np.random.default_rng(numbers.start)
    for number in numbers:
        identity, values = model["identity"], model["metrics"]
        entry = f"strategies/s{number % 50}.py"
        moved = {
            name: None if value is None else value + shift
            for (name, value), shift in zip(
                values.items(), drawn.normal(size=len(values)).tolist(), strict=True
            )
        }
        run = store.run(f"20250101_{number // 1000:06d}_{number % 1000:03d}")
        manifest = {
            **model,
            "backtest_id": run.backtest_id,
            "run_key": f"{number + 1:064x}",
            "labels": {**model["labels"], "names": [f"grid/fast={number}"]},
            "identity": {
                **identity,
                "params": {"fast": number},
                "strategy": {**identity["strategy"], "entry": entry},
            },
            "metrics": moved,
        }
        write_json(run.manifest, manifest)
        write_bytes(run.success, f"{sha256_file(run.manifest)}\n".encode())


def seconds(call: Callable[[], Any], repeats: int = 1) -> float:
    """Return the median wall seconds of a call."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def asked(catalog: Catalog, store: RunStore, runs: int) -> dict[str, Callable[[], Any]]:
    """Return what is asked of a catalog."""
    number = runs // 2
    middle = f"20250101_{number // 1000:06d}_{number % 1000:03d}"
    best = RunQuery(RunFilter(strategy="strategies/s7.py"), None, "-sharpe_ratio", 20)
    where = RunQuery(RunFilter(), "sharpe_ratio > 3 and fast > 1000", None, 20)
    grouped = pl.scan_parquet(store.runs_table).group_by("strategy")
    return {
        "links of one run": lambda: catalog.find_links(backtest_id=middle),
        "the best 20 of one strategy": lambda: select_runs(catalog, best),
        "20 runs by a condition on a metric and a parameter": lambda: select_runs(catalog, where),
        "group-by over runs.parquet": lambda: grouped.agg(
            pl.len(), pl.col("sharpe_ratio").median(), pl.col("cagr").max()
        ).collect(),
    }


def main(arguments: argparse.Namespace) -> None:
    runs = arguments.runs
    with work_folder(arguments.keep) as folder:
        project = folder / "catalog"
        grid_project(project, 1, tiny=True, execution={"artifacts": "lean"})
        snakemake(project)
        (model,) = manifests(project)
        store = RunStore(project / "backtests")
        stock(project, model, range(runs))
        url = f"sqlite:///{project / 'backtests' / 'catalog.sqlite'}"
        with Catalog(url, store, project / "bundles") as catalog:
            found = {"rebuild": seconds(lambda: catalog.sync(rebuild=True))}
            stock(project, model, range(runs, runs + NEW))
            found["sync of 1,000 new runs"] = seconds(catalog.sync)
            found["sync with nothing new"] = seconds(catalog.sync, 3)
            for name, call in asked(catalog, store, runs).items():
                call()
                found[name] = seconds(call, arguments.repeats)
    rows = [
        [name, 1e3 * taken, 1e3 * BUDGETS.get(name, float("nan"))] for name, taken in found.items()
    ]
    show(f"Catalog of {runs:,} runs, SQLite", ["what", "ms", "budget"], rows)
    save("catalog", {"runs": runs, "seconds": found})


if __name__ == "__main__":
    main(options(__doc__, repeats=21, runs={"type": int, "default": 100_000}))
