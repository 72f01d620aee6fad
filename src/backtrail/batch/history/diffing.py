"""How two runs differ, on four levels: code, data, parameters and settings, results."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from backtrail.artifacts.environment import environment_difference
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.artifacts.tables import content_checksum
from backtrail.batch.history.differences import FirstDifference, first_table_difference, plain_value
from backtrail.batch.history.sides import (
    RunSide,
    ValueChange,
    code_changes,
    side_of_run,
    value_changes,
)
from backtrail.data.comparison import DatasetDifference, compare_datasets
from backtrail.data.datasets import Dataset
from backtrail.errors import DatasetError
from backtrail.wording import error_words

__all__ = [
    "CodeDifference",
    "Parting",
    "ResultDifference",
    "RunDifference",
    "diff_results",
    "diff_runs",
]

# What a strategy decides when it places an order; the rest of the row is what became of it.
_DECISION: Final = (
    "created_at",
    "symbol",
    "style",
    "sizing",
    "amount",
    "limit_price",
    "stop_price",
)
_TOLD: Final = frozenset(
    {
        "backtest_results.csv",
        "market-data.json",
        "performance-metrics.json",
        "strategy-config.json",
        "summary_statistics.csv",
        "trades.json",
    }
)
_MADE_UP: Final = frozenset({"order_id", "fill_id", "trade_id"})


@dataclass(frozen=True, slots=True)
class CodeDifference:
    """A captured file that is not the same in both runs.

    Attributes:
        path: The file.
        kind: `changed`, `added` or `removed`.
        diff: The change as the lines of a unified diff.
    """

    path: str
    kind: str
    diff: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parting:
    """The first row at which a table of two runs differs.

    Attributes:
        table: Name of the artifact.
        row: Its row; 1 is the first.
        at: Time of the bar at which the row begins: the earlier one where the runs disagree.
        bar: Number of that bar in the first run that has it; 1 is the first.
        columns: What differs in the row.
        before: The row of the first run; None where it has no such row.
        after: The row of the second run.
    """

    table: str
    row: int
    at: str | None
    bar: int | None
    columns: tuple[str, ...]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class ResultDifference:
    """How the results of two runs differ; false when they are equal.

    Attributes:
        status: How each run ended, where that differs or a run has no results.
        metrics: Metrics with another value: before and after.
        tables: Tables with other content: their rows before and after.
        files: What a strategy wrote itself and is not the same in both runs.
        decision: The first order that was decided otherwise; None when all decisions are equal.
        order: The first order that differs in anything, its filling included.
        trade: The first trade that differs.
        equity: The first bar at which a curve differs.
    """

    status: tuple[str, str] | None
    metrics: Mapping[str, tuple[float | None, float | None]]
    tables: Mapping[str, tuple[int | None, int | None]]
    files: tuple[str, ...]
    decision: Parting | None
    order: Parting | None
    trade: Parting | None
    equity: FirstDifference | None

    def __bool__(self) -> bool:
        return bool(self.status or self.metrics or self.tables or self.files)


@dataclass(frozen=True, slots=True)
class RunDifference:
    """How two runs differ; false when they do not.

    Attributes:
        before: Id of the first run.
        after: Id of the second.
        code: Captured files that differ.
        data: How their datasets differ; None when both used the same one.
        data_note: Why datasets that differ could not be compared.
        values: Parameters and settings that differ.
        results: How their results differ.
        environment: What differs in the environments they were executed in.
    """

    before: str
    after: str
    code: tuple[CodeDifference, ...]
    data: DatasetDifference | None
    data_note: str | None
    values: tuple[ValueChange, ...]
    results: ResultDifference
    environment: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(
            self.code
            or self.data
            or self.data_note
            or self.values
            or self.results
            or self.environment
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"equal": not self, **asdict(self)}


def diff_runs(
    store: RunStore, before: RunDir, after: RunDir, bundles_dir: Path, *, limit: int = 10
) -> RunDifference:
    """Compare two runs of a store.

    Args:
        store: The run store.
        before: A run.
        after: Another one, or the same.
        bundles_dir: Folder of the bundles.
        limit: How many rows of data to show of each kind.

    Raises:
        ArtifactManagerError: If a run has no readable spec.
    """
    sides = side_of_run(store, before), side_of_run(store, after)
    data, note = _data(*sides, bundles_dir, limit)
    return RunDifference(
        before.backtest_id,
        after.backtest_id,
        tuple(
            CodeDifference(
                change.path,
                change.kind,
                tuple(change.unified(before.backtest_id, after.backtest_id)),
            )
            for change in code_changes(*sides)
        ),
        data,
        note,
        tuple(value_changes(*sides)),
        diff_results(before, after),
        tuple(_environments(before, after)),
    )


def _data(
    before: RunSide, after: RunSide, bundles_dir: Path, limit: int
) -> tuple[DatasetDifference | None, str | None]:
    ids = [side.identity["dataset"]["dataset_id"] for side in (before, after)]
    if ids[0] == ids[1]:
        return None, None
    try:
        old, new = (
            Dataset.open(bundles_dir / side.bundle / dataset_id)
            for side, dataset_id in zip((before, after), ids, strict=True)
        )
        return compare_datasets(old, new, limit=limit), None
    except DatasetError as error:
        return None, f"dataset {ids[0]} -> {ids[1]}; their rows cannot be compared: {error}"


def _environments(before: RunDir, after: RunDir) -> Sequence[str]:
    known = [
        json.loads(run.environment.read_bytes()) if run.environment.exists() else {}
        for run in (before, after)
    ]
    return environment_difference(*known) if all(known) else ()


def diff_results(before: RunDir, after: RunDir) -> ResultDifference:
    """Compare what two runs made: metrics, tables, files; and where they part.

    Args:
        before: A run.
        after: Another one, or a scratch directory with a manifest.
    """
    endings = _ending(before), _ending(after)
    manifests = [run.read_manifest() or {} for run in (before, after)]
    metrics = [manifest.get("metrics", {}) for manifest in manifests]
    tables = [_tables(run) for run in (before, after)]
    differing = {
        name: tuple(None if item is None else item.height for item in pair)
        for name, pair in _pairs(*tables)
        if None in map(_checksum, pair) or _checksum(pair[0]) != _checksum(pair[1])
    }
    finder = _Finder(*tables)
    return ResultDifference(
        endings if endings[0] != endings[1] else None,
        {name: pair for name, pair in _pairs(*metrics) if pair[0] != pair[1]},
        differing,  # type: ignore[arg-type]
        tuple(_custom_files(*manifests)),
        finder.parting("orders", "created_at", _DECISION),
        finder.parting("orders", "created_at"),
        finder.parting("trades", "entry_at"),
        finder.curve(),
    )


def _custom_files(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield result files that differ and hold neither a table above nor what is made from one."""
    for name, pair in _pairs(before.get("inventory", {}), after.get("inventory", {})):
        top = name.removeprefix("results/")
        if top == name or top in _TOLD or ("/" not in top and top.endswith(".parquet")):
            continue
        if len({item and item["sha256"] for item in pair}) > 1:
            yield name


