"""Columns as plain bytes, through Arrow's C stream interface.

A process that has Polars needs no NumPy for it, and so starts sooner. The structures are those of
https://arrow.apache.org/docs/format/CStreamInterface.html; their layout is fixed for good.
"""

import ctypes
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import polars as pl

__all__ = ["column_bytes", "positive_bytes", "positive_zeros"]

_ADDRESS: Final = ctypes.c_void_p
_NEGATIVE_ZERO: Final = b"\0\0\0\0\0\0\0\x80"


class _Array(ctypes.Structure):
    _fields_: ClassVar[Any] = [
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ctypes.POINTER(_ADDRESS)),
        ("children", _ADDRESS),
        ("dictionary", _ADDRESS),
        ("release", ctypes.CFUNCTYPE(None, _ADDRESS)),
        ("private_data", _ADDRESS),
    ]


class _Stream(ctypes.Structure):
    _fields_: ClassVar[Any] = [
        ("get_schema", _ADDRESS),
        ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, _ADDRESS, _ADDRESS)),
        ("get_last_error", _ADDRESS),
        ("release", _ADDRESS),
        ("private_data", _ADDRESS),
    ]


_WIDTHS: Final[Mapping[type[pl.DataType], int]] = {
    pl.Float64: 8,
    pl.Int64: 8,
    pl.UInt32: 4,
    pl.UInt8: 1,
}
_content_of = ctypes.PYFUNCTYPE(_ADDRESS, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def column_bytes(column: pl.Series) -> bytes:
    """Return the values of a column without nulls as little-endian bytes.

    Args:
        column: Of type Float64, Int64, UInt32 or UInt8; cast others first.

    Raises:
        TypeError: If it has another type, or a null.
    """
    width = _WIDTHS.get(column.dtype.base_type())
    if width is None or column.null_count():
        raise TypeError(
            f"column {column.name!r} is {column.dtype} with {column.null_count()} nulls; cast it "
            f"to one of {', '.join(map(str, _WIDTHS))} and fill the nulls"
        )
    capsule = column.__arrow_c_stream__()  # owns the stream
    stream = _Stream.from_address(_content_of(capsule, b"arrow_array_stream"))
    parts: list[bytes] = []
    while True:
        array = _Array()
        if stream.get_next(ctypes.addressof(stream), ctypes.addressof(array)):
            raise MemoryError(f"column {column.name!r} cannot be exported")
        if not array.release:  # the end of the stream
            return parts[0] if len(parts) == 1 else b"".join(parts)
        if array.length:
            first = array.buffers[1] + array.offset * width
            parts.append(ctypes.string_at(first, array.length * width))
        array.release(ctypes.addressof(array))


def positive_bytes(column: pl.Series) -> bytes:
    """Return floats without nulls as little-endian bytes, −0.0 as 0.0.

    Raises:
        TypeError: If the column is not of type Float64, or has a null.
    """
    data = column_bytes(column)
    at = data.find(_NEGATIVE_ZERO)
    if at < 0:
        return data
    found = bytearray(data)
    while at >= 0:
        if at % 8 == 0:  # elsewhere the pattern lies across two numbers
            found[at : at + 8] = bytes(8)
        at = data.find(_NEGATIVE_ZERO, at + 1)
    return bytes(found)


def positive_zeros(column: pl.Series) -> pl.Series:
    """Return a column of floats with −0.0 as 0.0, so that equal numbers have equal bytes."""
    # A column of zeros: adding the number 0.0 is skipped by Polars, for it changes no value.
    return column + pl.zeros(len(column), dtype=column.dtype, eager=True)
