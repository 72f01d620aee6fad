"""Attestations: what replays have shown of a run, kept in the ledger and outliving the run.

A sealed run states the grade of its capture. A replay that agrees proves more, but a sealed
manifest is never written again; so the proof lies beside the runs, tied to the manifest by its
checksum, and the best grade is derived from both.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.canonical import sha256_file
from backtrail.errors import ArtifactManagerError
from backtrail.files import lease, remove_stale, write_json

__all__ = [
    "GRADE_MEANINGS",
    "Attestation",
    "add_attestation",
    "attestation_files",
    "best_grade",
    "graded_manifest",
    "read_attestations",
]

GRADE_MEANINGS: Final[Mapping[str, str]] = {
    "A": "captured completely, and a replay agreed",
    "B": "captured completely",
    "C": "something that was used is not captured",
    "D": "parts are missing",
}
"""What the provenance grades mean, the best first."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """One replay that agreed with a run.

    Attributes:
        backtest_id: The run that was replayed.
        manifest_sha256: Checksum of its `run.json`: the proof is of exactly this record.
        agreed_at: When, ISO 8601, UTC.
        library: Fingerprint of our own code that repeated it.
        environment: Interpreter, platform and packages that repeated it.
        changed: What of the environment is another than in the run, one entry per version.
        files: For every file compared `identical`, or `same content` when only bytes differ.
    """

    backtest_id: str
    manifest_sha256: str
    agreed_at: str
    library: str
    environment: Mapping[str, Any]
    changed: tuple[str, ...]
    files: Mapping[str, str]


def attestation_files(store: RunStore) -> Iterator[Path]:
    """Yield the ledger's record of every run key that was ever replayed, in order."""
    yield from sorted((store.ledger / "replays").glob("*.json"))


def _path(store: RunStore, run_key: str) -> Path:
    return store.ledger / "replays" / f"{run_key}.json"


def add_attestation(store: RunStore, run_key: str, attestation: Attestation) -> Path:
    """Append an attestation to the ledger and return its file; earlier ones stay."""
    path = _path(store, run_key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with lease(path.with_name(".lock")):
        remove_stale(path.parent)
        replays = [*read_attestations(path), attestation]
        record = {"run_key": run_key, "replays": [asdict(item) for item in replays]}
        write_json(path, record, durable=True)
    return path


def read_attestations(path: Path) -> tuple[Attestation, ...]:
    """Return the attestations of a ledger file, oldest first; none when there is no file.

    Raises:
        ArtifactManagerError: If the file is damaged.
    """
    try:
        records = json.loads(path.read_bytes())["replays"]
        names = [field.name for field in fields(Attestation)]
        return tuple(
            Attestation(
                **{**{name: item[name] for name in names}, "changed": tuple(item["changed"])}
            )
            for item in records
        )
    except FileNotFoundError:
        return ()
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactManagerError(
            f"the ledger file {path} is damaged ({error!r}); restore it, or remove it: the runs it "
            "is about lose grade A until they are replayed again"
        ) from None


def best_grade(capture_grade: str | None, *, attested: bool) -> str | None:
    """Return the grade to show: an agreeing replay lifts a complete capture to A.

    A run with gaps keeps C: that its files could be repeated here does not capture what it used.

    Args:
        capture_grade: Grade of the manifest; None before there is one.
        attested: Whether a replay agreed with exactly that manifest.
    """
    return "A" if attested and capture_grade == "B" else capture_grade


def graded_manifest(run: RunDir) -> dict[str, Any] | None:
    """Return a run's manifest with its best grade, or None before the run has begun.

    `capture_grade` holds the grade of the manifest itself, `replays` when replays agreed.
    """
    manifest = run.read_manifest()
    if manifest is None or "grade" not in manifest:
        return manifest
    attestations = read_attestations(_path(RunStore(run.path.parent), manifest["run_key"]))
    checksum = sha256_file(run.manifest) if attestations else ""
    agreed = [item.agreed_at for item in attestations if item.manifest_sha256 == checksum]
    return {
        **manifest,
        "capture_grade": manifest["grade"],
        "grade": best_grade(manifest["grade"], attested=bool(agreed)),
        "replays": agreed,
    }
