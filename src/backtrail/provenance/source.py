"""What one Python file imports and names, read off its syntax tree; nothing is executed."""

import ast
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from backtrail.provenance.calls import (
    IMPORTERS,
    Import,
    argument,
    called_imports,
    listed_texts,
    texts_of,
)

__all__ = ["SourceFacts", "read_source"]

# A file without any of these words has no call that matters, and its expressions are not walked.
_WORDS = (
    *(name.encode() for name in IMPORTERS),
    b"data_file",
    b"sys.path",
    b"__path__",
    b"spec_from_file_location",
    b"SourceFileLoader",
    b"run_path",
)
_LOADERS = frozenset({"spec_from_file_location", "SourceFileLoader", "run_path"})
_DATA = "data_file"
_CALLS = _LOADERS | IMPORTERS.keys() | {_DATA}
_BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")
_GROW = frozenset({"append", "extend", "insert"})


@dataclass(slots=True)
class SourceFacts:
    """What capture needs to know of one Python file.

    Attributes:
        imports: Modules it imports, anywhere in it, in the order of the file.
        data_files: Files it names by `data_file("…")`, each with its line.
        listed: Names in its `__all__`; None when part of that is computed.
        doubts: What cannot be read off, each with its line.
        error: Why it does not parse, and the line where that is known.
    """

    imports: list[Import] = field(default_factory=list)
    data_files: list[tuple[str, int]] = field(default_factory=list)
    listed: list[str] | None = field(default_factory=list)
    doubts: list[tuple[int, str]] = field(default_factory=list)
    error: tuple[str, int | None] | None = None


@lru_cache(maxsize=1024)
def read_source(source: bytes) -> SourceFacts:
    """Read a Python file's bytes, in the encoding that they declare.

    Returns:
        The facts, which are kept for the next call and must not be changed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a doubtful escape is no matter of capture
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or str(error) or type(error).__name__
        return SourceFacts(error=(reason, getattr(error, "lineno", None)))
    return _Reader().read(tree, source)


class _Reader:
    def __init__(self) -> None:
        self.facts = SourceFacts()
        self.methods = set(_CALLS)
        self.functions = {name: name for name in _CALLS}

    def read(self, tree: ast.Module, source: bytes) -> SourceFacts:
        deep = any(word in source for word in _WORDS)
        nodes = _nodes(tree, ast.iter_child_nodes if deep else _statements)
        for node in nodes:
            self._take_statement(node)
        for node in nodes if deep else ():
            self._take_expression(node)
        return self.facts

    def _take_statement(self, node: ast.AST) -> None:
        match node:
            case ast.Import(names=aliases):
                self.facts.imports += [Import(tuple(a.name.split("."))) for a in aliases]
            case ast.ImportFrom(module=module, names=aliases, level=level):
                names = tuple(alias.name for alias in aliases)
                parts = tuple(module.split(".")) if module else ()
                self.facts.imports.append(Import(parts, names, level))
                for alias in aliases:
                    if alias.name in _CALLS and alias.asname:
                        self.functions[alias.asname] = alias.name
            case ast.FunctionDef(name="data_file") | ast.AsyncFunctionDef(name="data_file"):
                self.methods.discard(_DATA)  # the user's own, which means something else
                self.functions.pop(_DATA, None)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if name == "__all__":
                    self._list(listed_texts(value))
                elif (called := _last_name(value)) in _CALLS:
                    self.functions[name] = called
            case (
                ast.AnnAssign(target=ast.Name(id="__all__"), value=value)
                | ast.AugAssign(target=ast.Name(id="__all__"), value=value)
            ):
                self._list(listed_texts(value))
            case ast.Expr(value=ast.Call(func=ast.Attribute() as function, args=[value])):
                if isinstance(function.value, ast.Name) and function.value.id == "__all__":
                    self._list(_added(function.attr, value))

    def _list(self, names: list[str] | None) -> None:
        if names is None or self.facts.listed is None:
            self.facts.listed = None
        else:
            self.facts.listed += names

    def _take_expression(self, node: ast.AST) -> None:
        match node:
            case ast.Call(func=ast.Name(id=name)):
                self._take_call(self.functions.get(name, ""), node)
            case ast.Call(func=ast.Attribute(attr=name)) if name in self.methods:
                self._take_call(name, node)
            case ast.Attribute(value=owner, attr=attr) if attr in _GROW and _is_path(owner):
                self._doubt_path(node, owner)
            case ast.Subscript(value=owner, ctx=ast.Store()) if _is_path(owner):
                self._doubt_path(node, owner)
            case ast.Name(ctx=ast.Store()) | ast.Attribute(ctx=ast.Store()) if _is_path(node):
                self._doubt_path(node, node)

    def _take_call(self, called: str, node: ast.Call) -> None:
        if called in IMPORTERS:
            imports = called_imports(called, node)
            if imports is None:
                text = "imports a module whose name is computed; what it imports is unknown"
                self.facts.doubts.append((node.lineno, text))
            else:
                self.facts.imports += imports
        elif called in _LOADERS:
            text = f"loads code from a file by {called}; what it loads is unknown"
            self.facts.doubts.append((node.lineno, text))
        elif called == _DATA:
            names = texts_of(argument(node, 0, "name"))
            if names is None:
                text = "names a data file by a computed name; which one is unknown"
                self.facts.doubts.append((node.lineno, text))
            else:
                self.facts.data_files += [(name, node.lineno) for name in names]

    def _doubt_path(self, node: ast.expr, path: ast.expr) -> None:
        name = ast.unparse(path)
        text = f"changes {name}; a module that is found only through the change is not captured"
        self.facts.doubts.append((node.lineno, text))


def _nodes(tree: ast.AST, children: Callable[[ast.AST], Iterable[ast.AST]]) -> list[ast.AST]:
    """Return every node in the order of the file; a long chain of `elif` is no recursion."""
    nodes: list[ast.AST] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        waiting += reversed(list(children(node)))
    return nodes


def _statements(node: ast.AST) -> list[ast.AST]:
    """Return the statements directly below a node, not its expressions."""
    found: list[ast.AST] = []
    for block in _BLOCKS:
        items = getattr(node, block, None)
        if isinstance(items, list):  # a lambda has a body, too
            found += items
    return found


def _last_name(node: ast.AST) -> str:
    """Return `f` of `f`, `module.f` and `a.b.f`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _added(method: str, value: ast.expr) -> list[str] | None:
    if method == "append":
        return texts_of(value)
    return listed_texts(value) if method == "extend" else None


def _is_path(node: ast.AST) -> bool:
    match node:
        case ast.Name(id="__path__") | ast.Attribute(value=ast.Name(id="sys"), attr="path"):
            return True
    return False
