"""Where in a file an import may fail without harm."""

import ast

__all__ = ["guarded_fields"]

_CATCHES = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
# An `if` about one of these decides whether the module is there, or wanted at all.
_ASKS = {"TYPE_CHECKING", "find_spec", "version_info", "platform"}


def guarded_fields(node: ast.AST) -> tuple[str, ...]:
    """Return the parts of a statement in which a module may be absent without harm."""
    match node:
        case ast.Try(handlers=handlers) | ast.TryStar(handlers=handlers):
            types = [handler.type for handler in handlers]
            if any(item is None or _mentioned(item) & _CATCHES for item in types):
                return ("body",)
        case ast.With(items=items):
            found = [_mentioned(item.context_expr) for item in items]
            if any("suppress" in names and names & _CATCHES for names in found):
                return ("body",)
        case ast.If(test=test) if _mentioned(test) & _ASKS:
            return ("body", "orelse")
    return ()


def _mentioned(expression: ast.expr) -> set[str]:
    """Return the names and attributes that an expression is made of."""
    return {
        part.id if isinstance(part, ast.Name) else part.attr
        for part in ast.walk(expression)
        if isinstance(part, ast.Name | ast.Attribute)
    }
