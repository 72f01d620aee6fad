import codecs
import gzip
import hashlib
import io
import zipfile

import pytest

from backtrail.data.csv_text import first_lines, read_head, read_text
from backtrail.errors import DatasetError

TEXT = "date,open\n2020-01-02,ä\n"


def zipped(data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._a.csv", b"junk")
        archive.writestr("a.csv", data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
        gzip.compress(TEXT.encode()),
        gzip.compress(TEXT[:5].encode()) + gzip.compress(TEXT[5:].encode()),
        zipped(TEXT.encode("utf-16")),
        TEXT.replace("\n", "\r").encode(),
    ],
    ids=["plain", "utf-8", "utf-16-le", "utf-16-be", "utf-32", "gzip", "two gzips", "zip", "cr"],
)
def test_packing_and_marks_are_known_by_their_bytes(tmp_path, data):
    path = tmp_path / "any.name"
    path.write_bytes(data)
    text = read_text(path, "label")
    assert text.source == TEXT.encode()
    assert (text.newlines, text.is_open) == (2, False)
    assert (text.sha256, text.size) == (hashlib.sha256(data).hexdigest(), len(data))
    assert read_head(path, "label") == TEXT.encode()


def test_encoding_is_taken_as_it_is_given(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT.encode("cp1252"))
    assert read_text(path, "label", "cp1252").source == TEXT.encode()
    with pytest.raises(DatasetError, match="label is not utf-16-le text"):
        read_text(path, "label", "utf-16-le")


def test_large_plain_file_is_read_where_it_lies(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT.encode() * 3 + b"last")
    whole = read_text(path, "label")
    in_place = read_text(path, "label", large=10)
    assert in_place.source == path
    assert (in_place.newlines, in_place.is_open) == (whole.newlines, whole.is_open) == (6, True)
    assert (in_place.sha256, in_place.size, in_place.head) == (
        whole.sha256,
        whole.size,
        whole.head,
    )
    for text in (whole, in_place):
        with text.buffer() as buffer:
            assert buffer.find(b"last") == len(TEXT.encode()) * 3
        with text.open(5) as stream:
            assert stream.read(4) == b"open"
        text.check_unchanged()
    path.write_bytes(b"other")
    whole.check_unchanged()
    with pytest.raises(DatasetError, match="label was written to while it was read"):
        in_place.check_unchanged()


def test_packed_large_file_is_unpacked(tmp_path):
    path = tmp_path / "a.csv"
    for data in (gzip.compress(TEXT.encode()), codecs.BOM_UTF8 + TEXT.encode()):
        path.write_bytes(data)
        assert read_text(path, "label", large=10).source == TEXT.encode()


def test_first_lines_end_with_the_last_whole_line_of_a_long_file():
    line = b"2020-01-02,1,1,1,1,1\n"
    lines = first_lines("label", (line * 20_000)[: 1 << 18])
    assert set(lines) == {"2020-01-02,1,1,1,1,1"}
    assert len(lines) == (1 << 18) // len(line)
    assert first_lines("label", b"a\r\nb") == ["a", "b"]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b" \n\n", "label is empty"),
        (b"a\x00b\n", "holds zero bytes"),
        (b"\xe4\n", "is not UTF-8 text"),
        (b"x" * 70_000, "line of more than 65,536 bytes"),
    ],
)
def test_first_lines_refuse_what_is_no_text(head, message):
    with pytest.raises(DatasetError, match=message):
        first_lines("label", head)
