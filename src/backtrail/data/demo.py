"""Demo prices that may not be committed: written locally from an installed package.

A CSV folder with a `SOURCE.yaml` says where its files come from. With `exporter: arch`, missing
files are copied out of the PyPI package `arch` and compared with the checksums in the card.
"""

import csv
import gzip
import importlib.util
import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any, Final

from backtrail.canonical import sha256_bytes
from backtrail.errors import DatasetError
from backtrail.files import write_bytes

__all__ = ["SourceCard", "SourceExport", "export_missing", "read_source_card"]

_CARD: Final = "SOURCE.yaml"
_COLUMNS: Final = ("Open", "High", "Low", "Close", "Volume")


@dataclass(frozen=True, slots=True)
class SourceExport:
    """One file that an exporter writes.

    Attributes:
        symbol: Symbol of the file.
        file: Its name beside the card.
        rows: Rows it has, without the header.
        sha256: Checksum it must have.
        source: Path inside the package.
        source_sha256: Checksum the package's file must have.
    """

    symbol: str
    file: str
    rows: int
    sha256: str
    source: str
    source_sha256: str


@dataclass(frozen=True, slots=True)
class SourceCard:
    """What a `SOURCE.yaml` says.

    Attributes:
        origin: Where the prices come from, in words.
        licence: Under which terms.
        package: Package the exporter reads; None without an exporter.
        exports: Files it can write, none without an exporter.
    """

    origin: str | None
    licence: str | None
    package: str | None = None
    exports: tuple[SourceExport, ...] = ()


def read_source_card(folder: Path) -> SourceCard | None:
    """Return what `SOURCE.yaml` in a folder says; None when there is none.

    Raises:
        DatasetError: If the card cannot be read or names an unknown exporter.
    """
    path = folder / _CARD
    if not path.is_file():
        return None
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is not readable YAML: {error}") from error
    if not isinstance(values, dict):
        raise DatasetError(f"{path} is not a YAML mapping; see docs of the demo data")
    exporter = values.get("exporter")
    if exporter is None:
        return SourceCard(_text(values.get("origin")), _text(values.get("licence")))
    if exporter != "arch":
        raise DatasetError(f"{path} names the exporter {exporter!r}; the known one is arch")
    try:
        exports = tuple(_export_entry(path, entry) for entry in values["files"])
    except (KeyError, TypeError) as error:
        raise DatasetError(
            f"{path}: each of `files` needs symbol, file, rows, sha256, source, source_sha256 "
            f"(found a mistake at {error})"
        ) from error
    return SourceCard(_text(values.get("origin")), _text(values.get("licence")), "arch", exports)


def export_missing(folder: Path, card: SourceCard) -> tuple[Path, ...]:
    """Write the card's files that are missing and return their paths.

    The package is found but never imported: importing it would take seconds. Digits of prices
    are copied as text.

    Raises:
        DatasetError: If the package is not installed, or a checksum differs from the card.
    """
    missing = [entry for entry in card.exports if not (folder / entry.file).is_file()]
    if not missing:
        return ()
    package = _package_folder(str(card.package), folder)
    for entry in missing:
        write_bytes(folder / entry.file, _exported(package, entry))
    return tuple(folder / entry.file for entry in missing)


def _exported(package: Path, entry: SourceExport) -> bytes:
    source = package / entry.source
    try:
        packed = source.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"{entry.file} is exported from {source}, which cannot be read: {error}"
        ) from error
    _compare(str(source), sha256_bytes(packed), entry.source_sha256)
    try:
        text = gzip.decompress(packed).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DatasetError(f"{source} is damaged: {error}") from error
    rows = _rewrite(text, source)
    if len(rows) != entry.rows:
        raise DatasetError(f"{source} has {len(rows)} rows; {_CARD} expects {entry.rows}")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["date", *(name.lower() for name in _COLUMNS)])
    writer.writerows(rows)
    data = buffer.getvalue().encode()
    _compare(f"the exported {entry.file}", sha256_bytes(data), entry.sha256)
    return data


def _rewrite(text: str, source: Path) -> list[list[str]]:
    rows = []
    for row in csv.DictReader(io.StringIO(text, newline="")):
        if row["Adj Close"] != row["Close"]:
            raise DatasetError(
                f"{source} has on {row['Date']} an adjusted close of {row['Adj Close']} and a "
                f"close of {row['Close']}; an index has no adjustment, so this is another file"
            )
        month, day, year = (int(part) for part in row["Date"].split("/"))
        rows.append([date(year, month, day).isoformat(), *(row[name] for name in _COLUMNS)])
    return rows


def _compare(what: str, found: str, expected: str) -> None:
    if found != expected:
        raise DatasetError(
            f"{what} has sha256 {found}, {_CARD} expects {expected}; another version of the "
            "package ships other prices: check them and write the new sums into the card"
        )


def _package_folder(package: str, folder: Path) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DatasetError(
            f"the files of {folder} are exported from the package {package!r}, which is not "
            f"installed; `pip install {package}`"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _text(value: object) -> str | None:
    return None if value is None else str(value).strip()


def _export_entry(card: Path, entry: Mapping[str, Any]) -> SourceExport:
    made = SourceExport(
        symbol=str(entry["symbol"]),
        file=str(entry["file"]),
        rows=int(entry["rows"]),
        sha256=str(entry["sha256"]),
        source=str(entry["source"]),
        source_sha256=str(entry["source_sha256"]),
    )
    source = PurePosixPath(made.source)
    if PurePosixPath(made.file).name != made.file or source.is_absolute() or ".." in source.parts:
        raise DatasetError(f"{card}: {made.file} from {made.source} leaves its folder")
    return made
