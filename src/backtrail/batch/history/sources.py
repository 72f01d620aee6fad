"""What runs were made from, their captured objects and their datasets: is it still that?"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backtrail.artifacts.manifest import is_sealed
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.stages.captured import captured_files
from backtrail.canonical import sha256_file
from backtrail.errors import ArtifactManagerError
from backtrail.provenance.objects import ObjectStore

__all__ = [
    "DatasetCheck",
    "SourceCheck",
    "SourceFinding",
    "dataset_users",
    "used_dataset",
]


def used_dataset(run: RunDir) -> tuple[str, str] | None:
    """Return the bundle and the id of the dataset that a run uses, or None without such records.

    A sealed run is asked for its manifest, which the seal vouches for; another one for its spec.
    """
    try:
        if is_sealed(run):
            if sha256_file(run.manifest) != run.success.read_text().strip():
                return None
            known = run.read_manifest() or {}
        else:
            known = run.read_spec()
        return str(known["labels"]["bundle"]), str(known["identity"]["dataset"]["dataset_id"])
    except (ArtifactManagerError, OSError, KeyError, TypeError):
        return None


def dataset_users(store: RunStore, bundle: str) -> dict[str, tuple[str, ...]]:
    """Return the ids of the runs that use each dataset of a bundle, oldest first.

    Args:
        store: The run store; it need not exist.
        bundle: Name of the bundle.
    """
    users: dict[str, list[str]] = {}
    for run in store.run_dirs():
        used = used_dataset(run)
        if used is not None and used[0] == bundle:
            users.setdefault(used[1], []).append(run.backtest_id)
    return {dataset_id: tuple(runs) for dataset_id, runs in users.items()}


class DatasetCheck:
    """Looks at each dataset once, however many runs use it.

    Args:
        bundles_dir: Folder of the bundles.
    """

    def __init__(self, bundles_dir: Path) -> None:
        self.bundles_dir = bundles_dir
        self._damage: dict[Path, Mapping[Path, str]] = {}

    def damage(self, bundle: str, dataset_id: str) -> Mapping[Path, str]:
        """Return what is wrong with a dataset, by file; empty when it is what its id says."""
        from backtrail.data.datasets import dataset_damage  # needs Polars; showing a run does not

        folder = self.bundles_dir / bundle / dataset_id
        if folder not in self._damage:
            found = dataset_damage(folder) if folder.is_dir() else {"": "is missing"}
            self._damage[folder] = {folder / name: what for name, what in found.items()}
        return self._damage[folder]


@dataclass(frozen=True, slots=True)
class SourceFinding:
    """One file outside of a run that is no longer what the run was made from.

    Attributes:
        path: The file.
        what: What is wrong with it, as a predicate: `is missing`, `has sha256 …, not …`.
        used_as: What the run knows it as: a captured file, or its dataset.
    """

    path: Path
    what: str
    used_as: str


class SourceCheck:
    """Looks at each shared object and each dataset once, however many runs use it.

    Args:
        store: The run store.
        bundles_dir: Folder of the bundles.
    """

    def __init__(self, store: RunStore, bundles_dir: Path) -> None:
        self._store = store
        self._objects = ObjectStore(store.objects)
        self._states: dict[str, str] = {}
        self._datasets = DatasetCheck(bundles_dir)

    def look(self, run: RunDir) -> tuple[SourceFinding, ...]:
        """Return what is damaged of the objects and of the dataset that a run uses.

        An object that is gone is no damage: the run has its own copy.
        """
        findings = []
        for name, sha256 in captured_files(self._store, run).items():
            if sha256 not in self._states:
                self._states[sha256] = self._objects.state(sha256)
            if self._states[sha256] == "damaged":
                path = self._objects.path(sha256)
                what = "is damaged: its content is not the one it is named by"
                findings.append(SourceFinding(path, what, f"shared file of code/{name}"))
        used = used_dataset(run)
        if used is not None:
            bundle, dataset_id = used
            used_as = f"dataset {dataset_id} of bundle {bundle}"
            for path, what in self._datasets.damage(bundle, dataset_id).items():
                findings.append(SourceFinding(path, what, used_as))
        return tuple(findings)
