"""Make the shipped session tables: `python -m backtrail.data.generate_sessions FOLDER`.

For developers: it needs `exchange_calendars`, which nothing at run time imports.
"""

import gzip
import sys
from pathlib import Path

__all__ = ["session_table", "write_table"]

_FIRST, _LAST = "1990-01-01", "2030-12-31"


def session_table(calendar: str, first: str, last: str) -> str:
    """Return CSV text: session date, first minute of the UTC day, length in minutes."""
    import exchange_calendars

    table = exchange_calendars.get_calendar(calendar, start=first, end=last)
    lines = ["date,open_minute,minutes"]
    for session, opened, closed in zip(table.sessions, table.opens, table.closes, strict=True):
        minutes = int((closed - opened).total_seconds()) // 60
        lines.append(f"{session.date().isoformat()},{opened.hour * 60 + opened.minute},{minutes}")
    return "\n".join(lines) + "\n"


def write_table(calendar: str, folder: Path) -> Path:
    """Write `<calendar>.csv.gz` below `folder`, without a clock in it, and return its path."""
    path = folder / f"{calendar}.csv.gz"
    text = session_table(calendar, _FIRST, _LAST)
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    return path


if __name__ == "__main__":
    write_table("XNYS", Path(sys.argv[1]))
