"""Executing one run in the sandbox and writing what it made, into the run or beside it."""

import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Self

import polars as pl

from backtrail.artifacts.store import RunDir
from backtrail.artifacts.tables import build_table, write_csv, write_table
from backtrail.batch.child import pack_bars
from backtrail.batch.sandbox import Limits, Outcome, Sandbox, StrategyFailedError
from backtrail.batch.written import move_written, remove_written
from backtrail.canonical import derive_seed
from backtrail.data.arrays import load_bars
from backtrail.data.calendars import periods_per_year
from backtrail.data.datasets import Dataset
from backtrail.files import atomic_path, write_json
from backtrail.metrics.summary import MetricRow, summarize_tables

__all__ = ["RESULT_TABLES", "Executor", "build_results", "write_results"]

RESULT_TABLES = (
    "backtest_results",
    "orders",
    "fills",
    "positions",
    "trades",
    "corporate_actions",
    "recorded",
)
_CACHED_WINDOWS = 4


class Executor:
    """Runs specs one after another: a sandbox, and the bars of the last few windows.

    Use it as a context manager.

    Args:
        bundles_dir: Folder of the bundles.
        limits: Time and memory of one run.
        csv_twins: Write CSV beside the Parquet tables.
    """

    def __init__(self, bundles_dir: Path, limits: Limits, *, csv_twins: bool) -> None:
        self.bundles_dir = bundles_dir
        self.limits = limits
        self.csv_twins = csv_twins
        self._sandbox = Sandbox()
        self._bars: OrderedDict[tuple[Any, ...], BinaryIO] = OrderedDict()

    @property
    def sandbox(self) -> Sandbox:
        """Where strategies run; it may check parameters, too."""
        return self._sandbox

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.__exit__(None, None, None)
        for stream in self._bars.values():
            stream.close()

    def execute(
        self, spec: Mapping[str, Any], code: Path, target: RunDir
    ) -> tuple[Outcome, dict[str, str]]:
        """Run a spec from captured code and write results and logs below `target`.

        Args:
            spec: The run spec.
            code: Folder of the captured code.
            target: Where results go: the run itself, or a scratch directory.

        Returns:
            How the child ended, and the content checksum of every table written.

        Raises:
            StrategyFailedError: If the strategy failed; its output is kept in the logs.
            ArtifactManagerError: If the strategy wrote a file under a name that is not its own.
        """
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
        }
        with (
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
        ):
            outcome = self._sandbox.run(
                request, self.limits, bars=self._bars_of(spec), stdout=stdout, stderr=stderr
            )
            _keep(stdout, target.logs / "stdout.txt")
            _keep(stderr, target.logs / "stderr.txt")
        try:
            if outcome.answer is None:
                raise StrategyFailedError(outcome)
            move_written(code, request["files"], target.results)
        finally:
            remove_written(code, request["files"])
        tables = outcome.answer["tables"]
        return outcome, write_results(tables, identity, target, csv_twins=self.csv_twins)

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
        key = (bundle, dataset_id, symbols, window)
        if key not in self._bars:
            if len(self._bars) >= _CACHED_WINDOWS:
                self._bars.popitem(last=False)[1].close()
            dataset = Dataset.open(self.bundles_dir / bundle / dataset_id)
            bars = load_bars(dataset, symbols, *(date.fromisoformat(day) for day in window))
            stream = tempfile.TemporaryFile()  # noqa: SIM115  closed with the executor
            stream.write(pack_bars(bars))
            stream.flush()
            self._bars[key] = stream
        self._bars.move_to_end(key)
        return self._bars[key]


def build_results(
    tables: Mapping[str, Any], identity: Mapping[str, Any]
) -> tuple[dict[str, pl.DataFrame], Sequence[MetricRow]]:
    """Return the frames of a run's tables, the summary among them, and its metrics.

    Args:
        tables: What the engine returned.
        identity: The run's; calendar and timeframe say how to annualize.
    """
    frames = {name: build_table(name, tables[name]) for name in RESULT_TABLES}
    dataset = identity["dataset"]
    metrics = summarize_tables(
        tables, periods_per_year=periods_per_year(dataset["calendar"], dataset["timeframe"])
    )
    columns = [field.name for field in fields(MetricRow)]
    frames["summary"] = build_table(
        "summary", {name: [getattr(row, name) for row in metrics] for name in columns}
    )
    return frames, metrics


def write_results(
    tables: Mapping[str, Any], identity: Mapping[str, Any], target: RunDir, *, csv_twins: bool
) -> dict[str, str]:
    """Write a run's results and return the content checksum of every table.

    Args:
        tables: What the engine returned.
        identity: The run's.
        target: The run, or a scratch directory.
        csv_twins: Write CSV beside the Parquet tables.
    """
    frames, metrics = build_results(tables, identity)
    contents: dict[str, str] = {}
    for name, frame in frames.items():
        path = target.results / f"{name}.parquet"
        contents[f"results/{name}.parquet"] = write_table(path, frame)
    if csv_twins:
        write_csv(target.results / "backtest_results.csv", frames["backtest_results"])
        write_csv(target.results / "summary_statistics.csv", frames["summary"])
    write_json(target.results / "performance-metrics.json", _metrics_json(metrics))
    return contents


def _keep(stream: BinaryIO, path: Path) -> None:
    stream.seek(0)
    with atomic_path(path) as temporary:
        temporary.write_bytes(stream.read())


def _metrics_json(metrics: Sequence[MetricRow]) -> dict[str, Any]:
    return {
        row.metric: {"value": row.value, "unit": row.unit, "assumption": row.assumption}
        for row in metrics
    }
