"""The files behind a bundle and their checksum: light, because every Snakefile parse asks."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from backtrail.canonical import sha256_file, sha256_json
from backtrail.data.bundles import FILE_ADAPTERS, BundleConfig
from backtrail.data.csv_dialect import detect_structure
from backtrail.data.csv_options import CsvOptions
from backtrail.data.csv_text import read_head
from backtrail.data.demo import SourceCard, read_source_card
from backtrail.data.manifest import read_head as meant_dataset
from backtrail.data.manifest import read_receipt
from backtrail.data.network_options import NETWORK_ADAPTERS
from backtrail.data.synthetic_config import SyntheticConfig
from backtrail.errors import DatasetError

__all__ = [
    "SourceFile",
    "combine_checksums",
    "find_source_files",
    "is_made_of_another",
    "list_symbols",
    "read_source_card_of",
    "source_checksum",
    "source_path",
    "symbol_of",
    "useful_threads",
]

_SUFFIXES: Final = {
    "csv": (".csv", ".csv.gz", ".csv.zip", ".tsv", ".tsv.gz", ".tsv.zip", ".zip"),
    "parquet": (".parquet", ".pq"),
}
_SYMBOL: Final = "{symbol}"
_BYTES_PER_THREAD: Final = 1 << 26
_MOST_THREADS: Final = 8


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a bundle.

    Attributes:
        path: Where it is.
        label: How manifests name it: the configured path, so that it is the same everywhere.
        symbol: Its symbol; None when a column says it.
        expected_sha256: Checksum it will have once exported, for a file that is not there yet.
        stated: Whether the config says the symbol, rather than the file's name.
    """

    path: Path
    label: str
    symbol: str | None
    expected_sha256: str | None = None
    stated: bool = False


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
    """Return the `SOURCE.yaml` beside a bundle's files, if there is one."""
    path = source_path(bundle, root)
    return read_source_card(path if path.is_dir() else path.parent)


def find_source_files(bundle: BundleConfig, root: Path) -> tuple[SourceFile, ...]:
    """Return the files of a bundle, sorted by symbol; those to be exported are included.

    Raises:
        DatasetError: If there is none, or two files mean one symbol, or symbols that differ by case
            alone and are not mapped to their files.
    """
    path = source_path(bundle, root)
    if path.is_file():
        return (_single_file(bundle, path),)
    named = bundle.options.get("files")
    if isinstance(named, str):
        found = _matching_files(bundle, path, named, None)
    elif named:
        found = [
            file
            for symbol, name in named.items()
            for file in _matching_files(bundle, path, str(name), str(symbol))
        ]
    else:
        found = _folder_files(bundle, path)
    if not isinstance(named, Mapping):
        _refuse_names_of_one_spelling(bundle, found)
    if bundle.options.get("symbol"):
        found = _stated_symbol(bundle, found)
    if not found:
        raise DatasetError(_nothing_found(bundle, path))
    return tuple(sorted(found, key=lambda item: (item.symbol or "", item.label)))


def source_checksum(bundle: BundleConfig, root: Path) -> str:
    """Return the sha256 of all that decides a bundle's dataset: file contents and options.

    Nothing is written, no price is parsed, and Polars is not imported. Files that an exporter
    has yet to write count with the checksum they will have, so that writing them changes nothing.

    Raises:
        DatasetError: If the source is not there.
    """
    contents: list[tuple[str | None, str]] = []
    for parent in bundle.parents:
        contents.append((None, parent.dataset_id or source_checksum(parent.bundle, root)))
    if bundle.adapter in FILE_ADAPTERS:
        for file in find_source_files(bundle, root):
            checksum = sha256_file(file.path) if file.path.is_file() else file.expected_sha256
            contents.append((file.symbol, str(checksum)))
    return combine_checksums(bundle, contents, universe=_universe_checksum(bundle, root))


def _universe_checksum(bundle: BundleConfig, root: Path) -> str | None:
    if bundle.universe is None:
        return None
    path = root / bundle.universe
    if not path.is_file():
        raise DatasetError(
            f"bundle {bundle.name!r} names the universe {bundle.universe}, which is not there "
            f"(looked for {path}); paths are relative to the project root"
        )
    return sha256_file(path)


