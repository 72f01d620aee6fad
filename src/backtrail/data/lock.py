"""The lock: which dataset each bundle has to be, written down beside the config.

Another machine, or a later day, may be given a restated history by the same source. With a lock
it is told so before any run, and which bars are others. Checksums of every symbol's years stand
in the lock, so that this works where the locked dataset itself is not at hand.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from backtrail.canonical import sha256_file
from backtrail.data.manifest import read_head
from backtrail.errors import BundleLockError, ConfigError, DatasetError, Problem
from backtrail.files import write_bytes

if TYPE_CHECKING:
    from backtrail.data.datasets import Dataset

__all__ = [
    "LOCK_FILE",
    "LockedBundle",
    "LockedSymbol",
    "check_lock",
    "lock_bundles",
    "lock_checksum",
    "read_lock",
]

LOCK_FILE: Final = Path("config/bundles.lock.yaml")
_HEAD: Final = (
    "# Written by `backtrail data lock`: the dataset that each bundle has to be. Keep it under\n"
    "# version control. A bundle that is not listed may be any dataset.\n"
)
_DIGITS: Final = 12
_OPTIONAL: Final = ("sessions", "universe")
_SHOWN: Final = 20
_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class LockedSymbol:
    """What a locked dataset holds of one symbol.

    Attributes:
        rows: Number of bars.
        first: Timestamp of the first bar.
        last: Timestamp of the last bar.
        years: Beginning of the checksum of each UTC year's bars, by year.
    """

    rows: int
    first: str
    last: str
    years: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LockedBundle:
    """What a bundle has to be.

    Attributes:
        dataset_id: The dataset.
        calendar: Its trading calendar.
        timeframe: Length of a bar.
        adjustments: Beginning of the checksum of its splits, dividends and delistings.
        symbols: What it holds, by symbol.
        sessions: Beginning of the checksum of its stored sessions; empty where it stores none.
        universe: Beginning of that of its membership; empty without one.
    """

    dataset_id: str
    calendar: str
    timeframe: str
    adjustments: str
    symbols: Mapping[str, LockedSymbol]
    sessions: str = ""
    universe: str = ""

    @classmethod
    def of(cls, dataset: "Dataset") -> "LockedBundle":
        """Return what locks a dataset; its bars are read, a symbol at a time.

        Raises:
            DatasetError: If they cannot be read.
        """
        manifest = dataset.manifest
        symbols = {
            name: LockedSymbol(record.rows, record.first, record.last, _years(dataset, name))
            for name, record in sorted(manifest.symbols.items())
        }
        return cls(
            manifest.dataset_id,
            manifest.calendar,
            manifest.timeframe,
            manifest.content["adjustments"][:_DIGITS],
            symbols,
            **{name: manifest.content.get(name, "")[:_DIGITS] for name in _OPTIONAL},
        )

    def differences(self, other: "LockedBundle") -> Iterator[str]:
        """Yield in words what of another one is not what this one locks."""
        for name in ("calendar", "timeframe"):
            if getattr(self, name) != getattr(other, name):
                yield f"{name} changed: {getattr(self, name)} -> {getattr(other, name)}"
        for symbol in sorted(set(self.symbols) | set(other.symbols)):
            before, after = self.symbols.get(symbol), other.symbols.get(symbol)
            if before is None or after is None:
                yield f"{symbol} was {'added' if before is None else 'removed'}"
            elif before != after:
                yield f"{symbol}: {_symbol_words(before, after)}"
        if self.adjustments != other.adjustments:
            yield "splits, dividends or delistings changed"
        for name in _OPTIONAL:
            if getattr(self, name) != getattr(other, name):
                yield f"{name} changed"


def lock_checksum(root: Path) -> str:
    """Return the sha256 of a project's lock, empty without one; nothing heavy is imported."""
    path = root / LOCK_FILE
    return sha256_file(path) if path.is_file() else ""


def read_lock(root: Path) -> dict[str, LockedBundle]:
    """Return what a project's lock says, by bundle; empty without a lock.

    Raises:
        ConfigError: If the file is not one that `lock_bundles` wrote.
    """
    path = root / LOCK_FILE
    if not path.is_file():
        return {}
    try:
        values = yaml.load(path.read_bytes(), Loader=_Loader)
        return {str(name): _locked(item) for name, item in values["bundles"].items()}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        what = str(error).splitlines()[0] if isinstance(error, yaml.YAMLError) else repr(error)
        remedy = "take it from version control, or write it anew with `backtrail data lock`"
        raise ConfigError([Problem(LOCK_FILE.as_posix(), f"damaged: {what}", remedy)]) from error


def lock_bundles(
    root: Path, bundles_dir: Path, names: Iterable[str]
) -> dict[str, tuple[str | None, str]]:
    """Lock bundles to the datasets that their names mean now; other entries stay as they are.

    Args:
        root: Project folder.
        bundles_dir: Folder of the bundles.
        names: Bundles to lock.

    Returns:
        The dataset id of each before, None where it was not locked, and now.

    Raises:
        ConfigError: If the lock is damaged.
        DatasetError: If a bundle was never ingested, or its dataset cannot be read.
    """
    from backtrail.data.datasets import Dataset

    lock = read_lock(root)
    changes: dict[str, tuple[str | None, str]] = {}
    for name in names:
        before = lock.get(name)
        head = read_head(bundles_dir, name)
        if before is None or before.dataset_id != head:
            lock[name] = LockedBundle.of(Dataset.open(bundles_dir / name / head))
        changes[name] = (None if before is None else before.dataset_id, head)
    text = _text(lock).encode()
    path = root / LOCK_FILE
    if not path.is_file() or path.read_bytes() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, text, durable=True)
    return changes


