"""The answer of a validation child to the walk forward: a search in every fold."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.batch.execution.laboratory import Laboratory
from backtrail.batch.execution.set_evaluation import without_ruin
from backtrail.canonical import utc_iso
from backtrail.optimization.selection import judge_sets
from backtrail.validation import (
    SearchedFold,
    Window,
    WindowResult,
    make_folds,
    parameter_stability,
    search_forward,
    truncated_bars,
    without_first,
)

__all__ = ["walk_forward_answer"]

IntArray = npt.NDArray[np.int64]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Windows:
    """Evaluates sets on windows of the bars, with nothing of what comes after them at hand."""

    def __init__(self, lab: Laboratory, warm_up: int) -> None:
        self._lab, self._warm_up = lab, warm_up

    def __call__(self, sets: IntArray, window: Window, *, keep_returns: bool) -> WindowResult:
        lab = self._lab
        # The account begins at the close before the window, so that its first bar has a return.
        begins = max(window.start - 1, 0)
        start = max(begins - self._warm_up, 0)
        bars = without_first(truncated_bars(lab.bars, window.stop), start)
        sweep = lab.sweep(bars, begins - start)
        numbers = lab.numbers[sets]
        returns = None
        if keep_returns:
            ((_, result),) = lab.blocks(sweep, numbers, keep_returns=True)
            assert result.returns is not None
            returns = without_ruin(result.returns)
            if window.start == 0:
                returns = np.column_stack([np.zeros(len(returns)), returns])
            figures = result.metrics[lab.metric]
        else:
            metrics, failed = lab.metrics(sweep, numbers)
            judged = judge_sets(lab.search, numbers, metrics, failed)
            wanted = judged.neighborhood.means if judged.neighborhood else judged.objective
            figures = np.where(judged.ranks > 0, wanted, np.nan)
        times = sweep.bars.timestamps[0 if window.start == 0 else 1 :]
        return WindowResult(figures, returns, self._rows(times), self._rows(bars.timestamps))

    def _rows(self, timestamps: IntArray) -> Window:
        first, last = np.searchsorted(self._lab.bars.timestamps, timestamps[[0, -1]])
        return Window(int(first), int(last) + 1)


def walk_forward_answer(lab: Laboratory) -> dict[str, Any]:
    """Return what every fold chose and what became of it, and the stitched equity."""
    options = lab.options["walk_forward"]
    bars = len(lab.bars.timestamps)
    folds = make_folds(bars, **options)
    evaluate = _Windows(lab, options["warm_up"])
    found = search_forward(evaluate, len(lab.numbers), folds, periods_per_year=lab.periods)
    chosen = [fold.chosen for fold in found.folds]
    numbers = [None if place is None else int(lab.numbers[place]) for place in chosen]
    params = lab.sets([number for number in numbers if number is not None])
    space = {item.name: item.values for item in lab.search.space.definitions}
    every = iter(params)
    return {
        "folds": [
            {
                "fold": number,
                "set": name,
                "params": None if name is None else next(every),
                **_fold(lab, fold),
            }
            for number, (fold, name) in enumerate(zip(found.folds, numbers, strict=True))
        ],
        "metric": lab.metric,
        "efficiency": found.efficiency,
        "degradation": found.degradation,
        "changes": found.changes,
        "stability": [asdict(item) for item in parameter_stability(params, space)],
        "equity": {
            "timestamp": lab.bars.timestamps[found.bars],
            "returns": found.returns,
            "equity": np.cumprod(1.0 + found.returns),
        },
    }


def _fold(lab: Laboratory, fold: SearchedFold) -> dict[str, Any]:
    return {
        "in_sample": _window(lab, fold.fold.in_sample),
        "out_of_sample": _window(lab, fold.fold.out_of_sample),
        "read_in_sample": _window(lab, fold.read_in_sample),
        "read_out_of_sample": None
        if fold.read_out_of_sample is None
        else _window(lab, fold.read_out_of_sample),
        "in_sample_figure": fold.in_sample,
        "out_of_sample_figure": fold.out_of_sample,
        "in_sample_annual_return": fold.in_sample_annual,
        "out_of_sample_annual_return": fold.out_of_sample_annual,
    }


def _window(lab: Laboratory, window: Window) -> dict[str, Any]:
    return {
        "first_bar": window.start,
        "last_bar": window.stop - 1,
        "first_at": _moment(lab.bars.timestamps[window.start]),
        "last_at": _moment(lab.bars.timestamps[window.stop - 1]),
    }


def _moment(microseconds: np.int64) -> str:
    return utc_iso(_EPOCH + timedelta(microseconds=int(microseconds)))
