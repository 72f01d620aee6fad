"""A search as one Snakemake run, from a thousand sets to a million, and tested for overfitting."""

import argparse
import json
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from common import (
    copy_project,
    grid_config,
    job_seconds,
    manifests,
    model_strategy,
    options,
    save,
    show,
    snakemake,
    work_folder,
)

SIZES = (1_000, 10_000, 100_000, 1_000_000)
SLOWEST = 1_000  # values of the slow length; the same in every space, so that averages are shared
TESTED = 100_000  # sets that are tested for overfitting, too
DRAWS = 100  # resampled histories of the tests against the benchmark


def space_of(sets: int) -> dict[str, Any]:
    """Return a space of exactly so many pairs of lengths, of which every one trades."""
    fast = sets // SLOWEST
    return {
        "fast": {"min": 2, "max": fast + 1, "step": 1},
        "slow": {"min": 1_100, "max": 1_100 + SLOWEST - 1, "step": 1},
    }


def search_project(target: Path, sets: int, validate: Mapping[str, Any] | None) -> Path:
    """Make a project whose default batch is one search on the S&P 500."""
    copy_project(target)
    config = grid_config(1, tiny=False, execution={"time_limit": "60m"})
    entry = config["batch"].pop("grid")
    entry = {key: value for key, value in entry.items() if key not in ("grid", "params")}
    entry |= {"strategy": "strategies/sma_signal.py", "optimize": {"space": space_of(sets)}}
    if validate is not None:
        entry["validate"] = validate
    config["batch"] = {"search": entry}
    config["reports"] = {"kinds": ["basic"]}
    (target / "config" / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return target


def measure(
    folder: Path, sets: int, cores: int, validate: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Search a space in one Snakemake run and return what it took."""
    project = search_project(folder, sets, validate)
    called = snakemake(project, cores=cores)
    (run,) = manifests(project)
    if run["status"] != "completed" or run["selection"]["sets"] != sets:
        raise SystemExit(f"the search did not evaluate {sets:,} sets:\n{called.output[-4000:]}")
    timings, jobs = run["timings"], job_seconds(project)
    luck = project / "backtests" / run["backtest_id"] / "results/validation/overfitting"
    found = {
        "sets": sets,
        "wall": called.wall,
        "cpu": called.cpu,
        "chunks": timings["chunks"],
        "search_cpu": timings["search_cpu_seconds"],
        "search_rss_mb": timings["search_max_rss_mb"],
        "select_seconds": jobs["select_parameters"][1],
        "select_rss_mb": rule_rss(project, "select_parameters"),
        "sets_per_second": sets / called.wall,
        "project": str(project),
    }
    if validate is not None:
        told = json.loads((luck / "overfitting.json").read_bytes())
        found |= {
            "pbo": told["pbo"]["probability"],
            "pbo_seconds": jobs["measure_overfitting"][1],
            "pbo_rss_mb": rule_rss(project, "measure_overfitting"),
        }
    return found


def rule_rss(project: Path, rule: str) -> float:
    """Return the largest memory of a rule's jobs in MB, as Snakemake sampled it; children add."""
    most = 0.0
    for path in (project / "logs" / rule).glob("**/*.tsv"):
        names, values = (line.split("\t") for line in path.read_text().splitlines()[:2])
        value = values[names.index("max_rss")]
        most = max(most, 0.0 if value in ("-", "NA") else float(value) * 1.048576)
    return most


def floor(project: Path) -> dict[str, float]:
    """Return microseconds per set of the kernel alone, and of a sweep by the public interface."""
    from backtrail.batch.execution.evaluation import engine_config
    from backtrail.data.arrays import load_bars
    from backtrail.data.datasets import Dataset
    from backtrail.optimization import compiled_account
    from backtrail.optimization.parameters import ParameterSet
    from backtrail.optimization.sweep import Sweep

    (run,) = manifests(project)
    identity = run["identity"]
    home = project / "bundles" / run["labels"]["bundle"] / identity["dataset"]["dataset_id"]
    window = (date.fromisoformat(identity["start"]), date.fromisoformat(identity["end"]))
    bars = load_bars(Dataset.open(home), identity["symbols"], *window)
    strategy = model_strategy(project, "sma_signal")
    config = engine_config(identity, identity["seed"])
    sweep = Sweep(strategy, bars, config, periods_per_year=252.0, compiled=True)
    space = ParameterSet.from_grid(space_of(10_000))
    sets = [space.combination(number) for number in range(4_000)]
    sweep.evaluate(sets)
    taken, kernel = [], compiled_account.simulate_block
    inside = 0.0

    def timed(*given: Any) -> Any:
        nonlocal inside
        started = time.process_time()
        kernel(*given)
        inside += time.process_time() - started

    compiled_account.simulate_block = timed
    try:
        for _ in range(5):
            inside, started = 0.0, time.process_time()
            sweep.evaluate(sets)
            taken.append((time.process_time() - started, inside))
    finally:
        compiled_account.simulate_block = kernel
    whole, alone = np.min(taken, axis=0) / len(sets) * 1e6
    return {"kernel_us": float(alone), "sweep_us": float(whole), "bars": len(bars.timestamps)}


def main(arguments: argparse.Namespace) -> None:
    sizes = [size for size in SIZES if size <= arguments.most_sets]
    cores = arguments.cores
    with work_folder(arguments.keep) as folder:
        plain = [measure(folder / f"plain-{size}", size, cores) for size in sizes]
        least = floor(Path(plain[0]["project"]))
        tested = measure(
            folder / "tested",
            min(TESTED, max(sizes)),
            cores,
            {"overfitting": {"bootstraps": DRAWS}},
        )
    rows = [
        [
            f"{row['sets']:,}{'' if row is not tested else ', tested'}",
            row["wall"],
            row["cpu"],
            row["sets_per_second"],
            row["chunks"],
            1e6 * row["search_cpu"] / row["sets"],
            1e6 * row["search_cpu"] / row["sets"] - least["kernel_us"],
            row["search_rss_mb"],
            row["select_seconds"],
            row["select_rss_mb"],
        ]
        for row in (*plain, tested)
    ]
    titles = ("sets", "wall s", "cpu s", "sets/s of the call", "chunks", "µs per set in children")
    show(
        f"SMA pairs on {least['bars']:,} bars of the S&P 500, one call on {cores} cores",
        (*titles, "µs above the kernel", "MB of a child", "select s", "select MB"),
        rows,
    )
    print(
        f"\nkernel alone {least['kernel_us']:.1f} µs a set, a sweep by the public interface "
        f"{least['sweep_us']:.1f}; PBO of {tested['sets']:,} sets {tested['pbo']:.3f}, its job "
        f"took {tested['pbo_seconds']:.1f} s and {tested['pbo_rss_mb']:.0f} MB"
    )
    figures = [{k: v for k, v in row.items() if k != "project"} for row in (*plain, tested)]
    save("search", {"cores": cores, "floor": least, "searches": figures})


if __name__ == "__main__":
    main(
        options(
            __doc__,
            cores=2,
            most_sets={"type": int, "default": SIZES[-1], "help": "leave larger searches out"},
        )
    )
