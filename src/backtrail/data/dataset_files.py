"""The Parquet files of a dataset, laid out for reading a few symbols of many.

Row groups end where symbols do; a few small symbols share one, so that a run that wants two symbols
of two hundred reads little else. Prices repeat, so a dictionary serves
them best; timestamps are stored as differences. Both make files smaller, and faster to read, than a
writer's defaults. The bytes are no part of a dataset's identity.
"""

from pathlib import Path
from typing import Any, Final

import polars as pl

from backtrail.canonical import sha256_file
from backtrail.data.identity import (
    ADJUSTMENT_SCHEMA,
    BAR_SCHEMA,
    SESSION_SCHEMA,
    UNIVERSE_SCHEMA,
    canonical_order,
)
from backtrail.data.manifest import (
    ADJUSTMENTS_FILE,
    BARS_FILE,
    SESSIONS_FILE,
    UNIVERSE_FILE,
)

__all__ = ["row_group_ends", "write_dataset_files"]

_ROWS_PER_GROUP: Final = 1 << 18
_ROWS_SHARED: Final = 1 << 14
_REPEATING: Final = ("symbol", "open", "high", "low", "close", "kind", "value")
_LEVEL: Final = 1


def write_dataset_files(
    folder: Path,
    bars: pl.DataFrame,
    adjustments: pl.DataFrame,
    *,
    sessions: pl.DataFrame | None = None,
    universe: pl.DataFrame | None = None,
) -> dict[str, dict[str, Any]]:
    """Write the tables of a dataset and return checksum and size of each file.

    Args:
        folder: Where to write; nothing of that name is there yet.
        bars: Columns of `BAR_SCHEMA` in canonical order; the symbol is an `Enum`.
        adjustments: Columns of `ADJUSTMENT_SCHEMA` in canonical order; the symbol likewise.
        sessions: Columns of `SESSION_SCHEMA`, where the dataset brings its sessions.
        universe: Columns of `UNIVERSE_SCHEMA`, where it says who belongs to it when.
    """
    _write(folder / BARS_FILE, bars.select(list(BAR_SCHEMA)))
    _write(folder / ADJUSTMENTS_FILE, adjustments.select(list(ADJUSTMENT_SCHEMA)))
    names = [BARS_FILE, ADJUSTMENTS_FILE]
    small = (
        (SESSIONS_FILE, "sessions", sessions, SESSION_SCHEMA),
        (UNIVERSE_FILE, "universe", universe, UNIVERSE_SCHEMA),
    )
    for name, table, frame, schema in small:
        if frame is not None:
            _write_plain(folder / name, canonical_order(frame.select(list(schema)), table))
            names.append(name)
    return {
        name: {"sha256": sha256_file(folder / name), "size": (folder / name).stat().st_size}
        for name in names
    }


def _write_plain(path: Path, frame: pl.DataFrame) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = frame.to_arrow()
    fields = [
        pa.field(item.name, pa.string() if pa.types.is_large_string(item.type) else item.type)
        for item in table.schema
    ]
    pq.write_table(
        table.cast(pa.schema(fields)),
        path,
        compression="zstd",
        compression_level=_LEVEL,
        store_schema=False,
    )


def row_group_ends(rows_per_symbol: list[int]) -> list[int]:
    """Return where the row groups end.

    Args:
        rows_per_symbol: Rows of each symbol, in the order of the table.
    """
    ends, start, end = [], 0, 0
    for rows in rows_per_symbol:
        if end > start and end + rows - start > _ROWS_SHARED:
            ends.append(end)
            start = end
        end += rows
        while end - start > _ROWS_PER_GROUP:
            start += _ROWS_PER_GROUP
            ends.append(start)
    if end > start or not ends:
        ends.append(end)
    return ends


def _write(path: Path, frame: pl.DataFrame) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    counts = frame.group_by("symbol", maintain_order=True).len()["len"].to_list()
    schema = frame.clear().cast({"symbol": pl.String}).to_arrow().schema
    with pq.ParquetWriter(
        path,
        pa.schema([_plain_text(field) for field in schema]),
        compression="zstd",
        compression_level=_LEVEL,
        use_dictionary=[name for name in _REPEATING if name in frame.columns],
        column_encoding={"timestamp": "DELTA_BINARY_PACKED"},
        write_statistics=True,
        store_schema=False,
    ) as writer:
        start = 0
        for end in row_group_ends(counts):
            part = frame.slice(start, end - start).cast({"symbol": pl.String})
            writer.write_table(part.to_arrow().cast(writer.schema), row_group_size=_ROWS_PER_GROUP)
            start = end


def _plain_text(field: Any) -> Any:
    import pyarrow as pa

    return (
        field
        if pa.types.is_timestamp(field.type) or pa.types.is_floating(field.type)
        else (pa.field(field.name, pa.string()))
    )
