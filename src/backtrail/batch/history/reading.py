"""Finding and describing runs for people: which run is meant, and what it holds."""

from typing import Any

from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.artifacts.tags import read_tags
from backtrail.artifacts.tombstones import Tombstone, find_tombstone
from backtrail.errors import ArtifactManagerError
from backtrail.provenance.attestation import graded_manifest

__all__ = ["describe_run", "find_run"]

# Several runs may have one name, so a name is never taken for an id.
_NAMES = "; if {0} is a name, `backtrail list --name {0}` says the ids of its runs"


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
    stone = find_tombstone(store, wanted)
    if stone is not None:
        raise ArtifactManagerError(f"{stone}{_made_again(store, stone)}")
    newest = f"; the newest is {runs[-1].backtest_id}" if runs else "; the store is empty"
    named = "" if not runs or wanted[:1].isdigit() else _NAMES.format(wanted)
    raise ArtifactManagerError(f"there is no run {wanted!r} in {store.base_dir}{newest}{named}")


def _made_again(store: RunStore, stone: Tombstone) -> str:
    again = None if stone.run_key is None else store.find(stone.run_key)
    if again is None:
        return "; a batch that still has it makes it anew, under another id"
    return f"; equal content has been run again as {again}"


def describe_run(run: RunDir) -> dict[str, Any]:
    """Return the manifest of a run, or its spec with the status `planned` before it begins.

    The grade is the best one: A when a replay agreed with a complete capture. `tags` are those of
    the ledger, `git` is the repository when the run was planned, None without one.
    """
    described = graded_manifest(run)
    if described is None:
        described = {**run.read_spec(), "status": "planned"}
    if "git" not in described:  # planned, or of a version that wrote it into the spec alone
        spec = run.read_spec() if run.spec.exists() else {}
        described = {**described, "git": spec.get("origin", {}).get("git")}
    tags = read_tags(RunStore(run.path.parent), described["run_key"]).names
    return {**described, "tags": list(tags)}
