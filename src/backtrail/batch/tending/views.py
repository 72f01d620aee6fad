"""A tree of links for people: the runs of a store by month, strategy, symbol and tag.

It lies outside the store and is made anew each time; nothing of backtrail reads it.
"""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from backtrail.artifacts.store import RunStore
from backtrail.artifacts.tags import read_tags
from backtrail.batch.tending.needs import RunRecords, read_records
from backtrail.canonical import sha256_bytes
from backtrail.errors import ArtifactManagerError

__all__ = ["MARK", "Views", "write_views"]

MARK: Final = ".backtrail-views"
_LONGEST: Final = 200  # bytes of a folder's name
_CUT: Final = re.compile(r"%.?$")


@dataclass(frozen=True, slots=True)
class Views:
    """A tree of links.

    Attributes:
        path: Its folder.
        runs: How many runs it shows.
        links: How many links it has.
        folders: How many folders each view has, by the view's name.
    """

    path: str
    runs: int
    links: int
    folders: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def write_views(store: RunStore, folder: Path) -> Views:
    """Write the tree anew: `by-month/2026-01/`, `by-strategy/`, `by-symbol/`, `by-tag/`.

    A month is the one in which a run began, by its records. Links are relative, so that project
    and tree can be moved together.

    Args:
        store: The run store.
        folder: Where the tree goes; a former one is replaced in one step.

    Raises:
        ArtifactManagerError: If something else is there, or it would lie in the store.
    """
    target = folder.absolute()
    _require_own(store, target)
    made = target.with_name(f".{target.name}.{os.getpid()}.building")
    if made.is_dir():
        shutil.rmtree(made)
    made.mkdir(parents=True)
    try:
        (made / MARK).write_text("written by `backtrail views`; made anew each time\n")
        counts: dict[str, int] = {}
        shown: set[str] = set()
        for place, name in _places(store):
            link = made / place / name
            link.parent.mkdir(parents=True, exist_ok=True)
            # From where the tree will be, by real paths: a link has no idea of others on its way.
            at = target.parent.resolve() / target.name / place
            link.symlink_to(os.path.relpath(store.run(name).path.resolve(), at))
            counts[place] = counts.get(place, 0) + 1
            shown.add(name)
        _replace(made, target)
    finally:
        if made.is_dir():
            shutil.rmtree(made)
    folders: dict[str, int] = {}
    for place in counts:
        view = place.split("/")[0]
        folders[view] = folders.get(view, 0) + 1
    return Views(str(folder), len(shown), sum(counts.values()), folders)


def _require_own(store: RunStore, target: Path) -> None:
    if target.resolve().is_relative_to(store.base_dir.resolve()):
        raise ArtifactManagerError(
            f"{target} lies in the run store, where every folder is a run; name one outside"
        )
    if target.is_symlink() or (
        target.exists() and not (target / MARK).is_file() and not _is_empty(target)
    ):
        raise ArtifactManagerError(
            f"{target} is there and is no tree of `backtrail views`; name another folder with --to"
        )


def _is_empty(target: Path) -> bool:
    return target.is_dir() and not any(target.iterdir())


def _replace(made: Path, target: Path) -> None:
    if target.exists():
        old = target.with_name(f"{made.name}.old")
        if old.is_dir():
            shutil.rmtree(old)
        target.rename(old)
        made.rename(target)
        shutil.rmtree(old)
    else:
        made.rename(target)


def _places(store: RunStore) -> Iterator[tuple[str, str]]:
    """Yield the folder of each link, and the run it leads to."""
    for name, records in read_records(store).items():
        run = store.run(name)
        if not run.path.is_dir():
            continue
        began = records.began(run)
        yield f"by-month/{'undated' if began is None else f'{began:%Y-%m}'}", name
        identity = records.identity
        entry = identity.get("strategy", {}).get("entry")
        if entry:
            yield f"by-strategy/{'/'.join(map(_safe, entry.split('/')))}", name
        for symbol in identity.get("symbols", ()):
            yield f"by-symbol/{_safe(symbol)}", name
        for tag in _tags(store, records):
            yield f"by-tag/{tag}", name


def _tags(store: RunStore, records: RunRecords) -> tuple[str, ...]:
    return () if records.run_key is None else read_tags(store, records.run_key).names


def _safe(text: str) -> str:
    """Return a text as the name of one folder; what cannot stand there is written as in a URL."""
    name = quote(text, safe=" !#$&'()+,;=@[]^{}~")
    if len(name) > _LONGEST:  # names that begin alike stay apart
        begin = _CUT.sub("", name[:_LONGEST])
        name = f"{begin}~{sha256_bytes(text.encode())[:8]}"
    return name.replace(".", "%2E") if name.strip(".") == "" else name
