"""Files from outside are kept as they were read, or it is said why not."""

import os
import time

import pytest

from backtrail.canonical import sha256_bytes
from backtrail.errors import SealError
from backtrail.provenance.inputs import keep_inputs, merge_usage, restore_input, usage_gaps
from backtrail.provenance.objects import ObjectStore

NOTHING = {
    "opened": {}, "modules": [], "packages": [], "processes": [], "connections": [], "unseen": [],
}  # fmt: skip


@pytest.fixture
def keep(tmp_path):
    objects = ObjectStore(tmp_path / "objects")

    def keep(**used):
        return keep_inputs({**NOTHING, **used}, objects, tmp_path / "run")

    return keep


def state(path):
    found = path.stat()
    return (found.st_size, found.st_mtime_ns)


def write(path, content=b"data"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_is_kept_read_only_under_its_checksum_and_name(keep, tmp_path):
    source = write(tmp_path / "o/prices of today.csv")
    usage = keep(opened={str(source): state(source)})
    sha256 = sha256_bytes(b"data")
    stored = f"inputs/opened/{sha256[:12]}-prices of today.csv"
    assert usage["opened"] == [
        {"origin": str(source), "sha256": sha256, "size": 4, "stored": stored, "reason": None}
    ]
    assert (tmp_path / "run" / stored).read_bytes() == b"data"
    assert (tmp_path / "run" / stored).stat().st_mode & 0o777 == 0o444
    assert state(source)[0] == 4
    assert source.stat().st_nlink == 1  # the original is copied, never linked


def test_equal_names_and_equal_contents_do_not_meet(keep, tmp_path):
    files = [
        write(tmp_path / f"{folder}/a.csv", content)
        for folder, content in (("x", b"1"), ("y", b"2"), ("z", b"1"))
    ]
    usage = keep(opened={str(path): state(path) for path in files})
    contents = [
        (tmp_path / "run" / item["stored"]).read_bytes() for item in usage["opened"]
    ]  # fmt: skip
    assert contents == [b"1", b"2", b"1"]
    assert len(list((tmp_path / "run/inputs/opened").iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a\nb.csv", "a_b.csv"),
        ("bad \udcff byte.csv", "bad \\udcff byte.csv"),
        ("x" * 200 + ".csv", "x" * 96 + ".csv"),
    ],
)
def test_every_name_can_be_kept(keep, tmp_path, name, kept):
    source = write(tmp_path / "o" / name)
    (item,) = keep(opened={str(source): state(source)})["opened"]
    assert item["stored"].partition("-")[2] == kept
    assert (tmp_path / "run" / item["stored"]).read_bytes() == b"data"
    item["origin"].encode()


def test_what_cannot_be_kept_has_its_reason(keep, tmp_path):
    large, changed, gone, pipe = (tmp_path / name for name in ("large", "changed", "gone", "pipe"))
    with large.open("wb") as stream:
        stream.truncate(100_000_001)
    write(changed)
    before = state(changed)
    os.utime(changed, ns=(time.time_ns() + 10**9,) * 2)
    os.mkfifo(pipe)
    opened = {str(large): state(large), str(changed): before, str(gone): (1, 1),
              str(pipe): state(pipe)}  # fmt: skip
    usage = keep(opened=opened)
    assert {item["origin"]: item["reason"] for item in usage["opened"]} == {
        str(large): "it is larger than 100 MB",
        str(changed): "it has changed since it was read",
        str(gone): "it is gone",
        str(pipe): "it is no regular file",
    }
    assert {item["stored"] for item in usage["opened"]} == {None}
    assert not (tmp_path / "run").exists()
    assert usage_gaps(usage)[0] == (
        f"{changed} was read; it is no part of the captured code and is not kept: "
        "it has changed since it was read"
    )


def test_the_largest_file_is_kept(keep, tmp_path):
    large = tmp_path / "large"
    with large.open("wb") as stream:
        stream.truncate(100_000_000)
    assert keep(opened={str(large): state(large)})["opened"][0]["reason"] is None


def test_a_module_is_listed_once_whether_source_or_cache_was_read(keep, tmp_path):
    source = write(tmp_path / "lib/mine.py", b"X = 1\n")
    cache = write(tmp_path / "lib/__pycache__" / f"mine.{os.sys.implementation.cache_tag}.pyc")
    usage = keep(
        modules=[("mine", str(source))],
        opened={str(path): state(path) for path in (source, cache)},
    )
    assert usage["opened"] == []
    (module,) = usage["modules"]
    assert (module["name"], module["origin"]) == ("mine", str(source))
    assert (tmp_path / "run" / module["stored"]).read_bytes() == b"X = 1\n"


SEEN = {
    "opened": {"/a": (1, 1)}, "modules": [], "packages": [], "processes": ["x"],
    "connections": [], "native": ["polars"], "watched": True,
}  # fmt: skip


def test_native_code_is_unseen_when_nobody_watched():
    assert merge_usage(SEEN, None)["unseen"] == ["polars"]
    assert usage_gaps({**NOTHING, "opened": [], "unseen": ["polars"]}) == [
        "polars is native code, and this system does not show which files it opened"
    ]


def test_a_lost_copy_of_a_module_comes_back(keep, tmp_path):
    source = write(tmp_path / "lib/mine.py", b"X = 1\n")
    usage = keep(modules=[("mine", str(source))])
    stored = usage["modules"][0]["stored"]
    objects = ObjectStore(tmp_path / "objects")
    restore_input(usage, stored, objects, tmp_path / "other")
    assert (tmp_path / "other" / stored).read_bytes() == b"X = 1\n"
    objects.path(usage["modules"][0]["sha256"]).unlink()
    source.unlink()
    with pytest.raises(SealError, match=r"mine\.py, from where it was copied, has not the same"):
        restore_input(usage, stored, objects, tmp_path / "third")
    assert not (tmp_path / "third").exists()
