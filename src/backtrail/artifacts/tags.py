"""Tags of runs: labels in the ledger, beside the sealed runs and no part of any identity.

A record says who gave a run which tags, so that each can take back its own and nothing else: every
config file that asks for the run, and people, by hand. What a person took away stays away.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backtrail.artifacts.rundir import read_record
from backtrail.artifacts.store import RunStore
from backtrail.errors import ArtifactManagerError, InvalidNameError
from backtrail.files import lease, remove_stale, write_json

__all__ = ["TAG_NAME", "RunTags", "ask_tags", "check_tag", "edit_tags", "read_tags", "tag_files"]

TAG_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}"
_LOCK = ".tags.lock"


def check_tag(name: str) -> str:
    """Return a name that can be a tag.

    Raises:
        InvalidNameError: If it has other characters than letters, digits, `.`, `_` and `-`, or
            does not begin with a letter or digit, or is longer than 40.
    """
    if isinstance(name, str) and re.fullmatch(TAG_NAME, name):
        return name
    raise InvalidNameError(
        f"invalid tag {name!r}: a tag has letters, digits, '.', '_' and '-', begins with a letter "
        "or digit, and has at most 40 characters"
    )


@dataclass(frozen=True, slots=True)
class RunTags:
    """Who gave one run which tags.

    Attributes:
        run_key: The run; whatever its folder is called, its tags are the same.
        asked: Tags by the config that asks for the run, as its files are called.
        added: Tags given by hand.
        removed: Tags taken away by hand, whoever gave or will give them.
    """

    run_key: str
    asked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The tags that the run has, sorted."""
        given = {*self.added, *(name for names in self.asked.values() for name in names)}
        return tuple(sorted(given.difference(self.removed)))

    def with_asked(self, source: str, names: Iterable[str]) -> "RunTags":
        """Return the record after a config asked for the run with these tags alone."""
        asked = {**self.asked, source: tuple(sorted(set(names)))}
        return replace(self, asked={key: value for key, value in asked.items() if value})

    def edited(self, add: Collection[str], remove: Collection[str]) -> "RunTags":
        """Return the record after tags were given and taken away by hand."""
        return replace(
            self,
            added=tuple(sorted({*self.added, *add}.difference(remove))),
            removed=tuple(sorted({*self.removed, *remove}.difference(add))),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "run_key": self.run_key,
            "asked": {source: list(names) for source, names in self.asked.items()},
            "added": list(self.added),
            "removed": list(self.removed),
        }


def tag_files(store: RunStore) -> list[Path]:
    """Return the tag records of a store, one per run that was ever tagged."""
    return sorted(_folder(store).glob("[!.]*.json"))


def read_tags(store: RunStore, run_key: str) -> RunTags:
    """Return who gave a run which tags; a run that was never tagged has none.

    Raises:
        ArtifactManagerError: If its record is damaged.
    """
    path = _folder(store) / f"{run_key}.json"
    if not path.exists():
        return RunTags(run_key)
    values = read_record(path)
    try:
        found = RunTags(
            values["run_key"],
            {str(source): _names(names) for source, names in values["asked"].items()},
            _names(values["added"]),
            _names(values["removed"]),
        )
        if found.run_key != run_key:
            raise ValueError("it is that of another run")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactManagerError(
            f"{path} is not the record of a run's tags ({error}); delete it, and the next "
            "snakemake or `backtrail tag` writes it anew"
        ) from None
    return found


def _names(names: Iterable[str]) -> tuple[str, ...]:
    if not isinstance(names, list):
        raise TypeError(f"{names!r} is no list of tags")
    return tuple(check_tag(name) for name in names)


def ask_tags(store: RunStore, source: str, wanted: Mapping[str, Iterable[str]]) -> int:
    """Take down which tags a config asks for, and return how many records that changed.

    What it asked for before and does not any more is forgotten; what others gave stays.

    Args:
        store: The run store.
        source: What the config is called.
        wanted: Tags by run key, of every run the config asks for; a run without tags is one of
            them.

    Raises:
        ArtifactManagerError: If a record is damaged.
    """
    with _writing(store):
        found = {run_key: read_tags(store, run_key) for run_key in wanted}
        return _write(
            store,
            found,
            {key: found[key].with_asked(source, names) for key, names in wanted.items()},
        )


def edit_tags(
    store: RunStore,
    run_keys: Iterable[str],
    *,
    add: Collection[str] = (),
    remove: Collection[str] = (),
    forget: str | None = None,
) -> int:
    """Give runs tags and take some away, and return how many records that changed.

    Args:
        store: The run store.
        run_keys: The runs.
        add: Tags that each of them has from now on.
        remove: Tags that none of them has, even if a config asks for them, until they are added.
        forget: A config whose tags are taken back, one that has another name now.

    Raises:
        InvalidNameError: If a name cannot be a tag, or is to be added and removed, or the config to
            forget gave none of the runs a tag.
        ArtifactManagerError: If a record is damaged; none is changed then.
    """
    for name in (*add, *remove):
        check_tag(name)
    both = sorted(set(add).intersection(remove))
    if both:
        raise InvalidNameError(
            f"the tag {both[0]!r} is to be added and to be removed; name it once"
        )
    with _writing(store):
        found = {run_key: read_tags(store, run_key) for run_key in run_keys}
        left = found if forget is None else _forgotten(found, forget)
        return _write(
            store, found, {key: record.edited(add, remove) for key, record in left.items()}
        )


def _forgotten(found: Mapping[str, RunTags], source: str) -> dict[str, RunTags]:
    known = sorted({name for record in found.values() for name in record.asked})
    if source not in known:
        raise InvalidNameError(
            f"no config {source!r} gave these runs a tag; those that did: "
            f"{', '.join(known) or 'none'}"
        )
    return {key: record.with_asked(source, ()) for key, record in found.items()}


def _folder(store: RunStore) -> Path:
    return store.ledger / "tags"


def _writing(store: RunStore) -> Any:
    """Return the lease under which one process at a time reads records and writes them."""
    _folder(store).mkdir(parents=True, exist_ok=True)
    return lease(store.ledger / _LOCK)


def _write(store: RunStore, before: Mapping[str, RunTags], after: Mapping[str, RunTags]) -> int:
    remove_stale(_folder(store))
    changed = [record for key, record in after.items() if record != before[key]]
    for record in changed:
        write_json(_folder(store) / f"{record.run_key}.json", record.to_dict())
    return len(changed)
