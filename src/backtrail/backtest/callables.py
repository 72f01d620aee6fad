"""From the functions or the class that a script hands over to the file and names they have."""

import operator
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from inspect import getattr_static, unwrap
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from backtrail.engine.algorithm import TradingAlgorithm
from backtrail.engine.strategy import (
    Strategy,
    load_strategy,
    metrics_of,
    params_type_of,
    strategy_of,
)
from backtrail.errors import StrategyError

__all__ = ["LiveStrategy", "code_parts", "live_strategy", "same_code"]

_KIND = 0x3FF  # flags of a code object that say what it is, not how annotations are kept
_ROLES = ("initialize", "handle_data", "analyze", "before_trading_start")


@dataclass(frozen=True)
class LiveStrategy:
    """A strategy as objects of this process.

    Attributes:
        named: The functions under `initialize`, `handle_data`, `analyze`,
            `before_trading_start`, or the class under `class`.
    """

    named: Mapping[str, Any]

    @property
    def principal(self) -> Any:
        """The class, or `handle_data`."""
        return self.named.get("class", self.named.get("handle_data"))

    @property
    def module(self) -> ModuleType | None:
        """The module they were defined in; None when it is no module of this process."""
        return sys.modules.get(getattr(self.principal, "__module__", None) or "")

    @property
    def name(self) -> str:
        """What the strategy is called in full: module and name."""
        name = getattr(self.principal, "__qualname__", type(self.principal).__qualname__)
        return f"{getattr(self.principal, '__module__', None) or '?'}:{name}"

    def defined_in(self) -> Path | None:
        """Return the file of the class or of `handle_data`, if there is such a file."""
        path = Path(_file_of(self.principal))
        return path.absolute() if path.is_file() else None

    def loaded(self) -> Strategy:
        """Return the strategy as the engine takes it, with `Params` and metrics of its module.

        Raises:
            StrategyError: If the class has no `handle_data`, or `Params` is no frozen dataclass.
        """
        params_type = None if self.module is None else params_type_of(self.module)
        if "class" in self.named:
            strategy = strategy_of(self.named["class"], params_type)
        else:
            strategy = Strategy(self.name, "function", params_type, **self.named)
        metrics = () if self.module is None else metrics_of(self.module)
        return replace(strategy, metrics=metrics)

    def qualified_names(self) -> dict[str, str] | None:
        """Return the names by which they are found again in their file.

        Returns:
            None when a look at the file alone finds just these.

        Raises:
            StrategyError: If one of them cannot be found by its name.
        """
        for role, item in self.named.items():
            _require_findable(role, item)
        assert self.module is not None
        try:
            default = load_strategy(self.module)
        except StrategyError:  # nothing, or several things that could be meant
            default = None
        if default is not None and self._is(default):
            return None
        return {role: item.__qualname__ for role, item in self.named.items()}

    def _is(self, default: Strategy) -> bool:
        if "class" in self.named:
            return default.algorithm is self.named["class"]
        return default.form == "function" and all(
            getattr(default, role) is self.named.get(role) for role in _ROLES
        )

    def file(self) -> Path:
        """Return the file they were defined in, and check that it still says what they are.

        Raises:
            StrategyError: If that is no file, more than one, or one that has changed since.
        """
        files = {role: _file_of(item) for role, item in self.named.items()}
        if len(set(files.values())) > 1:
            listed = ", ".join(f"{role} in {file}" for role, file in files.items())
            raise StrategyError(
                f"a strategy has one file, and these functions have several: {listed}; define them "
                "in one file, or import what they share from another"
            )
        file = Path(next(iter(files.values())))
        if not file.is_file():
            raise StrategyError(
                f"{self.principal.__qualname__} was defined in {file}, which is no file; write the "
                "strategy into a file and pass it, or pass enabled=False"
            )
        for role, item in self.named.items():
            _require_unchanged(role, item, file)
        return file.absolute()


