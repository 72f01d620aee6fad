"""From the bytes of a CSV file to UTF-8 text: unpacked, without byte order mark, lines ended by LF.

Large plain files are read where they lie, and never stand in memory as a whole. Light: a Snakefile
that is parsed looks at headers.
"""

import codecs
import hashlib
import io
import mmap
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from backtrail.errors import DatasetError

__all__ = ["LONGEST_LINE", "CsvText", "first_lines", "read_head", "read_text"]

LONGEST_LINE: Final = 1 << 16
"""Bytes that a header, or a line of the sample, may have."""

_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_HEAD: Final = 1 << 18
_LARGE: Final = 1 << 26
_CHUNK: Final = 1 << 20
_MARKS: Final = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True, eq=False)
class CsvText:
    """The text of one file.

    Attributes:
        label: Name of the file in messages.
        source: The text as UTF-8, or the file that holds it as such.
        head: Its first quarter megabyte.
        newlines: How many lines end.
        is_open: Whether the last line does not end.
        sha256: Checksum of the file's bytes.
        size: Bytes of the file.
        stamp: When a file read where it lies was last written to, in nanoseconds.
    """

    label: str
    source: bytes | Path
    head: bytes
    newlines: int
    is_open: bool
    sha256: str
    size: int
    stamp: int = 0

    @contextmanager
    def buffer(self) -> Iterator["bytes | mmap.mmap"]:
        """Yield the whole text for searching."""
        if isinstance(self.source, bytes):
            yield self.source
            return
        with (
            self.source.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        ):
            yield mapped

    def open(self, start: int) -> BinaryIO:
        """Return a stream of the text from an offset on."""
        if isinstance(self.source, bytes):
            return io.BytesIO(self.source[start:])
        stream = self.source.open("rb")
        stream.seek(start)
        return stream

    def check_unchanged(self) -> None:
        """Make sure that a file read where it lies is still the one whose checksum was taken.

        Raises:
            DatasetError: If it was written to.
        """
        if not isinstance(self.source, Path):
            return
        try:
            status = self.source.stat()
        except OSError as error:
            raise DatasetError(f"{self.label} was moved while it was read: {error}") from error
        if (status.st_mtime_ns, status.st_size) != (self.stamp, self.size):
            raise DatasetError(f"{self.label} was written to while it was read; ingest it again")


def read_text(
    path: Path, label: str, encoding: str | None = None, *, large: int = _LARGE
) -> CsvText:
    """Return the text of a file as UTF-8.

    gzip and zip are known by their first bytes, whatever the name says. Text that is UTF-8 is not
    checked here; readers find what is not.

    Args:
        path: The file.
        label: Its name in messages.
        encoding: Of the text; None to go by its byte order mark, UTF-8 where there is none.
        large: Bytes from which on a plain file is read where it lies.

    Raises:
        DatasetError: If it cannot be read, unpacked or decoded.
    """
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            head = stream.read(_HEAD)
            if status.st_size >= large and encoding is None and _is_plain(head):
                return _text_in_place(path, label, stream, head, status)
            packed = head + stream.read()
    except OSError as error:
        raise DatasetError(f"{label} cannot be read: {error}") from error
    sha256 = hashlib.sha256(packed).hexdigest()
    text = _unpack(label, packed, encoding)
    return CsvText(
        label=label,
        source=text,
        head=text[:_HEAD],
        newlines=text.count(b"\n"),
        is_open=bool(text) and not text.endswith(b"\n"),
        sha256=sha256,
        size=len(packed),
    )


def _is_plain(head: bytes) -> bool:
    packed = head.startswith((_GZIP, *_ZIP))
    marked = head.startswith((codecs.BOM_UTF8, *(mark for mark, _ in _MARKS)))
    return not packed and not marked and b"\n" in head


def _text_in_place(
    path: Path, label: str, stream: BinaryIO, head: bytes, status: os.stat_result
) -> CsvText:
    digest, newlines, size, chunk = hashlib.sha256(), 0, 0, head
    while chunk:
        digest.update(chunk)
        newlines += chunk.count(b"\n")
        size, last = size + len(chunk), chunk
        chunk = stream.read(_CHUNK)
    return CsvText(
        label=label,
        source=path,
        head=head,
        newlines=newlines,
        is_open=not last.endswith(b"\n"),
        sha256=digest.hexdigest(),
        size=size,
        stamp=status.st_mtime_ns,
    )


