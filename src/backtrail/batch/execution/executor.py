"""Executing one run in the sandbox and writing what it made, into the run or beside it."""

import os
import re
import tempfile
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Self

from backtrail.artifacts.rundir import RunDir
from backtrail.batch.execution.sandbox import Limits, Outcome, Sandbox, StrategyFailedError
from backtrail.batch.execution.written import gather_written, remove_written
from backtrail.canonical import derive_seed
from backtrail.data.calendars import dataset_periods
from backtrail.files import write_bytes

__all__ = ["RESULT_TABLES", "Executor"]

RESULT_TABLES = (
    "backtest_results",
    "orders",
    "fills",
    "positions",
    "trades",
    "corporate_actions",
    "recorded",
    "risk_violations",
    "attribution",
)
_CACHED_WINDOWS = 4


class Executor:
    """Runs specs one after another: a sandbox, and the bars of the last few windows.

    Use it as a context manager.

    Args:
        bundles_dir: Folder of the bundles.
        limits: Time and memory of one run.
        csv_twins: Write CSV beside the Parquet tables.
        sandbox: Where strategies run, left open at the end; one of its own when None.
    """

    def __init__(
        self,
        bundles_dir: Path,
        limits: Limits,
        *,
        csv_twins: bool,
        sandbox: Sandbox | None = None,
    ) -> None:
        self.bundles_dir = bundles_dir
        self.limits = limits
        self.csv_twins = csv_twins
        self._sandbox = sandbox
        self._closes_sandbox = sandbox is None
        self._bars: OrderedDict[tuple[Any, ...], BinaryIO] = OrderedDict()

    @property
    def sandbox(self) -> Sandbox:
        """Where strategies run, begun when it is first asked for; it may check parameters, too."""
        if self._sandbox is None:
            self._sandbox = Sandbox()
        return self._sandbox

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._sandbox is not None and self._closes_sandbox:
            self._sandbox.close()
        for stream in self._bars.values():
            stream.close()

    def execute(
        self,
        spec: Mapping[str, Any],
        code: Path,
        target: RunDir,
        *,
        csv_twins: bool | None = None,
    ) -> tuple[Outcome, dict[str, str]]:
        """Run a spec from captured code and write results and logs below `target`.

        Args:
            spec: The run spec.
            code: Folder of the captured code.
            target: Where results go: the run itself, or a scratch directory.
            csv_twins: Write CSV beside the tables; as the executor was told when None.

        Returns:
            How the child ended, and the content checksum of every table written.

        Raises:
            StrategyFailedError: If the strategy failed; its output is kept in the logs.
            ArtifactManagerError: If the strategy wrote a file under a name that is not its own.
        """
        twins = self.csv_twins if csv_twins is None else csv_twins
        if "search" in spec["identity"]:
            from backtrail.batch.execution.searching import execute_search

            return execute_search(self, spec, code, target, csv_twins=twins)
        made = _results_in(target)
        outcome = self.run_child(spec, code, target)
        # Polars is imported here and in `_packed_bars`, while the sandbox imports NumPy and the
        # engine; a job that finds its runs sealed needs neither.
        from backtrail.batch.execution.results import write_results

        captured = [file["path"] for file in spec["code"]["files"]]
        try:
            if outcome.answer is None:
                raise StrategyFailedError(outcome)
            gather_written(code, captured, target.path, made)
        finally:
            remove_written(code, captured)
        tables = {name: outcome.answer["tables"][name] for name in (*RESULT_TABLES, "summary")}
        contents = write_results(tables, target, csv_twins=twins, identity=spec["identity"])
        if "holdout" in spec["identity"]:
            from backtrail.batch.execution.holdout_files import write_holdout

            write_holdout(spec, outcome.answer["tables"], target)
        return outcome, contents

    def run_child(
        self, spec: Mapping[str, Any], code: Path, target: RunDir, **asked: Any
    ) -> Outcome:
        """Let a child work on a spec, and keep what it prints in the logs of `target`.

        Args:
            spec: The run spec; its identity says which bars the child gets.
            code: Folder of the captured code.
            target: Takes what the strategy writes.
            asked: What the request has beside that of a run; see `Sandbox.run`.
        """
        started, sandbox = time.monotonic(), self.sandbox
        sandbox.prepare(asked.get("kind", "run"))
        identity = spec["identity"]
        request = {
            "code_dir": str(code.resolve()),
            "entry": identity["strategy"]["entry"],
            "identity": identity,
            "files": [file["path"] for file in spec["code"]["files"]],
            "functions": identity["strategy"].get("functions"),
            "seed": derive_seed(identity["seed"], spec["run_key"], "run"),
            "backtest_id": spec["backtest_id"],
            "target": str(target.path.resolve()),
            "periods_per_year": dataset_periods(identity["dataset"]),
            **asked,
        }
        with (
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
        ):
            bars = self._bars_of(spec)
            prepared = time.monotonic() - started
            outcome = sandbox.run(request, self.limits, bars=bars, stdout=stdout, stderr=stderr)
            _keep(stdout, target, "stdout.txt")
            _keep(stderr, target, "stderr.txt")
        return replace(outcome, prepare_seconds=prepared)

    def _bars_of(self, spec: Mapping[str, Any]) -> list[BinaryIO]:
        """Return the packed bars of the universe, then those of a benchmark outside it."""
        identity = spec["identity"]
        universes = [tuple(identity["symbols"])]
        if identity["benchmark"] not in (None, *identity["symbols"]):
            universes.append((identity["benchmark"],))
        bundle, dataset = spec["labels"]["bundle"], identity["dataset"]["dataset_id"]
        window = (identity["start"], identity["end"])
        return [self._packed_bars(bundle, dataset, symbols, window) for symbols in universes]

    def _packed_bars(
        self, bundle: str, dataset_id: str, symbols: tuple[str, ...], window: tuple[str, str]
    ) -> BinaryIO:
        from backtrail.data.datasets import Dataset
        from backtrail.data.windows import read_window

        key = (bundle, dataset_id, symbols, window)
        if key not in self._bars:
            if len(self._bars) >= _CACHED_WINDOWS:
                self._bars.popitem(last=False)[1].close()
            dataset = Dataset.open(self.bundles_dir / bundle / dataset_id)
            packed = read_window(dataset, symbols, *(date.fromisoformat(day) for day in window))
            stream = tempfile.TemporaryFile()  # noqa: SIM115  closed with the executor
            stream.write(packed.to_bytes())
            stream.flush()
            self._bars[key] = stream
        self._bars.move_to_end(key)
        return self._bars[key]


def _results_in(target: RunDir) -> list[str]:
    """Return the results that a run has already, relative to it."""
    found = (path for path in target.results.rglob("*") if path.is_file())
    return [path.relative_to(target.path).as_posix() for path in found]


def _keep(stream: BinaryIO, target: RunDir, name: str) -> None:
    """Write a log with paths inside the run, so that it does not tell where the run lies."""
    stream.seek(0)
    home = os.fsencode(target.path.resolve())
    text = stream.read().replace(home + b"/", b"")
    if home in text:
        text = re.sub(re.escape(home) + rb"(?![\w.-])", b".", text)
    write_bytes(target.logs / name, text)
