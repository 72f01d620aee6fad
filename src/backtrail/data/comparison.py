"""Which bars and adjustments differ between two datasets: counted, with the first ones shown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import polars as pl

from backtrail.data.datasets import Dataset
from backtrail.data.identity import ADJUSTMENT_SCHEMA, BAR_SCHEMA, TIMESTAMP
from backtrail.wording import counted

__all__ = ["DatasetDifference", "TableDifference", "compare_datasets", "dataset_sentences"]

_ROWS_AT_ONCE: Final = 2_000_000
_DIGITS: Final = 12
_KEYS: Final = {"bars": ("symbol", "timestamp"), "adjustments": ("symbol", "timestamp", "kind")}
_SMALL: Final[Mapping[str, Mapping[str, Any]]] = {
    "sessions": {"symbol": pl.String, "timestamp": TIMESTAMP, "open": pl.String, "minutes": int},
    "universe": {"symbol": pl.String, "timestamp": TIMESTAMP, "last": pl.String},
}


@dataclass(frozen=True, slots=True)
class TableDifference:
    """How one table of a dataset differs from another one's.

    Attributes:
        added: Rows that only the second has.
        removed: Rows that only the first has.
        changed: Rows of both with another value.
        columns: How many changed rows differ in each column.
        first_added: The earliest added rows, whole.
        first_removed: The earliest removed rows, whole.
        first_changed: The earliest changed rows: their key, and under `changes` the values before
            and after of every column that differs.
    """

    added: int
    removed: int
    changed: int
    columns: Mapping[str, int]
    first_added: tuple[Mapping[str, Any], ...]
    first_removed: tuple[Mapping[str, Any], ...]
    first_changed: tuple[Mapping[str, Any], ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class DatasetDifference:
    """How two datasets differ; false when they hold the same.

    Attributes:
        before: Id of the first dataset.
        after: Id of the second.
        bars: Their bars.
        adjustments: Their splits, dividends and delistings.
        settings: Calendar and timeframe where they differ, and the beginnings of the checksums of
            stored sessions and of the universe: before and after.
        sessions: Sessions of the calendar that differ, where either dataset stores them.
        universe: Times of membership that differ, by symbol and first date.
    """

    before: str
    after: str
    bars: TableDifference
    adjustments: TableDifference
    settings: Mapping[str, tuple[str, str]]
    sessions: TableDifference
    universe: TableDifference

    def __bool__(self) -> bool:
        return bool(self.bars or self.adjustments or self.settings)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def compare_datasets(
    before: Dataset,
    after: Dataset,
    *,
    symbols: Sequence[str] | None = None,
    start: date | None = None,
    end: date | None = None,
    limit: int = 10,
) -> DatasetDifference:
    """Compare two datasets row by row; what is not read because checksums agree costs nothing.

    Args:
        before: The first dataset.
        after: The second.
        symbols: Symbols to look at; None means all of both.
        start: First UTC date to look at.
        end: Last UTC date to look at, included.
        limit: How many rows to show of each kind.

    Raises:
        DatasetError: If a table cannot be read.
    """
    manifests = before.manifest, after.manifest
    wanted = set(manifests[0].symbols) | set(manifests[1].symbols)
    if symbols is not None:
        wanted &= set(symbols)
    equal = {
        name: manifests[0].content.get(name) == manifests[1].content.get(name) for name in _KEYS
    }
    bars = _Findings("bars", limit)
    for some in () if equal["bars"] else _symbol_groups(before, after, sorted(wanted)):
        frames = [
            dataset.bars([name for name in some if name in dataset.manifest.symbols], start, end)
            for dataset in (before, after)
        ]
        bars.add(*_without_equal_rows(*frames))
    adjustments = _Findings("adjustments", limit)
    if not equal["adjustments"]:
        adjustments.add(
            *(_within(item.adjustments(), sorted(wanted), start, end) for item in (before, after))
        )
    settings = {
        name: (getattr(manifests[0], name), getattr(manifests[1], name))
        for name in ("calendar", "timeframe")
        if getattr(manifests[0], name) != getattr(manifests[1], name)
    }
    small = {name: _Findings(name, limit) for name in _SMALL}
    for name, findings in small.items():
        first, second = (item.content.get(name, "none")[:_DIGITS] for item in manifests)
        if first != second:
            settings[name] = (first, second)
            findings.add(*(_small_table(item, name) for item in (before, after)))
    return DatasetDifference(
        manifests[0].dataset_id,
        manifests[1].dataset_id,
        bars.result(),
        adjustments.result(),
        settings,
        small["sessions"].result(),
        small["universe"].result(),
    )


def _small_table(dataset: Dataset, name: str) -> pl.DataFrame:
    """Return sessions or memberships in the shape of bars: a symbol, a moment, values."""
    none = pl.DataFrame(schema=dict(_SMALL[name]))
    if name == "universe":
        frame = dataset.universe()
        columns = [pl.col("symbol"), pl.col("first").cast(TIMESTAMP).alias("timestamp")]
        columns.append(pl.col("last").cast(pl.String).fill_null("ever"))
    else:
        frame = dataset.session_rows()
        columns = [pl.lit(dataset.manifest.calendar).alias("symbol")]
        columns.append(pl.col("date").cast(TIMESTAMP).alias("timestamp"))
        columns.append(pl.col("open").dt.strftime("%Y-%m-%dT%H:%MZ"))
        columns.append(pl.col("minutes"))
    return none if frame is None else frame.select(columns)


def _symbol_groups(before: Dataset, after: Dataset, symbols: Sequence[str]) -> Iterator[list[str]]:
    """Yield symbols in groups whose rows fit into memory together."""
    group: list[str] = []
    rows = 0
    for name in symbols:
        known = [
            item.manifest.symbols[name].rows
            for item in (before, after)
            if name in item.manifest.symbols
        ]
        if group and rows + max(known) > _ROWS_AT_ONCE:
            yield group
            group, rows = [], 0
        group.append(name)
        rows += max(known)
    if group:
        yield group


def _without_equal_rows(
    before: pl.DataFrame, after: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Drop bars that stand at the same place in both with equal values: nearly all, as a rule."""
    parts = [
        {str(key[0]): part for key, part in frame.partition_by("symbol", as_dict=True).items()}
        for frame in (before, after)
    ]
    kept: tuple[list[pl.DataFrame], list[pl.DataFrame]] = ([before.clear()], [after.clear()])
    for symbol in sorted({*parts[0], *parts[1]}):
        old, new = parts[0].get(symbol, before.clear()), parts[1].get(symbol, after.clear())
        shared = min(old.height, new.height)
        differs = pl.repeat(False, shared, dtype=pl.Boolean, eager=True)
        for name in (column for column in BAR_SCHEMA if column != "symbol"):
            differs |= old[name].head(shared) != new[name].head(shared)
        for side, frame in zip(kept, (old, new), strict=True):
            side += [frame.head(shared).filter(differs), frame.slice(shared)]
    return pl.concat(kept[0]), pl.concat(kept[1])


