"""Conditions on parameters, such as `fast < slow`, evaluated by a whitelist of syntax."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Condition"]

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_ALLOWED = "names, numbers, strings, comparison, + - * / // %, and, or, not"


class Condition:
    """A boolean expression over parameter names.

    Args:
        text: The expression as the user wrote it.

    Raises:
        ValueError: If it does not parse or uses anything but names, numbers, comparison,
            arithmetic and `and`, `or`, `not`.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
            self.names = frozenset(self._check(self._tree))
        except SyntaxError as error:
            raise ValueError(f"{text!r} is not an expression ({error.msg})") from None
        except (RecursionError, MemoryError):
            raise ValueError(f"{text[:60]!r}… is nested too deeply to be a condition") from None

    def _check(self, node: ast.AST) -> list[str]:
        match node:
            case ast.Name(id=name):
                return [name]
            case ast.Constant(value=bool() | int() | float() | str()):
                return []
            case ast.BoolOp(values=values):
                return [name for value in values for name in self._check(value)]
            case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=operand):
                return self._check(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return self._check(left) + self._check(right)
            case ast.Compare(left=left, ops=ops, comparators=others) if all(
                type(op) in _COMPARE for op in ops
            ):
                return [name for item in (left, *others) for name in self._check(item)]
        raise ValueError(
            f"{self.text!r} uses {ast.unparse(node)!r}, which is not allowed here; "
            f"a condition may use {_ALLOWED}"
        )

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Evaluate the condition for one parameter set.

        Raises:
            ValueError: If a name is not among `values`, or the types cannot be compared.
        """
        try:
            return bool(self._evaluate(self._tree, values))
        except (TypeError, ArithmeticError) as error:
            raise ValueError(f"{self.text!r} fails for {dict(values)}: {error}") from None

    def _evaluate(self, node: ast.AST, values: Mapping[str, Any]) -> Any:
        match node:
            case ast.Name(id=name):
                if name not in values:
                    known = ", ".join(sorted(values))
                    raise ValueError(f"{self.text!r} names {name!r}; parameters here: {known}")
                return values[name]
            case ast.Constant(value=value):
                return value
            case ast.BoolOp(op=ast.And(), values=parts):
                return all(self._evaluate(part, values) for part in parts)
            case ast.BoolOp(values=parts):
                return any(self._evaluate(part, values) for part in parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self._evaluate(operand, values)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._evaluate(operand, values)
            case ast.UnaryOp(operand=operand):
                return +self._evaluate(operand, values)
            case ast.BinOp(left=left, op=op, right=right):
                operands = [self._evaluate(side, values) for side in (left, right)]
                for operand in operands:
                    if not isinstance(operand, (int, float)):
                        raise TypeError(f"{operand!r} is no number to reckon with")
                return _ARITHMETIC[type(op)](*operands)
            case ast.Compare(left=left, ops=ops, comparators=others):
                value = self._evaluate(left, values)
                for comparison, other in zip(ops, others, strict=True):
                    following = self._evaluate(other, values)
                    if not _COMPARE[type(comparison)](value, following):
                        return False
                    value = following
                return True
        raise AssertionError(f"unchecked node {ast.dump(node)}")
