"""What keeping a run costs: folders, capture, metadata, catalog link, a whole call beside it."""

import argparse
import json
import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from common import copy_project, options, save, show, work_folder

from backtrail import run_algorithm
from backtrail.artifacts.environment import describe_environment
from backtrail.artifacts.store import RunStore
from backtrail.backtest import BacktestArtifactManager, BacktestMetadataGenerator
from backtrail.batch.closing.linking import link_catalog
from backtrail.canonical import sha256_file
from backtrail.data.arrays import load_bars
from backtrail.data.datasets import Dataset
from backtrail.engine import CommissionConfig, EngineConfig, load_strategy, run_event
from backtrail.provenance.git import read_git_state

# Milliseconds.
BUDGETS = {"directory": 10.0, "capture of 50 files": 200.0, "metadata": 50.0, "catalog link": 50.0}
WINDOW = (date(1999, 1, 4), date(2018, 12, 31))
WORKING = '''"""Works a stated number of times per bar; `mark` tells runs apart that do the same."""

from dataclasses import dataclass

import numpy as np

from backtrail.engine import TradingAlgorithm


@dataclass(frozen=True)
class Params:
    rounds: int = 0
    mark: int = 0


class Working(TradingAlgorithm):
    def initialize(self, context):
        context.asset = context.universe[0]

    def handle_data(self, context, data):
        closes = data.history(context.asset, "close", 50)
        for _ in range(self.params.rounds):
            np.mean(closes)
        is_up = len(closes) == 50 and closes[-10:].mean() > closes.mean()
        self.order_target_percent(context.asset, 1.0 if is_up else 0.0)
'''
Calls = Mapping[str, Callable[[int], Any]]


def measure(calls: Calls, repeats: int) -> dict[str, list[float]]:
    """Return seconds of calls made in turns; each gets the number of its turn, the first is 0."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(repeats + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call(number)
            if number:  # the first fills caches
                found[name].append(time.perf_counter() - started)
    return found


def project_of_50_files(folder: Path) -> Path:
    """Write a strategy whose imports lead through 49 modules of forty lines each."""
    package = folder / "project" / "strategies" / "parts"
    package.mkdir(parents=True)
    (folder / "project" / "pyproject.toml").touch()
    (package / "__init__.py").touch()
    body = "\n".join(f"def f{line}(x):\n    return x + {line}\n" for line in range(12))
    for number in range(48):
        following = f"from parts import part_{number + 1}\n" if number < 47 else ""
        (package / f"part_{number}.py").write_text(following + body)
    strategy = package.parent / "strategy.py"
    strategy.write_text("from parts import part_0\n\n\ndef handle_data(context, data):\n    pass\n")
    return strategy


def capture_by_hand(strategy: Path, target: Path) -> None:
    """Do the least that capture could do, knowing the files: copy them and list their checksums."""
    shutil.copytree(strategy.parent, target)
    listed = {str(path): sha256_file(path) for path in target.rglob("*.py")}
    target.with_suffix(".json").write_text(json.dumps(listed, indent=2))


def insert_by_hand(database: Path, number: int) -> None:
    """Insert one row into an SQLite table of its own, as a bare catalog would."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, text TEXT)")
        connection.execute("INSERT INTO runs VALUES (?, ?)", (number, "x" * 2_000))


def parts_of_a_run(folder: Path, project: Path, repeats: int) -> dict[str, Any]:
    """Measure each part beside the least that could be done in its place."""
    strategy = project_of_50_files(folder / "capture")
    store = folder / "parts"

    def make(number: int) -> BacktestArtifactManager:
        manager = BacktestArtifactManager(store)
        manager.initialize()
        return manager

    def make_by_hand(number: int) -> None:
        for name in ("results", "code", "metadata"):
            (folder / "by-hand" / str(number) / name).mkdir(parents=True)

    def capture(number: int) -> None:
        files = managers[number].capture_strategy_code(strategy)
        if len(files) != 50:
            raise SystemExit(f"{len(files)} files were captured in place of 50")

    managers = [make(number) for number in range(repeats + 1)]
    runs = [run_once(project, mark=number, rounds=0) for number in range(repeats + 1)]
    run = RunStore(project / "backtests").run(runs[0])
    spec, record = run.read_spec(), run.read_manifest()
    assert record is not None
    environment = describe_environment()
    generator = BacktestMetadataGenerator(runs[0], folder / "metadata")
    url = f"sqlite:///{folder / 'catalog.sqlite'}"
    catalogued = RunStore(folder / "catalogued")
    catalogued.base_dir.mkdir()

    def link(number: int) -> None:
        shutil.copytree(project / "backtests" / runs[number], catalogued.base_dir / runs[number])
        started = time.perf_counter()
        link_catalog(url, catalogued, project / "bundles")
        linking.append(time.perf_counter() - started)

    linking: list[float] = []
    calls: Calls = {
        "directory": make,
        "directory by hand": make_by_hand,
        "capture of 50 files": capture,
        "capture by hand": lambda n: capture_by_hand(strategy, folder / "copies" / str(n)),
        "metadata": lambda n: generator.generate_for_run(spec, record, environment),
        "metadata by hand": lambda n: (folder / "by-hand.json").write_text(
            json.dumps(record, indent=2)
        ),
        "catalog link": link,
        "catalog link by hand": lambda n: insert_by_hand(folder / "by-hand.sqlite", n),
        "state of the repository": lambda n: read_git_state(project),
    }
    found = measure(calls, repeats)
    found["catalog link"] = linking[1:]  # the copy of the run is no part of it
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def run_once(project: Path, *, mark: int, rounds: int) -> str:
    """Make one new run and return its id."""
    result = run_algorithm(
        project / "strategies" / "working.py",
        bundle="us-indices",
        symbols=["SPX"],
        start=WINDOW[0],
        end=WINDOW[1],
        params={"rounds": rounds, "mark": mark},
        benchmark="SPX",
    )
    assert result.backtest_id is not None
    return result.backtest_id