def _within(
    frame: pl.DataFrame, symbols: Sequence[str], start: date | None, end: date | None
) -> pl.DataFrame:
    found = frame.filter(pl.col("symbol").is_in(list(symbols)))
    if start is not None:
        found = found.filter(pl.col("timestamp").dt.date() >= start)
    if end is not None:
        found = found.filter(pl.col("timestamp").dt.date() < end + timedelta(days=1))
    return found


class _Findings:
    """Counts over groups of symbols, and the earliest rows of all of them."""

    def __init__(self, table: str, limit: int) -> None:
        self.keys = list(_KEYS.get(table, _KEYS["bars"]))
        schemas = {"bars": BAR_SCHEMA, "adjustments": ADJUSTMENT_SCHEMA, **_SMALL}
        schema = schemas[table]
        self.values = [name for name in schema if name not in self.keys]
        self.limit = limit
        self.counts = {"added": 0, "removed": 0, "changed": 0}
        self.columns = dict.fromkeys(self.values, 0)
        self.first: dict[str, list[dict[str, Any]]] = {name: [] for name in self.counts}

    def add(self, before: pl.DataFrame, after: pl.DataFrame) -> None:
        added = after.join(before, on=self.keys, how="anti")
        removed = before.join(after, on=self.keys, how="anti")
        both = before.join(after, on=self.keys, how="inner", suffix="_after")
        differs = [pl.col(name).ne_missing(pl.col(f"{name}_after")) for name in self.values]
        changed = both.filter(pl.any_horizontal(differs))
        for name, rows in (("added", added), ("removed", removed), ("changed", changed)):
            self.counts[name] += rows.height
            earliest = rows.sort(["timestamp", "symbol"], maintain_order=True).head(self.limit)
            self.first[name] += earliest.to_dicts()
        for name, expression in zip(self.values, differs, strict=True):
            self.columns[name] += int(changed.select(expression.sum()).item() or 0)

    def result(self) -> TableDifference:
        shown = {
            name: sorted(rows, key=lambda row: (row["timestamp"], row["symbol"]))[: self.limit]
            for name, rows in self.first.items()
        }
        return TableDifference(
            **self.counts,
            columns={name: count for name, count in self.columns.items() if count},
            first_added=tuple(map(_plain_row, shown["added"])),
            first_removed=tuple(map(_plain_row, shown["removed"])),
            first_changed=tuple(map(self._change, shown["changed"])),
        )

    def _change(self, row: Mapping[str, Any]) -> dict[str, Any]:
        changes = {
            name: (row[name], row[f"{name}_after"])
            for name in self.values
            if row[name] != row[f"{name}_after"]
        }
        return {**_plain_row({name: row[name] for name in self.keys}), "changes": changes}


