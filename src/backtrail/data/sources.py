"""The files behind a bundle and their checksum: light, because every Snakefile parse asks."""

import csv
import gzip
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backtrail.canonical import sha256_file, sha256_json
from backtrail.data.bundles import BundleConfig
from backtrail.data.demo import SourceCard, read_source_card
from backtrail.data.synthetic_config import SyntheticConfig
from backtrail.errors import DatasetError

__all__ = [
    "SYMBOL_COLUMNS",
    "SourceFile",
    "combine_checksums",
    "find_source_files",
    "list_symbols",
    "read_source_card_of",
    "source_checksum",
    "source_path",
]

SYMBOL_COLUMNS: Final = frozenset({"symbol", "ticker", "name"})
"""Header names, in lower case, that mean the symbol."""

_SUFFIXES = (".csv", ".csv.gz")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One CSV file of a bundle.

    Attributes:
        path: Where it is.
        label: How manifests name it: the configured path, so that it is the same everywhere.
        symbol: Its symbol; None when a column says it.
        expected_sha256: Checksum it will have once exported, for a file that is not there yet.
    """

    path: Path
    label: str
    symbol: str | None
    expected_sha256: str | None = None


def source_path(bundle: BundleConfig, root: Path) -> Path:
    """Return the file or folder of a bundle, found from the project root.

    Raises:
        DatasetError: If it does not exist.
    """
    path = root / (bundle.path or "")
    if not path.exists():
        raise DatasetError(
            f"bundle {bundle.name!r} reads {bundle.path}, which is not there (looked for {path}); "
            "paths are relative to the project root"
        )
    return path


def read_source_card_of(bundle: BundleConfig, root: Path) -> SourceCard | None:
    """Return the `SOURCE.yaml` beside a bundle's CSV files, if there is one."""
    path = source_path(bundle, root)
    return read_source_card(path if path.is_dir() else path.parent)


def find_source_files(bundle: BundleConfig, root: Path) -> tuple[SourceFile, ...]:
    """Return the CSV files of a bundle, sorted by symbol; those to be exported are included.

    Raises:
        DatasetError: If there is none, or two files mean one symbol.
    """
    path = source_path(bundle, root)
    if path.is_file():
        return (SourceFile(path, str(bundle.path), _single_symbol(bundle, path)),)
    named = bundle.options.get("files")
    if named:
        found = [_named_file(bundle, path, str(key), str(item)) for key, item in named.items()]
    else:
        found = _folder_files(bundle, path)
    if bundle.options.get("symbol"):
        if len(found) != 1:
            raise DatasetError(
                f"bundle {bundle.name!r} gives one `symbol` for {len(found)} files in "
                f"{bundle.path}; name the one file, or map symbols to files with `files`"
            )
        only = found[0]
        symbol = str(bundle.options["symbol"])
        found = [SourceFile(only.path, only.label, symbol, only.expected_sha256)]
    if not found:
        raise DatasetError(_nothing_found(bundle, path))
    return tuple(sorted(found, key=lambda item: item.symbol or ""))


def source_checksum(bundle: BundleConfig, root: Path) -> str:
    """Return the sha256 of all that decides a bundle's dataset: file contents and options.

    Nothing is written, no price is parsed, and Polars is not imported. Files that an exporter
    has yet to write count with the checksum they will have, so that writing them changes nothing.

    Raises:
        DatasetError: If the source is not there.
    """
    contents: list[tuple[str | None, str]] = []
    if bundle.adapter == "csv":
        for file in find_source_files(bundle, root):
            checksum = sha256_file(file.path) if file.path.is_file() else file.expected_sha256
            contents.append((file.symbol, str(checksum)))
    return combine_checksums(bundle, contents)


