"""The step form: a function of one bar of one symbol, called bar by bar.

What it returns is a target weight, so a step is followed as the weights of the signal form are. It
is given values of its own bar alone, and what it kept in its memory; it has no way to look ahead.
"""

import dis
import inspect
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import FIELDS
from backtrail.engine.signal_bars import SignalBars
from backtrail.errors import StrategyError

__all__ = ["MEMORY_SIZE", "Step", "StepArguments", "by_symbol", "returns_nothing"]

FloatArray = npt.NDArray[np.float64]

MEMORY_SIZE: Final = 8
"""Numbers that a step may keep for each symbol, unless its module says `MEMORY = ...`."""

_OUTSIDE: Final = "index out of bounds on dimension 1"  # what a memory view says
_OWN: Final = ("weight", "memory", "symbols")
_KINDS: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)


@dataclass(frozen=True, slots=True)
class StepArguments:
    """What a step is called with.

    Attributes:
        columns: Of what changes from bar to bar, by name; one row per symbol, shape (k, n).
        constants: Of what does not.
    """

    columns: Mapping[str, FloatArray]
    constants: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A step function as a function of whole columns: called with bars, it gives weights.

    The function's parameters say by their names what it is given: `open`, `high`, `low`, `close`
    and `volume` of the bar, split-adjusted as those of `SignalBars`; what `inputs` named; fields of
    the strategy's `Params`; `weight`, the target in force, 0.0 at first; `memory`, numbers of the
    symbol's own that last from bar to bar, 0.0 at first; `symbols`, how many there are. It returns
    the new target, a fraction of the portfolio value; None or NaN leave it.

    Attributes:
        name: Of the strategy.
        function: The step.
        inputs: Called once with the bars and the parameters; returns arrays by name, of shape
            (n, k), or (n,) for what all symbols share. None for a step that needs none.
        params_type: The strategy's `Params`; None without one.
        memory_size: Length of `memory`.
        names: Names of the function's parameters, in their order.
        awaited: Those of them that `inputs` has to return.

    Raises:
        StrategyError: If the function asks for what there is not.
    """

    name: str
    function: Callable[..., Any]
    inputs: Callable[..., Any] | None = None
    params_type: type[Any] | None = None
    memory_size: int = MEMORY_SIZE
    names: tuple[str, ...] = field(init=False)
    awaited: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        parameters = inspect.signature(self.function).parameters.values()
        odd = [
            str(one) for one in parameters if one.kind not in _KINDS or one.default is not one.empty
        ]
        if odd:
            raise StrategyError(
                f"step of strategy {self.name} takes {', '.join(odd)}; it is given values by the"
                " names of its parameters, so write plain names without defaults"
            )
        size = self.memory_size
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise StrategyError(
                f"MEMORY of strategy {self.name} is {size!r}; it is how many numbers a step may"
                " keep for each symbol, 1 or more"
            )
        object.__setattr__(self, "names", tuple(one.name for one in parameters))
        given = {name for names in self._sources().values() for name in names}
        object.__setattr__(self, "awaited", frozenset(self.names) - given)
        self._check_names(None)

    def __call__(self, bars: SignalBars, params: object) -> FloatArray:
        """Call the step at every bar that a symbol has, all symbols at a bar before the next bar.

        Args:
            bars: Prices.
            params: The strategy's `Params`.

        Returns:
            The target in force at each bar, shape (n, k); NaN where a symbol has no bar.

        Raises:
            StrategyError: If it returns no number, or an infinite one.
        """
        given = self.arguments(bars, params)
        walks = [_Walk(self, bars, given, column) for column in range(len(bars.symbols))]
        for row in range(len(bars.timestamps)):
            for walk in walks:
                walk.go(row)
        return np.array([walk.weights for walk in walks]).T

    def arguments(
        self, bars: SignalBars, params: object, prices: Mapping[str, FloatArray] | None = None
    ) -> StepArguments:
        """Return what the step is called with.

        Args:
            bars: Prices.
            params: The strategy's `Params`.
            prices: Fields of the bars that are at hand, shape (k, n).

        Raises:
            StrategyError: If `inputs` returned no arrays by name, or a name is nobody's.
        """
        inputs = self._inputs(bars, params)
        if inputs.keys() & self.names != self.awaited:
            self._check_names(inputs)
        columns = dict(inputs)
        constants: dict[str, Any] = {}
        for name in self.names:
            if name in FIELDS:
                at_hand = None if prices is None else prices.get(name)
                columns[name] = by_symbol(getattr(bars, name)) if at_hand is None else at_hand
            elif name == "symbols":
                constants[name] = len(bars.symbols)
            elif name not in columns and name not in _OWN:
                constants[name] = getattr(params, name)
        return StepArguments(columns, constants)

    def refusal(self, found: object, row: int, symbol: str) -> StrategyError:
        """Return the error of a step that returned what is no weight."""
        what = "an infinite weight" if isinstance(found, float) else type(found).__name__
        return StrategyError(
            f"step of strategy {self.name} returned {what} for {symbol} at bar {row};"
            " return a fraction of the portfolio value, None or NaN to leave a holding as it is"
        )

    def _inputs(self, bars: SignalBars, params: object) -> dict[str, FloatArray]:
        if self.inputs is None:
            return {}
        found = self.inputs(bars, params)
        if not isinstance(found, Mapping):
            what = "nothing" if found is None else type(found).__name__
            raise StrategyError(
                f"inputs of strategy {self.name} returned {what}; return a dict of"
                " arrays by the names that step takes"
            )
        shape = len(bars.timestamps), len(bars.symbols)
        return {name: self._column(name, values, shape) for name, values in found.items()}

    def _column(self, name: str, values: object, shape: tuple[int, int]) -> FloatArray:
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
            what = f"{type(values).__name__}, no array of numbers"
        elif values.shape == shape:
            return by_symbol(values)
        elif values.shape == shape[:1]:
            return by_symbol(np.broadcast_to(values[:, np.newaxis], shape))
        else:
            what = f"of shape {values.shape}"
        raise StrategyError(
            f"inputs of strategy {self.name} returned {name!r} {what}; return arrays of numbers of"
            f" shape {shape}, bars by symbols, or {shape[:1]} for what all symbols share"
        )

    def _sources(self) -> dict[str, Collection[str]]:
        """Return the names that are known before `inputs` is called, by who has them."""
        has = () if self.params_type is None else fields(self.params_type)
        return {"a bar": FIELDS, "every step": _OWN, "Params": [one.name for one in has]}

    def _check_names(self, inputs: Collection[str] | None) -> None:
        """Refuse a step that takes what nobody gives it, or what two would.

        Before `inputs` was called, any name may be one of its.
        """
        is_open = inputs is None and self.inputs is not None
        inputs = inputs or ()
        sources = {**self._sources(), "inputs": inputs}
        for name in self.names:
            found = [source for source, names in sources.items() if name in names]
            if len(found) > 1:
                raise StrategyError(
                    f"step of strategy {self.name} takes {name!r}, which"
                    f" {' and '.join(found)} have; give one of them another name"
                )
            if not found and not is_open:
                raise StrategyError(
                    f"step of strategy {self.name} takes {name!r}, which is no field of a bar"
                    f" ({', '.join(FIELDS)}), nor {', '.join(_OWN)}, nor a parameter"
                    f" ({', '.join(sources['Params']) or 'there are none'}), nor one of the arrays"
                    f" that inputs(bars, params) returned"
                    f" ({', '.join(sorted(map(str, inputs))) or 'none'})"
                )


class _Walk:
    """A step's way along the bars of one symbol.

    Attributes:
        weights: Targets in force at the bars so far; NaN where the symbol has no bar.
    """

    def __init__(self, step: Step, bars: SignalBars, given: StepArguments, column: int) -> None:
        self.weights: list[float] = []
        self._function: Final = step.function
        self._refusal: Final = partial(step.refusal, symbol=bars.symbols[column])
        # Numbers of Python, also in the memory: those of NumPy divide by zero without an error.
        memory = np.zeros(step.memory_size).data
        self._memory_size: Final = step.memory_size
        constants = {**given.constants, "memory": memory, "weight": 0.0}
        self._arguments: Final = [constants.get(name) for name in step.names]
        self._columns: Final = [
            (place, given.columns[name][column].tolist())
            for place, name in enumerate(step.names)
            if name in given.columns
        ]
        self._place: Final = step.names.index("weight") if "weight" in step.names else None
        missing = np.isnan(bars.close[:, column])
        self._missing: Final = missing.tolist() if missing.any() else None
        self._weight = 0.0

    def go(self, row: int) -> None:
        """Call the step at a bar."""
        if self._missing is not None and self._missing[row]:
            self.weights.append(math.nan)
            return
        arguments = self._arguments
        for place, values in self._columns:
            arguments[place] = values[row]
        try:
            found = self._function(*arguments)
        except IndexError as error:
            raise _explained(error, self._memory_size) from None
        if type(found) is not float:
            if found is None:
                found = math.nan
            elif not isinstance(found, int | float | np.floating | np.integer | np.bool_):
                raise self._refusal(found, row)
            found = float(found)
        if found == found:
            if math.isinf(found):
                raise self._refusal(found, row)
            self._weight = found
            if self._place is not None:
                arguments[self._place] = found
        self.weights.append(self._weight)


def _explained(error: IndexError, size: int) -> IndexError:
    """Return an error with the size of the memory, where it is of a place outside of it."""
    if str(error) != _OUTSIDE:
        return error
    places = f"{size} numbers, at 0 to {size - 1}" if size else "no numbers"
    told = IndexError(f"memory has {places}; for n of them write MEMORY = n beside step")
    return told.with_traceback(error.__traceback__)


def returns_nothing(function: Callable[..., Any]) -> bool:
    """Say whether a function of Python returns no value at any place."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE):
        return False
    lines = list(dis.get_instructions(code))
    return all(
        (one.opname == "RETURN_CONST" and one.argval is None)
        or (before.opname == "LOAD_CONST" and before.argval is None)
        for before, one in zip([None, *lines], lines, strict=False)
        if one.opname.startswith("RETURN_") and before is not None
    )


def by_symbol(values: npt.NDArray[Any]) -> FloatArray:
    """Return values of shape (n, k) with one row per symbol, contiguous and read-only."""
    turned = np.ascontiguousarray(values.T, dtype=np.float64).view()
    turned.flags.writeable = False
    return turned
