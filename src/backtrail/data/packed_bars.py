"""Bars as one block of bytes: how they pass from the process that reads them to one that runs.

A JSON line says what follows; then come the columns, eight bytes a value, little-endian, symbol
after symbol. A file of it is mapped into memory by every run, and nothing is copied. The sessions
of a calendar that does not come with this package, and who is in the universe when, go along.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import Final

__all__ = ["PackedBars", "Spans"]

_PER_SYMBOL: Final = ("open", "high", "low", "close", "volume", "splits", "dividends")
_PER_SESSION: Final = ("session_days", "session_opens", "session_closes")
_WIDTH: Final = 8

Spans = Mapping[str, tuple[tuple[int, int], ...]]
"""First and last day since 1970, both included, of each time a symbol is in the universe."""


@dataclass(frozen=True, slots=True)
class PackedBars:
    """The columns of `engine.Bars` as bytes.

    Attributes:
        symbols: Names, one per column; k of them.
        calendar: Name of the trading calendar.
        timeframe: Length of a bar.
        columns: `timestamps` (n int64) and `delisted` (k int64); `open`, `high`, `low`, `close`,
            `volume`, `splits` and `dividends` (n float64 of the first symbol, then the next);
            `session_days`, `session_opens` and `session_closes` (int64) where the dataset has its
            own sessions.
        members: When each symbol is in the universe; None where nothing says so.
    """

    symbols: tuple[str, ...]
    calendar: str
    timeframe: str
    columns: Mapping[str, bytes | memoryview]
    members: Spans | None = None

    def to_bytes(self) -> bytes:
        """Return one block; columns in it begin at multiples of eight bytes."""
        header = {
            "symbols": self.symbols,
            "bars": len(self.columns["timestamps"]) // _WIDTH,
            "calendar": self.calendar,
            "timeframe": self.timeframe,
            "sessions": len(self.columns.get("session_days", b"")) // _WIDTH,
            "members": self.members,
        }
        line = json.dumps(header).encode()
        line += b" " * (-(len(line) + 1) % _WIDTH) + b"\n"
        names = ["timestamps", "delisted", *_PER_SYMBOL]
        if header["sessions"]:
            names += _PER_SESSION
        return b"".join([line, *(self.columns[name] for name in names)])

    @classmethod
    def from_block(cls, block: bytes | mmap) -> "PackedBars":
        """Return what `to_bytes` made, as views into the block."""
        begin = block.find(b"\n") + 1
        header = json.loads(block[:begin])
        count, width = header["bars"], len(header["symbols"])
        sizes = {"timestamps": count, "delisted": width}
        sizes |= dict.fromkeys(_PER_SYMBOL, count * width)
        if header["sessions"]:
            sizes |= dict.fromkeys(_PER_SESSION, header["sessions"])
        view, columns = memoryview(block), {}
        for name, size in sizes.items():
            columns[name] = view[begin : begin + _WIDTH * size]
            begin += _WIDTH * size
        members = header["members"]
        if members is not None:
            members = {
                name: tuple((first, last) for first, last in spans)
                for name, spans in members.items()
            }
        return cls(
            tuple(header["symbols"]), header["calendar"], header["timeframe"], columns, members
        )
