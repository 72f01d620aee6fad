"""Which parameters a walk forward kept choosing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["ParameterStability", "parameter_stability"]

_STABLE_SHARE: Final = 0.75


@dataclass(frozen=True, slots=True)
class ParameterStability:
    """How a parameter went from fold to fold.

    Attributes:
        name: Of the parameter.
        values: What each fold chose, oldest first.
        changes: Share of folds, the first not counted, with another value than the one before; None
            with a single fold.
        jumps: The same, where a value that is next to the one before in the space is no change.
        low: Lowest value of the stable range: the shortest run of neighboring values that holds at
            least three quarters of the choices, the lowest of equally short ones. None when it
            takes more than half of the values of the space, and there are more than two: then the
            choices are anywhere.
        high: Its highest value.
        share: Share of the choices within it; None without one.
    """

    name: str
    values: tuple[Any, ...]
    changes: float | None
    jumps: float | None
    low: Any
    high: Any
    share: float | None


def parameter_stability(
    chosen: Sequence[Mapping[str, Any]], space: Mapping[str, Sequence[Any]]
) -> tuple[ParameterStability, ...]:
    """Return how each parameter of a space went from fold to fold.

    Args:
        chosen: Parameters that each fold chose, oldest first; folds that chose none are left out.
        space: Values of each parameter in their order; parameters with a single value are left
            out.

    Raises:
        ValueError: If a fold chose a value that is not in the space.
    """
    found = []
    for name, values in space.items():
        if len(values) < 2:
            continue
        places = []
        for number, params in enumerate(chosen):
            if params[name] not in values:
                raise ValueError(f"choice {number} has {name} {params[name]!r}, not in the space")
            places.append(list(values).index(params[name]))
        found.append(_stability(name, places, list(values)))
    return tuple(found)


def _stability(name: str, places: Sequence[int], values: Sequence[Any]) -> ParameterStability:
    steps = [abs(one - other) for one, other in zip(places[1:], places[:-1], strict=True)]
    chosen = tuple(values[place] for place in places)
    changes = sum(step > 0 for step in steps) / len(steps) if steps else None
    jumps = sum(step > 1 for step in steps) / len(steps) if steps else None
    run = _shortest_run(places, len(values))
    if run is None:
        return ParameterStability(name, chosen, changes, jumps, None, None, None)
    low, high = run
    share = sum(low <= place <= high for place in places) / len(places)
    return ParameterStability(name, chosen, changes, jumps, values[low], values[high], share)


def _shortest_run(places: Sequence[int], count: int) -> tuple[int, int] | None:
    if not places:
        return None
    longest = count if count == 2 else count // 2
    for length in range(1, longest + 1):
        for low in range(count - length + 1):
            inside = sum(low <= place < low + length for place in places)
            if inside >= _STABLE_SHARE * len(places):
                return low, low + length - 1
    return None