def live_strategy(
    initialize: Callable[..., Any] | None,
    handle_data: Callable[..., Any] | None,
    analyze: Callable[..., Any] | None,
    algorithm: type[TradingAlgorithm] | None,
    before_trading_start: Callable[..., Any] | None = None,
) -> LiveStrategy | None:
    """Return what a call hands over, or None when it hands over nothing.

    Raises:
        StrategyError: If it is neither functions nor a class, or both.
    """
    functions = dict(
        zip(_ROLES, (initialize, handle_data, analyze, before_trading_start), strict=True)
    )
    given = {role: item for role, item in functions.items() if item is not None}
    if algorithm is not None:
        if given:
            raise StrategyError(
                f"both algorithm and {', '.join(given)} were passed; a class brings its own"
            )
        if not (isinstance(algorithm, type) and issubclass(algorithm, TradingAlgorithm)):
            raise StrategyError(
                f"algorithm is {algorithm!r}; pass a subclass of TradingAlgorithm, not an instance"
            )
        return LiveStrategy({"class": algorithm})
    if not given:
        return None
    if "handle_data" not in given:
        raise StrategyError(f"{', '.join(given)} was passed without handle_data; pass it, too")
    for role, item in given.items():
        if not callable(item):
            raise StrategyError(f"{role} is {item!r}, which cannot be called; pass a function")
    return LiveStrategy(given)


_ADVICE = (
    "a run executes from a copy of the file and looks the function up by its name. Define it with "
    "`def` at the top level of a file or cell, and hand values over in params; or pass "
    "enabled=False or code_capture_mode=None for a run in this process"
)


def _require_findable(role: str, item: Any) -> None:
    """Refuse what a copy of the file could not give back."""
    qualname = getattr(item, "__qualname__", None)
    if qualname is None or not isinstance(item, (FunctionType, type)):
        raise StrategyError(f"{role} is {item!r} and no plain function: {_ADVICE}")
    if "<lambda>" in qualname:
        raise StrategyError(f"{role} is a lambda, which has no name: {_ADVICE}")
    if "<locals>" in qualname:
        outer = qualname.partition(".<locals>")[0]
        raise StrategyError(f"{role} is defined inside of {outer}: {_ADVICE}")
    try:
        found = operator.attrgetter(qualname)(sys.modules.get(item.__module__))
    except AttributeError:
        found = None
    if found is not item:
        raise StrategyError(
            f"{role} is called {qualname}, and {item.__module__}.{qualname} is something else; "
            f"give it a name of its own: {_ADVICE}"
        )


def _functions_of(item: Any) -> Iterator[FunctionType]:
    """Yield the functions a class defines itself, or the one that a decorator wraps."""
    if isinstance(item, type):
        for value in vars(item).values():
            function = getattr(value, "__func__", value)
            if isinstance(function, FunctionType) and function.__module__ == item.__module__:
                yield unwrap(function)
    elif isinstance(item, FunctionType):
        yield unwrap(item)


def _file_of(item: Any) -> str:
    """Return where a class or function was defined, as its code says; empty where nothing does."""
    while isinstance(item, partial | MethodType):
        item = item.func if isinstance(item, partial) else item.__func__
    if not isinstance(item, type | FunctionType):
        item = getattr_static(type(item), "__call__", None)
    for function in _functions_of(item):
        return str(function.__code__.co_filename)
    module = sys.modules.get(getattr(item, "__module__", None) or "")
    return str(getattr(module, "__file__", None) or "") if isinstance(item, type) else ""


def _require_unchanged(role: str, item: Any, file: Path) -> None:
    parts = code_parts(compile(file.read_bytes(), str(file), "exec", dont_inherit=True))
    for function in _functions_of(item):
        code = function.__code__
        if code.co_filename != str(file):
            continue
        found = parts.get(code.co_qualname, [])
        if not any(same_code(code, candidate) for candidate in found):
            raise StrategyError(
                f"{code.co_qualname}, passed as {role}, is not what {file} says now: the file was "
                "changed after it was imported. Start again, or reload the module"
            )


def code_parts(code: CodeType) -> dict[str, list[CodeType]]:
    """Return every code object inside a compiled file by its qualified name."""
    found: dict[str, list[CodeType]] = {}
    for part in code.co_consts:
        if isinstance(part, CodeType):
            found.setdefault(part.co_qualname, []).append(part)
            for name, more in code_parts(part).items():
                found.setdefault(name, []).extend(more)
    return found


def same_code(one: CodeType, other: CodeType) -> bool:
    """Say whether two code objects do the same, wherever in a file they stand."""
    plain = ("co_code", "co_names", "co_varnames", "co_freevars", "co_argcount")
    return (
        (one.co_flags ^ other.co_flags) & _KIND == 0
        and all(getattr(one, name) == getattr(other, name) for name in plain)
        and len(one.co_consts) == len(other.co_consts)
        and all(
            same_code(a, b)
            if isinstance(a, CodeType) and isinstance(b, CodeType)
            else type(a) is type(b)
            and (repr(a) == repr(b) or (isinstance(a, frozenset) and a == b))
            for a, b in zip(one.co_consts, other.co_consts, strict=True)
        )
    )