def bare_run(project: Path) -> Callable[[int], None]:
    """Return the same strategy on the engine alone: bars in memory, nothing written."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("working", project / "strategies" / "working.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["working"] = module
    spec.loader.exec_module(module)
    strategy = load_strategy(module)
    head = json.loads((project / "bundles/us-indices/HEAD.json").read_bytes())["dataset_id"]
    bars = load_bars(Dataset.open(project / "bundles/us-indices" / head), ["SPX"], *WINDOW)
    config = EngineConfig(commission=CommissionConfig("per_dollar", Decimal("0.001")))

    def call(rounds: int) -> None:
        run_event(strategy, bars, config, benchmark="SPX", params={"rounds": rounds})

    return call


def whole_calls(project: Path, rounds: int, repeats: int) -> dict[str, float]:
    """Measure a new run, the same call again, a run that keeps nothing, and the bare engine."""
    bare = bare_run(project)
    first = 1_000_000 * (rounds + 1)  # marks that no other part has used

    def kept_nothing(number: int) -> None:
        run_algorithm(
            project / "strategies" / "working.py", bundle="us-indices", symbols=["SPX"],
            start=WINDOW[0], end=WINDOW[1], params={"rounds": rounds}, benchmark="SPX",
            enabled=False,
        )  # fmt: skip

    calls: Calls = {
        "engine alone": lambda n: bare(rounds),
        "enabled=False": kept_nothing,
        "a new run": lambda n: run_once(project, mark=first + n, rounds=rounds),
        "the same again": lambda n: run_once(project, mark=first, rounds=rounds),
    }
    return {name: statistics.median(taken) for name, taken in measure(calls, repeats).items()}


def rounds_for(project: Path, seconds: float) -> int:
    """Return how often the strategy has to work per bar for a run of so many seconds."""
    bare = bare_run(project)
    bare(0)
    started = time.perf_counter()
    bare(100)
    return max(1, round(100 * seconds / (time.perf_counter() - started)))


def main(arguments: argparse.Namespace) -> None:
    with work_folder(arguments.keep) as folder:
        project = copy_project(folder / "project")
        (project / "strategies" / "working.py").write_text(WORKING)
        run_once(project, mark=-1, rounds=0)  # ingests the bundle
        parts = parts_of_a_run(folder, project, arguments.repeats)
        rows = []
        for name, budget in BUDGETS.items():
            own, by_hand = parts[name], parts[f"{name.removesuffix(' of 50 files')} by hand"]
            rows.append([name, own * 1_000, budget, by_hand * 1_000, own / by_hand])
        rows.append(["git state", parts["state of the repository"] * 1_000, "", "", ""])
        columns = ("part", "ms", "budget ms", "by hand ms", "x by hand")
        show(f"Parts of a run, median of {arguments.repeats}", columns, rows)
        whole = {
            "20 years, daily": whole_calls(project, 0, arguments.repeats),
            f"the same, working {arguments.seconds:g} s": whole_calls(
                project, rounds_for(project, arguments.seconds), max(1, arguments.repeats // 5)
            ),
        }
        rows = [
            [
                name,
                *(found[call] for call in ("engine alone", "enabled=False", "a new run")),
                found["a new run"] - found["engine alone"],
                found["a new run"] / found["engine alone"],
                found["the same again"],
            ]
            for name, found in whole.items()
        ]
        columns = ("run", "engine s", "not kept s", "new s", "more s", "x engine", "again s")
        show("A whole call of run_algorithm beside its engine", columns, rows)
        save("artifacts", {"parts": parts, "whole": whole})


if __name__ == "__main__":
    main(
        options(
            __doc__,
            repeats=10,
            seconds={"type": float, "default": 10.0, "help": "length of the long run"},
        )
    )
