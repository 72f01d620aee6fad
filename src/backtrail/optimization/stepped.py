"""Weights of a strategy in step form for the sets of a sweep, by Numba or in Python."""

import logging
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.engine import SignalBars
from backtrail.engine.bars import FIELDS
from backtrail.engine.stepping import Step, StepArguments, by_symbol

__all__ = ["SteppedWeights"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_log = logging.getLogger(__name__)


class SteppedWeights:
    """Steps along the same bars for one parameter set after another.

    Python says what a step means. Compiled it has to give the same weights for the first set of
    each types of parameters, and where it raises it is stepped in Python once more, so that the
    error is Python's, too. Where Python does not raise, or a global that the step names is not what
    it was, all further sets are stepped in Python, which is said.

    Args:
        step: The step.
        bars: Its bars.
    """

    def __init__(self, step: Step, bars: SignalBars) -> None:
        self._step: Final = step
        self._bars: Final = bars
        self._prices: Final[dict[str, FloatArray]] = {
            name: by_symbol(getattr(bars, name)) for name in FIELDS if name in step.names
        }
        self._missing: Final = np.ascontiguousarray(np.isnan(bars.close).T)
        self._weights: Final = np.empty(self._missing.shape[::-1])
        self._rows: Final = np.empty(len(self._weights), dtype=np.int64)
        self._values: Final = np.empty(len(self._weights))
        self._count = -1
        self._compiled: Any = None

    def of(self, params: object, *, compiled: bool) -> FloatArray:
        """Return the targets in force at each bar, shape (n, k), until the next call.

        Args:
            params: The parameter set.
            compiled: Whether to use Numba, if it can compile the step.

        Raises:
            StrategyError: If the step returned no number, or an infinite one.
        """
        self._count = -1
        if not (compiled and self._is_compiled()):
            return self._step(self._bars, params)
        given = self._step.arguments(self._bars, params, self._prices)
        if not self._compiled.is_current():
            self._give_up("a global that it names was changed since the sweep began")
            return self._step(self._bars, params)
        why = self._fill(given)
        if why is None and self._is_right(params, given):
            return self._weights
        self._count = -1
        plain = self._step(self._bars, params)
        if why is not None and self._compiled.refused is None:
            self._give_up(f"compiled it raises {why}, in Python it does not")
        return plain

    @property
    def changes(self) -> tuple[IntArray, FloatArray] | None:
        """Rows at which the target changes in what `of` returned last, and the targets there.

        None where they have to be looked for: of several symbols, and of weights from Python.
        """
        if self._count < 0 or len(self._missing) > 1:
            return None
        return self._rows[: self._count], self._values[: self._count]

    def _is_compiled(self) -> bool:
        """Say whether there is a compiled step that nothing speaks against."""
        if self._compiled is None:
            from backtrail.optimization.compiled_step import compiled_step  # imports Numba

            self._compiled = compiled_step(self._step)
        return self._compiled.refused is None

    def _fill(self, given: StepArguments) -> str | None:
        """Step in compiled code; say what it raised, or None."""
        from backtrail.optimization.compiled_step import NotCompiledError

        try:
            self._count = self._compiled.fill(
                self._weights, self._rows, self._values, self._missing, given
            )
        except NotCompiledError as error:
            self._give_up(str(error))
            return "nothing"
        except Exception as error:  # noqa: BLE001  the step's own, which Python will raise, too
            return f"{type(error).__name__} ({error})"
        return None if self._count >= 0 else "an error of an infinite weight"

    def _is_right(self, params: object, given: StepArguments) -> bool:
        """Hold the weights of the first set of each types against those of Python."""
        types = tuple(map(_kind, given.constants.values()))
        if types in self._compiled.checked:
            return True
        self._compiled.checked.add(types)
        try:
            plain = self._step(self._bars, params)
        except Exception as error:  # noqa: BLE001  whatever the user's code raises
            self._give_up(f"compiled it does not raise {type(error).__name__}: {error}")
            return False
        differs = (plain != self._weights) & ~(np.isnan(plain) & np.isnan(self._weights))
        if not differs.any():
            return True
        row, column = (int(axis[0]) for axis in np.nonzero(differs))
        self._give_up(
            f"for {self._bars.symbols[column]} at bar {row} it would ask for"
            f" {float(self._weights[row, column])!r}, in Python for {float(plain[row, column])!r}"
        )
        return False

    def _give_up(self, why: str) -> None:
        self._compiled.refused = why
        _log.warning(
            "step of strategy %s is not compiled (%s): it is stepped in Python, some hundred times"
            " slower; let it use numbers, math and NumPy alone, or pass compiled=False",
            self._step.name,
            why,
        )


def _kind(value: object) -> object:
    """Return what a value is to compiled code: another kind of it is compiled anew."""
    return tuple(map(_kind, value)) if isinstance(value, tuple) else type(value)
