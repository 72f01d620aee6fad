"""The rules that prices must keep, as plain Polars expressions.

A row that breaks a rule stops the ingest, unless a waiver names the rule; nothing is dropped or
changed in silence. `NaN > 0` is true in Polars, so finiteness is always asked by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from backtrail.data.adjustments import extract_adjustments, splits_not_in_prices
from backtrail.data.bundles import WAIVABLE_RULES, Waiver
from backtrail.data.duplicates import drop_exact_duplicates
from backtrail.data.identity import BAR_SCHEMA, canonical_order
from backtrail.data.problems import MAX_PROBLEMS, BadRowsError, RowProblem, row_problem
from backtrail.data.raw_prices import RawPrices

__all__ = ["ValidatedPrices", "validate"]

_PRICES: Final = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True, eq=False)
class ValidatedPrices:
    """Prices that keep every rule, or break one under a recorded waiver.

    Attributes:
        bars: Columns of `BAR_SCHEMA` in canonical order; the symbol is an `Enum`.
        adjustments: Columns of `ADJUSTMENT_SCHEMA` in canonical order.
        waivers: Each waiver with action and the rows it touched, also when there were none.
        duplicates: Number of exact duplicates dropped and the first of them.
        left_out: Split rows that were not applied because prices contain them.
    """

    bars: pl.DataFrame
    adjustments: pl.DataFrame
    waivers: tuple[Mapping[str, Any], ...]
    duplicates: Mapping[str, Any]
    left_out: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Rule:
    name: str
    column: str
    why: str
    broken: pl.Expr


def validate(
    raw: RawPrices, waivers: Sequence[Waiver] = (), *, split_adjusted: bool = False
) -> ValidatedPrices:
    """Check all rules at once and return canonical bars and adjustments.

    Args:
        raw: What an adapter read.
        waivers: Rules that rows may break.
        split_adjusted: Whether prices already contain the splits listed beside them.

    Raises:
        BadRowsError: If a row breaks a rule that is not waived; it names all of them.
    """
    ledger = _Ledger(raw, tuple(waivers))
    for rule in _broken_rules(raw.frame):
        ledger.add(rule, raw.frame.filter(rule.broken))
    adjustments = extract_adjustments(raw.frame)
    frame = raw.frame.filter(pl.col("symbol").is_not_null() & pl.col("timestamp").is_not_null())
    if ledger.touched("null_row"):
        frame = frame.filter(~_null_row())
    ordered = canonical_order(frame, "bars")
    ordered, duplicates, contradicting = drop_exact_duplicates(ordered, raw.files)
    ledger.add(_CONTRADICTION, contradicting)
    if duplicates["rows"]:
        adjustments = adjustments.unique(["symbol", "timestamp", "kind"], maintain_order=True)
    ignored = splits_not_in_prices(ordered, adjustments)
    left_out: list[dict[str, Any]] = []
    if split_adjusted:
        splits = adjustments.filter(pl.col("kind") == "split")
        left_out = [_plain_row(row, raw.files) for row in splits.iter_rows(named=True)]
        adjustments = adjustments.filter(pl.col("kind") != "split")
    else:
        ledger.add(_SPLIT_NOT_IN_PRICES, ignored.rename({"value": "split"}))
    ledger.refuse()
    columns = ["symbol", "timestamp", "kind", "value"]
    parts = [adjustments.select(columns)]
    if raw.delistings is not None:
        parts.append(raw.delistings.select(columns).cast(adjustments.select(columns).schema))
    return ValidatedPrices(
        bars=ordered.select(list(BAR_SCHEMA)),
        adjustments=canonical_order(pl.concat(parts), "adjustments"),
        waivers=ledger.report(),
        duplicates=duplicates,
        left_out=tuple(left_out),
    )


_CONTRADICTION: Final = _Rule(
    "contradicting_duplicate",
    "timestamp",
    "the same symbol and time stand elsewhere with other values",
    pl.lit(True),
)
_SPLIT_NOT_IN_PRICES: Final = _Rule(
    "split_not_in_prices",
    "split",
    "prices do not move with this split, they seem to be adjusted for it already; "
    "set options.split_adjusted",
    pl.lit(True),
)


def _null_row() -> pl.Expr:
    return pl.all_horizontal(pl.col(_PRICES).is_null())


def _rules(columns: Sequence[str]) -> list[_Rule]:
    rules = [
        _Rule("null_symbol", "symbol", "no symbol", pl.col("symbol").is_null()),
        _Rule("null_timestamp", "timestamp", "no timestamp", pl.col("timestamp").is_null()),
        _Rule("null_row", "close", "the row has no price", _null_row()),
    ]
    for name in (*_PRICES, "volume"):
        value = pl.col(name)
        label = "null_volume" if name == "volume" else "null_price"
        rules.append(_Rule(label, name, "no value", value.is_null() & ~_null_row()))
        rules.append(_Rule("non_finite", name, "not finite", ~value.is_finite()))
    for name in _PRICES:
        value = pl.col(name)
        wrong = value.is_finite() & (value <= 0)
        rules.append(_Rule("non_positive_price", name, "a price is above zero", wrong))
    negative = pl.col("volume").is_finite() & (pl.col("volume") < 0)
    rules.append(_Rule("negative_volume", "volume", "volume is zero or above", negative))
    rules += _ohlc_rules()
    for name, floor in (("split", pl.col("split") > 0), ("dividend", pl.col("dividend") >= 0)):
        if name in columns:
            sound = pl.col(name).is_finite() & floor
            rules.append(_Rule("bad_adjustment", name, "finite, above zero", ~sound))
    return rules


def _ohlc_rules() -> list[_Rule]:
    finite = pl.all_horizontal(pl.col(_PRICES).is_finite())
    high, low = pl.col("high"), pl.col("low")
    above = (high < pl.col("open")) | (high < pl.col("close")) | (high < low)
    below = (low > pl.col("open")) | (low > pl.col("close")) | (low > high)
    return [
        _Rule("impossible_ohlc", "high", "high is below open, low or close", finite & above),
        _Rule("impossible_ohlc", "low", "low is above open, high or close", finite & below),
    ]


def _broken_rules(frame: pl.DataFrame) -> list[_Rule]:
    rules = _rules(frame.columns)
    counts = frame.select(
        rule.broken.any(ignore_nulls=True).alias(str(index)) for index, rule in enumerate(rules)
    ).row(0)
    return [rule for rule, broken in zip(rules, counts, strict=True) if broken]


class _Ledger:
    """Bad rows met so far, and which waiver took which of them."""

    def __init__(self, raw: RawPrices, waivers: tuple[Waiver, ...]) -> None:
        self._files = raw.files
        self._waivers = waivers
        self._touched: list[list[dict[str, Any]]] = [[] for _ in waivers]
        self._problems = list(raw.problems)
        self._total = len(self._problems)
        self._unread = {(item.file, item.line, item.column) for item in raw.problems}

    def add(self, rule: _Rule, rows: pl.DataFrame) -> None:
        for index, waiver in enumerate(self._waivers):
            if waiver.rule == rule.name and rows.height:
                meant = _meant_by(waiver)
                taken = [
                    _plain_row(row, self._files) for row in rows.filter(meant).iter_rows(named=True)
                ]
                known = self._touched[index]
                known += [row for row in taken if row not in known]
                rows = rows.filter(~meant)
        self._total += rows.height
        for row in rows.head(MAX_PROBLEMS).iter_rows(named=True):
            problem = _as_problem(rule, row, self._files)
            if (problem.file, problem.line, problem.column) in self._unread:
                self._total -= 1
            else:
                self._problems.append(problem)

    def touched(self, rule: str) -> bool:
        pairs = zip(self._waivers, self._touched, strict=True)
        return any(waiver.rule == rule and rows for waiver, rows in pairs)

    def refuse(self) -> None:
        if self._problems:
            ordered = sorted(self._problems, key=lambda item: (item.file, item.line, item.column))
            raise BadRowsError(ordered[:MAX_PROBLEMS], self._total)

    def report(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(
            {
                **waiver.to_mapping(),
                "action": WAIVABLE_RULES[waiver.rule] if rows else "met no row",
                "rows": rows,
            }
            for waiver, rows in zip(self._waivers, self._touched, strict=True)
        )


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


def _plain_row(row: Mapping[str, Any], files: Sequence[str]) -> dict[str, Any]:
    values = {
        name: None if value is None else repr(value)
        for name, value in row.items()
        if name not in ("symbol", "timestamp", "kind", "file", "line")
    }
    return {
        "file": files[row["file"]],
        "line": row["line"],
        "symbol": row["symbol"],
        "at": _at(row),
        "values": values,
    }


def _as_problem(rule: _Rule, row: Mapping[str, Any], files: Sequence[str]) -> RowProblem:
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
