"""Keeping more rows than memory holds: in files without a name, mapped where they are needed."""

import mmap
import tempfile
from pathlib import Path

import polars as pl

__all__ = ["Spool"]


class Spool:
    """Frames in memory up to a limit, further ones on disk.

    The files have no name, so that a killed process leaves nothing behind.

    Args:
        folder: Where files are made; itself made with the first of them.
        limit: Bytes to keep in memory.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._left = limit
        self.files = 0

    def keep(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the same rows, in memory while there is room, else mapped from a file.

        Args:
            frame: Columns of numbers and timestamps.

        Raises:
            OSError: If the file cannot be written.
        """
        size = int(frame.estimated_size())
        if size <= self._left:
            self._left -= size
            return frame
        return self._mapped(frame)

    def _mapped(self, frame: pl.DataFrame) -> pl.DataFrame:
        import pyarrow as pa

        self._folder.mkdir(parents=True, exist_ok=True)
        table = frame.rechunk().to_arrow()
        with tempfile.TemporaryFile(dir=self._folder) as stream:
            with pa.ipc.new_file(stream, table.schema) as writer:
                writer.write_table(table)
            stream.flush()
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self.files += 1
        return pl.DataFrame(pa.ipc.open_file(pa.py_buffer(mapped)).read_all())
