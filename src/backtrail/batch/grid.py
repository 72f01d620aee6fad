"""Parameter grids: every combination of listed or stepped values, filtered by a condition."""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import product
from typing import Any

from backtrail.batch.where import Condition

__all__ = ["expand_grid", "grid_values"]

_MOST_COMBINATIONS = 1_000_000


def grid_values(values: Any) -> list[Any]:
    """Return the values of one grid axis.

    Args:
        values: A list, or `{min, max, step}` with both ends included where the step meets them.
            Steps are counted in decimals: 0.1 to 0.3 by 0.1 is three values.

    Raises:
        ValueError: If the axis is empty, repeats a value, or its step leads nowhere.
    """
    if isinstance(values, Mapping):
        low, high, step = (Decimal(str(values[key])) for key in ("min", "max", "step"))
        if step <= 0 or high < low:
            raise ValueError(
                f"min {low}, max {high}, step {step} gives no value; "
                "the step is positive and max is not below min"
            )
        whole = all(isinstance(values[key], int) for key in ("min", "max", "step"))
        count = int((high - low) / step) + 1
        _refuse_huge(count)
        axis = [low + step * index for index in range(count)]
        return [int(value) if whole else float(value) for value in axis]
    if not values:
        raise ValueError("the list is empty; give at least one value")
    seen: list[Any] = []
    for value in values:
        if any(value == other and type(value) is type(other) for other in seen):
            raise ValueError(f"the value {value!r} stands twice; every value once")
        seen.append(value)
    return seen


def _refuse_huge(count: int) -> None:
    if count > _MOST_COMBINATIONS:
        raise ValueError(
            f"{count:,} combinations are more than a batch can hold ({_MOST_COMBINATIONS:,}); "
            "take larger steps"
        )


def expand_grid(
    params: Mapping[str, Any], grid: Mapping[str, Any], where: str | None
) -> Iterator[dict[str, Any]]:
    """Yield each combination of the grid's axes over fixed parameters that `where` lets pass.

    The last axis moves fastest; axes come in the order of the config.

    Raises:
        ValueError: If an axis or the condition is wrong.
    """
    axes = {name: grid_values(values) for name, values in grid.items()}
    _refuse_huge(math.prod(map(len, axes.values())))
    condition = Condition(where) if where else None
    for values in product(*axes.values()):
        combination = {**params, **dict(zip(axes, values, strict=True))}
        if condition is None or condition.holds(combination):
            yield combination