def combine_checksums(bundle: BundleConfig, contents: Iterable[tuple[str | None, str]]) -> str:
    """Return `source_checksum` from symbols and checksums of files that were read already."""
    return sha256_json(
        {
            "adapter": bundle.adapter,
            "calendar": bundle.calendar,
            "timeframe": bundle.timeframe,
            "options": _plain_options(bundle),
            "waivers": [waiver.to_mapping() for waiver in bundle.waivers],
            "contents": sorted([symbol or "", checksum] for symbol, checksum in contents),
        }
    )


def list_symbols(bundle: BundleConfig, root: Path) -> tuple[str, ...] | None:
    """Return a bundle's symbols without reading a price; None when a column names them.

    Raises:
        DatasetError: If the source is not there.
    """
    if bundle.adapter == "synthetic":
        config = SyntheticConfig.from_options(bundle.name, bundle.timeframe, bundle.options)
        return config.symbol_names
    names = [file.symbol for file in find_source_files(bundle, root)]
    known = tuple(sorted(name for name in names if name is not None))
    return known if len(known) == len(names) else None


def _plain_options(bundle: BundleConfig) -> dict[str, object]:
    options = {str(key): value for key, value in bundle.options.items()}
    if isinstance(options.get("files"), dict):
        options["files"] = sorted(str(symbol) for symbol in options["files"])
    return options


def _symbol_of(name: str) -> str | None:
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return None


def _named_file(bundle: BundleConfig, folder: Path, symbol: str, name: str) -> SourceFile:
    file = folder / name
    if not file.is_file():
        raise DatasetError(
            f"bundle {bundle.name!r} maps {symbol} to {name}, which is not in {bundle.path}"
        )
    return SourceFile(file, f"{bundle.path}/{name}", symbol)


def _folder_files(bundle: BundleConfig, folder: Path) -> list[SourceFile]:
    by_symbol: dict[str, SourceFile] = {}
    for file in sorted(folder.iterdir()):
        symbol = _symbol_of(file.name)
        if symbol is None or file.name.startswith(".") or not file.is_file():
            continue
        if symbol in by_symbol:
            raise DatasetError(
                f"{bundle.path} has two files of {symbol}: {by_symbol[symbol].path.name} and "
                f"{file.name}; remove one, or choose with `options.files`"
            )
        by_symbol[symbol] = SourceFile(file, f"{bundle.path}/{file.name}", symbol)
    card = read_source_card(folder)
    for export in card.exports if card else ():
        if export.symbol not in by_symbol:
            by_symbol[export.symbol] = SourceFile(
                folder / export.file, f"{bundle.path}/{export.file}", export.symbol, export.sha256
            )
    return list(by_symbol.values())


def _single_symbol(bundle: BundleConfig, path: Path) -> str | None:
    given = bundle.options.get("symbol")
    if given:
        return str(given)
    columns = bundle.options.get("columns") or {}
    if "symbol" in columns or SYMBOL_COLUMNS & _header(path, bundle.options.get("delimiter")):
        return None
    symbol = _symbol_of(path.name)
    if symbol is None:
        raise DatasetError(
            f"bundle {bundle.name!r} reads {bundle.path}, whose name ends in neither .csv nor "
            ".csv.gz; give `options.symbol`"
        )
    return symbol


def _header(path: Path, delimiter: str | None) -> frozenset[str]:
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
            line = stream.readline(1 << 16)
        best = delimiter or max(",;\t|", key=line.count)
        cells = next(csv.reader([line], delimiter=best), [])
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        raise DatasetError(f"{path} has no header of UTF-8 text: {error}") from error
    return frozenset(cell.strip().lower() for cell in cells)


def _nothing_found(bundle: BundleConfig, path: Path) -> str:
    below = sorted(
        folder.name
        for folder in path.iterdir()
        if folder.is_dir() and any(_symbol_of(item.name) for item in folder.iterdir())
    )
    hint = f"; its folders with CSV files: {', '.join(below)}" if below else ""
    return f"bundle {bundle.name!r}: no .csv or .csv.gz file in {bundle.path}{hint}"
