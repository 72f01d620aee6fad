"""What the benchmarks share: options, projects, timed commands, tables, results."""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"

# What a plain workflow is compared with: one rule, one file, nothing of ours.
BARE_SNAKEFILE = """
rule all:
    output:
        "made.txt",
    shell:
        "touch {output}"
"""


@dataclass(frozen=True)
class Timed:
    """How a command ended: wall and processor seconds, largest resident memory, its output.

    The memory is that of the largest single process of the command's tree.
    """

    wall: float
    cpu: float
    max_rss_mb: float
    output: str


def options(
    doc: str | None,
    *,
    repeats: int | None = None,
    cores: int | None = None,
    keep: bool = True,
    **others: Mapping[str, Any],
) -> argparse.Namespace:
    """Read the options that a benchmark has.

    Args:
        doc: Its description.
        repeats: Default of `--repeats`; None for a benchmark without.
        cores: Default of `--cores`; None for a benchmark without.
        keep: Whether it works in a folder that may be kept.
        others: Its own options, each with the keyword arguments of `add_argument`.
    """
    parser = argparse.ArgumentParser(description=doc)
    if repeats is not None:
        parser.add_argument("--repeats", type=int, default=repeats, help="calls that count")
    if cores is not None:
        parser.add_argument("--cores", type=int, default=cores)
    for name, settings in others.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **settings)
    if keep:
        parser.add_argument("--keep", help="work in this folder and leave it")
    return parser.parse_args()


def model_strategy(project: Path, name: str) -> Any:
    """Load a model strategy of a project as the engine takes it."""
    from importlib import import_module

    from backtrail.engine import load_strategy

    sys.path.insert(0, str(project / "strategies"))
    return load_strategy(import_module(name))


def run_command(command: Sequence[str], folder: Path, *, fails: bool = False) -> Timed:
    """Run a command with its children, measure it, and stop the benchmark when it fails."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE")}
    with tempfile.TemporaryFile() as sink:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**kept, "PYTHONPATH": ""},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        sink.seek(0)
        output = sink.read().decode(errors="replace")
    if process.returncode != 0 and not fails:
        raise SystemExit(f"{' '.join(command)} failed in {folder}:\n{output[-4000:]}")
    return Timed(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6, output)


def snakemake(folder: Path, *arguments: str, cores: int = 2, fails: bool = False) -> Timed:
    """Run snakemake in a project as its users do."""
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments]
    return run_command(command, folder, fails=fails)


def middle(found: Sequence[Timed]) -> tuple[float, float, float]:
    """Return median wall and processor seconds and peak memory; the first call is dropped."""
    rest = found[1:]
    return (
        statistics.median(item.wall for item in rest),
        statistics.median(item.cpu for item in rest),
        max(item.max_rss_mb for item in rest),
    )


def in_turns(calls: Mapping[str, Callable[[], Timed]], repeats: int) -> dict[str, list[Timed]]:
    """Make calls in turns, so that a busy moment hits all, one more of each than asked for."""
    found: dict[str, list[Timed]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            found[name].append(call())
    return found


def require_no_op(timed: Timed) -> Timed:
    """Refuse a figure of a call that should have had nothing to do and did something."""
    if "Nothing to be done" not in timed.output:
        raise SystemExit(f"this call should have had nothing to do:\n{timed.output[-4000:]}")
    return timed


def repository_files() -> list[str]:
    """Return the files a clone of the working tree would have."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout
    return [name for name in listed.decode().split("\0") if (REPOSITORY / name).is_file()]


def copy_project(target: Path) -> Path:
    """Copy what a fresh clone would have; the installed package stays the repository's."""
    for name in repository_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, target / name)
    return target


def bare_project(target: Path) -> Path:
    """Make a workflow of one rule whose output exists."""
    target.mkdir(parents=True)
    (target / "Snakefile").write_text(BARE_SNAKEFILE)
    snakemake(target)
    return target


