"""The file of an archive: a tar of plain files whose bytes depend on nothing but their content.

The first member, `archive.json`, lists every other one with its size and sha256. Times, owners and
the order of a file system are left out. On reading, nothing is believed: a member that is no plain
file, is not listed, is listed twice or leads elsewhere ends the reading.
"""

import gzip
import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from backtrail.canonical import pretty_json, sha256_file, sha256_json
from backtrail.errors import ArtifactManagerError
from backtrail.files import atomic_path
from backtrail.wording import first_line

__all__ = ["LIST", "ArchiveList", "check_archive_name", "read_archive", "write_archive"]

LIST: Final = "archive.json"
_VERSION: Final = 1
_LARGEST_LIST: Final = 512_000_000
_CHUNK: Final = 1 << 20
_KINDS: Final = (".tar", ".tar.gz")

ArchiveList = dict[str, Any]


def check_archive_name(path: Path) -> None:
    """Refuse a file that cannot be written as an archive.

    Raises:
        ArtifactManagerError: If its ending names no kind of archive, or it is there.
    """
    if not path.name.endswith(_KINDS):
        raise ArtifactManagerError(
            f"cannot write an archive {path}: its name ends in none of {', '.join(_KINDS)}; "
            "other compressions are not in Python's standard library"
        )
    if path.exists():
        raise ArtifactManagerError(f"{path} is there already; delete it, or name another file")


def write_archive(path: Path, files: Mapping[str, Path], said: Mapping[str, Any]) -> ArchiveList:
    """Write an archive by a temporary name and a rename; equal content gives equal bytes.

    Args:
        path: The archive, `.tar` or `.tar.gz`.
        files: The members by their names in the archive.
        said: What the list says beside the members.

    Returns:
        The list.

    Raises:
        ArtifactManagerError: If the name of the archive will not do, or a file changed meanwhile.
    """
    check_archive_name(path)
    listed: dict[str, dict[str, Any]] = {
        name: {"sha256": sha256_file(files[name]), "size": files[name].stat().st_size}
        for name in sorted(files)
    }
    values = {**said, "version": _VERSION, "files": listed}
    values["checksum"] = sha256_json(values)
    text = pretty_json(values).encode()
    with (
        atomic_path(path, durable=True) as temporary,
        _packed(temporary, is_compressed=path.suffix == ".gz") as tar,
    ):
        header = tarfile.TarInfo(LIST)
        header.size = len(text)
        _add(tar, header, BytesIO(text))
        for name in listed:
            with files[name].open("rb") as stream:
                header = tarfile.TarInfo(name)
                header.size = listed[name]["size"]
                header.mode = 0o644 if files[name].stat().st_mode & 0o200 else 0o444
                reading = _Hashed(stream)
                _add(tar, header, reading)
                if reading.sha256 != listed[name]["sha256"]:
                    raise ArtifactManagerError(
                        f"{files[name]} changed while it was archived; nothing was written"
                    )
    return values


class _Hashed:
    """A stream that knows the checksum of what was read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._digest.update(data)
        return data

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def _add(tar: tarfile.TarFile, header: tarfile.TarInfo, stream: Any) -> None:
    try:
        tar.addfile(header, stream)
    except OSError as error:
        if error.errno is not None:
            raise
        raise ArtifactManagerError(
            f"{header.name} changed while it was archived ({error}); nothing was written"
        ) from None


@contextmanager
def _packed(path: Path, *, is_compressed: bool) -> Iterator[tarfile.TarFile]:
    with path.open("wb") as raw:
        if not is_compressed:
            with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
                yield tar
            return
        # Without a name and a time, which `tarfile` itself would write.
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            yield tar


def read_archive(path: Path, folder: Path) -> ArchiveList:
    """Unpack an archive into a folder, comparing each member with the list; return the list.

    Args:
        path: The archive.
        folder: An empty folder, which a caller removes if this fails.

    Raises:
        ArtifactManagerError: If it is no whole archive, or a member is not what the list says.
    """
    if not path.is_file():
        raise ArtifactManagerError(f"there is no archive {path}")
    try:
        with tarfile.open(path, mode="r:*") as tar:
            return _unpack(tar, folder, path)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = first_line(str(error)).removesuffix(":")  # tarfile tells each form it tried
        raise ArtifactManagerError(
            f"{path} is no whole archive of backtrail ({reason}); get it again from where it was "
            "made"
        ) from None


def _unpack(tar: tarfile.TarFile, folder: Path, path: Path) -> ArchiveList:
    first = tar.next()
    if first is None or first.name != LIST or not first.isreg() or first.size > _LARGEST_LIST:
        raise ValueError(f"its first member is not {LIST}")
    values = _read_list(tar, first)
    listed: dict[str, dict[str, Any]] = values["files"]
    seen: set[str] = set()
    for member in tar:
        if member.name == LIST and not seen and member.offset == first.offset:
            continue
        _refuse(path, member, listed, seen)
        seen.add(member.name)
        target = folder / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = tar.extractfile(member)
        assert source is not None
        reading = _Hashed(source)
        with target.open("xb") as stream:
            shutil.copyfileobj(reading, stream, _CHUNK)
        if reading.sha256 != listed[member.name]["sha256"]:
            raise ArtifactManagerError(
                f"{member.name} in {path} is not what the archive's list says; get the archive "
                "again from where it was made"
            )
        target.chmod(0o444 if member.mode & 0o200 == 0 else 0o644)
    missing = sorted(listed.keys() - seen)
    if missing:
        raise ValueError(f"it lacks {missing[0]}")
    return values


def _read_list(tar: tarfile.TarFile, member: tarfile.TarInfo) -> ArchiveList:
    stream = tar.extractfile(member)
    assert stream is not None
    values = json.loads(stream.read())
    if not isinstance(values, dict) or values.get("version") != _VERSION:
        raise ValueError(f"{LIST} is none of version {_VERSION}")
    stated = values.pop("checksum", None)
    if stated != sha256_json(values) or not isinstance(values.get("files"), dict):
        raise ValueError(f"{LIST} was altered")
    return {**values, "checksum": stated}


def _refuse(
    path: Path, member: tarfile.TarInfo, listed: Mapping[str, Mapping[str, Any]], seen: set[str]
) -> None:
    name = member.name
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        what = "leads out of the archive"
    elif not member.isreg():
        what = "is no plain file"
    elif str(PurePosixPath(name)) != name or name not in listed:
        what = "is not in the archive's list"
    elif name in seen:
        what = "is there twice"
    elif member.size != listed[name]["size"]:
        what = "has another size than the archive's list says"
    else:
        return
    raise ArtifactManagerError(f"{name!r} in {path} {what}; nothing of the archive was taken over")
