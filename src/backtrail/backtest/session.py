"""A strategy defined in the cells of a running kernel: what it needs of them, as one file.

Of all cells that were executed, only the definitions that the strategy reaches are taken: cells are
executed again, out of order, with mistakes, and most of them look at results. So the same strategy
gives the same file, and the same run, whatever else was typed meanwhile.
"""

import ast
import builtins
import symtable
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

from backtrail.backtest.callables import LiveStrategy, code_parts, same_code
from backtrail.errors import CodeCaptureError

__all__ = ["SessionCode", "running_session", "session_code"]

_LONGEST_LITERAL = 100_000
_Definition = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_Scope = (*_Definition, ast.Lambda)
_COMPREHENSIONS = frozenset({"listcomp", "setcomp", "dictcomp", "genexpr"})
_BUILTIN = frozenset(dir(builtins))


@dataclass(frozen=True, slots=True)
class SessionCode:
    """Python made of a session.

    Attributes:
        source: The definitions, each after those it needs.
        warnings: What could not be found or may differ from the session.
    """

    source: str
    warnings: tuple[str, ...]


def running_session(live: LiveStrategy) -> Mapping[str, Any] | None:
    """Return the names of the IPython session a strategy was defined in, or None.

    A kernel and an IPython terminal are sessions; a plain Python prompt keeps no source.
    """
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or live.principal.__module__ != shell.user_module.__name__:
        return None
    names: Mapping[str, Any] = shell.user_ns
    return names


def session_code(live: LiveStrategy, names: Mapping[str, Any]) -> SessionCode:
    """Return the source of everything a strategy reaches in its session.

    Plain values are written as they are now. Functions and classes are written as their last cell
    defines them; imports name by name; any other value as the statements that made it.

    Args:
        live: The strategy.
        names: The names of the session, its executed cells (`In`) among them.

    Raises:
        CodeCaptureError: If a function or class is not what the last cell with its name defines.
    """
    statements = list(_statements(names.get("In", [])))
    wanted = [item.__qualname__.partition(".")[0] for item in live.named.values()]
    if "Params" in names:
        wanted.append("Params")
    collected = _Collector(statements, names).collect(wanted)
    futures = sorted({s.text for s in statements if _is_future(s.node)})
    head = ["# What the strategy uses of the cells of its session.", *futures]
    source = "\n".join([*head, *collected.imports, "", *collected.items, ""])
    _require_same(live, source)
    return SessionCode(source, tuple(collected.warnings))


@dataclass(frozen=True, slots=True)
class _Statement:
    """One statement of a cell.

    Attributes:
        binds: Names it gives a value.
        sets: Names of whose object it sets a part: `x[...] = ...`, `x.a = ...`, `x += ...`.
        calls: Names of whose object it calls a method: `x.append(...)`.
    """

    node: ast.stmt
    text: str
    binds: frozenset[str]
    sets: frozenset[str]
    calls: frozenset[str]


def _statements(cells: Iterable[str]) -> Iterator[_Statement]:
    for cell in cells:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(cell)
        except (SyntaxError, ValueError):  # a cell with a mistake was not executed
            continue
        for node in tree.body:
            sets, calls = _changed(node)
            yield _Statement(node, _text(node, cell), frozenset(_bound(node)), sets, calls)


def _text(node: ast.stmt, cell: str) -> str:
    if isinstance(node, _Definition) and node.decorator_list:
        lines = cell.splitlines()[node.decorator_list[0].lineno - 1 : node.end_lineno]
        return "\n".join(lines)
    return ast.get_source_segment(cell, node) or ast.unparse(node)


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _top_level(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a statement's nodes without the insides of functions and classes."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Scope):
            yield child
        else:
            yield from _top_level(child)


def _bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, _Definition):
        yield statement.name
        return
    nodes = list(_top_level(statement))
    increased = {id(node.target) for node in nodes if isinstance(node, ast.AugAssign)}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            if id(node) not in increased:
                yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield (alias.asname or alias.name).partition(".")[0]
        elif isinstance(node, _Definition):
            yield node.name


def _changed(statement: ast.stmt) -> tuple[frozenset[str], frozenset[str]]:
    if isinstance(statement, _Definition):
        return frozenset(), frozenset()
    sets: set[str] = set()
    calls: set[str] = set()
    for node in _top_level(statement):
        if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            sets.update(_base(node))
        elif isinstance(node, ast.AugAssign):
            sets.update(_base(node.target))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            calls.update(_base(node.func))
    return frozenset(sets), frozenset(calls)


def _base(node: ast.expr) -> Iterator[str]:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