@contextmanager
def work_folder(keep: str | None) -> Iterator[Path]:
    """Yield a temporary folder, or a named one that stays."""
    if keep is not None:
        path = Path(keep).resolve()
        path.mkdir(parents=True, exist_ok=True)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="backtrail-bench-") as name:
        yield Path(name)


def grid_of(runs: int) -> dict[str, Any]:
    """Return a grid of exactly so many SMA pairs, as square as the number allows."""
    rows = max(size for size in range(1, min(50, int(runs**0.5)) + 1) if runs % size == 0)
    first = 100
    return {
        "fast": {"min": 2, "max": rows + 1, "step": 1},
        "slow": {"min": first, "max": first + runs // rows - 1, "step": 1},
    }


def grid_config(runs: int, *, tiny: bool, execution: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch config of one grid.

    Args:
        runs: Number of runs.
        tiny: A year of two invented symbols in place of the 5,031 bars of the S&P 500.
        execution: The section `execution`.
    """
    synthetic = {
        "adapter": "synthetic",
        "calendar": "XNYS",
        "timeframe": "1d",
        "kind": "daily_universe",
        "symbols": 2,
        "start": "2018-01-02",
        "end": "2018-12-31",
        "seed": 7,
    }
    indices = {
        "adapter": "csv",
        "path": "resources/demo/us-indices",
        "calendar": "XNYS",
        "timeframe": "1d",
    }
    entry: dict[str, Any] = {
        "strategy": "strategies/sma_cross.py",
        "bundle": "prices",
        "start": "2018-01-02" if tiny else "1999-01-04",
        "end": "2018-12-31",
        "params": {"fast": 10, "slow": 50},
        "grid": grid_of(runs),
    }
    if not tiny:
        entry |= {"symbols": ["SPX"], "benchmark": "SPX"}
    return {
        "bundles": {"prices": synthetic if tiny else indices},
        "defaults": {"commission": {"model": "per_dollar", "cost": 0.001}},
        "batch": {"grid": entry},
        "execution": dict(execution),
    }


def grid_project(
    target: Path, runs: int, *, tiny: bool = False, execution: Mapping[str, Any] | None = None
) -> Path:
    """Make a project whose default batch is one grid."""
    copy_project(target)
    config = grid_config(runs, tiny=tiny, execution=execution or {})
    (target / "config" / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return target


def manifests(project: Path) -> list[dict[str, Any]]:
    """Return every `run.json` of a project's store."""
    found = sorted((project / "backtests").glob("2*/run.json"))
    return [json.loads(path.read_bytes()) for path in found]


def job_seconds(project: Path) -> dict[str, tuple[int, float]]:
    """Return jobs and summed seconds per rule, from Snakemake's own benchmark files."""
    found: dict[str, tuple[int, float]] = {}
    for path in sorted((project / "logs").glob("*/**/*.tsv")):
        rule = path.relative_to(project / "logs").parts[0]
        rows = path.read_text().splitlines()
        seconds = float(rows[1].split("\t")[rows[0].split("\t").index("s")])
        count, total = found.get(rule, (0, 0.0))
        found[rule] = (count + 1, total + seconds)
    return found


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table: text to the left, numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(text) for text in column) for column in zip(columns, *cells, strict=True)]
    print(f"\n{title}")
    for row in ([*columns], ["-" * width for width in widths], *cells):
        first = row[0].ljust(widths[0])
        rest = [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([first, *rest]).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 100 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def save(name: str, values: Mapping[str, Any]) -> None:
    """Write the figures, with the machine and the versions they were measured on."""
    from importlib.metadata import version

    model = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else ""
    machine = {
        "processor": model,
        "cores": os.cpu_count(),
        "load_before_saving": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("numpy", "polars", "snakemake")},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, **values}, indent=2, sort_keys=True) + "\n")
    print(f"\nwritten: {path}")