def is_made_of_another(bundle: BundleConfig, bundles_dir: Path, receipt: Mapping[str, Any]) -> bool:
    """Say whether a bundle was made of another dataset than those its parents' names mean now.

    A download may give other bars from an equal config, which no checksum of a source can tell.

    Args:
        bundle: The bundle.
        bundles_dir: Folder of the bundles.
        receipt: Of its last ingest.

    Raises:
        DatasetError: If the head of a parent is damaged.
    """
    meant = [parent.bundle.name for parent in bundle.parents if parent.dataset_id is None]
    if any(read_receipt(bundles_dir, name) is None for name in meant):
        return True
    made_of = receipt.get("derived_from")
    of_each = made_of if isinstance(made_of, dict) else dict.fromkeys(meant, made_of)
    return any(of_each.get(name) != meant_dataset(bundles_dir, name) for name in meant)


def useful_threads(bundle: BundleConfig, root: Path) -> int:
    """Return how many threads an ingest can use: one for each 64 MB of files, at most eight.

    Raises:
        DatasetError: If the source is not there.
    """
    if bundle.adapter not in FILE_ADAPTERS:
        return 1
    paths = [file.path for file in find_source_files(bundle, root)]
    size = sum(path.stat().st_size for path in paths if path.is_file())
    return min(_MOST_THREADS, 1 + size // _BYTES_PER_THREAD)


def combine_checksums(
    bundle: BundleConfig,
    contents: Iterable[tuple[str | None, str]],
    *,
    universe: str | None = None,
) -> str:
    """Return `source_checksum` from symbols and checksums of files that were read already.

    What was computed or downloaded does not count: nobody could know it before an ingest.

    Args:
        bundle: The bundle.
        contents: Symbol and checksum of each file.
        universe: Checksum of its membership file; None without one.
    """
    if bundle.adapter not in FILE_ADAPTERS and not bundle.parents:
        contents = ()
    return sha256_json(
        {
            "adapter": bundle.adapter,
            **({"gaps": bundle.gaps} if bundle.gaps != "allow" else {}),
            **({"resample_from": bundle.resample_from} if bundle.resample_from else {}),
            **({"universe": universe} if universe else {}),
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
    if bundle.parents:
        found: set[str] = set()
        for parent in bundle.parents:
            own = None if parent.dataset_id else list_symbols(parent.bundle, root)
            if own is None:
                return None
            found.update(own)
        return tuple(sorted(found))
    if bundle.adapter == "synthetic":
        config = SyntheticConfig.from_options(
            bundle.name, bundle.as_source.timeframe, bundle.options
        )
        return config.symbol_names
    if bundle.adapter in NETWORK_ADAPTERS:
        return tuple(sorted(bundle.options["symbols"]))
    names = [file.symbol for file in find_source_files(bundle, root)]
    known = [name for name in names if name is not None]
    return tuple(sorted(set(known))) if len(known) == len(names) else None


def _plain_options(bundle: BundleConfig) -> dict[str, object]:
    options = {str(key): value for key, value in bundle.options.items()}
    if isinstance(options.get("files"), dict):
        options["files"] = sorted(str(symbol) for symbol in options["files"])
    return options


def symbol_of(bundle: BundleConfig, name: str) -> str | None:
    """Return the symbol that a file name means; None where its ending is not the adapter's."""
    # The longest ending first, so that AAA.csv.zip is AAA.
    for suffix in sorted(_SUFFIXES[bundle.adapter], key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)].strip() or None  # symbols have no space around them
    return None


def _single_file(bundle: BundleConfig, path: Path) -> SourceFile:
    label = str(bundle.path)
    if bundle.options.get("symbol"):
        return SourceFile(path, label, str(bundle.options["symbol"]), stated=True)
    if bundle.adapter == "parquet":  # whose columns cannot be seen without a heavy library
        return SourceFile(path, label, None)
    options = CsvOptions.of(bundle.options)
    head = read_head(path, label, options.encoding)
    where = f"bundles.{bundle.name}.options"
    if "symbol" in detect_structure(where, label, head, options).columns.positions:
        return SourceFile(path, label, None)
    symbol = symbol_of(bundle, path.name)
    if symbol is None:
        endings = ", ".join(_SUFFIXES[bundle.adapter])
        raise DatasetError(
            f"bundle {bundle.name!r} reads {bundle.path}, whose name has none of the endings "
            f"{endings}; give `symbol`"
        )
    return SourceFile(path, label, symbol)


def _matching_files(
    bundle: BundleConfig, folder: Path, pattern: str, symbol: str | None
) -> list[SourceFile]:
    parts = PurePosixPath(pattern)
    if parts.is_absolute() or ".." in parts.parts:
        raise DatasetError(
            f"bundle {bundle.name!r}: the pattern {pattern!r} in `files` leaves {bundle.path}"
        )
    plain = folder / pattern
    if symbol is not None and plain.is_file():  # a name that happens to hold brackets
        return [SourceFile(plain, f"{bundle.path}/{pattern}", symbol, stated=True)]
    named = re.compile(_as_regex(pattern))
    found = []
    for path in sorted(folder.glob(pattern.replace(_SYMBOL, "*"))):
        name = path.relative_to(folder).as_posix()
        match = named.fullmatch(name)
        if match is not None and path.is_file() and not path.name.startswith("."):
            own = symbol if _SYMBOL not in pattern else match["symbol"]
            label = f"{bundle.path}/{name}"
            found.append(SourceFile(path, label, own, stated=own is not None))
    if symbol is not None and not found:
        raise DatasetError(
            f"bundle {bundle.name!r} maps {symbol} to {pattern}, which is not in {bundle.path}"
        )
    return found


def _as_regex(pattern: str) -> str:
    text = re.escape(pattern).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    first = re.escape(_SYMBOL)
    return text.replace(first, r"(?P<symbol>[^/]+?)", 1).replace(first, r"(?P=symbol)")


def _folder_files(bundle: BundleConfig, folder: Path) -> list[SourceFile]:
    folder, label = _zipline_folder(bundle, folder)
    by_symbol: dict[str, SourceFile] = {}
    for file in sorted(folder.iterdir()):
        symbol = symbol_of(bundle, file.name)
        if symbol is None or file.name.startswith(".") or not file.is_file():
            continue
        if symbol in by_symbol:
            raise DatasetError(
                f"{label} has two files of {symbol}: {by_symbol[symbol].path.name} and "
                f"{file.name}; remove one, or choose with `files`"
            )
        by_symbol[symbol] = SourceFile(file, f"{label}/{file.name}", symbol)
    card = read_source_card(folder) if bundle.adapter == "csv" else None
    for export in card.exports if card else ():
        if export.symbol not in by_symbol:
            by_symbol[export.symbol] = SourceFile(
                folder / export.file, f"{label}/{export.file}", export.symbol, export.sha256
            )
    return list(by_symbol.values())


def _refuse_names_of_one_spelling(bundle: BundleConfig, found: Iterable[SourceFile]) -> None:
    """Refuse symbols from the names of files that differ by case alone.

    Where file names have no case they would be one file, so another machine would have one symbol.
    """

    def name(file: SourceFile) -> str:
        return file.label.removeprefix(f"{bundle.path}/")

    spelled: dict[str, SourceFile] = {}
    for file in sorted(found, key=lambda item: item.label):
        symbol = file.symbol or ""
        other = spelled.setdefault(symbol.casefold(), file)
        if other.symbol != file.symbol:
            raise DatasetError(
                f"bundle {bundle.name!r} has {other.label} and {file.label}, which differ by upper"
                " and lower case alone: where file names have no case they would be one file and"
                " one symbol; remove one, or say that both are meant by `files`:"
                f" {{{other.symbol}: {name(other)}, {symbol}: {name(file)}}}"
            )


def _zipline_folder(bundle: BundleConfig, folder: Path) -> tuple[Path, str]:
    """Return the folder of a timeframe in Zipline's csvdir, where there is nothing beside it."""
    timeframe = bundle.as_source.timeframe
    name = {"1d": "daily", "1m": "minute"}.get(timeframe, "")
    inner = folder / name
    beside = any(symbol_of(bundle, item.name) for item in folder.iterdir() if item.is_file())
    if bundle.adapter == "csv" and name and inner.is_dir() and not beside:
        return inner, f"{bundle.path}/{name}"
    return folder, str(bundle.path)


def _stated_symbol(bundle: BundleConfig, found: list[SourceFile]) -> list[SourceFile]:
    if len(found) != 1:
        raise DatasetError(
            f"bundle {bundle.name!r} gives one `symbol` for {len(found)} files in "
            f"{bundle.path}; name the one file, or map symbols to files with `files`"
        )
    only = found[0]
    symbol = str(bundle.options["symbol"])
    return [SourceFile(only.path, only.label, symbol, only.expected_sha256, stated=True)]


def _nothing_found(bundle: BundleConfig, path: Path) -> str:
    below = sorted(
        folder.name
        for folder in path.iterdir()
        if folder.is_dir() and any(symbol_of(bundle, item.name) for item in folder.iterdir())
    )
    hint = f"; its folders with such files: {', '.join(below)}" if below else ""
    pattern = bundle.options.get("files")
    wanted = f"file like {pattern}" if pattern else f"{_SUFFIXES[bundle.adapter][0]} file"
    return f"bundle {bundle.name!r}: no {wanted} in {bundle.path}{hint}"
