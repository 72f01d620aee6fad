"""Steps compiled by Numba: the loop over bars, written for one step and kept by its content.

It imports Numba, which takes longer than a small sweep does without it.
"""

import builtins
import hashlib
import inspect
import os
import re
import shutil
import sys
import tempfile
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError, NumbaWarning, UnsupportedBytecodeError

from backtrail.engine.stepping import Step, StepArguments
from backtrail.optimization.guards import GUARDS_TEXT, GuardedCompiler, guarded

__all__ = ["CompiledStep", "NotCompiledError", "compiled_step", "content_of", "forget_old"]

FloatArray = npt.NDArray[np.float64]

_KEPT: Final = 64  # compiled steps that stay on disk
_DAY: Final = 86_400.0
# What is asked of a step is what Python gives it: errors where Python has errors.
_OPTIONS: Final[dict[str, Any]] = {"error_model": "python", "boundscheck": True, "nogil": True}
_OPTIONS_OF_LOOP: Final[dict[str, Any]] = {"error_model": "numpy", "nogil": True}
# What Numba keeps names a module, which has to be there when it is loaded.
_OWN_NAMES: Final[dict[str, Any]] = {"__name__": __name__, "__builtins__": builtins}
_REFUSALS: Final = (NumbaError, NumbaWarning, UnsupportedBytecodeError)
_LOOP_FILE: Final = "loop.txt"  # no source of the library's: those are in its fingerprint
_UNKEPT: Final = "<step>"
_NOT_OF_STEPS: Final = (_UNKEPT, _LOOP_FILE, "guards.py")
_LONGEST_WORDS: Final = 300

_LOOP: Final = """
def loop(weights, rows, values, missing, memory_size{parameters}):
    changes = 0
    for column in range(missing.shape[0]):
        memory = np.zeros(memory_size)
        weight = 0.0
        changes = 0
        for row in range(missing.shape[1]):
            if missing[column, row]:
                weights[row, column] = np.nan
                continue
            found = step({arguments})
            if found is not None:
                found = 1.0 * found
                if found == found and found != weight:
                    if abs(found) == np.inf:
                        return -1
                    weight = found
                    rows[changes] = row
                    values[changes] = found
                    changes += 1
            weights[row, column] = weight
    return changes
"""


class NotCompiledError(Exception):
    """Numba cannot compile a step."""


class CompiledStep:
    """A step as one compiled loop over the bars of every symbol.

    What it is compiled to is kept on disk under the content of all it is made of, so that another
    process finds it, and a change of it does not. Functions that the step calls need no decorator.

    Args:
        step: The step.
        content: From `content_of`.

    Attributes:
        checked: Types of constants with which it was held against the step in Python; for who
            calls it to say.
        refused: Why it is not to be used, likewise; None while it is.
    """

    def __init__(self, step: Step, content: str | None) -> None:
        self.checked: set[tuple[Any, ...]] = set()
        self.refused: str | None = None
        self._step: Final = step
        self._content: Final = content
        self._order: Final = tuple(n for n in step.names if n not in ("weight", "memory"))
        self._loop: Any = None
        self._named: Final = tuple(_named_globals(step.function, set()))

    def is_current(self) -> bool:
        """Say whether every global that the step names is what it was when this was made."""
        return all(
            there.get(name) is value and (held is None or np.asarray(value).tobytes() == held)
            for there, name, value, held in self._named
        )

    def fill(
        self,
        weights: FloatArray,
        rows: npt.NDArray[np.int64],
        values: FloatArray,
        missing: npt.NDArray[np.bool_],
        given: StepArguments,
    ) -> int:
        """Write the targets in force at each bar.

        Args:
            weights: Takes them, shape (n, k).
            rows: Takes the bars at which the last symbol's target changes, shape (n,).
            values: Takes its targets there.
            missing: Where a symbol has no bar, shape (k, n).
            given: From `Step.arguments`.

        Returns:
            How often the last symbol's target changes; minus one when the step returned an
            infinite weight.

        Raises:
            NotCompiledError: If Numba cannot compile the step.
        """
        columns, constants = given.columns, given.constants
        passed = [columns[n] if n in columns else constants[n] for n in self._order]
        arguments = (weights, rows, values, missing, self._step.memory_size, *passed)
        try:
            if self._loop is None:
                self._loop = self._compile(frozenset(columns), arguments)
            return int(self._loop(*arguments))
        except _REFUSALS as error:
            raise NotCompiledError(_words(self._step, error)) from None

    def _compile(self, columns: frozenset[str], arguments: tuple[Any, ...]) -> Any:
        """Return the loop over bars that calls the step, compiled for the types of arguments."""
        step = self._step
        if not isinstance(step.function, types.FunctionType | Dispatcher):
            raise NotCompiledError(f"it is {type(step.function).__name__} and no plain function")
        given = {"weight": "weight", "memory": "memory"}
        given |= {name: f"of_{name}" for name in step.names if name not in given}
        parameters = "".join(f", {of}" for name, of in given.items() if of != name)
        passed = ", ".join(given[n] + ("[column, row]" if n in columns else "") for n in step.names)
        source = _LOOP.format(parameters=parameters, arguments=passed)
        file = _kept_file(source, self._content)
        jitted = _jitted(step.function, {})
        try:
            try:
                return _loop_in(file, source, jitted, arguments)
            except _REFUSALS:
                raise
            except Exception:  # noqa: BLE001  a damaged file is as good as none
                return _loop_in(None, source, jitted, arguments)
        except Exception as error:  # noqa: BLE001  Numba raises whatever comes to it
            raise NotCompiledError(_words(step, error)) from None


