"""The versions of a strategy file: when each was first run, how it did, and what changed in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from backtrail.artifacts.rundir import RunDir
from backtrail.batch.history.finding import metric_words
from backtrail.batch.history.sides import side_of_run
from backtrail.batch.history.why import explain_code
from backtrail.catalog.catalog import Catalog
from backtrail.catalog.filters import RunFilter
from backtrail.catalog.groups import summarize_groups
from backtrail.catalog.run_frame import RunFrame
from backtrail.errors import QueryError
from backtrail.wording import choices, counted

__all__ = ["StrategyVersion", "runs_of", "strategy_versions", "versions_text"]


@dataclass(frozen=True, slots=True)
class StrategyVersion:
    """The runs of one strategy file that had the same code.

    Attributes:
        strategy: The strategy file.
        code_hash: Hash of all code that was captured with it; None where none was.
        runs: How many runs of it have ended.
        completed: How many of them completed.
        failed: How many of them failed.
        best: The largest value of a metric; None where no run has one.
        median: The middle value of the metric.
        first: Day on which its first run began, UTC.
        last: Day on which its last run began, UTC.
        commits: Git commits its runs were planned at, oldest first.
        changes: What is not as in the version before, one sentence for each file; empty for the
            first version.
    """

    strategy: str
    code_hash: str | None
    runs: int
    completed: int
    failed: int
    best: float | None
    median: float | None
    first: str
    last: str
    commits: tuple[str, ...]
    changes: tuple[str, ...]


def strategy_versions(
    catalog: Catalog, strategy: str, metric: str = "sharpe_ratio"
) -> tuple[StrategyVersion, ...]:
    """Return the versions of a strategy file, in the order of their first runs.

    Args:
        catalog: The catalog of the runs.
        strategy: The strategy file as runs name it, or the end of its path where only one has it.
        metric: Whose best and median values are wanted.

    Raises:
        QueryError: If no run has the strategy or the metric; it says which there are.
        CatalogError: If the catalog cannot be read.
    """
    rows = runs_of(catalog, strategy).sort("started_at", "backtest_id")
    # A version without captured code has no hash; nulls are one group.
    keyed = RunFrame(rows.with_columns(group=pl.col("code_hash")))
    groups = summarize_groups(keyed, metric, in_order=True)
    found: list[StrategyVersion] = []
    former: tuple[Any, RunDir | None] | None = None
    for row in groups.iter_rows(named=True):
        of_it = rows.filter(pl.col("code_hash").eq_missing(row["group"]))
        present = (catalog.store.run(name) for name in of_it["backtest_id"])
        run = next((run for run in present if run.spec.exists()), None)
        changes = () if former is None else tuple(_changes(catalog, former, (row["group"], run)))
        commits = of_it["git_commit"].drop_nulls().unique(maintain_order=True)
        values = {name: value for name, value in row.items() if name != "group"}
        found.append(
            StrategyVersion(
                rows["strategy"][0],
                row["group"],
                **values,
                commits=tuple(commits),
                changes=changes,
            )
        )
        former = row["group"], run
    return tuple(found)


def runs_of(catalog: Catalog, strategy: str) -> pl.DataFrame:
    """Return the catalog's rows of a strategy file's runs; see `strategy_versions`."""
    rows = catalog.read_runs(RunFilter(strategy=strategy))
    if not rows.is_empty():
        return rows
    every = catalog.read_runs()
    known = sorted(every["strategy"].unique())
    if not known:
        raise QueryError(f"no run has the strategy {strategy!r}; the catalog has no runs yet")
    ends = [name for name in known if name.endswith(f"/{strategy}")]
    if len(ends) > 1:
        raise QueryError(f"{strategy!r} may be {' or '.join(ends)}; write more of the path")
    if not ends:
        raise QueryError(f"no run has the strategy {strategy!r}; there {choices(strategy, known)}")
    return every.filter(strategy=ends[0])


def _changes(
    catalog: Catalog, before: tuple[Any, RunDir | None], after: tuple[Any, RunDir | None]
) -> Iterator[str]:
    for (code_hash, run), which in ((before, "the version before"), (after, "this version")):
        if code_hash is None:
            yield f"what changed cannot be said: the code of {which} was not captured"
            return
        if run is None:
            yield f"what changed cannot be said: no run of {which} is in the store any more"
            return
    sides = [side_of_run(catalog.store, run) for _, run in (before, after) if run is not None]
    yield from explain_code(*sides)


def versions_text(versions: Sequence[StrategyVersion], metric: str) -> str:
    """Return versions as text: a line for each, and below it what changed.

    Args:
        versions: From `strategy_versions`, at least one.
        metric: Whose values they have.
    """
    lines = [f"{versions[0].strategy}: {counted(len(versions), 'version')}"]
    for number, version in enumerate(versions, 1):
        code = "not captured" if version.code_hash is None else version.code_hash[:12]
        days = f"{version.first} to {version.last}"
        failed = f", {version.failed:,} failed" if version.failed else ""
        facts = [f"{number:>3}", code, days, f"{counted(version.runs, 'run')}{failed}"]
        if version.best is not None:
            best, median = (metric_words(metric, value) for value in (version.best, version.median))
            facts.append(f"{metric} best {best}, median {median}")
        lines.append("  ".join(facts))
        lines += [f"     {change}" for change in version.changes]
        if version.commits:
            first, more = version.commits[0][:12], len(version.commits) - 1
            lines.append(f"     commit {first}" + (f" and {more} more" if more else ""))
    return "\n".join(lines) + "\n"
