"""What runs were made from, their captured objects and their datasets: is it still that?"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backtrail.artifacts.manifest import is_sealed
from backtrail.artifacts.store import RunDir, RunStore
from backtrail.canonical import sha256_file
from backtrail.errors import ArtifactManagerError
from backtrail.provenance.objects import ObjectStore

__all__ = ["SourceCheck", "SourceFinding"]


@dataclass(frozen=True, slots=True)
class SourceFinding:
    """One file outside of a run that is no longer what the run was made from.

    Attributes:
        path: The file.
        what: What is wrong with it, as a predicate: `is missing`, `has sha256 …, not …`.
        used_as: What the run knows it as: a captured file, or its dataset.
    """

    path: str
    what: str
    used_as: str


class SourceCheck:
    """Looks at each shared object and each dataset once, however many runs use it.

    Args:
        store: The run store.
        bundles_dir: Folder of the bundles.
    """

    def __init__(self, store: RunStore, bundles_dir: Path) -> None:
        self.bundles_dir = bundles_dir
        self._objects = ObjectStore(store.objects)
        self._object_damage: dict[str, str | None] = {}
        self._dataset_damage: dict[Path, Mapping[str, str]] = {}

    def look(self, run: RunDir) -> tuple[SourceFinding, ...]:
        """Return what is damaged of the objects and of the dataset that a run uses.

        An object that is gone is no damage: the run has its own copy.
        """
        records = _records_of(run)
        if records is None:
            return ()
        files, bundle, dataset_id = records
        findings = []
        for name, sha256 in files.items():
            what = self._look_at_object(sha256)
            if what is not None:
                path = self._objects.path(sha256)
                findings.append(SourceFinding(path.as_posix(), what, name))
        folder = self.bundles_dir / bundle / dataset_id
        for name, what in self._look_at_dataset(folder).items():
            path = folder / name if name else folder
            used_as = f"dataset {dataset_id} of bundle {bundle}"
            findings.append(SourceFinding(path.as_posix(), what, used_as))
        return tuple(findings)

    def _look_at_object(self, sha256: str) -> str | None:
        if sha256 not in self._object_damage:
            path = self._objects.path(sha256)
            found = sha256_file(path) if path.exists() else sha256
            damaged = found != sha256
            self._object_damage[sha256] = f"has sha256 {found}, not {sha256}" if damaged else None
        return self._object_damage[sha256]

    def _look_at_dataset(self, folder: Path) -> Mapping[str, str]:
        from backtrail.data.datasets import dataset_damage  # needs Polars; showing a run does not

        if folder not in self._dataset_damage:
            found = dataset_damage(folder) if folder.is_dir() else {"": "is missing"}
            self._dataset_damage[folder] = found
        return self._dataset_damage[folder]


def _records_of(run: RunDir) -> tuple[dict[str, str], str, str] | None:
    """Return checksums of captured files, bundle and dataset id, or None without such records.

    A sealed run is asked for its manifest, which the seal vouches for; another one for its spec.
    """
    try:
        if is_sealed(run):
            if sha256_file(run.manifest) != run.success.read_text().strip():
                return None
            known = run.read_manifest() or {}
            listed = known["inventory"].items()
            files = {name: item["sha256"] for name, item in listed if name.startswith("code/")}
        else:
            known = run.read_spec()
            listed = (known.get("code") or {}).get("files", ())
            files = {f"code/{item['path']}": item["sha256"] for item in listed}
        return files, known["labels"]["bundle"], known["identity"]["dataset"]["dataset_id"]
    except (ArtifactManagerError, OSError, KeyError, TypeError):
        return None
