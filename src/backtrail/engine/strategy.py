"""From an imported strategy module to something that can be run, and its parameters."""

import dataclasses
import inspect
import operator
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final

from backtrail.engine.algorithm import TradingAlgorithm
from backtrail.engine.calling import check_call
from backtrail.engine.stepping import MEMORY_SIZE, Step, returns_nothing
from backtrail.errors import StrategyError
from backtrail.metrics.own import OwnMetric, own_metrics
from backtrail.metrics.summary import metric_names

__all__ = [
    "LOADING",
    "EntryReached",
    "Strategy",
    "load_strategy",
    "metrics_of",
    "params_from",
    "params_type_of",
]

_ROLES: Final = {
    "initialize": ("context",),
    "handle_data": ("context", "data"),
    "analyze": ("context", "perf"),
    "before_trading_start": ("context", "data"),
}
_WEIGHING: Final = {"target_weights": "signal", "step": "step"}
_FUNCTIONS: Final = ("handle_data", *_WEIGHING)

LOADING: ContextVar[bool] = ContextVar("backtrail_loading", default=False)
"""Whether a strategy file is being loaded for a run that another call has begun."""


class EntryReached(BaseException):
    """A script that is loaded as a strategy has reached the call that would run it.

    What the script defined until then is the strategy. No `except Exception` catches it.
    """


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy ready to run.

    Attributes:
        name: Name of the module, or of the class.
        form: `class`, `function`, `signal` or `step`.
        params_type: The module's `Params` dataclass; None without one.
        algorithm: The class of the class form.
        initialize: Of the function form; None when it has none.
        handle_data: Of the function form.
        analyze: Of the function form; None when it has none.
        target_weights: Of the signal form; of the step form a `Step`. None in event form.
        before_trading_start: Of the function form; None when it has none.
        metrics: Metrics of its own that the module defines.
    """

    name: str
    form: str
    params_type: type[Any] | None = None
    algorithm: type[TradingAlgorithm] | None = None
    initialize: Callable[..., Any] | None = None
    handle_data: Callable[..., Any] | None = None
    analyze: Callable[..., Any] | None = None
    target_weights: Callable[..., Any] | None = None
    before_trading_start: Callable[..., Any] | None = None
    metrics: tuple[OwnMetric, ...] = ()

    @property
    def gives_weights(self) -> bool:
        """Whether it is in signal form or step form, for `run_signal`; else in event form."""
        return self.target_weights is not None


def load_strategy(module: types.ModuleType, functions: Mapping[str, str] | None = None) -> Strategy:
    """Return the strategy that an imported module defines.

    A module has exactly one form: one subclass of `TradingAlgorithm` defined in it (a class that
    others in the module derive from does not count), or `handle_data`, or `target_weights`, or
    `step`. A class named `Params` in it has to be a frozen dataclass with a default for every
    field. Functions in it that `backtrail.metrics.metric` marks are metrics of its runs.

    Args:
        module: The imported module.
        functions: What of the module is the strategy, when it is not found by name: qualified
            names under `initialize`, `handle_data`, `analyze` and `before_trading_start`, or one
            under `class`.

    Raises:
        StrategyError: If there is no form, more than one, a name in `functions` that the module
            does not define, a `Params` that is no frozen dataclass with defaults, or a metric
            that cannot be one.
    """
    found = _found(module) if functions is None else _named_strategy(module, functions)
    _check_calls(found)
    return dataclasses.replace(found, metrics=metrics_of(module))


def metrics_of(module: types.ModuleType) -> tuple[OwnMetric, ...]:
    """Return the metrics that a module defines or imports.

    Raises:
        StrategyError: If one has a name that is taken, or takes what there is not.
    """
    return own_metrics(vars(module), strategy=module.__name__, builtin=metric_names)


def _found(module: types.ModuleType) -> Strategy:
    name = module.__name__
    algorithms = _algorithms(module)
    forms = [f"class {algorithm.__name__}" for algorithm in algorithms]
    forms += [name for name in _FUNCTIONS if callable(getattr(module, name, None))]
    if len(forms) != 1:
        functions = forms[len(algorithms) :]
        helper = ""
        if len(forms) > 1 and functions:
            helper = (
                f"; if {functions[-1]} is a helper, give it another name, as _{functions[-1]}, or"
                " import its module in place of it: at the top of a file the name means a strategy"
            )
        raise StrategyError(
            f"strategy {name} has {' and '.join(forms) or 'no entry point'}; define exactly one of:"
            " a subclass of TradingAlgorithm, handle_data(context, data),"
            f" target_weights(bars, params), or step(close, weight, ...){helper}"
        )
    params_type = params_type_of(module)
    if algorithms:
        return strategy_of(algorithms[0], params_type)
    if forms[0] in _WEIGHING:
        return _weighing(module, forms[0], params_type)
    return Strategy(
        name,
        "function",
        params_type,
        initialize=getattr(module, "initialize", None),
        handle_data=module.handle_data,
        analyze=getattr(module, "analyze", None),
        before_trading_start=getattr(module, "before_trading_start", None),
    )


def _check_calls(strategy: Strategy) -> None:
    """Refuse functions that do not take what they are called with."""
    for role, given in _ROLES.items():
        if strategy.algorithm is not None:
            function = inspect.getattr_static(strategy.algorithm, role)
            if isinstance(function, types.FunctionType):
                where = f"{role} of class {strategy.name}"
                check_call(function, ("self", *given), where)
        elif getattr(strategy, role) is not None:
            check_call(getattr(strategy, role), given, f"{role} of strategy {strategy.name}")
    if strategy.algorithm is not None:
        check_call(strategy.algorithm, (), f"class {strategy.name}")
    weights = strategy.target_weights
    if isinstance(weights, Step):
        if weights.inputs is not None:
            check_call(weights.inputs, ("bars", "params"), f"inputs of strategy {strategy.name}")
    elif weights is not None:
        check_call(weights, ("bars", "params"), f"target_weights of strategy {strategy.name}")


def _weighing(module: types.ModuleType, function: str, params_type: type[Any] | None) -> Strategy:
    """Return a strategy of the signal form or of the step form."""
    name, form = module.__name__, _WEIGHING[function]
    if callable(getattr(module, "before_trading_start", None)):
        raise StrategyError(
            f"strategy {name} has {function} and before_trading_start; the {form} form has"
            " no bars to run before, so drop one of them"
        )
    weights = getattr(module, function)
    if form == "step":
        inputs = getattr(module, "inputs", None)
        memory_size = getattr(module, "MEMORY", MEMORY_SIZE)
        weights = Step(name, weights, inputs, params_type, memory_size)
        if returns_nothing(weights.function):
            raise StrategyError(
                f"step of strategy {name} returns a value at no place, so it would never trade;"
                " let it return the target weight, a fraction of the portfolio value"
            )
    return Strategy(name, form, params_type, target_weights=weights)


def _named_strategy(module: types.ModuleType, functions: Mapping[str, str]) -> Strategy:
    name = module.__name__
    params_type = params_type_of(module)
    found = {role: _named(module, role, qualname) for role, qualname in functions.items()}
    if set(found) == {"class"}:
        algorithm = found["class"]
        if not (isinstance(algorithm, type) and issubclass(algorithm, TradingAlgorithm)):
            raise StrategyError(
                f"{functions['class']} of strategy {name} is no subclass of TradingAlgorithm"
            )
        return strategy_of(algorithm, params_type)
    if "handle_data" not in found or found.keys() - _ROLES.keys():
        raise StrategyError(
            f"strategy {name} is given by {', '.join(sorted(found)) or 'nothing'}; name a class,"
            " or handle_data and if wanted initialize, analyze and before_trading_start"
        )
    return Strategy(
        name,
        "function",
        params_type,
        initialize=found.get("initialize"),
        handle_data=found["handle_data"],
        analyze=found.get("analyze"),
        before_trading_start=found.get("before_trading_start"),
    )


def _named(module: types.ModuleType, role: str, qualname: str) -> Callable[..., Any]:
    try:
        found = operator.attrgetter(qualname)(module)
    except AttributeError:
        raise StrategyError(
            f"strategy {module.__name__} defines no {qualname!r}, which was given as {role};"
            " define it at the top of its file, above the call that runs it"
        ) from None
    if not callable(found):
        raise StrategyError(
            f"{qualname!r} of strategy {module.__name__}, given as {role}, is"
            f" {type(found).__name__} and cannot be called"
        )
    return typing.cast("Callable[..., Any]", found)


def strategy_of(
    algorithm: type[TradingAlgorithm], params_type: type[Any] | None = None
) -> Strategy:
    """Return the strategy of a class.

    Raises:
        StrategyError: If it has no `handle_data`.
    """
    if algorithm.handle_data is TradingAlgorithm.handle_data:
        raise StrategyError(
            f"class {algorithm.__name__} has no handle_data; define handle_data(context, data)"
        )
    return Strategy(algorithm.__name__, "class", params_type, algorithm=algorithm)


_PLAIN: Final = (bool, int, float, str)


def params_from(strategy: Strategy, values: Mapping[str, Any] | None = None) -> Any:
    """Return the strategy's `Params` with the given values, the rest by default.

    Values are checked against the annotations: `int`, `float` (an int will do), `bool`, `str`,
    `Decimal` (a number or its text), `Literal`, unions, and `tuple` (a list will do); other
    annotations accept everything. Without a `Params` class and without values, returns None.

    Raises:
        StrategyError: If parameters are unknown or mistyped (all are named at once), or `Params`
            refuses their combination.
    """
    params_type = strategy.params_type
    if values and params_type is not None:
        plain = _plain_hints(typing.cast(Hashable, params_type))
        for name, value in values.items():
            if type(value) is not plain.get(name):
                break
        else:  # as nearly always in a sweep
            return _made(strategy, params_type, values)
    values = dict(values or {})
    if params_type is None:
        if values:
            given = ", ".join(sorted(values))
            raise StrategyError(
                f"strategy {strategy.name} takes no parameters, got {given}; define a frozen"
                " dataclass Params in its module"
            )
        return None
    hints = _hints(typing.cast(Hashable, params_type))
    known = set(hints)
    mistakes = [
        f"unknown parameter {name!r} (there are: {', '.join(sorted(known)) or 'none'})"
        for name in sorted(set(values) - known)
    ]
    for name in sorted(known & set(values)):
        try:
            values[name] = _converted(values[name], hints[name])
        except ValueError as error:
            mistakes.append(f"parameter {name!r} is {values[name]!r}, expected {error}")
    if mistakes:
        raise StrategyError(f"strategy {strategy.name}: {'; '.join(mistakes)}")
    return _made(strategy, params_type, values)


def _made(strategy: Strategy, params_type: type[Any], values: Mapping[str, Any]) -> Any:
    try:
        return params_type(**values)
    except ValueError as error:
        raise StrategyError(f"strategy {strategy.name} refuses its parameters: {error}") from error


@cache
def _hints(params_type: Hashable) -> dict[str, Any]:
    """Return the annotation of every parameter; a sweep asks ten thousand times."""
    hints = typing.get_type_hints(params_type)
    fields = dataclasses.fields(typing.cast(Any, params_type))
    return {field.name: hints[field.name] for field in fields if field.init}


@cache
def _plain_hints(params_type: Hashable) -> dict[str, Any]:
    """Return the annotations of which a value's own type says all."""
    return {name: hint for name, hint in _hints(params_type).items() if hint in _PLAIN}


