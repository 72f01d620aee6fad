"""The page of a search: every parameter set, how the sets lie to each other, and what it proves.

A search finds a best set always; the page therefore begins with how much was tried and what the
best of so many sets without skill would have shown.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from backtrail.errors import ArtifactManagerError
from backtrail.reports.formatting import (
    UNITS,
    metric_label,
    params_text,
    plain_text,
)
from backtrail.reports.header import header_of, selection_words, verdict_words
from backtrail.reports.looks import NO_LOOKS, HoldoutLooks
from backtrail.reports.pages import write_page
from backtrail.reports.rundata import RunRecord, read_dataset_manifest, read_run
from backtrail.reports.search_header import search_header
from backtrail.reports.settings import ReportConfig
from backtrail.reports.validation import LuckCard, drawdown_words, luck_cards

__all__ = ["SHOWN_SETS", "is_search", "render_search_report"]

SHOWN_SETS = 20_000
"""Sets that a page holds; of a larger search the best ones and an even choice of the others."""

_PARAMETER = "params."
_NOT_METRICS = frozenset({"set", "objective", "admissible", "rank", "error"})
_ERRORS_SHOWN = 200  # characters of a failed set's error


def is_search(run_dir: Path) -> bool:
    """Say whether a run searched a space of parameters."""
    return (run_dir / "results" / "optimization_results.parquet").is_file()


def render_search_report(
    run_dir: Path,
    *,
    bundles_dir: Path,
    out: Path,
    grade: str | None = None,
    trials: str | None = None,
    looks: HoldoutLooks = NO_LOOKS,
    config: ReportConfig | None = None,
) -> Path:
    """Write the page of a finished search.

    The same run, dataset and arguments give the same bytes.

    Args:
        run_dir: The run directory.
        bundles_dir: The central bundle storage with the run's dataset.
        out: The HTML file to write.
        grade: Provenance grade to show when it was raised after the run was sealed.
        trials: How much was tried on the dataset, in words; None when it was not counted.
        looks: Looks at the holdout of its dataset by its strategy file.
        config: Theme and templates of one's own.

    Returns:
        `out`.

    Raises:
        ArtifactManagerError: If the run has no results of a search, or not of the declared form.
        DatasetError: If the run's dataset is not in `bundles_dir`.
        ReportTemplateError: If a template of the user's own cannot be rendered.
    """
    run = read_run(run_dir)
    results = _table(run, "optimization_results")
    selection = _record(run, "selection.json")
    luck = _record(run, "validation/overfitting/overfitting.json", needed=False)
    verdict = _record(run, "validation/verdict.json", needed=False)
    resampled = _record(run, "validation/monte-carlo/confidence-intervals.json", needed=False)
    shown = _shown(results)
    curves = _curves(run)
    return write_page(
        out,
        "search.html.j2",
        data={
            "id": run.backtest_id,
            **_columns(shown),
            "frontier": _table(run, "frontier")["set"].to_list(),
            "selected": selection["set"],
            "curves": curves,
        },
        scripts=("expressions.js", "search.js"),
        charts=bool(curves),
        config=config,
        header=search_header(
            header_of(
                run,
                dataset=read_dataset_manifest(run, bundles_dir),
                bars=None,
                grade=grade,
                trials=trials,
                looks=looks,
            ),
            run,
            selection,
            sets=results.height,
        ),
        failed=False,
        total=results.height,
        shown=shown.height,
        broken=results["error"].drop_nulls().len(),
        admissible=int(results["admissible"].sum()),
        selection=selection,
        chosen=params_text(selection["params"]),
        how=selection_words(selection),
        luck=[_sets_card(results.height), *luck_cards(luck)],
        verdict=verdict,
        verdict_words=verdict_words(verdict) if verdict else "",
        drawdown=drawdown_words(resampled),
        parameters=[name.removeprefix(_PARAMETER) for name in _parameters(results)],
        curves=bool(curves),
    )


def _table(run: RunRecord, name: str) -> pl.DataFrame:
    path = run.run_dir / "results" / f"{name}.parquet"
    if not path.is_file():
        raise ArtifactManagerError(
            f"{path} is missing; {run.backtest_id} is no finished search (its type is "
            f"{run.identity['run_type']}), or `backtrail verify` names what it lacks"
        )
    return pl.read_parquet(path)


def _record(run: RunRecord, name: str, *, needed: bool = True) -> Mapping[str, Any]:
    path = run.run_dir / "results" / name
    if not needed and not path.is_file():
        return {}
    try:
        found: Mapping[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError) as error:
        raise ArtifactManagerError(f"{path} cannot be read: {error}") from error
    return found


def _parameters(results: pl.DataFrame) -> list[str]:
    return [name for name in results.columns if name.startswith(_PARAMETER)]


def _shown(results: pl.DataFrame) -> pl.DataFrame:
    """Return the sets that the page holds, in the order of the search."""
    if results.height <= SHOWN_SETS:
        return results
    half = SHOWN_SETS // 2
    ranked = results.sort("rank", nulls_last=True, maintain_order=True)
    best, others = ranked.head(half), ranked.slice(half).sort("set")
    step = math.ceil(others.height / (SHOWN_SETS - half))
    return pl.concat([best, others.gather_every(step)]).sort("set")


def _columns(shown: pl.DataFrame) -> dict[str, Any]:
    parameters = _parameters(shown)
    metrics = [
        name for name in shown.columns if name not in _NOT_METRICS and name not in parameters
    ]
    return {
        "sets": shown["set"].to_list(),
        "param_names": [name.removeprefix(_PARAMETER) for name in parameters],
        "metric_names": metrics,
        "params": {name.removeprefix(_PARAMETER): _plain(shown[name]) for name in parameters},
        "metrics": {name: _numbers(shown[name]) for name in metrics},
        "infinite": {name: found for name in metrics if (found := _infinite(shown[name]))},
        "labels": {name: metric_label(name) for name in metrics},
        "units": {name: UNITS.get(name, "") for name in metrics},
        "objective": _numbers(shown["objective"]),
        "admissible": shown["admissible"].cast(pl.Int8).to_list(),
        "rank": shown["rank"].to_list(),
        "errors": {
            str(number): error[:_ERRORS_SHOWN]
            for number, error in shown.select("set", "error").drop_nulls("error").iter_rows()
        },
    }


def _plain(column: pl.Series) -> list[Any]:
    if column.dtype == pl.Boolean:
        return [plain_text(value) for value in column.to_list()]
    return column.to_list()


def _numbers(column: pl.Series) -> list[float | None]:
    """Return seven digits of each number; what is undefined or infinite has no place on an axis."""
    return [
        None if value is None or not math.isfinite(value) else float(f"{value:.7g}")
        for value in column.to_list()
    ]


def _infinite(column: pl.Series) -> dict[int, int]:
    """Return the sign of the infinite values, such as the profit factor without a loss, by row."""
    return {
        place: 1 if value > 0 else -1
        for place, value in enumerate(column.to_list())
        if value is not None and math.isinf(value)
    }


def _curves(run: RunRecord) -> dict[str, Any] | None:
    """Return the kept equity curves by set, on their common dates."""
    path = run.run_dir / "results" / "optimization_curves.parquet"
    if not path.is_file():
        return None
    frame = pl.read_parquet(path).sort("set", "timestamp")
    if not frame.height:
        return None
    parts = frame.partition_by("set", as_dict=True, maintain_order=True)
    first = next(iter(parts.values()))
    return {
        "dates": first["timestamp"].dt.strftime("%Y-%m-%d").to_list(),
        "equity": {str(key[0]): _numbers(part["equity"]) for key, part in parts.items()},
    }


def _sets_card(sets: int) -> LuckCard:
    return LuckCard("Sets in this search", f"{sets:,}", "Every one of them is a trial.")
