"""Indicators that a strategy declares: computed once for a run, and held to their own past."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import FIELDS
from backtrail.engine.market import Market
from backtrail.errors import StrategyError

__all__ = ["Declaration", "compute"]

FloatArray = npt.NDArray[np.float64]

UNITS: Final = ("price", "volume", "ratio")
_CUTS: Final = 12
_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Declaration:
    """An indicator.

    Attributes:
        name: What it is looked up by.
        function: Arrays in, array out.
        fields: Its inputs.
        unit: `price`, `volume` or `ratio`; None when it was not said.
        arguments: Handed on to the function by name.
    """

    name: str
    function: Callable[..., Any]
    fields: tuple[str, ...]
    unit: str | None
    arguments: Mapping[str, Any]

    def __post_init__(self) -> None:
        where = f"indicator {self.name!r}"
        if not callable(self.function):
            raise StrategyError(f"{where} is {self.function!r}; pass a function of arrays")
        unknown = [field for field in self.fields if field not in FIELDS]
        if unknown or not self.fields:
            found = ", ".join(map(repr, unknown)) or "no field"
            raise StrategyError(f"{where} has {found}; use some of {', '.join(FIELDS)}")
        if self.unit is not None and self.unit not in UNITS:
            raise StrategyError(f"{where} has the unit {self.unit!r}; one of {', '.join(UNITS)}")


def compute(declaration: Declaration, market: Market, symbol: str) -> FloatArray:
    """Return an indicator of a symbol's own bars, in units of forward split-adjusted prices.

    The function sees whole columns, so it could look ahead. It is therefore called again with
    histories that end early, at up to twelve bars between the first and the last, and has to give
    the same values for the bars that are left.

    Raises:
        StrategyError: If the function gives no array of the right shape, looks ahead, or gives
            values of no stated unit for a symbol that splits.
    """
    factor = market.own_factors[market.index[symbol]]
    if factor is not None and declaration.unit is None:
        raise StrategyError(
            f"indicator {declaration.name!r} has no unit, and {symbol} splits; declare it with"
            " unit='price', 'volume' or 'ratio'"
        )
    inputs = [_adjusted(market, symbol, field, factor) for field in declaration.fields]
    values = _call(declaration, symbol, inputs)
    _check_past(declaration, symbol, inputs, values)
    return values


def _adjusted(market: Market, symbol: str, field: str, factor: FloatArray | None) -> FloatArray:
    values = market.columns[symbol, field]
    if factor is not None:
        values = values / factor if field == "volume" else values * factor
        values.flags.writeable = False
    return values


def _call(declaration: Declaration, symbol: str, inputs: list[FloatArray]) -> FloatArray:
    found = declaration.function(*inputs, **declaration.arguments)
    shape = inputs[0].shape
    if not isinstance(found, np.ndarray) or found.shape != shape or found.dtype.kind not in "fiub":
        what = f"shape {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        raise StrategyError(
            f"indicator {declaration.name!r} of {symbol} returned {what}; return an array of"
            f" numbers of shape {shape}, NaN where there is no value yet"
        )
    values = np.array(found, dtype=np.float64)
    values.flags.writeable = False
    return values


def _check_past(
    declaration: Declaration, symbol: str, inputs: list[FloatArray], values: FloatArray
) -> None:
    n = len(values)
    # The last bars and places all over the history: peeking by one bar shows at every cut.
    ends = {n - 1, n - 2, *(n * step // _CUTS for step in range(1, _CUTS))}
    for end in sorted(end for end in ends if 0 < end < n):
        again = _call(declaration, symbol, [column[:end] for column in inputs])
        same = np.isclose(again, values[:end], rtol=_TOLERANCE, atol=0.0, equal_nan=True)
        if not same.all():
            row = int(np.argmin(same))
            raise StrategyError(
                f"indicator {declaration.name!r} of {symbol} looks ahead: at its bar {row} it is"
                f" {again[row]!r} when the history ends after bar {end - 1}, and {values[row]!r}"
                " with later bars; let a value depend on its own and earlier bars only"
            )