def _ending(run: RunDir) -> str:
    manifest = run.read_manifest() or {"status": "planned"}
    error = manifest.get("error")
    reason = f": {error_words(error['kind'], error['message'])}" if error else ""
    return f"{manifest['status']}{reason}"


def _tables(run: RunDir) -> dict[str, pl.DataFrame]:
    return {path.stem: pl.read_parquet(path) for path in sorted(run.results.glob("*.parquet"))}


def _checksum(table: pl.DataFrame | None) -> str | None:
    return None if table is None else content_checksum(table)


def _pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in sorted(before.keys() | after.keys()):
        yield name, (before.get(name), after.get(name))


class _Finder:
    """Looks for the rows at which the tables of two runs part."""

    def __init__(
        self, before: Mapping[str, pl.DataFrame], after: Mapping[str, pl.DataFrame]
    ) -> None:
        self.sides = (before, after)

    def curve(self) -> FirstDifference | None:
        frames = [side.get("backtest_results") for side in self.sides]
        if frames[0] is None or frames[1] is None:
            return None
        return first_table_difference(frames[0], frames[1])

    def parting(self, table: str, moment: str, columns: Sequence[str] = ()) -> Parting | None:
        """Return the first row that differs in `columns`, by default in all that is not made up."""
        frames = [side.get(table) for side in self.sides]
        if frames[0] is None or frames[1] is None:
            return None
        compared = list(columns) or [name for name in frames[0].columns if name not in _MADE_UP]
        first = first_table_difference(frames[0], frames[1], compared)
        if first is None or first.row is None:
            return None
        rows = [frame.row(first.row - 1, named=True) if frame.height >= first.row else None
                for frame in frames if frame is not None]  # fmt: skip
        moments = [row[moment] for row in rows if row is not None]
        at = min(moments)
        return Parting(
            table,
            first.row,
            plain_value(at),
            self._bar(at),
            tuple(name for name in compared if len({row and row[name] for row in rows}) > 1),
            *({k: plain_value(v) for k, v in row.items()} if row else None for row in rows),
        )

    def _bar(self, at: Any) -> int | None:
        for side in self.sides:
            curve = side.get("backtest_results")
            if curve is not None:
                found = (curve["timestamp"] == at).arg_true()
                if len(found):
                    return int(found[0]) + 1
        return None
