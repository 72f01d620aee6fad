"""Parameter spaces: what each parameter may be, and every combination, made one at a time."""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from backtrail.canonical import canonical_json, sha256_json
from backtrail.optimization.conditions import Condition

__all__ = ["ParameterDefinition", "ParameterSet", "axis_values"]

_MOST_VALUES = 1_000_000  # of one axis; the product of axes has no bound


def axis_values(values: Any) -> list[Any]:
    """Return the values of one axis of a grid.

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
        if count > _MOST_VALUES:
            raise ValueError(
                f"{count:,} values are more than one axis can have ({_MOST_VALUES:,}); "
                "take larger steps"
            )
        axis = [low + step * index for index in range(count)]
        return [int(value) if whole else float(value) for value in axis]
    if not values:
        raise ValueError("the list is empty; give at least one value")
    seen: set[tuple[type, Any]] = set()
    for value in values:
        key = (type(value), value if value.__hash__ else canonical_json(value))
        if key in seen:
            raise ValueError(f"the value {value!r} stands twice; every value once")
        seen.add(key)
    return list(values)


@dataclass(frozen=True)
class ParameterDefinition:
    """What one parameter may be: a stepped range or listed values.

    Attributes:
        name: The parameter's name.
        min_value: Lowest value of a range; None for a list.
        max_value: Highest value of a range, included where the step meets it.
        step: Distance of the values of a range, positive.
        discrete_values: The values of a list, each once; None for a range.
        rules: Conditions on this parameter by its name, such as `slow % 5 == 0`.

    Raises:
        ValueError: If it is neither a range nor a list, or both, or gives no value.
    """

    name: str
    min_value: int | float | None = None
    max_value: int | float | None = None
    step: int | float | None = None
    discrete_values: tuple[Any, ...] | None = None
    rules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ends = (self.min_value, self.max_value, self.step)
        is_range = all(end is not None for end in ends)
        if is_range == (self.discrete_values is not None) or (
            not is_range and any(end is not None for end in ends)
        ):
            raise ValueError(
                f"parameter {self.name!r} needs min_value, max_value and step, or discrete_values; "
                "one of the two"
            )
        for rule in self._conditions:
            if rule.names - {self.name}:
                others = ", ".join(sorted(rule.names - {self.name}))
                raise ValueError(
                    f"rule {rule.text!r} of parameter {self.name!r} names {others}; put conditions "
                    "between parameters into the set"
                )
        if not self.values:
            raise ValueError(f"the rules of parameter {self.name!r} let no value pass")

    @property
    def type(self) -> type:
        """Type of the values; `object` when they are of several."""
        kinds = {type(value) for value in self.values}
        return kinds.pop() if len(kinds) == 1 else object

    @cached_property
    def _conditions(self) -> tuple[Condition, ...]:
        return tuple(Condition(rule) for rule in self.rules)

    @cached_property
    def values(self) -> tuple[Any, ...]:
        """Every value that the rules let pass, in order."""
        listed = self.discrete_values
        axis = axis_values(
            {"min": self.min_value, "max": self.max_value, "step": self.step}
            if listed is None
            else list(listed)
        )
        return tuple(
            value
            for value in axis
            if all(condition.holds({self.name: value}) for condition in self._conditions)
        )

    @classmethod
    def of(cls, name: str, axis: Any) -> "ParameterDefinition":
        """Return the definition that a config's axis means: a list, or `{min, max, step}`."""
        if isinstance(axis, Mapping):
            return cls(name, axis["min"], axis["max"], axis["step"])
        return cls(name, discrete_values=tuple(axis))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `from_dict` of the set reads."""
        if self.discrete_values is None:
            axis: Any = {"min": self.min_value, "max": self.max_value, "step": self.step}
        else:
            axis = list(self.discrete_values)
        return {"name": self.name, "values": axis, "rules": list(self.rules)}


@dataclass(frozen=True)
class ParameterSet:
    """A parameter space: definitions, conditions between them, and fixed parameters.

    Combinations are numbered like the digits of a clock, the last parameter moves fastest; any of
    them is made from its number alone, so that a space of 10^9 costs no memory.

    Attributes:
        definitions: What varies, in order; names are unique.
        where: Conditions between parameters, such as `fast < slow`.
        fixed: Parameters that do not vary; conditions may name them.

    Raises:
        ValueError: If a name is there twice.
    """

    definitions: tuple[ParameterDefinition, ...]
    where: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [definition.name for definition in self.definitions]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"parameter {name!r} is defined twice; define it once")
        _ = self._conditions  # a wrong expression is refused here, not at the first combination

    @classmethod
    def from_grid(
        cls,
        grid: Mapping[str, Any],
        *,
        where: str | Sequence[str] | None = None,
        fixed: Mapping[str, Any] | None = None,
    ) -> "ParameterSet":
        """Return the space of a config's `grid`: axes by name, each a list or a stepped range.

        Raises:
            ValueError: If an axis or a condition is wrong.
        """
        conditions = (where,) if isinstance(where, str) else tuple(where or ())
        varying = tuple(ParameterDefinition.of(name, axis) for name, axis in grid.items())
        rest = {name: value for name, value in (fixed or {}).items() if name not in grid}
        return cls(varying, conditions, rest)

    @cached_property
    def _conditions(self) -> tuple[Condition, ...]:
        return tuple(Condition(text) for text in self.where)

    @cached_property
    def size(self) -> int:
        """Number of combinations before the conditions are asked."""
        return math.prod(len(definition.values) for definition in self.definitions)

    def combination(self, number: int) -> dict[str, Any]:
        """Return the combination of a number, whether or not the conditions let it pass.

        Raises:
            IndexError: If the number is negative or not below `size`.
        """
        if not 0 <= number < self.size:
            raise IndexError(f"combination {number} of {self.size:,}; numbers begin at 0")
        values: list[Any] = []
        for definition in reversed(self.definitions):
            number, place = divmod(number, len(definition.values))
            values.append(definition.values[place])
        names = [definition.name for definition in self.definitions]
        return {**self.fixed, **dict(zip(names, reversed(values), strict=True))}

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Say whether the conditions let a combination pass."""
        return all(condition.holds(values) for condition in self._conditions)

    def generate_combinations(
        self, start: int = 0, stop: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the combinations that the conditions let pass, in the order of their numbers.

        Args:
            start: First number.
            stop: Number after the last one; all when None.
        """
        for number in range(start, self.size if stop is None else min(stop, self.size)):
            values = self.combination(number)
            if self.holds(values):
                yield values

    def sample(self, count: int, seed: int) -> list[dict[str, Any]]:
        """Return different combinations chosen at random, fewer when there are no more.

        Args:
            count: How many.
            seed: Decides the choice.
        """
        generator = random.Random(seed)
        found: list[dict[str, Any]] = []
        seen: set[int] = set()
        while len(found) < count and len(seen) < self.size:
            number = generator.randrange(self.size)
            if number in seen:
                continue
            seen.add(number)
            values = self.combination(number)
            if self.holds(values):
                found.append(values)
        return found

    def validate(self, values: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with a combination, one sentence each; empty when nothing is."""
        mistakes = []
        known = {definition.name: definition for definition in self.definitions}
        for name in sorted(known.keys() - values.keys()):
            mistakes.append(f"parameter {name!r} is missing")
        for name in sorted(values.keys() - known.keys() - self.fixed.keys()):
            mistakes.append(f"parameter {name!r} is not of this space ({', '.join(known)})")
        for name, definition in known.items():
            value = values.get(name)
            if name in values and not any(
                value == allowed and type(value) is type(allowed) for allowed in definition.values
            ):
                shown = ", ".join(map(repr, definition.values[:8]))
                more = ", …" if len(definition.values) > 8 else ""
                mistakes.append(f"parameter {name!r} is {value!r}, not one of {shown}{more}")
        if not mistakes:
            whole = {**self.fixed, **values}
            mistakes += [
                f"{condition.text!r} does not hold"
                for condition in self._conditions
                if not condition.holds(whole)
            ]
        return mistakes

    def parameter_hash(self, values: Mapping[str, Any]) -> str:
        """Return the sha256 of a combination's canonical JSON: the same in every order and locale.

        Raises:
            ValueError: If the combination is not of this space.
        """
        mistakes = self.validate(values)
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return sha256_json({**self.fixed, **values})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; `from_dict` reads them."""
        return {
            "definitions": [definition.to_dict() for definition in self.definitions],
            "where": list(self.where),
            "fixed": dict(self.fixed),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ParameterSet":
        """Return the space that `to_dict` described."""
        definitions = []
        for item in values["definitions"]:
            plain = ParameterDefinition.of(item["name"], item["values"])
            definitions.append(
                ParameterDefinition(
                    plain.name,
                    plain.min_value,
                    plain.max_value,
                    plain.step,
                    plain.discrete_values,
                    tuple(item["rules"]),
                )
            )
        return cls(tuple(definitions), tuple(values["where"]), dict(values["fixed"]))
