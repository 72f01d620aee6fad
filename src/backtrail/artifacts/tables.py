"""Writing a run's tables: declared schema, stable bytes, and a checksum of content."""

import hashlib
import io
import math
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from backtrail.arrow import column_bytes, positive_bytes
from backtrail.artifacts.schemas import ARTIFACT_SCHEMAS, ArtifactSchema
from backtrail.errors import ArtifactManagerError
from backtrail.files import atomic_path, write_bytes

__all__ = [
    "build_table",
    "content_checksum",
    "read_table",
    "write_csv",
    "write_table",
    "write_tables",
]


def build_table(
    name: str, columns: Mapping[str, Sequence[Any]], schema: ArtifactSchema | None = None
) -> pl.DataFrame:
    """Build the frame of an artifact from plain columns.

    Args:
        name: Key of `ARTIFACT_SCHEMAS`.
        columns: Lists or arrays (of the standard library or NumPy) of equal length; timestamps as
            int64 microseconds UTC, decimals as `Decimal`. NaN in float columns means missing and
            becomes null.
        schema: Its columns, when they are not declared under its name alone.

    Raises:
        ArtifactManagerError: If columns are missing, unknown or do not fit their type.
    """
    schema = ARTIFACT_SCHEMAS[name] if schema is None else schema
    if set(columns) != set(schema):
        raise ArtifactManagerError(
            f"table {name!r} has the columns {sorted(columns)}; declared are {sorted(schema)}"
        )
    series = []
    for column, dtype in schema.items():
        try:
            series.append(_series(column, columns[column], dtype))
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
            raise ArtifactManagerError(
                f"column {column!r} of table {name!r} does not fit {dtype}: {error}"
            ) from error
    return _without_nan(pl.DataFrame(series))


def _series(name: str, values: Any, dtype: pl.DataType) -> pl.Series:
    if isinstance(dtype, pl.Datetime):
        return pl.Series(name, values, dtype=pl.Int64).cast(dtype)
    if isinstance(dtype, pl.Decimal):  # from text: Polars takes decimals slowly, and by NumPy
        texts = [None if value is None else str(value) for value in values]
        return pl.Series(name, texts, dtype=pl.String).cast(dtype)
    return pl.Series(name, values, dtype=dtype, strict=True)


def _without_nan(frame: pl.DataFrame) -> pl.DataFrame:
    # A sum tells of a NaN without a query; each query of a frame costs more than a small column.
    found = [
        series.name
        for series in frame.iter_columns()
        if series.dtype == pl.Float64 and math.isnan(series.sum())
    ]
    return frame.with_columns(pl.col(found).fill_nan(None)) if found else frame


def write_table(path: Path, frame: pl.DataFrame) -> str:
    """Write a frame as Parquet and return the checksum of its content.

    One contiguous chunk, zstd, statistics: the bytes depend on content and library version alone.
    """
    return write_tables({path: frame})[path]


def write_tables(frames: Mapping[Path, pl.DataFrame]) -> dict[Path, str]:
    """Write frames as `write_table` does, in less time than one after the other.

    Returns:
        The checksum of each frame's content, by its path.
    """
    checksums = {}
    filled = {path: frame for path, frame in frames.items() if frame.height}
    for path in frames.keys() - filled.keys():  # many are empty; those of a kind are equal
        data, checksums[path] = _empty_table(tuple(frames[path].schema.items()))
        write_bytes(path, data)
    for path, data in zip(filled, _parquet(list(filled.values())), strict=True):
        write_bytes(path, data)
        checksums[path] = content_checksum(filled[path])
    return checksums


def _parquet(frames: Sequence[pl.DataFrame]) -> list[bytes]:
    """Return each frame as a file; one query for all costs less than one for each."""
    targets = [io.BytesIO() for _ in frames]  # a file takes Polars longer than memory
    settings: dict[str, Any] = {"compression": "zstd", "statistics": True, "lazy": True}
    pl.collect_all(
        frame.rechunk().lazy().sink_parquet(target, **settings)
        for frame, target in zip(frames, targets, strict=True)
    )
    return [target.getvalue() for target in targets]


@cache
def _empty_table(schema: tuple[tuple[str, pl.DataType], ...]) -> tuple[bytes, str]:
    frame = pl.DataFrame(schema=dict(schema))
    return _parquet([frame])[0], content_checksum(frame)


def write_csv(path: Path, frame: pl.DataFrame) -> None:
    """Write a frame as CSV: ISO 8601 times in UTC, full precision, empty where missing."""
    with atomic_path(path) as temporary:
        frame.write_csv(temporary, datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")


def read_table(path: Path, name: str) -> pl.DataFrame:
    """Read an artifact and check that it has the declared schema.

    Raises:
        ArtifactManagerError: If the file has other columns or types.
    """
    frame = pl.read_parquet(path)
    declared = pl.Schema(ARTIFACT_SCHEMAS[name])
    if frame.schema != declared:
        raise ArtifactManagerError(f"{path} has the schema {frame.schema}; declared is {declared}")
    return frame


def content_checksum(frame: pl.DataFrame) -> str:
    """Return the sha256 of a frame's columns in a form no file format or version changes.

    Each column contributes its name, dtype and length, a byte per value that says whether it is
    present, and the present values: numbers as little-endian, −0.0 as 0.0, anything else as text
    with its length.
    """
    digest = hashlib.sha256()
    for series in frame.iter_columns():
        digest.update(f"{series.name}|{series.dtype}|{len(series)}\n".encode())
        nulls = series.null_count()
        if nulls in (0, len(series)):
            digest.update((b"\0" if nulls else b"\1") * len(series))
        else:
            digest.update(column_bytes(series.is_not_null().cast(pl.UInt8)))
        if nulls < len(series):
            digest.update(_value_bytes(series.drop_nulls() if nulls else series))
    return digest.hexdigest()


def _value_bytes(present: pl.Series) -> bytes:
    """Return values without nulls as bytes; a whole column costs one or two calls of Polars."""
    dtype = present.dtype
    if dtype.is_float():
        return positive_bytes(present.cast(pl.Float64))
    if isinstance(dtype, pl.Datetime):
        return column_bytes(present.to_physical())
    if dtype.is_integer():
        return column_bytes(present.cast(pl.Int64))
    as_text = present if dtype == pl.String else present.cast(pl.String)
    texts = [text.encode() for text in as_text.to_list()]
    return struct.pack(f"<{len(texts)}I", *map(len, texts)) + b"".join(texts)
