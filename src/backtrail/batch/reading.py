"""Finding and describing runs for people: which run is meant, what it holds, is it whole."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backtrail.artifacts.manifest import Damage, inspect_run, is_sealed
from backtrail.artifacts.store import RunDir, RunStore
from backtrail.batch.sources import SourceCheck, SourceFinding
from backtrail.errors import ArtifactManagerError
from backtrail.provenance.attestation import graded_manifest

__all__ = ["Verification", "describe_run", "find_run", "source_lines", "verify_runs"]


@dataclass(frozen=True, slots=True)
class Verification:
    """What comparing one run with its records gave.

    Attributes:
        state: `intact`, `damaged`, or for a run without a seal `failed` or `open`.
        damage: How the run's own files differ from its manifest.
        shares: For each altered captured file, the other runs that share its content.
        sources: Shared objects and dataset files that are no longer what the run was made from.
    """

    backtest_id: str
    state: str
    damage: Damage
    shares: Mapping[str, Sequence[str]]
    sources: tuple[SourceFinding, ...] = ()

    @property
    def is_damaged(self) -> bool:
        """Whether anything was found, in the run or in what it was made from."""
        return bool(self.damage or self.sources)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "backtest_id": self.backtest_id,
            "state": self.state,
            **{key: list(value) for key, value in asdict(self.damage).items()},
            "shares": {path: list(ids) for path, ids in self.shares.items()},
            "sources": [asdict(item) for item in self.sources],
        }


def find_run(store: RunStore, wanted: str) -> RunDir:
    """Return the run with an id, or with an id that begins as asked.

    Raises:
        ArtifactManagerError: If there is none, or more than one.
    """
    runs = store.run_dirs()
    matches = [run for run in runs if run.backtest_id == wanted] or [
        run for run in runs if run.backtest_id.startswith(wanted)
    ]
    if len(matches) == 1:
        return matches[0]
    if matches:
        some = ", ".join(run.backtest_id for run in matches[:5])
        raise ArtifactManagerError(
            f"{wanted!r} begins {len(matches)} ids ({some}{', …' if len(matches) > 5 else ''}); "
            "write more of the one you mean"
        )
    newest = f"; the newest is {runs[-1].backtest_id}" if runs else "; the store is empty"
    raise ArtifactManagerError(f"there is no run {wanted!r} in {store.base_dir}{newest}")


def describe_run(run: RunDir) -> dict[str, Any]:
    """Return the manifest of a run, or its spec with the status `planned` before it begins.

    The grade is the best one: A when a replay agreed with a complete capture.
    """
    manifest = graded_manifest(run)
    if manifest is not None:
        return manifest
    return {**run.read_spec(), "status": "planned"}


def verify_runs(
    store: RunStore, runs: Sequence[RunDir], bundles_dir: Path | None = None
) -> list[Verification]:
    """Compare runs with their manifests, every file by checksum.

    An altered captured file may be shared through the object store; every run that shares it is
    named. A damaged object or dataset is told of every run that was made from it.

    Args:
        store: The run store.
        runs: Runs of that store.
        bundles_dir: Folder of the bundles; None looks at the runs' own files alone.
    """
    check = None if bundles_dir is None else SourceCheck(store, bundles_dir)
    found = []
    for run in runs:
        sources = () if check is None else check.look(run)
        if not is_sealed(run):
            state = "failed" if run.failed.exists() else "open"
            found.append(Verification(run.backtest_id, state, Damage(), {}, sources))
            continue
        damage = inspect_run(run)
        shares = _sharing_runs(store, run, damage)
        state = "damaged" if damage or sources else "intact"
        found.append(Verification(run.backtest_id, state, damage, shares, sources))
    return found


def source_lines(found: Sequence[Verification]) -> Iterator[str]:
    """Yield a line for each damaged object or dataset file, with every run made from it."""
    users: dict[SourceFinding, list[str]] = {}
    for item in found:
        for source in item.sources:
            users.setdefault(source, []).append(item.backtest_id)
    for source, ids in users.items():
        yield f"{source.path} {source.what}  ({source.used_as}; used by {', '.join(ids)})"


def _sharing_runs(store: RunStore, run: RunDir, damage: Damage) -> dict[str, list[str]]:
    shared: dict[str, list[str]] = {}
    for name in damage.altered:
        if not name.startswith("code/") or not (run.path / name).exists():
            continue
        inode = (run.path / name).stat().st_ino
        others = [
            other.backtest_id
            for other in store.run_dirs()
            if other.path != run.path
            and (other.path / name).exists()
            and (other.path / name).stat().st_ino == inode
        ]
        if others:
            shared[name] = others
    return shared
