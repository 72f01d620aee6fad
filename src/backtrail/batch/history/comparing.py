"""Comparing any number of runs: one row each, with identity, parameters and every metric."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from backtrail.artifacts.manifest import is_sealed
from backtrail.artifacts.rundir import RunDir
from backtrail.batch.history.listing import shortened
from backtrail.batch.history.reading import describe_run
from backtrail.canonical import sha256_file
from backtrail.errors import SealError
from backtrail.optimization.search import executed_identity

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FACTS", "Comparison", "compare_runs", "comparison_lines"]

FACTS = (
    "backtest_id",
    "timestamp",
    "framework_version",
    "name",
    "status",
    "grade",
    "strategy",
    "code_hash",
    "bundle",
    "dataset_id",
    "start",
    "end",
    "risk_free_rate",
)
"""The columns that every comparison begins with."""

_SUMMARY = "results/summary.parquet"
_COLUMN = 16
_PER_TABLE = 6


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        frame: One row per run, in the order asked for: the columns `FACTS`, a column
            `param_<name>` per parameter, a float column per metric. What a run does not have is
            null.
        units: Unit of each metric column.
    """

    frame: "pl.DataFrame"
    units: Mapping[str, str]

    @property
    def params(self) -> tuple[str, ...]:
        """Names of the columns of parameters."""
        known = {*FACTS, *self.units}
        return tuple(name for name in self.frame.columns if name not in known)

    def differing(self) -> tuple[str, ...]:
        """Return the columns, names and moments left out, whose values are not all equal."""
        passed = ("backtest_id", "timestamp", "name")
        return tuple(
            name
            for name in self.frame.columns
            if name not in passed and self.frame[name].n_unique() > 1
        )


def compare_runs(runs: Sequence[RunDir]) -> Comparison:
    """Return runs side by side, finished or not; one that is named twice is there once.

    Raises:
        ArtifactManagerError: If a run has no readable run spec.
        SealError: If a run's manifest or summary is not the one that was sealed.
    """
    import polars as pl

    from backtrail.catalog.params import param_column

    described = {run.backtest_id: (run, describe_run(run)) for run in runs}
    units: dict[str, str] = {}
    facts, params, metrics = [], [], []
    for run, record in described.values():
        facts.append(_facts(record))
        params.append({f"param_{k}": v for k, v in executed_identity(record)["params"].items()})
        metrics.append(_metrics(run, record, units))
    columns: dict[str, pl.Series] = {}
    for name in FACTS:
        dtype = pl.Datetime("us", "UTC") if name == "timestamp" else pl.String()
        columns[name] = pl.Series(name, [row[name] for row in facts], dtype=dtype)
    for name in sorted({name for row in params for name in row}):
        columns[name] = param_column(name, [row.get(name) for row in params])
    for name in units:
        values = [row.get(name) for row in metrics]
        columns[name] = pl.Series(name, values, dtype=pl.Float64())
    return Comparison(pl.DataFrame(list(columns.values())), units)


def _facts(record: Mapping[str, Any]) -> dict[str, Any]:
    identity, labels = executed_identity(record), record["labels"]
    began = record.get("started_at")
    return {
        "backtest_id": record["backtest_id"],
        "timestamp": None if began is None else datetime.fromisoformat(began),
        "framework_version": record.get("framework_version"),
        "name": next(iter(labels["names"]), None),
        "status": record["status"],
        "grade": record.get("grade"),
        "strategy": identity["strategy"]["entry"],
        "code_hash": identity["strategy"].get("code_hash"),
        "bundle": labels.get("bundle"),
        "dataset_id": identity["dataset"]["dataset_id"],
        "start": identity["start"],
        "end": identity["end"],
        "risk_free_rate": identity.get("risk_free_rate", "0"),
    }


def _metrics(
    run: RunDir, record: Mapping[str, Any], units: dict[str, str]
) -> dict[str, float | None]:
    """Return the metrics of a sealed run, and take down their units; another run has none."""
    import polars as pl

    if not is_sealed(run):
        return {}
    path = run.path / _SUMMARY
    if not path.is_file() or sha256_file(path) != record["inventory"][_SUMMARY]["sha256"]:
        raise SealError(
            f"{path} is missing or not the file that was sealed; `backtrail verify "
            f"{run.backtest_id}` says what is damaged, and nothing is compared with it"
        )
    frame = pl.read_parquet(path, columns=["metric", "value", "unit"])
    units.update(frame.select("metric", "unit").iter_rows())
    return dict(frame.select("metric", "value").iter_rows())


def comparison_lines(comparison: Comparison, *, every: bool = False) -> Iterator[str]:
    """Yield a comparison as text: the runs by number, then a line per value that differs.

    Args:
        comparison: What to show.
        every: Show equal values, too.
    """
    rows = comparison.frame.to_dicts()
    for number, row in enumerate(rows, 1):
        yield f"[{number}]  {row['backtest_id']}  {row['name'] or ''}".rstrip()
    differing = set(comparison.differing())
    passed = ("backtest_id", "timestamp", "name")
    shown = [
        name
        for name in comparison.frame.columns
        if name not in passed and (every or name in differing)
    ]
    if not shown:
        alone = "name a second run to compare it with, or give --all"
        yield "no value differs" if len(rows) > 1 else alone
        return
    width = max(map(len, shown)) + 2
    for at in range(0, len(rows), _PER_TABLE):
        part = rows[at : at + _PER_TABLE]
        yield ""
        heads = "".join(f"[{at + number}]".rjust(_COLUMN) for number in range(1, len(part) + 1))
        yield " " * width + heads
        for name in shown:
            mark = "* " if every and name in differing else "  "
            cells = "".join(
                _cell(name, _text(name, row[name], comparison.units)).rjust(_COLUMN) for row in part
            )
            yield f"{mark}{name}".ljust(width) + cells


def _cell(name: str, text: str) -> str:
    if name == "strategy" and len(text) > _COLUMN - 2:  # the end of a path tells files apart
        return f"…{text[3 - _COLUMN :]}"
    return shortened(text, _COLUMN - 2)


def _text(name: str, value: Any, units: Mapping[str, str]) -> str:
    from backtrail.reports.formatting import metric_text

    if value is None:
        return "–"
    return metric_text(value, units[name]) if name in units else str(value)
