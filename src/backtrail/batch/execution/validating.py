"""The validation of a search run: children are asked, what they answer is written as files.

Like the search itself it is done in jobs of the run's chain, or all in one by a replay. What chance
decides is drawn from seeds of the run's identity, so the bytes are the same.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.schemas import VALIDATION_SCHEMAS
from backtrail.artifacts.tables import build_table, write_table
from backtrail.batch.execution.asking import SearchExecutor, ask_beside
from backtrail.batch.execution.evaluated_sets import EvaluatedSets, searched_numbers
from backtrail.batch.execution.outcome import Outcome
from backtrail.batch.execution.validation_files import (
    bias_file,
    cost_files,
    monte_carlo_files,
    overfitting_file,
    walk_forward_files,
)
from backtrail.batch.execution.verdict_file import write_verdict
from backtrail.files import write_json
from backtrail.optimization.search import Search, in_sample_identity
from backtrail.validation.clusters import Clusters
from backtrail.validation.luck import measure_luck

__all__ = ["validate"]

_NOTHING: Final = Outcome(None, None, "", "", 0.0, 0.0, 0.0, {})


def validate(
    executor: SearchExecutor,
    spec: Mapping[str, Any],
    code: Path,
    target: RunDir,
    step: str,
    evaluated: Callable[[], EvaluatedSets],
    *,
    logs: Path | None = None,
) -> tuple[Outcome, dict[str, str]]:
    """Do one step of the validation of a search run, and write its files below `target`.

    Args:
        executor: Where the child is started.
        spec: The spec of the run.
        code: Folder of the captured code.
        target: The run, or a scratch directory; it has the selection, and for the verdict the files
            of the other steps.
        step: One of `validation_steps`.
        evaluated: Returns what evaluating every set of the search gave.
        logs: Folder that takes what the strategy printed.

    Returns:
        How the child ended, and the content checksum of every table written.

    Raises:
        StrategyFailedError: If the strategy failed on a part or a variant of its history, or outran
            a limit.
    """
    if step == "judge_run":
        write_verdict(spec, target)
        return _NOTHING, {}
    outcome, answer = _ask(executor, spec, code, target, step, logs)
    if step == "measure_overfitting":
        files: dict[str, Any] = {"overfitting/overfitting.json": _luck(spec, answer, evaluated())}
    else:
        files = _WRITERS[step](spec, answer)
    contents = {}
    for name, content in files.items():
        path = target.results / "validation" / name
        if path.suffix == ".json":
            write_json(path, content)
            continue
        schema = VALIDATION_SCHEMAS[name.removesuffix(".parquet")]
        table = build_table(name, content, schema)
        contents[f"results/validation/{name}"] = write_table(path, table)
    return outcome, contents


def _ask(
    executor: SearchExecutor,
    spec: Mapping[str, Any],
    code: Path,
    target: RunDir,
    step: str,
    logs: Path | None,
) -> tuple[Outcome, dict[str, Any]]:
    numbers = searched_numbers(Search.of(spec))
    asked = {
        "kind": "validation",
        "task": step,
        "params": target.read_selection()["params"],
        "numbers": None if numbers is None else list(numbers),
    }
    inside = {**spec, "identity": in_sample_identity(spec["identity"])}
    return ask_beside(executor, inside, code, asked, logs=logs)


def _luck(
    spec: Mapping[str, Any], answer: Mapping[str, Any], evaluated: EvaluatedSets
) -> dict[str, Any]:
    assert evaluated.statistics is not None
    found = answer["clusters"]
    clusters = Clusters(
        np.array(found["labels"], dtype=np.int64),
        found["count"],
        found["sharpe_variance"],
        found["least_correlation"],
    )
    luck = measure_luck(
        evaluated.statistics,
        answer["chosen"],
        all_trials=int(spec.get("trials_before", 0)) + len(evaluated.rows),
        clusters=clusters,
    )
    return overfitting_file(spec, luck, bars=len(answer["chosen"]))


_WRITERS: Final[Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]]] = {
    "walk_forward": walk_forward_files,
    "monte_carlo": monte_carlo_files,
    "check_bias": bias_file,
    "measure_costs": cost_files,
}
