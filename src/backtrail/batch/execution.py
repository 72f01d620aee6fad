"""Executing one run in the sandbox and writing what it made, into the run or beside it."""

import json
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from backtrail.artifacts.store import RunDir
from backtrail.artifacts.tables import build_table, write_csv, write_table
from backtrail.batch.child import pack_bars
from backtrail.batch.sandbox import Limits, Outcome, Sandbox
from backtrail.canonical import derive_seed
from backtrail.data.arrays import load_bars
from backtrail.data.calendars import periods_per_year
from backtrail.data.datasets import Dataset
from backtrail.files import atomic_path, write_json
from backtrail.metrics.summary import summarize

__all__ = ["RESULT_TABLES", "Executor", "RunFailure"]

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


@dataclass(frozen=True, slots=True)
class RunFailure(Exception):
    """A strategy that raised, outran a limit or ended its process."""

    outcome: Outcome


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
            RunFailure: If the strategy failed; its output is kept in the logs.
        """
        identity = spec["identity"]
        request = {
            "code_dir": str(code.resolve()),
            "entry": identity["strategy"]["entry"],
            "identity": identity,
            "seed": derive_seed(identity["seed"], spec["run_key"], "run"),
        }
        with (
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
        ):
            bars = self._packed_bars(identity, spec["labels"]["bundle"])
            outcome = self._sandbox.run(
                request, self.limits, bars=bars, stdout=stdout, stderr=stderr
            )
            _keep(stdout, target.logs / "stdout.txt")
            _keep(stderr, target.logs / "stderr.txt")
        if outcome.answer is None:
            raise RunFailure(outcome)
        return outcome, self._write(outcome.answer["tables"], identity, target)

    def _packed_bars(self, identity: Mapping[str, Any], bundle: str) -> BinaryIO:
        wanted = list(identity["symbols"])
        if identity["benchmark"] is not None and identity["benchmark"] not in wanted:
            wanted.append(identity["benchmark"])
        window = (identity["start"], identity["end"])
        key = (bundle, identity["dataset"]["dataset_id"], tuple(wanted), window)
        if key not in self._bars:
            if len(self._bars) >= _CACHED_WINDOWS:
                self._bars.popitem(last=False)[1].close()
            dataset = Dataset.open(self.bundles_dir / bundle / identity["dataset"]["dataset_id"])
            bars = load_bars(dataset, wanted, *(date.fromisoformat(day) for day in window))
            stream = tempfile.TemporaryFile()
            stream.write(pack_bars(bars))
            stream.flush()
            self._bars[key] = stream
        self._bars.move_to_end(key)
        return self._bars[key]

    def _write(
        self, tables: Mapping[str, Any], identity: Mapping[str, Any], target: RunDir
    ) -> dict[str, str]:
        contents: dict[str, str] = {}
        frames = {name: build_table(name, tables[name]) for name in RESULT_TABLES}
        rows = _summary(tables, identity)
        frames["summary"] = build_table(
            "summary", {column: [row[column] for row in rows] for column in rows[0]}
        )
        for name, frame in frames.items():
            path = target.results / f"{name}.parquet"
            contents[f"results/{name}.parquet"] = write_table(path, frame)
        if self.csv_twins:
            write_csv(target.results / "backtest_results.csv", frames["backtest_results"])
            write_csv(target.results / "summary_statistics.csv", frames["summary"])
        write_json(target.results / "performance-metrics.json", _metrics_json(rows))
        return contents


def _keep(stream: BinaryIO, path: Path) -> None:
    stream.seek(0)
    with atomic_path(path) as temporary:
        temporary.write_bytes(stream.read())


def _summary(tables: Mapping[str, Any], identity: Mapping[str, Any]) -> list[dict[str, Any]]:
    results = tables["backtest_results"]
    dataset = identity["dataset"]
    return [
        dict(row)
        for row in summarize(
            equity=np.asarray(results["portfolio_value"], dtype=np.float64),
            timestamps_us=np.asarray(results["timestamp"], dtype=np.int64),
            benchmark_returns=np.asarray(results["benchmark_returns"], dtype=np.float64),
            trades=tables["trades"],
            periods_per_year=periods_per_year(dataset["calendar"], dataset["timeframe"]),
        )
    ]


def _metrics_json(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        row["metric"]: {
            "value": row["value"],
            "unit": row["unit"],
            "assumption": row["assumption"],
        }
        for row in rows
    }


def read_metrics(run: RunDir) -> dict[str, float | None]:
    """Return a finished run's metrics by name."""
    values = json.loads((run.results / "performance-metrics.json").read_bytes())
    return {name: entry["value"] for name, entry in values.items()}