@dataclass
class _Collector:
    statements: list[_Statement]
    names: Mapping[str, Any]
    imports: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _written: set[str] = field(default_factory=set)

    def collect(self, wanted: Iterable[str]) -> "_Collector":
        waiting = list(wanted)
        while waiting:
            waiting += self._take(waiting.pop(0))
        self.imports = sorted(set(self.imports))
        return self

    def _take(self, name: str) -> list[str]:
        """Write what binds a name, after all that needs; return what is needed once it is called.

        A name that is needed at once is written first, with everything it needs itself.
        """
        if name in self._seen:
            return []
        self._seen.add(name)
        bindings = [s for s in self.statements if name in s.binds]
        if not bindings:
            self._take_unbound(name)
            return []
        node = bindings[-1].node
        if isinstance(node, ast.Import | ast.ImportFrom):
            self.imports += _imports_of([s.node for s in bindings], name)
            return []
        if not isinstance(node, _Definition) and _is_literal(self.names.get(name)):
            self.items.append(f"{name} = {self.names[name]!r}")
            return []
        return self._write(name, bindings[-1])

    def _take_unbound(self, name: str) -> None:
        stars = [s.text for s in self.statements if "*" in s.binds]
        if name not in self.names:
            if name not in _BUILTIN:
                self.warnings.append(f"{name!r} is used and defined in no cell of the session")
        elif stars:
            self.imports += stars
        elif name not in _BUILTIN:
            self.warnings.append(f"{name!r} comes from no cell of the session; it is not captured")

    def _write(self, name: str, binding: _Statement) -> list[str]:
        if binding.text in self._written:  # it binds several names
            return []
        self._written.add(binding.text)
        after = self.statements[self.statements.index(binding) + 1 :]
        is_definition = isinstance(binding.node, _Definition)
        if not is_definition:
            self.warnings.append(
                f"{name!r} is made by its cell anew; it is not the object of the session"
            )
        # Calling a class or a function is its use and no change of it.
        changes = [s for s in after if name in s.sets or (name in s.calls and not is_definition)]
        later: list[str] = []
        for part in (binding, *changes):
            now, then = _needs(part)
            for needed in sorted(now - {name}):
                later += self._take(needed)
            later += sorted(then)
        texts = [binding.text, *(part.text for part in changes)]
        self.items.append(("\n\n" if is_definition else "") + "\n".join(texts))
        return later


def _imports_of(nodes: Iterable[ast.stmt], name: str) -> list[str]:
    """Return the import that binds a name last, without the others of its statement.

    Of `import a.b` and `import a.c` both are needed, though they bind the same name.
    """
    found: list[str] = []
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            aliases = [item for item in node.names if (item.asname or item.name) == name]
            found = [ast.unparse(ast.ImportFrom(node.module, aliases[-1:], node.level))]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname == name:
                    found = [ast.unparse(ast.Import([alias]))]
                elif alias.asname is None and alias.name.partition(".")[0] == name:
                    found.append(ast.unparse(ast.Import([alias])))
    return found


def _needs(statement: _Statement) -> tuple[set[str], set[str]]:
    """Return the global names a statement needs when it is executed, and once it is called."""
    top = symtable.symtable(statement.text, "<cell>", "exec")
    is_definition = isinstance(statement.node, _Definition)
    now = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    then: set[str] = set()
    waiting = [(child, True) for child in top.get_children()]
    while waiting:
        table, at_once = waiting.pop()
        inline = table.get_type() == "class" or table.get_name() in _COMPREHENSIONS
        at_once = at_once and (inline or not is_definition)
        found = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
        (now if at_once else then).update(found)
        waiting += [(child, at_once) for child in table.get_children()]
    return now, then


def _is_literal(value: object) -> bool:
    """Say whether a value is plain data whose text gives it back."""
    text = repr(value) if _is_plain(value) else ""
    return 0 < len(text) <= _LONGEST_LITERAL


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return type(value) is float and value == value and abs(value) != float("inf")
    if type(value) in (list, tuple):
        return all(_is_plain(item) for item in value)  # type: ignore[attr-defined]
    if type(value) is dict:
        return all(_is_plain(key) and _is_plain(item) for key, item in value.items())
    return value is None or type(value) in (bool, int, str, bytes)


def _require_same(live: LiveStrategy, source: str) -> None:
    """Refuse a file that says something else than the session's own functions do."""
    parts = code_parts(compile(source, "<session>", "exec", dont_inherit=True))
    for role, item in live.named.items():
        functions = vars(item).values() if isinstance(item, type) else [item]
        for function in functions:
            if not isinstance(function, FunctionType):
                continue
            code = function.__code__
            if not any(same_code(code, found) for found in parts.get(code.co_qualname, [])):
                raise CodeCaptureError(
                    f"{code.co_qualname}, passed as {role}, is not what the last cell that defines "
                    "it says; execute that cell again"
                )
