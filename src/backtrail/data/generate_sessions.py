"""Make the shipped session tables: `python -m backtrail.data.generate_sessions FOLDER`.

For developers: it needs `exchange_calendars`, which nothing that reads a dataset imports.
"""

import gzip
import sys
from datetime import date
from pathlib import Path

from backtrail.data.library_calendars import library_sessions

__all__ = ["session_table", "write_table"]

_FIRST, _LAST = date(1990, 1, 1), date(2030, 12, 31)
_MINUTE, _MINUTES_PER_DAY = 60_000_000, 1440


def session_table(calendar: str, first: date, last: date) -> str:
    """Return CSV text: session date, first minute of the UTC day, length in minutes."""
    table = library_sessions(calendar, first, last)
    lines = ["date,open_minute,minutes"]
    for day, opened, minutes in zip(table.dates, table.opens, table.minutes, strict=True):
        lines.append(f"{day},{int(opened) // _MINUTE % _MINUTES_PER_DAY},{minutes}")
    return "\n".join(lines) + "\n"


def write_table(calendar: str, folder: Path) -> Path:
    """Write `<calendar>.csv.gz` below `folder`, without a clock in it, and return its path."""
    path = folder / f"{calendar}.csv.gz"
    text = session_table(calendar, _FIRST, _LAST)
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    return path


if __name__ == "__main__":
    write_table("XNYS", Path(sys.argv[1]))