def _plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _moment(v) if isinstance(v, datetime) else v for name, v in row.items()}


def _moment(value: datetime) -> str:
    """Return a bar's time: the date alone for a bar that begins at midnight UTC."""
    text = value.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return text.removesuffix("T00:00:00") if text.endswith("T00:00:00") else f"{text}Z"


def dataset_sentences(difference: DatasetDifference) -> Iterator[str]:
    """Yield what differs between two datasets in words, the first rows among them."""
    for name, (before, after) in difference.settings.items():
        yield f"{name} changed: {before} -> {after}"
    tables = (
        ("bar", difference.bars),
        ("adjustment", difference.adjustments),
        ("session", difference.sessions),
        ("membership", difference.universe),
    )
    for noun, table in tables:
        if table.changed:
            columns = ", ".join(f"{name} {count}" for name, count in table.columns.items())
            rows = [f"{_key(row)} {_changes(row['changes'])}" for row in table.first_changed]
            yield f"{counted(table.changed, noun)} changed ({columns}): " + _listed(
                rows, table.changed
            )
        if table.added:
            rows = [_key(row) for row in table.first_added]
            yield f"{counted(table.added, noun)} added: {_listed(rows, table.added)}"
        if table.removed:
            rows = [_key(row) for row in table.first_removed]
            yield f"{counted(table.removed, noun)} removed: {_listed(rows, table.removed)}"


def _key(row: Mapping[str, Any]) -> str:
    kind = f" {row['kind']}" if "kind" in row else ""
    return f"{row['symbol']} {row['timestamp']}{kind}"


def _changes(changes: Mapping[str, tuple[Any, Any]]) -> str:
    return ", ".join(f"{name} {before!r} -> {after!r}" for name, (before, after) in changes.items())


def _listed(rows: Sequence[str], total: int) -> str:
    more = total - len(rows)
    return "; ".join([*rows, f"and {more:,} more"] if more > 0 else rows)
