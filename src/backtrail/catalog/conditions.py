"""Conditions on the runs of a catalog, such as `sharpe_ratio > 1 and fast = 10`, for Polars.

The syntax is that of conditions in a config, checked by the same whitelist; nothing is evaluated
as Python.
"""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from backtrail.errors import QueryError
from backtrail.optimization.conditions import Condition

__all__ = ["RunCondition"]

_SIGNS = re.compile(
    r"""(?P<text>'[^']*'|"[^"]*")|(?P<percent>\b\d+(?:\.\d+)?%(?=\s*(?:$|\)|and\b|or\b)))|"""
    r"""(?P<wrong>=>|=<|<>|===|&&|\|\||[&|~]|!(?!=))|(?P<sign><=|>=|!=|==|=)"""
)
_MEANT: Final = {
    "=>": ">=",
    "=<": "<=",
    "<>": "!=",
    "===": "=",
    "&&": "and",
    "&": "and",
    "||": "or",
    "|": "or",
    "~": "not",
    "!": "not",
}
_WORDS = re.compile(r"\b(AND|OR|NOT|true|false|null|NULL|None|none)\b")
_MEANT_WORDS: Final = {"AND": "and", "OR": "or", "NOT": "not", "true": "True", "false": "False"}
_COMPARE: Final[Mapping[type[ast.cmpop], Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {
    ast.Lt: pl.Expr.__lt__,
    ast.LtE: pl.Expr.__le__,
    ast.Gt: pl.Expr.__gt__,
    ast.GtE: pl.Expr.__ge__,
    ast.Eq: pl.Expr.__eq__,
    ast.NotEq: pl.Expr.__ne__,
}
_RECKON: Final[Mapping[type[ast.operator], Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {
    ast.Add: pl.Expr.__add__,
    ast.Sub: pl.Expr.__sub__,
    ast.Mult: pl.Expr.__mul__,
    ast.Div: pl.Expr.__truediv__,
    ast.FloorDiv: pl.Expr.__floordiv__,
    ast.Mod: pl.Expr.__mod__,
}
Schema = Mapping[str, tuple[str, pl.DataType]]
_NUMBER, _TEXT, _TRUTH = "a number", "text", "true or false"
_NOTHING: Final = "nothing"  # of a parameter that is null in every run
_WHITELIST: Final = "names, numbers, 'text', = != < <= > >=, + - * / // %, and, or, not"


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a condition: its expression, and of which kind its values are."""

    expr: pl.Expr
    kind: str


class RunCondition:
    """A condition on columns, metrics and parameters.

    `=` is `==`, and `30%` at the end of a comparison is 0.3. A run that lacks a value fits no
    comparison with it, and none that is turned round by `not`.

    Args:
        text: The condition as it was written.

    Raises:
        QueryError: If it is none, or uses what is not allowed.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        plain = _SIGNS.sub(self._python_sign, text).strip()
        try:
            condition = Condition(plain)
        except ValueError as error:
            raise QueryError(f"{error}{self._hint(str(error))}".replace(plain, text)) from None
        self.names = condition.names
        self._tree = ast.parse(plain, mode="eval").body

    def expression(self, schema: Schema) -> pl.Expr:
        """Return the condition as an expression of truth.

        Args:
            schema: Column and type of every name of the condition.

        Raises:
            QueryError: If it compares or reckons with what does not go together.
        """
        return self._truth(self._tree, schema).expr

    def _python_sign(self, found: re.Match[str]) -> str:
        sign = found[0]
        if found["wrong"]:
            raise QueryError(f"{self.text!r} has {sign!r}; write {_MEANT[sign]!r}")
        if found["percent"]:
            return f"({sign[:-1]}/100)"
        return "==" if sign == "=" else sign

    def _hint(self, error: str) -> str:
        if "not allowed" in error:
            return ""
        word = _WORDS.search(self.text)
        if word and word[0] in _MEANT_WORDS:
            return f"; write {_MEANT_WORDS[word[0]]!r} for {word[0]!r}"
        return f"; a condition may use {_WHITELIST}"

    def _truth(self, node: ast.AST, schema: Schema) -> _Part:
        part = self._part(node, schema)
        if part.kind != _TRUTH:
            raise QueryError(
                f"{self.text!r}: {ast.unparse(node)!r} is {part.kind}, not a condition; compare it "
                "with something"
            )
        return part

    def _part(self, node: ast.AST, schema: Schema) -> _Part:
        match node:
            case ast.Name(id=name):
                column, dtype = schema[name]
                return _Part(pl.col(column), _kind(dtype))
            case ast.Constant(value=bool() as value):
                return _Part(pl.lit(value), _TRUTH)
            case ast.Constant(value=str() as value):
                return _Part(pl.lit(value), _TEXT)
            case ast.Constant(value=value):
                return _Part(pl.lit(value), _NUMBER)
            case ast.BoolOp(op=joint, values=values):
                parts = [self._truth(value, schema).expr for value in values]
                join = pl.all_horizontal if isinstance(joint, ast.And) else pl.any_horizontal
                return _Part(join(parts), _TRUTH)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return _Part(~self._truth(operand, schema).expr, _TRUTH)
            case ast.UnaryOp(op=sign, operand=operand):
                number = self._number(operand, schema)
                return _Part(-number if isinstance(sign, ast.USub) else number, _NUMBER)
            case ast.BinOp(left=left, op=op, right=right):
                sides = self._number(left, schema), self._number(right, schema)
                return _Part(_RECKON[type(op)](*sides), _NUMBER)
            case ast.Compare():
                return self._comparison(node, schema)
        raise AssertionError(f"unchecked node {ast.dump(node)}")

    def _number(self, node: ast.AST, schema: Schema) -> pl.Expr:
        part = self._part(node, schema)
        if part.kind not in (_NUMBER, _NOTHING):
            raise QueryError(
                f"{self.text!r}: {ast.unparse(node)!r} is {part.kind}, no number to reckon with"
            )
        return part.expr

    def _comparison(self, node: ast.Compare, schema: Schema) -> _Part:
        nodes = [node.left, *node.comparators]
        parts = [self._part(item, schema) for item in nodes]
        found = []
        for at, op in enumerate(node.ops):
            left, right = parts[at], parts[at + 1]
            if _NOTHING in (left.kind, right.kind):
                found.append(pl.lit(None, pl.Boolean))
                continue
            if left.kind != right.kind:
                raise QueryError(
                    f"{self.text!r} compares {ast.unparse(nodes[at])!r}, which is {left.kind}, "
                    f"with {ast.unparse(nodes[at + 1])!r}, which is {right.kind}"
                )
            if left.kind == _TRUTH and not isinstance(op, (ast.Eq, ast.NotEq)):
                raise QueryError(f"{self.text!r} orders what is {_TRUTH}; compare it by = or !=")
            found.append(_COMPARE[type(op)](left.expr, right.expr))
        return _Part(pl.all_horizontal(found), _TRUTH)


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_numeric():
        return _NUMBER
    kinds: dict[pl.DataType, str] = {pl.Boolean(): _TRUTH, pl.Null(): _NOTHING}
    return kinds.get(dtype, _TEXT)
