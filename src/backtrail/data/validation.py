"""From raw rows to canonical bars and adjustments: every rule is asked, nothing bad passes.

A row that breaks a rule stops the ingest, unless a waiver names the rule; nothing is dropped or
changed in silence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from backtrail.data.adjustments import extract_adjustments, splits_not_in_prices
from backtrail.data.bundles import Waiver
from backtrail.data.duplicates import drop_exact_duplicates
from backtrail.data.identity import BAR_SCHEMA, canonical_order
from backtrail.data.raw_prices import RawPrices
from backtrail.data.rules import CONTRADICTION, SPLIT_NOT_IN_PRICES, broken_rules
from backtrail.data.waived import RowLedger, plain_row

__all__ = ["ValidatedPrices", "validate"]


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
    ledger = RowLedger(raw, waivers)
    frame = ledger.drop_unread(raw.frame)
    adjustments = extract_adjustments(frame)  # a dividend may stand in a row without prices
    frame = ledger.drop_waived(frame)
    for rule in broken_rules(frame):
        ledger.add(rule, frame.filter(rule.broken))
    frame = frame.filter(pl.col("symbol").is_not_null() & pl.col("timestamp").is_not_null())
    ordered, adjustments, duplicates = _without_duplicates(frame, adjustments, ledger, raw.files)
    ignored = splits_not_in_prices(ordered, adjustments)
    left_out: list[dict[str, Any]] = []
    if split_adjusted:
        splits = adjustments.filter(pl.col("kind") == "split")
        left_out = [plain_row(row, raw.files) for row in splits.iter_rows(named=True)]
        adjustments = adjustments.filter(pl.col("kind") != "split")
    else:
        ledger.add(SPLIT_NOT_IN_PRICES, ignored.rename({"value": "split"}))
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


def _without_duplicates(
    frame: pl.DataFrame, adjustments: pl.DataFrame, ledger: RowLedger, files: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame, Mapping[str, Any]]:
    ordered = canonical_order(frame, "bars")
    ordered, duplicates, contradicting = drop_exact_duplicates(ordered, files)
    waived = ledger.add(CONTRADICTION, contradicting)
    if waived.height:
        key = ["symbol", "timestamp"]
        last = waived.unique(key, keep="last", maintain_order=True)
        others = ordered.join(last, on=key, how="anti", maintain_order="left")
        ordered = canonical_order(pl.concat([others, last]), "bars")
        dropped = waived.join(last, on=["file", "line"], how="anti")
        adjustments = adjustments.join(dropped, on=["file", "line"], how="anti")
    if duplicates["rows"]:
        adjustments = adjustments.unique(["symbol", "timestamp", "kind"], maintain_order=True)
    return ordered, adjustments, duplicates
