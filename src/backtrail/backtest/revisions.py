"""What a vendor's revision does to the runs of a store, asked from a script or a notebook."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtrail.artifacts.store import RunStore
from backtrail.backtest.data_catalog import DataCatalog
from backtrail.backtest.places import CONFIG_FILE
from backtrail.backtest.queries import query_runs
from backtrail.project import find_project_root

if TYPE_CHECKING:
    from backtrail.batch.history.impact import RevisionImpact

__all__ = ["revision_impact"]


def revision_impact(
    bundle: str,
    before: str | None = None,
    after: str | None = None,
    *,
    rerun: bool = False,
    metric: str = "total_return",
    where: str | None = None,
    base_dir: str | Path | None = None,
    **filters: Any,
) -> "RevisionImpact":
    """Return which runs read what changed from one dataset of a bundle to another.

    A run is affected when a bar, split, dividend or delisting of its symbols (its benchmark among
    them) is another within its dates, or the calendar or the universe is: it can read nothing else.
    Runs on datasets made of the older one, longer bars or a join, count as well.

    Args:
        bundle: Name of the bundle.
        before: Id of the older dataset, or its beginning; the one before the newer when None.
        after: Id of the newer dataset, or its beginning; the one that the name means now when None.
        rerun: Execute the affected runs on the newer dataset, from their captured code and beside
            the store, and say how far their results move; where the store has the same run on the
            newer dataset, its results are taken.
        metric: By whose move the affected runs are ordered then, the largest first.
        where: A condition on the runs, as of `query_runs`.
        base_dir: Folder of the run store; a relative one counts from the project, None is the one
            that the project's config names.
        **filters: What the runs have in common, as of `query_runs`.

    Returns:
        `runs`: every run that may have read the older dataset, with `verdict` (`affected`,
        `unaffected`, `unjudged`), `reasons` and, with `rerun`, `movement`. `affected` has the ids
        of the affected ones, `of(verdict)` the runs, `to_dict()` plain values.

    Raises:
        DatasetError: If there is no such bundle or dataset, one was deleted, or their bars are of
            different length.
        QueryError: If the condition or a filter is none, or no affected run has the metric.
        CatalogError: If runs are asked for by a condition and the catalog cannot be read.
    """
    from backtrail.batch.history.impact import open_revision, trace_revision
    from backtrail.batch.history.rerunning import rerun_affected
    from backtrail.batch.planning.limits import read_limits

    places = DataCatalog(base_dir=base_dir)
    among = None
    if where is not None or filters:
        among = set(query_runs(where, base_dir=base_dir, **filters)["backtest_id"])
    store = RunStore(places.base_dir)
    older, newer = open_revision(places.bundles_dir, bundle, before, after)
    impact = trace_revision(store, places.bundles_dir, older, newer, among=among)
    if not rerun:
        return impact
    root = find_project_root(places.base_dir) or places.base_dir.parent
    files = [CONFIG_FILE] if (root / CONFIG_FILE).is_file() else []
    limits = read_limits(files, root)
    return rerun_affected(store, places.bundles_dir, limits, impact, metric=metric)