def compiled_step(step: Step) -> CompiledStep:
    """Return a step compiled: the same for many sweeps, while nothing that it names changes."""
    content = content_of(step)
    return CompiledStep(step, None) if content is None else _shared(step, content)


@lru_cache(maxsize=16)
def _shared(step: Step, content: str) -> CompiledStep:
    return CompiledStep(step, content)


def content_of(step: Step) -> str | None:
    """Return the sha256 of all that a step is compiled from; None where that cannot be told.

    Functions count by what they do, wherever in a file they stand, with everything global that they
    name: other functions, numbers, text, arrays, and what there is in `math` and `numpy`.
    """
    digest = hashlib.sha256()
    try:
        for part in _parts(step.function, set()):
            digest.update(part)
    except _UnknownPartError:
        return None
    return digest.hexdigest()


class _UnknownPartError(Exception):
    """A step names what has no content that could be looked at."""


def _named_globals(
    function: Any, seen: set[int]
) -> Iterator[tuple[dict[str, Any], str, Any, bytes | None]]:
    """Yield where the globals of a function and of those that it calls stand, and what they are.

    Arrays, which are part of compiled code as they were then, come with their bytes.
    """
    if isinstance(function, Dispatcher):
        function = function.py_func
    if not isinstance(function, types.FunctionType) or id(function) in seen:
        return
    seen.add(id(function))
    there = function.__globals__
    for name in _names(function.__code__) & there.keys():
        value = there[name]
        yield there, name, value, value.tobytes() if isinstance(value, np.ndarray) else None
        yield from _named_globals(value, seen)


def _parts(value: Any, seen: set[int]) -> Iterator[bytes]:
    """Yield the content of a value that compiled code may contain."""
    if isinstance(value, Dispatcher):
        yield repr(sorted(value.targetoptions.items())).encode()
        value = value.py_func
    if isinstance(value, types.FunctionType):
        if id(value) not in seen:
            seen.add(id(value))
            yield from _function_parts(value, seen)
    elif isinstance(value, bool | int | float | complex | str | bytes | None):
        yield f"{type(value).__name__} {value!r};".encode()
    elif isinstance(value, tuple):
        yield f"tuple {len(value)};".encode()
        for item in value:
            yield from _parts(item, seen)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        yield f"{value.dtype} {value.shape} {value.strides};".encode() + value.tobytes()
    elif _is_of_libraries(value):
        name = getattr(value, "__qualname__", getattr(value, "__name__", None))
        yield f"{type(value).__name__} {getattr(value, '__module__', '')}.{name};".encode()
    else:
        raise _UnknownPartError(value)


def _function_parts(function: types.FunctionType, seen: set[int]) -> Iterator[bytes]:
    yield from _code_parts(function.__code__, seen)
    for default in function.__defaults__ or ():
        yield from _parts(default, seen)
    for cell in function.__closure__ or ():
        yield from _parts(cell.cell_contents, seen)
    for name in sorted(_names(function.__code__)):
        yield f"name {name};".encode()
        if name in function.__globals__:
            yield from _parts(function.__globals__[name], seen)


def _code_parts(code: types.CodeType, seen: set[int]) -> Iterator[bytes]:
    yield code.co_code + code.co_exceptiontable
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    yield repr(
        (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, counts)
    ).encode()
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code_parts(constant, seen)
        elif isinstance(constant, frozenset):
            yield repr(sorted(map(repr, constant))).encode()
        elif constant is Ellipsis:
            yield b"...;"
        else:
            yield from _parts(constant, seen)


