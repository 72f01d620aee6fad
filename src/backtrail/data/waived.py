"""Bad rows met by a validation: which waiver took them, and which stop the ingest."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from backtrail.data.bundles import WAIVABLE_RULES, Waiver
from backtrail.data.problems import MAX_PROBLEMS, BadRowsError, RowProblem, row_problem
from backtrail.data.raw_prices import RawPrices, as_problems
from backtrail.data.rules import Rule, broken_rules

__all__ = ["DROPPED", "RowLedger", "plain_row"]

DROPPED: Final = "row dropped"
_KEY: Final = ("file", "line")


class RowLedger:
    """Bad rows met so far."""

    def __init__(self, raw: RawPrices, waivers: Sequence[Waiver]) -> None:
        self._raw = raw
        self._waivers = tuple(waivers)
        self._touched: list[dict[tuple[str, int], dict[str, Any]]] = [{} for _ in waivers]
        self._problems: list[RowProblem] = []
        self._counts: dict[str, int] = {}
        self._unread = raw.unread

    def drop_unread(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows without those whose unread cells are waived; keep the others in mind."""
        taken = []
        for index, waiver in enumerate(self._waivers):
            symbol = pl.col("symbol").is_in(list(waiver.symbols)) if waiver.symbols else True
            day = pl.col("at").str.slice(0, len("2020-01-02"))
            dates = day.is_in([date.isoformat() for date in waiver.dates])
            meant = (pl.col("rule") == waiver.rule) & symbol & (dates if waiver.dates else True)
            rows = self._unread.filter(meant)
            self._unread = self._unread.filter(~meant)
            for row in rows.iter_rows(named=True):
                self._note(index, row, row["at"], {row["column"]: row["value"]})
            taken.append(rows.select(_KEY))
        self._count(self._unread["rule"].value_counts())
        self._problems += as_problems(self._unread.head(MAX_PROBLEMS), self._raw.files)
        return _without(frame, pl.concat(taken)) if taken else frame

    def drop_waived(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows without those that break a rule whose waiver drops them."""
        dropping = {item.rule for item in self._waivers if WAIVABLE_RULES[item.rule] == DROPPED}
        for rule in broken_rules(frame) if dropping else ():
            if rule.name in dropping:
                taken = self.take(rule, frame.filter(rule.broken))
                frame = _without(frame, taken)
        return frame

    def take(self, rule: Rule, rows: pl.DataFrame) -> pl.DataFrame:
        """Return those rows that a waiver of the rule takes, and note them."""
        parts = [rows.clear()]
        for index, waiver in enumerate(self._waivers):
            if waiver.rule == rule.name and rows.height:
                meant = _meant_by(waiver)
                taken, rows = rows.filter(meant), rows.filter(~meant)
                for row in taken.iter_rows(named=True):
                    self._note(index, row, _at(row), _texts(row))
                parts.append(taken)
        return pl.concat(parts)

    def add(self, rule: Rule, rows: pl.DataFrame) -> pl.DataFrame:
        """Note rows that break a rule, and return those that a waiver takes."""
        taken = self.take(rule, rows)
        rest = _without(rows, taken)
        known = self._unread.filter(pl.col("column") == rule.column)
        rest = _without(rest, known)  # a cell that could not be read is null, too
        if rest.height:
            self._counts[rule.name] = self._counts.get(rule.name, 0) + rest.height
            self._problems += [
                _as_problem(rule, row, self._raw.files)
                for row in rest.head(MAX_PROBLEMS).iter_rows(named=True)
            ]
        return taken

    def refuse(self) -> None:
        """Stop when a row breaks a rule that is not waived.

        Raises:
            BadRowsError: Naming all of them.
        """
        if self._problems:
            ordered = sorted(self._problems, key=lambda item: (item.file, item.line, item.column))
            raise BadRowsError(ordered[:MAX_PROBLEMS], self._counts)

    def report(self) -> tuple[Mapping[str, Any], ...]:
        """Return each waiver with what was done and every row it touched."""
        return tuple(
            {
                **waiver.to_mapping(),
                "action": WAIVABLE_RULES[waiver.rule] if rows else "met no row",
                "rows": list(rows.values()),
            }
            for waiver, rows in zip(self._waivers, self._touched, strict=True)
        )

    def _count(self, counts: pl.DataFrame) -> None:
        for rule, count in counts.iter_rows():
            self._counts[rule] = self._counts.get(rule, 0) + count

    def _note(
        self, index: int, row: Mapping[str, Any], at: str, values: Mapping[str, str | None]
    ) -> None:
        file = self._raw.files[row["file"]]
        place = {"file": file, "line": row["line"], "symbol": row["symbol"], "at": at}
        known = self._touched[index].setdefault((file, row["line"]), {**place, "values": {}})
        known["values"] |= values


def plain_row(row: Mapping[str, Any], files: Sequence[str]) -> dict[str, Any]:
    """Return a row for a manifest: file, line, symbol, time, and its values as text.

    Args:
        row: With `file`, `line`, `symbol`, `timestamp` and values.
        files: Name of each file by its index.
    """
    return {
        "file": files[row["file"]],
        "line": row["line"],
        "symbol": row["symbol"],
        "at": _at(row),
        "values": _texts(row),
    }


def _texts(row: Mapping[str, Any]) -> dict[str, str | None]:
    return {
        name: None if value is None else repr(value)
        for name, value in row.items()
        if name not in ("symbol", "timestamp", "kind", "file", "line")
    }


def _without(frame: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    if not rows.height:
        return frame
    return frame.join(rows.select(_KEY), on=_KEY, how="anti", maintain_order="left")


def _meant_by(waiver: Waiver) -> pl.Expr:
    meant = pl.lit(True)
    if waiver.symbols:
        meant &= pl.col("symbol").cast(pl.String).is_in(list(waiver.symbols))
    if waiver.dates:
        meant &= pl.col("timestamp").dt.date().is_in(list(waiver.dates))
    return meant.fill_null(value=False)


def _at(row: Mapping[str, Any]) -> str:
    moment = row.get("timestamp")
    return "" if moment is None else moment.isoformat().replace("T00:00:00+00:00", "")


def _as_problem(rule: Rule, row: Mapping[str, Any], files: Sequence[str]) -> RowProblem:
    value = _at(row) if rule.column == "timestamp" else row.get(rule.column)
    return row_problem(
        file=files[row["file"]],
        line=row["line"],
        symbol=row["symbol"] or "",
        at=_at(row),
        column=rule.column,
        value=None if value in (None, "") else str(value),
        rule=rule.name,
        why=rule.why,
    )
