"""Questions to the catalog: which runs, which of their files, and what they come to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from backtrail.catalog.catalog import Catalog
from backtrail.catalog.filters import RunFilter
from backtrail.catalog.run_frame import RunFrame
from backtrail.errors import QueryError
from backtrail.wording import choices

__all__ = ["RunQuery", "locate_artifacts", "run_statistics", "select_runs"]

_TABLE = ".parquet"


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs are asked for, and in which order.

    Attributes:
        filter: What they have in common.
        where: A condition on columns, metrics and parameters, such as `sharpe_ratio > 1`.
        sort: A name to order them by, `-` before it for the largest first; oldest first when None.
        limit: How many of them at most.
    """

    filter: RunFilter = field(default_factory=RunFilter)
    where: str | None = None
    sort: str | None = None
    limit: int | None = None

    def asked(self) -> str:
        """Return what chooses the runs, in the words of the command line."""
        condition = "" if self.where is None else f"--where {self.where!r}"
        return " ".join(part for part in (self.filter.asked(), condition) if part)


def select_runs(catalog: Catalog, query: RunQuery) -> RunFrame:
    """Return the runs that a query asks for.

    Raises:
        QueryError: If its condition is none, or it uses a name that no run has.
        CatalogError: If the catalog cannot be read.
    """
    runs = RunFrame(catalog.read_runs(query.filter))
    if query.where is not None:
        runs = runs.where(query.where)
    if query.sort is not None:
        runs = runs.sort(query.sort)
    return runs if query.limit is None else runs.head(query.limit)


def locate_artifacts(catalog: Catalog, runs: RunFrame, name: str) -> pl.DataFrame:
    """Return where a file lies in each of some runs, in their order; runs without it are left out.

    Args:
        catalog: The catalog the runs are of.
        runs: The runs.
        name: A path inside a run, a file name, or the name of a table without `.parquet`.

    Returns:
        `backtest_id`, `name` of the run, `file` (with the base directory before it), `path` inside
        the run, `size` in bytes, `sha256`, and `content_sha256` of a Parquet file's columns.

    Raises:
        QueryError: If no run of the store has such a file; it says which there are.
        CatalogError: If the catalog cannot be read.
    """
    ends = pl.col("path").str
    for wanted in (name, f"{name}{_TABLE}"):
        found = catalog.read_artifacts(wanted)
        found = found.filter(ends.ends_with(f"/{wanted}") | (pl.col("path") == wanted))
        if not found.is_empty():
            break
    else:
        known = catalog.artifact_names()
        if not known:
            raise QueryError(f"no run has a file {name!r}; the catalog has no files of runs yet")
        raise QueryError(f"no run has a file {name!r}; there {choices(name, known)}")
    wanted_runs = runs.rows.select("backtest_id", "name")
    rows = wanted_runs.join(found, on="backtest_id", how="inner", maintain_order="left_right")
    base_dir = pl.lit(f"{catalog.store.base_dir}/")
    file = base_dir + pl.col("backtest_id") + pl.lit("/") + pl.col("path")
    columns = ("path", "size", "sha256", "content_sha256")
    return rows.select("backtest_id", "name", file.alias("file"), *columns)


def run_statistics(catalog: Catalog, runs: RunFrame) -> Mapping[str, Any]:
    """Return what some runs come to.

    Args:
        catalog: The catalog the runs are of.
        runs: The runs.

    Returns:
        How many there are, in all and `by_status`, `by_grade`, `by_run_type`, `by_strategy` and
        `by_bundle`; `bytes` of their sealed files, with captured code counted once for all runs of
        one code hash; the days on which the `first` and `last` of them began, UTC; and of
        their strategy files and datasets the `trials`: runs ever sealed, deleted ones included,
        and the parameter sets that these tried.

    Raises:
        CatalogError: If the catalog cannot be read.
    """
    rows = runs.rows
    code = rows.group_by("code_hash").agg(pl.col("code_bytes").max())["code_bytes"]
    families = rows.select("dataset_id", family="strategy").unique()
    tried = catalog.read_trials().join(families, on=["dataset_id", "family"], how="semi")
    days = rows["started_at"].str.slice(0, 10)
    return {
        "runs": len(rows),
        **{
            f"by_{name}": dict(rows[name].value_counts(sort=True).sort(name).iter_rows())
            for name in ("status", "grade", "run_type", "strategy", "bundle")
        },
        "bytes": int(rows["result_bytes"].sum()) + int(code.sum()),
        "first": days.min(),
        "last": days.max(),
        "trials": {"runs": len(tried), "sets": int(tried["sets"].sum())},
    }