def _names(code: types.CodeType) -> set[str]:
    """Return the global names, and those of attributes, in a function and those within it."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _names(constant)
    return found


def _is_of_libraries(value: Any) -> bool:
    """Say whether something is `math`, `numpy`, a builtin, or a function or type of theirs."""
    if isinstance(value, types.ModuleType):
        return value.__name__ in ("math", "numpy")
    if isinstance(value, np.ufunc):
        return True
    return isinstance(value, types.BuiltinFunctionType | type) and (
        value.__module__ in ("math", "numpy", "builtins")
    )


def _jitted(function: Any, made: dict[int, Any]) -> Any:
    """Return a function compiled on its first call, and with it what it calls by global names."""
    if not isinstance(function, types.FunctionType):
        return function
    if id(function) not in made:
        there = function.__globals__
        used = _names(function.__code__)
        names = guarded({name: there[name] for name in used if name in there}, used)
        copied = types.FunctionType(
            function.__code__,
            {**names, **_OWN_NAMES},
            function.__name__,
            function.__defaults__,
            function.__closure__,
        )
        made[id(function)] = numba.njit(copied, pipeline_class=GuardedCompiler, **_OPTIONS)
        for name, value in names.items():
            if str(getattr(value, "__module__", "")).partition(".")[0] != "numpy":
                copied.__globals__[name] = _jitted(value, made)
    return made[id(function)]


def _loop_in(file: Path | None, source: str, step: Any, arguments: tuple[Any, ...]) -> Any:
    names = {**_OWN_NAMES, "np": np, "step": step}
    exec(compile(source, str(file or _UNKEPT), "exec"), names)
    with warnings.catch_warnings():
        # What Numba finds doubtful is held against Python, or is not compiled and said once.
        warnings.simplefilter("ignore", NumbaWarning)
        # Compiled, a name without a value is zero.
        warnings.filterwarnings("error", "Detected uninitialized variable", NumbaWarning)
        loop = numba.njit(names["loop"], cache=file is not None, **_OPTIONS_OF_LOOP)
        with _told_of_names_without_value():
            loop.compile(tuple(map(numba.typeof, arguments)))
    return loop


@contextmanager
def _told_of_names_without_value() -> Iterator[None]:
    options: Any = numba.config
    before = options.ALWAYS_WARN_UNINIT_VAR
    options.ALWAYS_WARN_UNINIT_VAR = 1
    try:
        yield
    finally:
        options.ALWAYS_WARN_UNINIT_VAR = before


def _kept_file(source: str, content: str | None) -> Path | None:
    """Return the file beside which Numba keeps a loop; None where nothing can be kept.

    Numba looks only for changes of this file. Its folder is named by everything that the loop is
    made of, so a step that has changed has another one.
    """
    if content is None:
        return None
    versions = (
        numba.__version__,
        np.__version__,
        sys.version,
        _OPTIONS,
        _OPTIONS_OF_LOOP,
        GUARDS_TEXT,
    )
    name = hashlib.sha256(repr((source, content, versions)).encode()).hexdigest()
    folder = Path(cache_from_source(__file__)).parent / "steps"
    file = folder / name / _LOOP_FILE
    try:
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            forget_old(folder)
            with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as made:
                Path(made, "new").mkdir()
                Path(made, "new", file.name).write_text(source, encoding="utf-8")
                Path(made, "new").rename(file.parent)
    except OSError:  # another process was faster, or nothing can be written here
        return file if file.exists() else None
    return file if os.access(file.parent, os.W_OK) else None


def forget_old(folder: Path) -> None:
    """Remove loops that were made long before the latest one, but for the latest few.

    Args:
        folder: Where they are kept, a folder for each.
    """
    made = sorted(((path.stat().st_mtime, path) for path in folder.iterdir()), reverse=True)
    for at, path in made[_KEPT:]:
        if at < made[0][0] - _DAY:
            shutil.rmtree(path, ignore_errors=True)


def _words(step: Step, error: Exception) -> str:
    """Return where and why a step cannot be compiled, in Numba's words."""
    text = re.sub(r"Failed in nopython mode pipeline.*\n", "", str(error)).strip()
    said = " ".join(re.split(r"(?<!:)\n\s*\n", text)[0].split())
    code = inspect.unwrap(step.function).__code__
    places = [
        (Path(file).name, line)
        for file, line in re.findall(r'File "(.+?)", line (\d+)', str(error))
        if Path(file).name not in _NOT_OF_STEPS and "numba" not in Path(file).parts
    ]
    file, line = places[0] if places else (Path(code.co_filename).name, code.co_firstlineno)
    return f"{file}, line {line}: {said[:_LONGEST_WORDS]}"
