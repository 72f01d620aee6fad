"""What calls such as `import_module("a")` import, as far as their arguments are written out."""

import ast
from collections.abc import Sequence
from typing import Literal, NamedTuple

from backtrail.provenance.modules import Name

__all__ = ["IMPORTERS", "Import", "argument", "called_imports", "listed_texts", "texts_of"]

# Functions that import by name, and what their first parameter is called.
IMPORTERS = {"import_module": "name", "__import__": "name", "run_module": "mod_name"}


class Import(NamedTuple):
    """One module that a file imports.

    Attributes:
        module: Its dotted name in parts; empty for `from . import x`.
        names: What is taken from it; each may be a submodule. `*` stands for its `__all__`.
        level: Number of leading dots.
        anchor: What the dots count from: the file's package, the module's own name, or a package
            that is spelled out.
    """

    module: Name
    names: Name = ()
    level: int = 0
    anchor: Literal["package", "name"] | Name = "package"

    def __str__(self) -> str:
        return "." * self.level + ".".join(self.module)


def argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    """Return an argument of a call, given by position or by name."""
    if len(call.args) > position:
        return call.args[position]
    return next((item.value for item in call.keywords if item.arg == name), None)


def texts_of(node: ast.expr | None) -> list[str] | None:
    """Return the texts that an expression of literals may be; None when it is computed."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return _joined(parts)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _joined([left, right])
        case ast.IfExp(body=left, orelse=right):
            first, second = texts_of(left), texts_of(right)
            return None if first is None or second is None else first + second
    return None


def _joined(parts: Sequence[ast.expr]) -> list[str] | None:
    texts = [""]
    for part in parts:
        more = texts_of(part)
        if more is None:
            return None
        texts = [one + two for one in texts for two in more]
    return texts


def listed_texts(node: ast.expr | None) -> list[str] | None:
    """Return the texts of a list or tuple of literals; None when part of it is computed."""
    match node:
        case ast.List(elts=items) | ast.Tuple(elts=items):
            texts: list[str] = []
            for item in items:
                more = texts_of(item)
                if more is None:
                    return None
                texts += more
            return texts
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            first, second = listed_texts(left), listed_texts(right)
            return None if first is None or second is None else first + second
    return None


def called_imports(called: str, call: ast.Call) -> list[Import] | None:
    """Return what a call of one of `IMPORTERS` imports; None when that is computed."""
    names = texts_of(argument(call, 0, IMPORTERS[called]))
    if names is None or not all(names):
        return None
    if called == "run_module":  # a package is run by its __main__
        return [Import(tuple(name.split(".")), ("__main__",)) for name in names]
    if called == "import_module":
        return _module_imports(names, call)
    return _builtin_imports(names, call)


def _module_imports(names: Sequence[str], call: ast.Call) -> list[Import] | None:
    anchor = _anchor(argument(call, 1, "package"))
    imports = []
    for name in names:
        path = name.lstrip(".")
        level = len(name) - len(path)
        if level and anchor is None:
            return None
        module = tuple(path.split(".")) if path else ()
        imports.append(Import(module, (), level, anchor or "package"))
    return imports


def _anchor(node: ast.expr | None) -> Literal["package", "name"] | Name | None:
    match node:
        case ast.Name(id="__package__"):
            return "package"
        case ast.Attribute(attr="parent", value=ast.Name(id="__spec__")):
            return "package"
        case ast.Name(id="__name__"):
            return "name"
        case ast.Constant(value=str(text)) if text:
            return tuple(text.split("."))
    return None


def _builtin_imports(names: Sequence[str], call: ast.Call) -> list[Import] | None:
    """Return what `__import__(name, globals, locals, fromlist, level)` imports."""
    fromlist = argument(call, 3, "fromlist")
    level = argument(call, 4, "level")
    if level is None:
        depth = 0
    elif isinstance(level, ast.Constant) and isinstance(level.value, int):
        depth = level.value
    else:
        return None
    if fromlist is None or (isinstance(fromlist, ast.Constant) and fromlist.value is None):
        taken: list[str] | None = []
    else:
        taken = listed_texts(fromlist)
    if taken is None:
        return None
    return [Import(tuple(name.split(".")) if name else (), tuple(taken), depth) for name in names]
