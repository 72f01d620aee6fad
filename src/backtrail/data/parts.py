"""Sources in parts of whole symbols: each is validated by itself, all make one dataset."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl

from backtrail.canonical import canonical_json
from backtrail.data.bundles import Waiver
from backtrail.data.duplicates import MAX_LISTED
from backtrail.data.identity import ADJUSTMENT_SCHEMA, BAR_SCHEMA
from backtrail.data.manifest import SourceRecord
from backtrail.data.problems import MAX_PROBLEMS, BadRowsError, RowProblem
from backtrail.data.raw_prices import RawPrices
from backtrail.data.spool import Spool
from backtrail.data.validation import ValidatedPrices, validate

__all__ = ["ReadPrices", "validate_parts"]

_VALUES: Final = [name for name in BAR_SCHEMA if name != "symbol"]


@dataclass(frozen=True, slots=True, eq=False)
class ReadPrices:
    """Prices of all parts, and where they came from.

    Attributes:
        prices: The prices, which keep every rule or break one under a recorded waiver.
        sources: The files with their checksums.
        dialect: How they were read: one entry per dialect met, with its files.
        synthetic: Whether prices were computed.
    """

    prices: ValidatedPrices
    sources: tuple[SourceRecord, ...]
    dialect: tuple[Mapping[str, Any], ...]
    synthetic: bool


def validate_parts(
    parts: Iterable[RawPrices], waivers: Sequence[Waiver], *, split_adjusted: bool, spool: Spool
) -> ReadPrices:
    """Validate parts one after the other and return them as one.

    Args:
        parts: Raw rows; symbols of a part come after those of the part before it.
        waivers: Rules that rows may break.
        split_adjusted: Whether prices already contain the splits listed beside them.
        spool: Keeps the bars of parts that were validated.

    Raises:
        BadRowsError: If a row of any part breaks a rule that is not waived; it names all of them.
    """
    sound: list[ValidatedPrices] = []
    sources: list[SourceRecord] = []
    dialect: list[Mapping[str, Any]] = []
    problems: list[RowProblem] = []
    counts: Counter[str] = Counter()
    synthetic = False
    for raw in parts:
        sources += raw.sources
        dialect += raw.dialect
        synthetic |= raw.synthetic
        try:
            valid = validate(raw, waivers, split_adjusted=split_adjusted)
        except BadRowsError as error:
            problems += error.problems
            counts.update(error.counts)
            sound.clear()
            continue
        if not problems:
            sound.append(_spooled(valid, spool))
    if problems:
        raise BadRowsError(problems[:MAX_PROBLEMS], counts)
    return ReadPrices(_merged(sound), tuple(sources), _grouped(dialect), synthetic)


def _spooled(valid: ValidatedPrices, spool: Spool) -> ValidatedPrices:
    values = spool.keep(valid.bars.select(_VALUES))
    bars = pl.DataFrame([valid.bars["symbol"], *values.get_columns()])
    return replace(valid, bars=bars)


def _merged(parts: Sequence[ValidatedPrices]) -> ValidatedPrices:
    if len(parts) == 1:
        return parts[0]
    names = [part.bars["symbol"].unique().cast(pl.String).to_list() for part in parts]
    symbols = pl.Enum(sorted({name for found in names for name in found}))
    bars = [
        # Column by column: adding one to a frame in chunks would copy them all into memory.
        pl.DataFrame([part.bars["symbol"].cast(symbols), *part.bars.select(_VALUES).get_columns()])
        for part in parts
    ]
    adjustments = [part.adjustments.cast({"symbol": symbols}) for part in parts]
    return ValidatedPrices(
        bars=pl.concat(bars, rechunk=False),
        adjustments=pl.concat(adjustments).select(list(ADJUSTMENT_SCHEMA)),
        waivers=_merged_waivers([part.waivers for part in parts]),
        duplicates={
            "rows": sum(part.duplicates["rows"] for part in parts),
            "listed": [row for part in parts for row in part.duplicates["listed"]][:MAX_LISTED],
        },
        left_out=tuple(row for part in parts for row in part.left_out),
    )


def _merged_waivers(
    reports: Sequence[Sequence[Mapping[str, Any]]],
) -> tuple[Mapping[str, Any], ...]:
    merged = []
    for same in zip(*reports, strict=True):
        rows = [row for report in same for row in report["rows"]]
        action = next((report["action"] for report in same if report["rows"]), same[0]["action"])
        merged.append({**same[0], "action": action, "rows": rows})
    return tuple(merged)


def _grouped(dialects: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    grouped: dict[str, dict[str, Any]] = {}
    for dialect in dialects:
        plain = {key: value for key, value in dialect.items() if key != "files"}
        entry = grouped.setdefault(canonical_json(plain), {**plain, "files": []})
        entry["files"] += dialect.get("files", ())
    return tuple(
        entry if entry["files"] else {k: v for k, v in entry.items() if k != "files"}
        for entry in grouped.values()
    )
