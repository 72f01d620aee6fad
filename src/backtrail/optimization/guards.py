"""Guards of compiled steps: they raise where a machine number is not what Python would have made.

Python refuses the root of a negative number, and its whole numbers have no end; compiled code goes
on with NaN, or with the lowest 64 bits. A step that raises is stepped in Python, which then says
what it meant. It imports Numba.
"""

import builtins
import hashlib
import importlib
import math
import operator
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numba
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.untyped_passes import IRProcessing
from numba.extending import overload

__all__ = ["GUARDS_TEXT", "GuardedCompiler", "guarded"]

GUARDS_TEXT: Final = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
"""Checksum of this file, for who keeps what was compiled with it."""

_ir: Final[Any] = importlib.import_module("numba.core.ir")
_ir_utils: Final[Any] = importlib.import_module("numba.core.ir_utils")

_passes: Final[Any] = DefaultPassBuilder
_registered: Final[Any] = register_pass

_LIMIT: Final = 2.0**62  # whole numbers below it are far from where 64 bits end
_EXACT: Final = 2.0**52  # floats above it have no fraction
_DIGITS: Final = 22  # powers of ten that are floats without a rest
_TIE: Final = 1e-14  # of the scaled number; some fifty times the error of scaling it

# The rule of Python's own `math`: NaN comes of NaN alone, and infinity of infinity.
_OF_ONE: Final = frozenset(
    {"acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "expm1", "fabs"}
    | {"gamma", "lgamma", "log", "log10", "log1p", "log2", "sin", "sinh", "sqrt", "tan", "tanh"}
)
_OF_TWO: Final = frozenset({"atan2", "copysign", "hypot", "pow"})
_TO_WHOLE: Final = frozenset({"ceil", "floor", "int", "trunc"})


def guarded(names: Mapping[str, Any], used: Iterable[str]) -> dict[str, Any]:
    """Return the global names of a function with `math` and numbers of Python guarded.

    Args:
        names: What it finds under its global names.
        used: Names that its code has, also of attributes and of builtins.
    """
    used = set(used)
    found = {name: _guard(value) for name, value in names.items()}
    for name, value in names.items():
        if value is math:
            found[name] = module = types.ModuleType("math")
            for attribute in used & set(dir(math)):
                setattr(module, attribute, _guard(getattr(math, attribute)))
    for name in used & {"int", "pow", "round"} - names.keys():
        found[name] = _guard(getattr(builtins, name))
    return found


def _guard(value: Any) -> Any:
    """Return a function that raises where this one is not that of Python, or what is given."""
    if value is round:
        return _round
    if value is pow:
        return _power
    name: str = getattr(value, "__name__", "")
    function: Any = value
    if value is not int and (not name or getattr(math, name, None) is not value):
        return value
    if name in _OF_ONE:
        return _of_one(function)
    if name in _OF_TWO:
        return _of_two(function)
    return _to_whole(function) if name in _TO_WHOLE else value


def _of_one(function: Callable[[Any], Any]) -> Any:
    @numba.njit
    def call(x: Any) -> Any:
        found = function(x)
        if (math.isnan(found) and not math.isnan(x)) or (math.isinf(found) and math.isfinite(x)):
            raise ArithmeticError("a number that math refuses")
        return found

    return call


def _of_two(function: Callable[[Any, Any], Any]) -> Any:
    @numba.njit
    def call(x: Any, y: Any) -> Any:
        found = function(x, y)
        if math.isnan(found) and not (math.isnan(x) or math.isnan(y)):
            raise ArithmeticError("numbers that math refuses")
        if math.isinf(found) and math.isfinite(x) and math.isfinite(y):
            raise ArithmeticError("numbers that math refuses")
        return found

    return call


def _to_whole(function: Callable[[Any], Any]) -> Any:
    @numba.njit
    def call(x: Any) -> Any:
        if not abs(x * 1.0) < _LIMIT:
            raise ArithmeticError("a whole number beyond 64 bits, or none")
        return function(x)

    return call


def _rounded(x: Any, digits: Any = None) -> Any:
    raise NotImplementedError("of compiled code alone")


@overload(_rounded)
def _rounded_compiled(x: Any, digits: Any = None) -> Any:
    if digits is None or isinstance(digits, numba.types.NoneType | numba.types.Omitted):

        def whole(x: Any, digits: Any = None) -> Any:
            if not abs(x * 1.0) < _LIMIT:
                raise ArithmeticError("a whole number beyond 64 bits, or none")
            return round(x)

        return whole
    if isinstance(x, numba.types.Integer):
        return None

    def shorter(x: Any, digits: Any = None) -> Any:
        if not math.isfinite(x):
            return x
        if not 0 <= digits <= _DIGITS:
            raise ArithmeticError("digits that are rounded otherwise")
        scaled = x * 10.0**digits
        # Compiled it is the scaled number that is rounded, so a tie may not be one.
        fraction = scaled - math.floor(scaled)
        if abs(scaled) >= _EXACT or abs(fraction - 0.5) <= abs(scaled) * _TIE:
            raise ArithmeticError("a number that is rounded otherwise")
        return round(x, digits)

    return shorter


@numba.njit
def _round(x: Any, digits: Any = None) -> Any:
    return _rounded(x, digits)


def _raised(x: Any, y: Any) -> Any:
    if y < 0 or not abs(x * 1.0) ** y < _LIMIT:
        raise ArithmeticError("a whole number beyond 64 bits, or none")
    return x**y


def _shifted(x: Any, y: Any) -> Any:
    if y < 0 or not abs(x * 1.0) * 2.0**y < _LIMIT:
        raise ArithmeticError("a whole number beyond 64 bits, or none")
    return x << y


def _whole(of: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def call(x: Any, y: Any) -> Any:
        if not abs(of(x * 1.0, y * 1.0)) < _LIMIT:
            raise ArithmeticError("a whole number beyond 64 bits")
        return of(x, y)

    return call


_pow: Final = _of_two(math.pow)


def _pow_of_floats(x: Any, y: Any) -> Any:
    return _pow(x * 1.0, y * 1.0)


def _operator(
    of: Callable[[Any, Any], Any],
    whole: Callable[[Any, Any], Any],
    floats: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """Return an operator as a function.

    Args:
        of: The operator.
        whole: What it is of two whole numbers.
        floats: What it is of other numbers; the operator itself when None.
    """

    def plain(x: Any, y: Any) -> Any:
        raise NotImplementedError("of compiled code alone")

    @overload(plain)
    def compiled(x: Any, y: Any) -> Any:
        if isinstance(x, numba.types.Integer) and isinstance(y, numba.types.Integer):
            return whole
        numbers = numba.types.Integer | numba.types.Float
        if floats is not None and isinstance(x, numbers) and isinstance(y, numbers):
            return floats

        def itself(x: Any, y: Any) -> Any:
            return of(x, y)

        return itself

    @numba.njit
    def call(x: Any, y: Any) -> Any:
        return plain(x, y)

    return call


_power: Final = _operator(operator.pow, _raised, _pow_of_floats)
_OPERATORS: Final[dict[Any, Any]] = {
    operator.pow: _power,
    operator.ipow: _operator(operator.ipow, _raised, _pow_of_floats),
    operator.lshift: _operator(operator.lshift, _shifted),
    operator.ilshift: _operator(operator.ilshift, _shifted),
    operator.add: _operator(operator.add, _whole(operator.add)),
    operator.iadd: _operator(operator.iadd, _whole(operator.add)),
    operator.sub: _operator(operator.sub, _whole(operator.sub)),
    operator.isub: _operator(operator.isub, _whole(operator.sub)),
    operator.mul: _operator(operator.mul, _whole(operator.mul)),
    operator.imul: _operator(operator.imul, _whole(operator.mul)),
}


@_registered(mutates_CFG=False, analysis_only=False)
class _GuardOperators(FunctionPass):
    """Puts guards in the place of operators, while the code has no types yet."""

    _name = "guard_operators"

    def __init__(self) -> None:  # the base's is abstract, and does nothing
        pass

    def run_pass(self, state: Any) -> bool:
        """Change the code in place and say whether anything changed."""
        code, is_changed = state.func_ir, False
        for block in code.blocks.values():
            for assign in list(block.find_insts(_ir.Assign)):
                value = assign.value
                if not isinstance(value, _ir.Expr) or value.op not in ("binop", "inplace_binop"):
                    continue
                if value.fn not in _OPERATORS:
                    continue
                guard = _ir.Var(block.scope, _ir_utils.mk_unique_var("guard"), assign.loc)
                named = _ir.Global("guard", _OPERATORS[value.fn], assign.loc)
                block.body.insert(block.body.index(assign), _ir.Assign(named, guard, assign.loc))
                code._definitions[guard.name] = [named]
                places = code._definitions[assign.target.name]
                assign.value = _ir.Expr.call(guard, [value.lhs, value.rhs], (), assign.loc)
                places[places.index(value)] = assign.value
                is_changed = True
        return is_changed


class GuardedCompiler(CompilerBase):
    """Numba's compiler with guards for the operators of whole numbers and powers."""

    def define_pipelines(self) -> list[Any]:
        """Return Numba's own passes with one more."""
        passes: Any = _passes.define_nopython_pipeline(self.state)
        passes.add_pass_after(_GuardOperators, IRProcessing)
        passes.finalize()
        return [passes]
