"""A search run: its sets evaluated in children, one of them selected, and that one run.

The chain of a run does these steps in jobs of their own, and shares them out by chunks of the
space; a replay does all of them here. The bytes are the same, because no figure of a set depends on
the sets beside it in its chunk, and because the selection looks at all of them in the order of the
space.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backtrail.artifacts.rundir import RunDir
from backtrail.batch.execution.asking import Pace, SearchExecutor
from backtrail.batch.execution.evaluated_sets import (
    EvaluatedSets,
    evaluate_places,
    searched_numbers,
)
from backtrail.batch.execution.outcome import Outcome, joined_outcome
from backtrail.batch.execution.selection_files import write_curves, write_selection
from backtrail.batch.execution.validating import validate
from backtrail.batch.planning.validation_steps import validation_steps
from backtrail.optimization.search import Search, backtest_identity

__all__ = ["backtest_spec", "execute_search"]


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
