"""Whatever bytes stand in a file: a dataset, or an error that names the file and leaves nothing."""

import gzip
import io
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtrail.data import BundleConfig, ingest_bundle
from backtrail.errors import BacktrailError

from .places import HEADER, daily_row

SOUND = HEADER + "".join(daily_row(f"2020-01-{day:02d}", 10.5 + day) for day in range(2, 20))
SMALL = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])


def error_of(folder, name, data, **options):
    """Return the error that a file's bytes lead to, None where they are a dataset."""
    (folder / name).write_bytes(data)
    message = message_of(folder, {"files": {"AAA": name}, **options})
    if message is not None:
        assert name in message, message
        assert len(message) < 10_000
        assert not (folder / "bundles").exists()
    return message


def message_of(folder, options):
    bundle = BundleConfig("b", "csv", "XNYS", "1d", ".", options)
    try:
        ingest_bundle(bundle, root=folder, bundles_dir=folder / "bundles")
    except BacktrailError as error:
        return str(error)
    return None


def scratch():
    return tempfile.TemporaryDirectory()


@SMALL
@given(st.binary(max_size=400), st.sampled_from(["AAA.csv", "AAA.csv.gz", "AAA.zip"]))
def test_random_bytes_are_a_clear_error(data, name):
    with scratch() as folder:
        assert error_of(Path(folder), name, data) is not None


@SMALL
@given(st.text(alphabet="0123456789.,;:-/ \t\n\r\"'#abDTZe+\u00e4\u00a0", max_size=300))
def test_random_text_below_a_header_is_a_clear_error(text):
    with scratch() as folder:
        assert error_of(Path(folder), "AAA.csv", (HEADER + text).encode()) is not None


@SMALL
@given(st.data())
def test_damage_anywhere_in_a_file_is_a_clear_error_or_another_dataset(data):
    damaged = bytearray(SOUND.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(damaged) - 1, 0)))
        match data.draw(st.sampled_from(["change", "cut", "insert", "end"])):
            case "change" if damaged:
                damaged[at] = data.draw(st.integers(0, 255))
            case "cut":
                del damaged[at : at + data.draw(st.integers(1, 30))]
            case "insert":
                damaged[at:at] = data.draw(st.binary(min_size=1, max_size=8))
            case "end":
                del damaged[at + 1 :]
    with scratch() as folder:
        error_of(Path(folder), "AAA.csv", bytes(damaged))


@pytest.mark.parametrize("left", [0, 1, 5, 12, 60, -1])
@pytest.mark.parametrize("name", ["AAA.csv.gz", "AAA.zip"])
def test_truncated_archives_are_clear_errors(tmp_path, name, left):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("AAA.csv", SOUND)
    packed = gzip.compress(SOUND.encode()) if name.endswith("gz") else buffer.getvalue()
    message = error_of(tmp_path, name, packed[:left])
    known = ("no complete", "is empty", "zero bytes", "not UTF-8", "no column", "no line of")
    assert any(part in message for part in known), message


def test_zip_of_several_files_or_none_is_a_clear_error(tmp_path):
    for names, found in (
        ([], "holds 0 files"),
        (["A.csv", "B.csv"], "holds 2 files (A.csv, B.csv)"),
    ):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in names:
                archive.writestr(name, SOUND)
        assert found in error_of(tmp_path, "AAA.zip", buffer.getvalue())


@pytest.mark.parametrize(
    "data",
    [
        b"x" * (64 << 20),
        HEADER.encode() + b"2020-01-02," + b"1" * (64 << 20) + b",1,1,1,1\n",
        SOUND.encode() + b"y" * (64 << 20) + b"\n" + SOUND.encode(),
        SOUND.encode() + b'"' + b"y,\n" * (20 << 20),
        b'"' * (64 << 20),
    ],
    ids=["header", "first row", "later row", "open quote", "quotes"],
)
def test_line_of_64_megabytes_is_a_clear_error(tmp_path, data):
    assert error_of(tmp_path, "AAA.csv", data) is not None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n \n\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (HEADER.encode(), "has a header and no rows"),
        (HEADER.encode() + b"\n\n", "has a header and no rows"),
        (b"# only\n# comments\n", "has no line of data"),
    ],
)
def test_files_without_rows_are_clear_errors(tmp_path, data, message):
    assert message in error_of(tmp_path, "AAA.csv", data)


def test_file_that_cannot_be_opened_is_a_clear_error(tmp_path):
    (tmp_path / "AAA.csv").symlink_to(tmp_path)
    bundle = BundleConfig("b", "csv", "XNYS", "1d", ".", {"files": {"AAA": "AAA.csv"}})
    with pytest.raises(BacktrailError, match=r"AAA\.csv"):
        ingest_bundle(bundle, root=tmp_path, bundles_dir=tmp_path / "bundles")


def test_undecodable_text_says_which_option_would_do(tmp_path):
    text = "Datum;Eröffnung;Hoch;Tief;Schluss;Volumen\n2020-01-02;1;1;1;1;1\n"
    message = error_of(tmp_path, "AAA.csv", text.encode("cp1252"))
    assert "give `encoding`, such as cp1252" in message
    message = error_of(tmp_path, "AAA.csv", text.encode("utf-16-le"))
    assert "give `encoding`, such as utf-16-le" in message
    message = error_of(tmp_path, "AAA.csv", text.encode("utf-16-le"), encoding="utf-32")
    assert "AAA.csv is not utf-32 text" in message
