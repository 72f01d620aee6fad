"""The files of a search: the table of its sets, the front, the set that was selected, curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.schemas import (
    CURVES_SCHEMA,
    PARAMETER_COLUMN,
    parameter_dtype,
    search_schema,
)
from backtrail.artifacts.tables import build_table, content_checksum, write_csv, write_table
from backtrail.batch.execution.asking import SearchExecutor, ask_beside
from backtrail.batch.execution.outcome import Outcome
from backtrail.canonical import canonical_json, sha256_json
from backtrail.errors import NoAdmissibleSetError
from backtrail.files import write_json
from backtrail.optimization.parameters import ParameterDefinition
from backtrail.optimization.search import (
    SWEEP_METRICS,
    TIE_RULE,
    Search,
    in_sample_end,
    in_sample_identity,
)
from backtrail.optimization.selection import (
    PLATEAU_RULE,
    Judgement,
    judge_sets,
    pareto_front,
    set_places,
)
from backtrail.wording import counted

__all__ = ["SEARCH_RESULTS", "write_curves", "write_selection"]

SEARCH_RESULTS: Final = (
    "optimization_results.parquet",
    "optimization_results.csv",
    "frontier.parquet",
    "selection.json",
    "optimization_curves.parquet",
)
_CURVES: Final = 20  # sets of the best ranks whose equity is kept


def write_selection(
    spec: Mapping[str, Any], rows: pl.DataFrame, target: RunDir, *, csv_twins: bool
) -> dict[str, str]:
    """Judge every set, write the tables of the search and what was selected.

    Args:
        spec: The spec of the search run.
        rows: From `EvaluatedSets`: every set of the search.
        target: The run, or a scratch directory.
        csv_twins: Write the table of sets as CSV, too.

    Returns:
        The content checksum of each table.

    Raises:
        NoAdmissibleSetError: If no set can be selected; the table of sets is written all the same.
    """
    search = Search.of(spec)
    numbers = rows["set"].to_numpy()
    names = [name for name in rows.columns if name not in ("set", "error")]
    metrics = {name: rows[name].fill_null(np.nan).to_numpy() for name in names}
    judgement = judge_sets(search, numbers, metrics, rows["error"].is_not_null().to_numpy())
    params = _parameter_columns(search, numbers)
    schema = {item.name: parameter_dtype(item.values) for item in search.space.definitions}
    columns: dict[str, Any] = {
        **{column.name: column for column in rows.iter_columns()},
        **params,
        "objective": judgement.objective,
        "admissible": judgement.admissible,
        "rank": pl.Series(judgement.ranks).replace(0, None),
    }
    declared = search_schema("optimization_results", schema, names[len(SWEEP_METRICS) :])
    table = build_table("optimization_results", columns, declared)
    path = target.results / "optimization_results.parquet"
    contents = {f"results/{path.name}": write_table(path, table)}
    if csv_twins:
        write_csv(path.with_suffix(".csv"), table)
    if judgement.selected is None:
        raise NoAdmissibleSetError(_why_none(search, rows, judgement))
    front = pareto_front(metrics["cagr"], metrics["max_drawdown"], judgement.admissible)
    frontier = table[front.tolist()].select(*search_schema("frontier", schema))
    path = target.results / "frontier.parquet"
    contents[f"results/{path.name}"] = write_table(path, frontier)
    write_json(target.selection, _selection(spec, search, table, judgement, names))
    return contents


def write_curves(
    executor: SearchExecutor, spec: Mapping[str, Any], code: Path, target: RunDir
) -> tuple[Outcome, dict[str, str]]:
    """Write the equity curves of the sets of the best ranks, so that a reader can lay them over.

    Args:
        executor: Where the child is started.
        spec: The spec of the search run.
        code: Folder of the captured code.
        target: Where the selection was written.

    Returns:
        How the child ended, and the content checksum of the table.

    Raises:
        StrategyFailedError: If the child could not load the strategy, or outran a limit.
    """
    sets = pl.read_parquet(target.results / "optimization_results.parquet")
    best = sets.filter(pl.col("rank") <= _CURVES).sort("rank")["set"].to_list()
    inside = {**spec, "identity": in_sample_identity(spec["identity"])}
    outcome, columns = ask_beside(executor, inside, code, {"kind": "curves", "numbers": best})
    path = target.results / "optimization_curves.parquet"
    table = build_table("optimization_curves", columns, CURVES_SCHEMA)
    return outcome, {f"results/{path.name}": write_table(path, table)}


def _parameter_columns(search: Search, numbers: Any) -> dict[str, pl.Series]:
    places = set_places(search.space, numbers)
    columns = {}
    for definition, place in zip(search.space.definitions, places, strict=True):
        values = _axis_series(definition)
        columns[PARAMETER_COLUMN.format(definition.name)] = values.gather(place)
    return columns


def _axis_series(definition: ParameterDefinition) -> pl.Series:
    dtype = parameter_dtype(definition.values)
    values = list(definition.values)
    if dtype == pl.String:
        values = [
            value if value is None or isinstance(value, str) else canonical_json(value)
            for value in values
        ]
    return pl.Series(values, dtype=dtype, strict=False)


def _selection(
    spec: Mapping[str, Any],
    search: Search,
    table: pl.DataFrame,
    judgement: Judgement,
    metrics: Sequence[str],
) -> dict[str, Any]:
    index = judgement.selected
    assert index is not None
    row, around = table.row(index, named=True), judgement.neighborhood
    searched = table.select(PARAMETER_COLUMN.format(item.name) for item in search.space.definitions)
    return {
        "set": row["set"],
        "params": search.space.combination(row["set"]),
        "objective": {"words": search.objective_words, "value": row["objective"]},
        "metrics": {name: row[name] for name in metrics},
        "constraints": list(search.constraints),
        "method": search.method,
        "select": search.select,
        "tie_rule": TIE_RULE,
        "sets": len(table),
        "failed": int(table["error"].is_not_null().sum()),
        "admissible": int(judgement.admissible.sum()),
        "neighbors": None
        if around is None
        else {
            "mean": float(around.means[index]),
            "sets": int(around.counts[index]) - 1,
            "rule": PLATEAU_RULE,
        },
        "in_sample": {
            "start": spec["identity"]["start"],
            "end": in_sample_end(spec["identity"]),
        },
        "sets_sha256": sha256_json(
            {"fixed": dict(search.space.fixed), "searched": content_checksum(searched)}
        ),
    }


def _why_none(search: Search, rows: pl.DataFrame, judgement: Judgement) -> str:
    errors = rows["error"].drop_nulls()
    said = f"none of {counted(len(rows), 'parameter set')} can be selected"
    if len(errors):
        said += f"; {len(errors):,} failed, the first by {errors[0].splitlines()[0]}"
    missed = len(rows) - len(errors) - int(judgement.admissible.sum())
    if missed:
        said += f"; {missed:,} do not meet {' and '.join(search.constraints)}"
    undefined = int((judgement.admissible & np.isnan(judgement.objective)).sum())
    if undefined:
        said += f"; of {undefined:,} the objective is undefined"
    return f"{said}. errors/optimization_results.parquet has a row for each"