def _unpack(label: str, packed: bytes, encoding: str | None = None) -> bytes:
    if packed.startswith(_GZIP):
        import gzip

        try:
            packed = gzip.decompress(packed)
        except (OSError, EOFError, zlib.error) as error:
            raise DatasetError(f"{label} is no complete gzip file: {error}") from error
    elif packed.startswith(_ZIP):
        packed = _unzip(label, packed, None)
    return _as_utf8(label, packed, encoding, whole=True)


def read_head(path: Path, label: str, encoding: str | None = None) -> bytes:
    """Return the first quarter megabyte of a file's text as UTF-8.

    Raises:
        DatasetError: If it cannot be read, unpacked or decoded.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
            if head.startswith(_GZIP):
                head = _gunzip_head(head)
            elif head.startswith(_ZIP):
                stream.seek(0)
                head = _unzip(label, stream.read(), _HEAD)
    except (OSError, zlib.error) as error:
        raise DatasetError(f"{label} cannot be read: {error}") from error
    return _as_utf8(label, head, encoding, whole=False)


def _gunzip_head(packed: bytes) -> bytes:
    text = b""
    while packed and len(text) < _HEAD:  # one file may be several, written one after the other
        member = zlib.decompressobj(wbits=31)
        text += member.decompress(packed, _HEAD - len(text))
        packed = member.unused_data
    return text


def first_lines(label: str, head: bytes) -> list[str]:
    """Return the lines of a file's first quarter megabyte, without their ends.

    Args:
        label: Name of the file in messages.
        head: The text; what is longer is cut after the last whole line.

    Raises:
        DatasetError: If there is none, one is far too long, or they are not UTF-8.
    """
    if not head.strip():
        raise DatasetError(f"{label} is empty; it needs a header and rows")
    lines = head.split(b"\n")
    if len(head) >= _HEAD:
        lines.pop()  # cut in the middle
    if not lines or max(map(len, lines)) > LONGEST_LINE:
        raise DatasetError(
            f"{label} has a line of more than {LONGEST_LINE:,} bytes among its first; "
            "that is no CSV file of prices"
        )
    if b"\x00" in head:
        raise DatasetError(
            f"{label} holds zero bytes: it is no text, or UTF-16 without a byte order mark; "
            "for that, give `encoding`, such as utf-16-le"
        )
    try:
        return [line.decode("utf-8").rstrip("\r") for line in lines]
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{label} is not UTF-8 text: {error.reason} in its first lines; give `encoding`, "
            "such as cp1252"
        ) from error


def _unzip(label: str, packed: bytes, most: int | None) -> bytes:
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            members = [
                item
                for item in archive.infolist()
                if not item.is_dir() and not item.filename.startswith("__MACOSX/")
            ]
            if len(members) != 1:
                names = ", ".join(item.filename for item in members[:5]) or "none"
                raise DatasetError(
                    f"{label} holds {len(members)} files ({names}); pack one file per zip"
                )
            with archive.open(members[0]) as stream:
                return stream.read() if most is None else stream.read(most)
    except (
        OSError,
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
        NotImplementedError,  # a compression that Python does not have
        RuntimeError,  # a password
        ValueError,
    ) as error:
        raise DatasetError(f"{label} is no complete zip file: {error}") from error


def _as_utf8(label: str, data: bytes, encoding: str | None, *, whole: bool) -> bytes:
    if encoding is None:
        found = [name for mark, name in _MARKS if data.startswith(mark)]
        encoding = found[0] if found else None
    if encoding is not None and codecs.lookup(encoding).name != "utf-8":
        try:
            decoder = codecs.getincrementaldecoder(encoding)()
            data = decoder.decode(data, final=whole).encode()
        except (UnicodeError, LookupError) as error:
            reason = str(error)[:200]
            raise DatasetError(f"{label} is not {encoding} text: {reason}") from error
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\r" in data and b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    return data
