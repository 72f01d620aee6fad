"""The runs of a store as a table, asked from a script or a notebook."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtrail.artifacts.store import RunStore
from backtrail.backtest.data_catalog import DataCatalog

if TYPE_CHECKING:
    import polars as pl

    from backtrail.catalog.catalog import Catalog

__all__ = ["find_artifacts", "query_runs"]


def query_runs(
    where: str | None = None,
    *,
    sort: str | None = None,
    limit: int | None = None,
    columns: Sequence[str] | None = None,
    base_dir: str | Path | None = None,
    **filters: Any,
) -> "pl.DataFrame":
    """Return the runs of a store as a table: one row each, parameters and metrics as columns.

    A name is a column of the table of runs, else a metric, else a parameter; `param_<name>` is
    always the parameter. The catalog is asked as it is: `snakemake` and `backtrail catalog-sync`
    bring it level with the runs on disk.

    Args:
        where: A condition such as `sharpe_ratio > 1 and fast = 10`, of names, numbers, quoted
            texts, comparison, arithmetic, `and`, `or`, `not`. A run that lacks a value in a
            comparison does not fit it.
        sort: A name to order the runs by, `-` before it for the largest first; runs without a
            value come last. Oldest first when None.
        limit: How many runs at most.
        columns: The columns wanted, in this order; all of them when None.
        base_dir: Folder of the run store; a relative one counts from the project, None is the one
            that the project's config names.
        **filters: What the runs have in common, as options of `backtrail list`: `status`, `grade`,
            `strategy`, `bundle`, `name`, `tag`, `run_type`, `dataset`, `commit`, `dirty`, and the
            days `since` and `until`, as dates or texts.

    Returns:
        The columns of the table of runs (docs/reference/catalog.md), a column `param_<name>` per
        parameter, and a float column per metric. What a run does not have is null.

    Raises:
        QueryError: If the condition or a filter is none, or no run has a name in it.
        CatalogError: If the catalog cannot be read.
    """
    from backtrail.catalog.filters import RunFilter
    from backtrail.catalog.queries import RunQuery, select_runs

    query = RunQuery(RunFilter.of(filters), where, sort, limit)
    with _open(base_dir) as catalog:
        return select_runs(catalog, query).wide(columns)


def find_artifacts(
    artifact: str,
    /,
    where: str | None = None,
    *,
    sort: str | None = None,
    limit: int | None = None,
    base_dir: str | Path | None = None,
    **filters: Any,
) -> "pl.DataFrame":
    """Return where a file lies in each run that fits; a run that has no such file is left out.

    Args:
        artifact: A path inside a run (`metadata/run_spec.json`), a file name
            (`summary_statistics.csv`), or the name of a table (`trades`).
        where: A condition on the runs, as of `query_runs`.
        sort: A name to order the runs by, as of `query_runs`.
        limit: How many runs at most.
        base_dir: Folder of the run store; a relative one counts from the project, None is the one
            that the project's config names.
        **filters: What the runs have in common, as of `query_runs`.

    Returns:
        `backtest_id`, `name` of the run, `file` (its whole path), `path` inside the run, `size` in
        bytes, `sha256`, and `content_sha256` of a Parquet file's columns, null for other files.

    Raises:
        QueryError: If no run of the store has such a file, or the runs cannot be asked for so.
        CatalogError: If the catalog cannot be read.
    """
    from backtrail.catalog.filters import RunFilter
    from backtrail.catalog.queries import RunQuery, locate_artifacts, select_runs

    query = RunQuery(RunFilter.of(filters), where, sort, limit)
    with _open(base_dir) as catalog:
        return locate_artifacts(catalog, select_runs(catalog, query), artifact)


def _open(base_dir: str | Path | None) -> "Catalog":
    from backtrail.catalog.catalog import Catalog

    places = DataCatalog(base_dir=base_dir)
    return Catalog(places.url, RunStore(places.base_dir), places.bundles_dir)
