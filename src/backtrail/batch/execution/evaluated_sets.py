"""What evaluating sets of a search gives: in a child, as the file of a chunk, and joined."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtrail.batch.execution.asking import SearchExecutor, ask_beside
from backtrail.batch.execution.outcome import Outcome
from backtrail.files import atomic_path, write_bytes
from backtrail.optimization.sampling import sample_numbers
from backtrail.optimization.search import Search, in_sample_identity
from backtrail.validation.streaming import SearchPart

__all__ = ["EvaluatedSets", "evaluate_places", "searched_numbers"]


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
