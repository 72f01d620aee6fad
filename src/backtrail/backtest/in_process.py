"""Runs in the process of the script: without a run directory, or without captured code."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from backtrail.artifacts.paths import RunPaths
from backtrail.artifacts.rundir import RunDir
from backtrail.backtest.callables import LiveStrategy
from backtrail.batch.execution.evaluation import about_strategy, evaluate_run
from backtrail.batch.execution.executor import RESULT_TABLES
from backtrail.batch.execution.failures import describe_error
from backtrail.batch.execution.importing import import_entry, local_modules
from backtrail.batch.execution.outcome import Outcome, StrategyFailedError
from backtrail.batch.execution.results import write_results
from backtrail.canonical import derive_seed
from backtrail.data.arrays import load_bars
from backtrail.data.calendars import dataset_periods
from backtrail.data.datasets import Dataset
from backtrail.engine import Bars
from backtrail.engine.data_files import data_folders
from backtrail.engine.strategy import Strategy, load_strategy
from backtrail.provenance.closure import import_roots

__all__ = ["InProcess", "file_strategy", "held_strategy"]


@contextmanager
def file_strategy(root: Path, entry: str) -> Iterator[Strategy]:
    """Import a strategy file in place, for the length of the block.

    Its folder and the project's are on the import path meanwhile, and the modules found there are
    forgotten afterwards, so that two projects with modules of the same name do not meet.

    Args:
        root: Project folder.
        entry: Strategy file, relative to it.

    Raises:
        StrategyError: If the file follows no form of a strategy.
    """
    folders = [root / folder for folder in import_roots(entry)]
    local = local_modules(folders)
    before = dict(sys.modules)
    path = list(sys.path)
    try:
        for name in [name for name in sys.modules if name.partition(".")[0] in local]:
            del sys.modules[name]
        sys.path[:0] = [str(folder) for folder in folders]
        with data_folders(folders):
            yield load_strategy(import_entry(root, entry))
    finally:
        sys.path[:] = path
        mine = {*local, Path(entry).stem}
        for name in [name for name in sys.modules if name.partition(".")[0] in mine]:
            del sys.modules[name]
        sys.modules.update(
            {name: module for name, module in before.items() if name.partition(".")[0] in mine}
        )


@contextmanager
def held_strategy(live: LiveStrategy) -> Iterator[Strategy]:
    """Take a strategy as the objects it was handed over as, for the length of the block."""
    file = getattr(live.module, "__file__", None)
    with data_folders([] if file is None else [Path(file).parent]):
        yield live.loaded()


@dataclass(frozen=True)
class InProcess:
    """Checks parameters of one strategy and executes it, here; what a sandbox and an executor do.

    Attributes:
        strategy: The strategy.
        bundles_dir: Folder of the bundles.
    """

    strategy: Strategy
    bundles_dir: Path

    def check_params(
        self,
        root: Path,
        entry: str,
        params: Sequence[Mapping[str, Any]],
        functions: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Resolve parameter sets against the strategy's `Params`; see `Sandbox.check_params`."""
        return Outcome(about_strategy(self.strategy, params), None, "", "", 0.0, 0.0, 0.0)

    def tables(
        self, identity: Mapping[str, Any], bundle: str, run_key: str, paths: RunPaths | None
    ) -> Mapping[str, Any]:
        """Execute the strategy and return its tables, the summary among them.

        Args:
            identity: What is run.
            bundle: Where its bars lie.
            run_key: From which the seed is derived.
            paths: Where the strategy may write; nowhere when None.
        """
        outside = identity["benchmark"] not in (None, *identity["symbols"])
        found = evaluate_run(
            self.strategy,
            identity,
            self._bars(identity, bundle, identity["symbols"]),
            self._bars(identity, bundle, [identity["benchmark"]]) if outside else None,
            seed=derive_seed(identity["seed"], run_key, "run"),
            periods_per_year=dataset_periods(identity["dataset"]),
            attributes={
                "artifact_manager": paths,
                "output_dir": None if paths is None else paths.output_dir,
            },
        )
        return {name: found[name] for name in (*RESULT_TABLES, "summary")}

    def _bars(self, identity: Mapping[str, Any], bundle: str, symbols: Sequence[str]) -> Bars:
        dataset = Dataset.open(self.bundles_dir / bundle / identity["dataset"]["dataset_id"])
        window = (date.fromisoformat(str(identity[key])) for key in ("start", "end"))
        return load_bars(dataset, list(symbols), *window)

    def execute(
        self,
        spec: Mapping[str, Any],
        code: Path,
        target: RunDir,
        *,
        csv_twins: bool | None = None,
    ) -> tuple[Outcome, dict[str, str]]:
        """Run a spec here and write its results below `target`; see `Executor.execute`.

        Raises:
            StrategyFailedError: If the strategy failed.
        """
        identity, started, cpu = spec["identity"], time.perf_counter(), time.process_time()
        paths = RunPaths(spec["backtest_id"], target.path)
        try:
            tables = self.tables(identity, spec["labels"]["bundle"], spec["run_key"], paths)
        except Exception as error:
            told = describe_error(error, str(code), is_strategy_loaded=True)
            described = (told["kind"], told["message"], told["traceback"])
            raise StrategyFailedError(
                Outcome(None, *described, time.perf_counter() - started, 0.0, 0.0)
            ) from error
        seconds = time.perf_counter() - started
        used = (seconds, time.process_time() - cpu, 0.0, _UNWATCHED)
        outcome = Outcome({"tables": tables}, None, "", "", *used)
        twins = csv_twins is not False
        return outcome, write_results(tables, target, csv_twins=twins, identity=identity)


# Nobody watches a strategy in the process of its script; its grade says so already.
_UNWATCHED: Mapping[str, Any] = {
    "opened": {},
    "modules": {},
    "packages": {},
    "processes": [],
    "connections": [],
    "unseen": [],
}
