"""Searches that learn from what they found: an Optuna study asks for sets, a sweep evaluates them.

Sets are asked for and told in blocks of a fixed size, so that what a study finds depends on its
seed, the space and the block, and on no number of workers. Needs the extra `optuna`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.errors import BacktrailError
from backtrail.optimization.conditions import Condition
from backtrail.optimization.parameters import ParameterDefinition, ParameterSet
from backtrail.optimization.selection import admissible_sets
from backtrail.optimization.sweep import Sweep, SweepResult

if TYPE_CHECKING:
    from types import ModuleType

    import optuna

__all__ = ["StudiedSets", "search_study", "seeded_study"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_EXTRA: Final = (
    "a study needs the package optuna, which is not installed; pip install 'backtrail[optuna]'"
)
_PATIENCE: Final = 100  # questions without a new set, before the study counts as done


@dataclass(frozen=True)
class StudiedSets:
    """What a study evaluated, each set once, in the order in which it asked for them.

    Attributes:
        numbers: Number of each set in the space, shape (m,).
        sets: Their parameters.
        metrics: A column for each metric of the sweep, NaN where undefined.
        errors: Why a set failed; None for the others.
        values: What the study was told, NaN for a set that failed, misses a constraint or has no
            objective.
        returns: Returns per bar, shape (m, n - 1); None when they were not asked for.
    """

    numbers: IntArray
    sets: tuple[Mapping[str, Any], ...]
    metrics: Mapping[str, FloatArray]
    errors: tuple[str | None, ...]
    values: FloatArray
    returns: FloatArray | None = None

    @property
    def best(self) -> int | None:
        """Index of the set with the greatest value, the first of equal ones; None without any."""
        return None if np.isnan(self.values).all() else int(np.nanargmax(self.values))


def seeded_study(seed: int, *, startup: int = 50) -> "optuna.Study":
    """Return a study in memory that finds the same again: parzen estimators (TPE) with a seed.

    Args:
        seed: Decides what is asked for.
        startup: Sets that are drawn at random before the study learns. They are an even sample of
            the space, and what is told of the luck of a search rests on them.

    Raises:
        BacktrailError: If Optuna is not installed.
    """
    library = _optuna()
    sampler = library.samplers.TPESampler(
        seed=seed, n_startup_trials=startup, multivariate=True, constant_liar=True
    )
    study: optuna.Study = library.create_study(direction="maximize", sampler=sampler)
    return study


def search_study(
    study: "optuna.Study",
    sweep: Sweep,
    space: ParameterSet,
    *,
    sets: int,
    objective: str = "sharpe_ratio",
    constraints: Sequence[str] = (),
    block: int = 50,
    keep_returns: bool = False,
) -> StudiedSets:
    """Let a study search a space; every set is evaluated once, in blocks.

    The study is asked for places on the axes: whole numbers where an axis has numbers, in their
    order, else categories. A set that the conditions of the space refuse is told as pruned and not
    evaluated; one that fails, misses a constraint or has no objective is told as pruned, too. A set
    that is asked for again is told what is known of it.

    Args:
        study: Of one direction, `maximize`; from `seeded_study`, or one of your own. What it knows
            already it may use; what is asked for here it is told.
        sweep: What evaluates sets.
        space: What is searched.
        sets: How many different sets to evaluate. There are fewer when the space has no more, or
            when the study keeps asking for the same.
        objective: A metric of the sweep.
        constraints: Conditions on metrics, such as `total_trades >= 30`.
        block: Sets that are asked for before any of them is told. It changes what is found.
        keep_returns: Keep the returns of every set, 8 bytes per bar.

    Raises:
        BacktrailError: If Optuna is not installed.
        ValueError: If the study does not maximize one value, a metric is unknown, or a number of
            sets is below one.
    """
    library = _optuna()
    conditions = tuple(Condition(text) for text in constraints)
    _require_sense(library, study, sweep, objective, conditions, sets, block)
    asking = _Asking(library, study, space)
    found: list[SweepResult] = []
    values: list[FloatArray] = []
    while sets > len(asking.numbers):
        fresh = asking.ask(min(block, sets - len(asking.numbers)))
        if not fresh:
            break
        result = sweep.evaluate(map(space.combination, fresh), keep_returns=keep_returns)
        failed = np.array([error is not None for error in result.errors])
        admissible = admissible_sets(result.metrics, failed, conditions)
        told = np.where(admissible, result.metrics[objective], np.nan)
        asking.tell(fresh, told)
        found.append(result)
        values.append(told)
    return _joined(sweep.metric_names, asking.numbers, found, values)


class _Asking:
    """A study beside a space: which sets it asked for, and what it was told of them."""

    def __init__(self, library: "ModuleType", study: "optuna.Study", space: ParameterSet) -> None:
        self._study, self._space = study, space
        self._pruned = library.trial.TrialState.PRUNED
        self._axes = [(item, _order(item)) for item in space.definitions]
        self._distributions = {
            item.name: library.distributions.CategoricalDistribution(list(order))
            if isinstance(order, range)
            else library.distributions.IntDistribution(0, len(order) - 1)
            for item, order in self._axes
        }
        self._known: dict[int, float] = {}
        self._waiting: dict[int, list[optuna.Trial]] = {}

    @property
    def numbers(self) -> list[int]:
        """Sets of which the study was told, in the order of asking."""
        return list(self._known)

    def ask(self, wanted: int) -> list[int]:
        """Return up to so many sets that are new."""
        self._waiting = {}
        in_vain = 0
        while len(self._waiting) < wanted and in_vain < _PATIENCE:
            before = len(self._waiting)
            trial = self._study.ask(self._distributions)
            number = self._number(trial.params)
            if number in self._known:
                self._told(trial, self._known[number])
            elif not self._space.holds(self._space.combination(number)):
                self._told(trial, np.nan)
            else:
                self._waiting.setdefault(number, []).append(trial)
            in_vain = 0 if len(self._waiting) > before else in_vain + 1
        return list(self._waiting)

    def tell(self, numbers: Sequence[int], values: FloatArray) -> None:
        """Tell the study what the sets of the last question are worth."""
        for number, value in zip(numbers, values.tolist(), strict=True):
            self._known[number] = value
            for trial in self._waiting[number]:
                self._told(trial, value)

    def _told(self, trial: "optuna.Trial", value: float) -> None:
        if np.isnan(value):
            self._study.tell(trial, state=self._pruned)
        else:
            self._study.tell(trial, value)

    def _number(self, params: Mapping[str, int]) -> int:
        number = 0
        for definition, order in self._axes:
            number = number * len(definition.values) + order[params[definition.name]]
        return number


def _order(definition: ParameterDefinition) -> Sequence[int]:
    """Return the places of an axis in the order of its numbers; a range where it has others."""
    values = definition.values
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return range(len(values))
    return sorted(range(len(values)), key=values.__getitem__)


def _joined(
    names: Sequence[str], numbers: list[int], found: list[SweepResult], values: list[FloatArray]
) -> StudiedSets:
    def column(parts: Iterator[FloatArray]) -> FloatArray:
        return np.concatenate([np.zeros(0), *parts])

    kept = [part.returns for part in found if part.returns is not None]
    return StudiedSets(
        np.array(numbers, dtype=np.int64),
        tuple(item for part in found for item in part.sets),
        {name: column(part.metrics[name] for part in found) for name in names},
        tuple(error for part in found for error in part.errors),
        column(iter(values)),
        np.concatenate(kept) if kept else None,
    )


def _require_sense(
    library: "ModuleType",
    study: "optuna.Study",
    sweep: Sweep,
    objective: str,
    conditions: Sequence[Condition],
    sets: int,
    block: int,
) -> None:
    if list(study.directions) != [library.study.StudyDirection.MAXIMIZE]:
        raise ValueError(
            "the study has to maximize one value: create it with direction='maximize', or take "
            "seeded_study"
        )
    asked = {objective}.union(*(condition.names for condition in conditions))
    for name in sorted(asked - set(sweep.metric_names)):
        known = ", ".join(sweep.metric_names)
        raise ValueError(f"there is no metric {name!r} of parameter sets; metrics: {known}")
    if sets < 1 or block < 1:
        raise ValueError(f"sets is {sets} and block {block}; ask for one set at least")


def _optuna() -> "ModuleType":
    try:
        import optuna
    except ImportError:
        raise BacktrailError(_EXTRA) from None
    return optuna
