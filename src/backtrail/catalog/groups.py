"""Runs of a catalog in groups: by month, strategy, symbol, bundle, tag or dataset."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from backtrail.catalog.run_frame import RunFrame
from backtrail.errors import QueryError
from backtrail.wording import choices

__all__ = ["group_runs", "order_groups", "summarize_groups"]

_LIST: Final = pl.List(pl.String)
_KEYS: Final[Mapping[str, pl.Expr]] = {
    "month": pl.col("started_at").str.slice(0, 7),
    "strategy": pl.col("strategy"),
    "symbol": pl.col("symbols_json").str.json_decode(_LIST),
    "bundle": pl.col("bundle"),
    "tag": pl.col("tags_json").str.json_decode(_LIST),
    "dataset": pl.col("dataset_id"),
}


def group_runs(runs: RunFrame, by: str, metric: str = "sharpe_ratio") -> pl.DataFrame:
    """Return a row per group of runs, in the order of the groups' names.

    A run with several symbols or tags is in the group of each of them; one without tags is in the
    group null, the last one.

    Args:
        runs: The runs.
        by: `month` (in which they began, UTC), `strategy`, `symbol`, `bundle`, `tag` or `dataset`.
        metric: A metric, parameter or column of numbers.

    Returns:
        `group`; `runs`, `completed` and `failed` count its runs; `best` is the largest value of
        the metric, `median` the middle one, null where no run has one; `first` and `last` are the
        days on which its first and last run began.

    Raises:
        QueryError: If no run has the metric, or it is no number.
    """
    keyed = runs.rows.with_columns(group=_KEYS[by])
    if keyed.schema["group"] == _LIST:
        keyed = keyed.explode("group", empty_as_null=True)
    return summarize_groups(RunFrame(keyed), metric).sort("group", nulls_last=True)


def summarize_groups(
    runs: RunFrame, metric: str = "sharpe_ratio", *, in_order: bool = False
) -> pl.DataFrame:
    """Return a row per value of the column `group` of some runs; see `group_runs`.

    Args:
        runs: The runs, with a column `group`.
        metric: A metric, parameter or column of numbers.
        in_order: Whether groups stand in the order in which they occur; else in any.

    Raises:
        QueryError: If no run has the metric, or it is no number.
    """
    frame, columns = runs.with_columns([metric])
    if len(runs) and not frame.schema[columns[metric]].is_numeric():
        raise QueryError(f"{metric!r} is no number, so it has no best and no median value")
    value = pl.col(columns[metric]).cast(pl.Float64)
    status, day = pl.col("status"), pl.col("started_at").str.slice(0, 10)
    return frame.group_by("group", maintain_order=in_order).agg(
        runs=pl.len(),
        completed=(status == "completed").sum(),
        failed=(status == "failed").sum(),
        best=value.max(),
        median=value.median(),
        first=day.min(),
        last=day.max(),
    )


def order_groups(groups: pl.DataFrame, sort: str | None, limit: int | None = None) -> pl.DataFrame:
    """Return groups in another order, those without a value last, and only the first of them.

    Args:
        groups: From `group_runs`.
        sort: One of its columns, `-` before it for the largest first; None leaves the order.
        limit: How many at most; None for all.

    Raises:
        QueryError: If there is no such column.
    """
    if sort is not None:
        name = sort.removeprefix("-")
        if name not in groups.columns:
            raise QueryError(
                f"groups have no column {name!r} to sort by; there {choices(name, groups.columns)}"
            )
        is_falling = sort.startswith("-")
        groups = groups.sort(name, descending=is_falling, nulls_last=True, maintain_order=True)
    return groups if limit is None else groups.head(limit)