def _algorithms(module: types.ModuleType) -> list[type[TradingAlgorithm]]:
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, TradingAlgorithm)
        and value.__module__ == module.__name__
    ]
    return [
        one
        for one in found
        if not any(other is not one and issubclass(other, one) for other in found)
    ]


def params_type_of(module: types.ModuleType) -> type[Any] | None:
    """Return a module's class `Params`, or None without one.

    Raises:
        StrategyError: If it is no frozen dataclass, or a field has no default.
    """
    params_type = getattr(module, "Params", None)
    if params_type is None:
        return None
    options = getattr(params_type, "__dataclass_params__", None)
    if not isinstance(params_type, type) or options is None or not options.frozen:
        raise StrategyError(
            f"Params of strategy {module.__name__} is no frozen dataclass;"
            " decorate it with @dataclass(frozen=True)"
        )
    known = {field.name for field in dataclasses.fields(params_type)}
    bare = [
        name
        for name, value in vars(params_type).items()
        if isinstance(value, _PLAIN) and not name.startswith("_") and name not in known
    ]
    if bare:
        raise StrategyError(
            f"Params of strategy {module.__name__} has {', '.join(bare)} without a type, so no run"
            f" can set it; write {bare[0]}: {type(vars(params_type)[bare[0]]).__name__} ="
            f" {vars(params_type)[bare[0]]!r}, or a constant outside of Params"
        )
    missing = [
        field.name
        for field in dataclasses.fields(params_type)
        if field.init
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise StrategyError(
            f"Params of strategy {module.__name__} has no default for {', '.join(missing)};"
            " give every parameter one"
        )
    return params_type


def _converted(value: Any, hint: Any) -> Any:
    """Return a value as its annotation says; a ValueError carries what was expected."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if not any(value == choice and type(value) is type(choice) for choice in arguments):
            raise ValueError(f"one of {', '.join(map(repr, arguments))}")
        return value
    if origin in (typing.Union, types.UnionType):
        return _converted_to_any(value, arguments)
    if hint is tuple or origin is tuple:
        return _converted_tuple(value, arguments)
    if hint is type(None):
        if value is not None:
            raise ValueError("null")
        return None
    if hint is Decimal:
        return _converted_decimal(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (bool, int, float, str) and type(value) is not hint:
        raise ValueError(hint.__name__)
    return value


def _converted_to_any(value: Any, hints: tuple[Any, ...]) -> Any:
    expected = []
    for hint in hints:
        try:
            return _converted(value, hint)
        except ValueError as error:
            expected.append(str(error))
    raise ValueError(" or ".join(expected))


def _converted_tuple(value: Any, hints: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError("a list")
    if not hints:
        return tuple(value)
    if len(hints) == 2 and hints[1] is Ellipsis:
        return tuple(_converted(item, hints[0]) for item in value)
    if len(value) != len(hints):
        raise ValueError(f"a list of {len(hints)}")
    return tuple(_converted(item, hint) for item, hint in zip(value, hints, strict=True))


def _converted_decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise ValueError("a number")
    try:
        return Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise ValueError("a number") from None
