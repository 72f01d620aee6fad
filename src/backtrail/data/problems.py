"""Rows that break a rule: where they stand, which rule, which value."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backtrail.data.bundles import WAIVABLE_RULES
from backtrail.errors import DataValidationError, Problem
from backtrail.files import write_bytes
from backtrail.wording import counted

__all__ = ["MAX_PROBLEMS", "BadRowsError", "RowProblem", "row_problem"]

MAX_PROBLEMS: Final = 100_000
"""Problems kept one by one; the rest are counted."""

_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class RowProblem(Problem):
    """One value of one row that breaks a rule.

    Attributes:
        file: File as configured.
        line: Line in it, the header being line 1; 0 where there is no text file.
        symbol: Symbol of the row; empty when it has none.
        at: Timestamp or date of the row as text; empty when it has none.
        column: Canonical column, such as `high`.
        value: What stands there, as text; None for a null.
        rule: Name of the rule, such as `impossible_ohlc`.
        why: What is wrong, in words.
    """

    file: str = ""
    line: int = 0
    symbol: str = ""
    at: str = ""
    column: str = ""
    value: str | None = None
    rule: str = ""
    why: str = ""

    def to_mapping(self) -> dict[str, Any]:
        """Return the fields that a report needs, as plain values."""
        return {
            "file": self.file,
            "line": self.line,
            "symbol": self.symbol,
            "at": self.at,
            "column": self.column,
            "value": self.value,
            "rule": self.rule,
        }


class BadRowsError(DataValidationError):
    """Source rows break rules; nothing was written.

    Attributes:
        problems: The bad rows as `RowProblem`, at most `MAX_PROBLEMS` of them.
        counts: How many there are in all, by rule.
        total: How many there are in all.
    """

    def __init__(
        self, problems: Sequence[RowProblem], counts: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(problems[:_SHOWN])
        self.problems: tuple[RowProblem, ...] = tuple(problems)
        self.counts = dict(counts or Counter(item.rule for item in problems))
        self.total = sum(self.counts.values())
        lines = [f"{counted(self.total, 'bad row')}, nothing was written:"]
        lines += [f"  - {problem}" for problem in problems[:_SHOWN]]
        if self.total > _SHOWN:
            rules = ", ".join(f"{count:,} {rule}" for rule, count in sorted(self.counts.items()))
            lines.append(f"  … and {self.total - _SHOWN:,} more; in all {rules}")
        self.args = ("\n".join(lines),)

    def write(self, path: Path) -> None:
        """Write the bad rows as CSV: file, line, symbol, time, column, value, rule, why."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["file", "line", "symbol", "at", "column", "value", "rule", "why"])
        writer.writerows([*item.to_mapping().values(), item.why] for item in self.problems)
        write_bytes(path, buffer.getvalue().encode())


def row_problem(
    *,
    file: str,
    line: int,
    symbol: str,
    at: str,
    column: str,
    value: str | None,
    rule: str,
    why: str,
) -> RowProblem:
    """Return a problem with its sentence made from its parts.

    Args:
        file: File as configured.
        line: Line in it; 0 where there is none.
        symbol: Symbol of the row.
        at: Timestamp or date of the row.
        column: Canonical column.
        value: What stands there; None for a null.
        rule: Name of the rule.
        why: What is wrong, in words.
    """
    where = f"{file}:{line}" if line else file
    row = " ".join(part for part in (symbol, at) if part)
    shown = "null" if value is None else value
    remedy = "correct the source"
    if rule in WAIVABLE_RULES:
        remedy += f", or waive `{rule}` with a reason ({WAIVABLE_RULES[rule]})"
    return RowProblem(
        where=where,
        found=f"{row + ' ' if row else ''}{column} = {shown}: {why} [{rule}]",
        remedy=remedy,
        file=file,
        line=line,
        symbol=symbol,
        at=at,
        column=column,
        value=value,
        rule=rule,
        why=why,
    )
