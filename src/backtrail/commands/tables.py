"""A table that a command writes to a file, in the format that the file's name says."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from backtrail.canonical import pretty_json
from backtrail.errors import BacktrailError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["write_frame"]

_FORMATS: Final = (".csv", ".parquet", ".json")


def write_frame(frame: "pl.DataFrame", path: Path) -> None:
    """Write a frame as its path ends: `.csv`, `.parquet` or `.json`, a list of rows.

    Raises:
        BacktrailError: If it ends otherwise.
    """
    from backtrail.files import atomic_path, write_bytes

    if path.suffix not in _FORMATS:
        raise BacktrailError(
            f"{path} ends in none of {', '.join(_FORMATS)}; the end says which format"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        write_bytes(path, pretty_json(frame.to_dicts()).encode())
        return
    with atomic_path(path) as temporary:
        if path.suffix == ".csv":
            frame.write_csv(temporary, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
        else:
            frame.write_parquet(temporary)