def check_lock(root: Path, bundles_dir: Path, datasets: Mapping[str, str]) -> None:
    """Compare datasets with a project's lock.

    Args:
        root: Project folder.
        bundles_dir: Folder of the bundles.
        datasets: Dataset id of each bundle that is about to be used.

    Raises:
        BundleLockError: If one is not the locked one; it names the bars that are others.
        ConfigError: If the lock is damaged.
    """
    lock = read_lock(root)
    wrong = {
        name: (lock[name].dataset_id, found)
        for name, found in sorted(datasets.items())
        if name in lock and lock[name].dataset_id != found
    }
    if wrong:
        reports = [
            _mismatch(name, lock[name], bundles_dir / name, found)
            for name, (_, found) in wrong.items()
        ]
        raise BundleLockError("\n".join(reports), wrong)


def _mismatch(name: str, locked: LockedBundle, folder: Path, found: str) -> str:
    lines = list(_what_differs(locked, folder, found))
    more = len(lines) - _SHOWN
    lines = lines[:_SHOWN] + ([f"and {more:,} more"] if more > 0 else [])
    return "\n".join(
        [
            f"bundle {name!r} is dataset {found} now, and {LOCK_FILE} locks it to "
            f"{locked.dataset_id}; nothing was started. What differs:",
            *(f"  {line}" for line in lines),
            f"If the new data are right, `backtrail data lock {name}` locks them. To keep the old "
            f"ones, put the old source back, or write `dataset: {locked.dataset_id}` under "
            f"bundles.{name} where bundle storage has it",
        ]
    )


def _what_differs(locked: LockedBundle, folder: Path, found: str) -> Iterator[str]:
    from backtrail.data.comparison import compare_datasets, dataset_sentences
    from backtrail.data.datasets import Dataset

    after = Dataset.open(folder / found)
    try:
        before = Dataset.open(folder / locked.dataset_id)
        yield from dataset_sentences(compare_datasets(before, after))
    except DatasetError:
        yield f"dataset {locked.dataset_id} is not in {folder}; by the checksums in the lock:"
        yield from locked.differences(LockedBundle.of(after))


def _years(dataset: "Dataset", symbol: str) -> dict[str, str]:
    import polars as pl

    from backtrail.data.identity import ADJUSTMENT_SCHEMA, content_checksums

    none = pl.DataFrame(schema=ADJUSTMENT_SCHEMA)
    bars = dataset.bars([symbol])
    by_year = bars.with_columns(pl.col("timestamp").dt.year().alias("year")).partition_by(
        "year", as_dict=True, include_key=False
    )
    return {
        str(key[0]): content_checksums(part, none)["bars"][:_DIGITS]
        for key, part in sorted(by_year.items())
    }


def _symbol_words(before: LockedSymbol, after: LockedSymbol) -> str:
    words = []
    if before.rows != after.rows:
        words.append(f"{before.rows:,} bars -> {after.rows:,}")
    words += [
        f"{name} {getattr(before, name)} -> {getattr(after, name)}"
        for name in ("first", "last")
        if getattr(before, name) != getattr(after, name)
    ]
    years = sorted(set(before.years) | set(after.years))
    changed = [year for year in years if before.years.get(year) != after.years.get(year)]
    if changed:
        words.append(f"other bars in {', '.join(changed)}")
    return "; ".join(words)


def _locked(values: Mapping[str, Any]) -> LockedBundle:
    symbols = {
        str(name): LockedSymbol(
            int(item["rows"]),
            str(item["first"]),
            str(item["last"]),
            {str(year): str(checksum) for year, checksum in item["years"].items()},
        )
        for name, item in values["symbols"].items()
    }
    return LockedBundle(
        dataset_id=str(values["dataset_id"]),
        calendar=str(values["calendar"]),
        timeframe=str(values["timeframe"]),
        adjustments=str(values["adjustments"]),
        symbols=symbols,
        **{name: str(values.get(name, "")) for name in _OPTIONAL},
    )


def _text(lock: Mapping[str, LockedBundle]) -> str:
    """Return the lock as YAML, a line per symbol; texts in quotes, so that none is a number."""
    lines = [_HEAD.rstrip("\n"), "bundles:" if lock else "bundles: {}"]
    for name, bundle in sorted(lock.items()):
        lines.append(f"  {_quoted(name)}:")
        lines += [
            f"    {key}: {_quoted(getattr(bundle, key))}"
            for key in ("dataset_id", "calendar", "timeframe", "adjustments", *_OPTIONAL)
            if getattr(bundle, key)
        ]
        lines.append("    symbols:")
        for symbol, item in bundle.symbols.items():
            years = ", ".join(f"{_quoted(y)}: {_quoted(c)}" for y, c in item.years.items())
            lines.append(
                f"      {_quoted(symbol)}: {{rows: {item.rows}, first: {_quoted(item.first)}, "
                f"last: {_quoted(item.last)}, years: {{{years}}}}}"
            )
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # JSON writes what is beyond 16 bits as two halves, which YAML does not put together.
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(letter: str) -> str:
    code = ord(letter)
    return json.dumps(letter)[1:-1] if code < 0x10000 and code != 0x7F else f"\\U{code:08x}"
