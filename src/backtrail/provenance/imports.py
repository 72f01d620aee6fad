"""Reading import statements off a syntax tree, and what is installed; nothing is imported."""

import ast
import os
import site
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

__all__ = ["ImportStatement", "is_installed", "read_imports"]

_CATCHES = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
# An `if` about one of these decides whether the module is there, or wanted at all.
_ASKS = {"TYPE_CHECKING", "find_spec", "version_info", "platform"}
_BY_CALL = {"import_module", "__import__"}


@dataclass(frozen=True, slots=True)
class ImportStatement:
    """One module that a file imports.

    Attributes:
        module: Parts of its dotted name; None when the name is computed.
        names: What is taken from it.
        level: Leading dots.
        line: Line of the statement.
        is_guarded: The file does without: the import is tried, or made under a condition.
    """

    module: tuple[str, ...] | None
    names: tuple[str, ...]
    level: int
    line: int
    is_guarded: bool

    @property
    def text(self) -> str:
        """The name as it was written."""
        return "." * self.level + ".".join(self.module or ())


def read_imports(tree: ast.AST) -> Iterator[ImportStatement]:
    """Yield what a file imports, also inside functions, and by calls of `import_module`."""
    # A stack of our own: an expression may be nested deeper than Python lets functions be.
    stack: list[tuple[ast.AST, bool]] = [(tree, False)]
    while stack:
        node, guarded = stack.pop()
        sure: tuple[str, ...] = ()
        match node:
            case ast.Name() | ast.Constant() | ast.expr_context():
                continue
            case ast.Import():
                for alias in node.names:
                    parts = tuple(alias.name.split("."))
                    yield ImportStatement(parts, (), 0, node.lineno, guarded)
            case ast.ImportFrom():
                parts = tuple(node.module.split(".")) if node.module else ()
                names = tuple(alias.name for alias in node.names)
                yield ImportStatement(parts, names, node.level, node.lineno, guarded)
            case ast.Call() if _imports_by_call(node):
                yield _called_import(node, guarded=guarded)
            case ast.Try() | ast.TryStar() | ast.With() | ast.If():
                sure = _guarded_fields(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                guarded = False  # it is called elsewhere, where nothing is tried
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                stack.append((value, guarded or name in sure))
            elif isinstance(value, list):
                inner = guarded or name in sure
                stack += [(child, inner) for child in value if isinstance(child, ast.AST)]


def _guarded_fields(node: ast.AST) -> tuple[str, ...]:
    """Return the parts of a statement in which a module may be absent without harm."""
    match node:
        case ast.Try() | ast.TryStar():
            types = [handler.type for handler in node.handlers]
            if any(item is None or _mentioned(item) & _CATCHES for item in types):
                return ("body",)
        case ast.With():
            found = [_mentioned(item.context_expr) for item in node.items]
            if any("suppress" in names and names & _CATCHES for names in found):
                return ("body",)
        case ast.If() if _mentioned(node.test) & _ASKS:
            return ("body", "orelse")
    return ()


def _mentioned(expression: ast.expr) -> set[str]:
    """Return the names and attributes that an expression is made of."""
    return {
        part.id if isinstance(part, ast.Name) else part.attr
        for part in ast.walk(expression)
        if isinstance(part, ast.Name | ast.Attribute)
    }


def _imports_by_call(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in _BY_CALL


def _called_import(call: ast.Call, *, guarded: bool) -> ImportStatement:
    """Return what `importlib.import_module("x")`, `(".x", __package__)` or `__import__` names."""
    computed = ImportStatement(None, (), 0, call.lineno, guarded)
    if not call.args:
        return computed
    module, package = call.args[0], call.args[1] if len(call.args) > 1 else None
    if not (isinstance(module, ast.Constant) and isinstance(module.value, str) and module.value):
        return computed
    path = module.value.lstrip(".")
    level = len(module.value) - len(path)
    if level and not (isinstance(package, ast.Name) and package.id in {"__package__", "__name__"}):
        return computed
    parts = tuple(path.split(".")) if path else ()
    return ImportStatement(parts, (), level, call.lineno, guarded)


def is_installed(name: str, project: Collection[Path]) -> bool:
    """Say whether a run could import a top-level module that is not the project's.

    That is the standard library, and what is installed into the environment. As in the process of
    a run, neither the user's own site-packages nor PYTHONPATH count.

    Args:
        name: The module's top-level name.
        project: Folders of the project that this process may have on its path.
    """
    if name in sys.stdlib_module_names or name == "__main__":
        return True
    personal = {*os.environ.get("PYTHONPATH", "").split(os.pathsep), site.USER_SITE or ""}
    own = {str(folder) for folder in project}
    path = [
        entry for entry in sys.path if entry not in personal and os.path.realpath(entry) not in own
    ]
    # Finders ask no more than whether there is such a file; editable packages bring their own.
    return any(
        finder.find_spec(name, path if finder is PathFinder else None) is not None
        for finder in sys.meta_path
    )
