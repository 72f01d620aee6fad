"""Bars as one block of bytes: how they pass from the process that reads them to one that runs.

A JSON line says what follows; then come the columns, eight bytes a value, little-endian, symbol
after symbol. A file of it is mapped into memory by every run, and nothing is copied.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import Final

__all__ = ["PackedBars"]

_PER_SYMBOL: Final = ("open", "high", "low", "close", "volume", "splits", "dividends")
_WIDTH: Final = 8


@dataclass(frozen=True, slots=True)
class PackedBars:
    """The columns of `engine.Bars` as bytes.

    Attributes:
        symbols: Names, one per column; k of them.
        calendar: Name of the trading calendar.
        timeframe: Length of a bar.
        columns: `timestamps` (n int64) and `delisted` (k int64); `open`, `high`, `low`, `close`,
            `volume`, `splits` and `dividends` (n float64 of the first symbol, then the next).
    """

    symbols: tuple[str, ...]
    calendar: str
    timeframe: str
    columns: Mapping[str, bytes | memoryview]

    def to_bytes(self) -> bytes:
        """Return one block; columns in it begin at multiples of eight bytes."""
        header = {
            "symbols": self.symbols,
            "bars": len(self.columns["timestamps"]) // _WIDTH,
            "calendar": self.calendar,
            "timeframe": self.timeframe,
        }
        line = json.dumps(header).encode()
        line += b" " * (-(len(line) + 1) % _WIDTH) + b"\n"
        names = ("timestamps", "delisted", *_PER_SYMBOL)
        return b"".join([line, *(self.columns[name] for name in names)])

    @classmethod
    def from_block(cls, block: bytes | mmap) -> "PackedBars":
        """Return what `to_bytes` made, as views into the block."""
        begin = block.find(b"\n") + 1
        header = json.loads(block[:begin])
        count, width = header["bars"], len(header["symbols"])
        sizes = {"timestamps": count, "delisted": width}
        sizes |= dict.fromkeys(_PER_SYMBOL, count * width)
        view, columns = memoryview(block), {}
        for name, size in sizes.items():
            columns[name] = view[begin : begin + _WIDTH * size]
            begin += _WIDTH * size
        return cls(tuple(header["symbols"]), header["calendar"], header["timeframe"], columns)
