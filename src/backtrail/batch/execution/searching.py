"""A search run: its sets evaluated in children, one of them selected, and that one run.

The chain of a run does these steps in jobs of their own, and shares them out by chunks of the
space; a replay does all of them here. The bytes are the same, because no figure of a set depends on
the sets beside it in its chunk, and because the selection looks at all of them in the order of the
space.
"""

import shutil
import tempfile
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

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
from backtrail.batch.execution.outcome import (
    Limits,
    Outcome,
    StrategyFailedError,
    joined_outcome,
)
from backtrail.batch.planning.validation_steps import validation_steps
from backtrail.canonical import canonical_json, sha256_json
from backtrail.errors import NoAdmissibleSetError
from backtrail.files import atomic_path, write_bytes, write_json
from backtrail.optimization.parameters import ParameterDefinition
from backtrail.optimization.sampling import sample_numbers
from backtrail.optimization.search import (
    SWEEP_METRICS,
    TIE_RULE,
    Search,
    backtest_identity,
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
from backtrail.validation.streaming import SearchPart
from backtrail.wording import counted

__all__ = [
    "SEARCH_RESULTS",
    "EvaluatedSets",
    "Pace",
    "SearchExecutor",
    "ask_beside",
    "backtest_spec",
    "evaluate_places",
    "execute_search",
    "searched_numbers",
    "write_curves",
    "write_selection",
]

SEARCH_RESULTS: Final = (
    "optimization_results.parquet",
    "optimization_results.csv",
    "frontier.parquet",
    "selection.json",
    "optimization_curves.parquet",
)
_CURVES: Final = 20  # sets of the best ranks whose equity is kept
_FIRST_PLACES: Final = 16
_MOST_PLACES: Final = 200_000
_FASTEST_GROWTH: Final = 20
_GOAL: Final = 60.0  # seconds of a child


class Pace:
    """How many places a child takes where no plan has cut the space: more as they prove quick.

    Each child stays far within the limits of a run, however long a set takes.

    Args:
        limits: Of one child.

    Attributes:
        size: Places for the next child.
    """

    def __init__(self, limits: Limits) -> None:
        self.size = _FIRST_PLACES
        self._goal = min(_GOAL, limits.seconds / 4.0)

    def took(self, places: int, seconds: float) -> None:
        """Take notice of how long a child took."""
        fitting = int(places * self._goal / max(seconds, 1e-3))
        self.size = max(1, min(fitting, _FASTEST_GROWTH * places, _MOST_PLACES))


class SearchExecutor(Protocol):
    """What a search needs of an executor; see `Executor`."""

    @property
    def limits(self) -> Limits:
        """Time and memory of one child."""
        ...

    def run_child(
        self, spec: Mapping[str, Any], code: Path, target: RunDir, **asked: Any
    ) -> Outcome:
        """Let a child work on a spec."""
        ...

    def execute(
        self,
        spec: Mapping[str, Any],
        code: Path,
        target: RunDir,
        *,
        csv_twins: bool | None = None,
    ) -> tuple[Outcome, dict[str, str]]:
        """Run a spec and write its results."""
        ...


@dataclass(frozen=True, slots=True)
class EvaluatedSets:
    """What evaluating some sets of a search gave.

    Attributes:
        rows: A row per set: number, metrics, error.
        statistics: What the sets leave behind for the test of overfitting; None without one.
    """

    rows: pl.DataFrame
    statistics: SearchPart | None = None

    @classmethod
    def join(cls, parts: Sequence["EvaluatedSets"]) -> "EvaluatedSets":
        """Return the sets of all parts in the order of the space, whatever that of the parts.

        Args:
            parts: At least one; no set is in two.
        """
        statistics = [part.statistics for part in parts if part.statistics is not None]
        return cls(
            pl.concat([part.rows for part in parts]).sort("set"),
            SearchPart.merge(statistics) if statistics else None,
        )

    def save(self, rows: Path) -> None:
        """Write the sets of a chunk, the rows last; `load` reads them.

        Args:
            rows: File of the rows; the statistics lie beside it.
        """
        if self.statistics is not None:
            arrays: Any = self.statistics.arrays()
            with atomic_path(rows.with_suffix(".npz")) as temporary, temporary.open("wb") as stream:
                np.savez(stream, **arrays)
        with atomic_path(rows) as temporary:
            self.rows.write_parquet(temporary)

    @classmethod
    def load(cls, rows: Path) -> "EvaluatedSets":
        """Read what `save` wrote."""
        statistics = None
        if rows.with_suffix(".npz").exists():
            with np.load(rows.with_suffix(".npz")) as arrays:
                statistics = SearchPart.from_arrays(dict(arrays))
        return cls(pl.read_parquet(rows), statistics)


def execute_search(
    executor: SearchExecutor,
    spec: Mapping[str, Any],
    code: Path,
    target: RunDir,
    *,
    csv_twins: bool,
) -> tuple[Outcome, dict[str, str]]:
    """Do every step of a search run and write its results below `target`.

    Args:
        executor: Where sets and the selected one are executed.
        spec: The spec of a search run.
        code: Folder of the captured code.
        target: Where results go: a scratch directory.
        csv_twins: Write CSV beside the tables.

    Returns:
        How the children ended, all together, and the content checksum of every table written.

    Raises:
        StrategyFailedError: If a child outran a limit, or the selected set failed.
        NoAdmissibleSetError: If no set can be selected.
    """
    search = Search.of(spec)
    numbers = searched_numbers(search)
    outcomes, found = [], []
    pace, first = Pace(executor.limits), 0
    while first < search.draws:
        places = (first, min(first + pace.size, search.draws))
        outcome, some = evaluate_places(executor, spec, code, places, numbers)
        pace.took(places[1] - first, outcome.seconds)
        first = places[1]
        outcomes.append(outcome)
        found.append(some)
    evaluated = EvaluatedSets.join(found)
    contents = write_selection(spec, evaluated.rows, target, csv_twins=csv_twins)
    outcome, curves = write_curves(executor, spec, code, target)
    contents |= curves
    outcomes.append(outcome)
    outcome, made = executor.execute(backtest_spec(spec, target), code, target, csv_twins=csv_twins)
    outcomes.append(outcome)
    from backtrail.batch.execution.validating import validate

    for step in validation_steps(spec["identity"]):
        outcome, further = validate(executor, spec, code, target, step, lambda: evaluated)
        outcomes.append(outcome)
        made = {**made, **further}
    return joined_outcome(outcomes), {**contents, **made}


def backtest_spec(spec: Mapping[str, Any], run: RunDir) -> dict[str, Any]:
    """Return the spec of the one backtest that a search run makes, of its selected set.

    Args:
        spec: The spec of the search run.
        run: Where the selection was written.

    Raises:
        ArtifactManagerError: If nothing has been selected.
    """
    params = run.read_selection()["params"]
    return {**spec, "identity": backtest_identity(spec["identity"], params)}


def searched_numbers(search: Search, keep: Path | None = None) -> "array[int] | None":
    """Return the combinations of a sample; None for a grid, whose places are its numbers.

    Args:
        search: The search.
        keep: File that holds them once they have been found, for the jobs that follow.
    """
    if search.samples is None:
        return None
    if keep is not None and keep.exists():
        return array("q", keep.read_bytes())
    numbers = sample_numbers(search)
    if keep is not None:
        write_bytes(keep, numbers.tobytes())
    return numbers


def evaluate_places(
    executor: SearchExecutor,
    spec: Mapping[str, Any],
    code: Path,
    places: tuple[int, int],
    numbers: Sequence[int] | None,
    *,
    logs: Path | None = None,
) -> tuple[Outcome, EvaluatedSets]:
    """Evaluate the sets of some places in a child of their own, on bars before the holdout.

    The child works on a copy of the captured code, so that chunks of one run do not meet; what the
    strategy writes or prints there is no result.

    Args:
        executor: Where the child is started.
        spec: The spec of the search run.
        code: Folder of the captured code.
        places: First place, and the one after the last.
        numbers: The combinations of a sample, from `searched_numbers`.
        logs: Folder that takes what the strategy printed.

    Returns:
        How the child ended, and what it found.

    Raises:
        StrategyFailedError: If the child could not load the strategy, or outran a limit.
    """
    inside = {**spec, "identity": in_sample_identity(spec["identity"])}
    chosen = None if numbers is None else list(numbers[places[0] : places[1]])
    asked = {"kind": "sets", "places": list(places), "numbers": chosen}
    outcome, columns = ask_beside(executor, inside, code, asked, logs=logs)
    arrays = columns.get("statistics")
    statistics = None if arrays is None else SearchPart.from_arrays(arrays)
    return outcome, EvaluatedSets(_rows(columns), statistics)


def ask_beside(
    executor: SearchExecutor,
    spec: Mapping[str, Any],
    code: Path,
    asked: Mapping[str, Any],
    *,
    logs: Path | None = None,
) -> tuple[Outcome, dict[str, Any]]:
    """Ask a child that works on a copy of the captured code, so that children do not meet.

    Args:
        executor: Where the child is started.
        spec: The run spec; its identity says which bars the child gets.
        code: Folder of the captured code.
        asked: What the request has beside that of a run.
        logs: Folder that takes what the strategy printed.

    Returns:
        How the child ended, and its answer.

    Raises:
        StrategyFailedError: If it gave none.
    """
    with tempfile.TemporaryDirectory(prefix="backtrail-beside-") as folder:
        scratch = RunDir(Path(folder))
        for file in spec["code"]["files"]:
            copy = scratch.code / file["path"]
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(code / file["path"], copy)
        outcome = executor.run_child(spec, scratch.code, scratch, run_key=spec["run_key"], **asked)
        if logs is not None:
            shutil.copytree(scratch.logs, logs, dirs_exist_ok=True)
    if outcome.answer is None:
        raise StrategyFailedError(outcome)
    answer: dict[str, Any] = outcome.answer["tables"]
    return outcome, answer


def _rows(columns: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    metrics = [
        pl.Series(name, values, dtype=pl.Float64).fill_nan(None)
        for name, values in columns.items()
        if name not in ("set", "error", "statistics")
    ]
    return pl.DataFrame(
        [
            pl.Series("set", columns["set"], dtype=pl.Int64),
            *metrics,
            pl.Series("error", columns["error"], dtype=pl.String),
        ]
    )


def write_selection(
    spec: Mapping[str, Any], rows: pl.DataFrame, target: RunDir, *, csv_twins: bool
) -> dict[str, str]:
    """Judge every set, write the tables of the search and what was selected.

    Args:
        spec: The spec of the search run.
        rows: From `join_rows`: every set of the search.
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
