"""Which dataset takes the place of another one after a revision, also of those made of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backtrail.data.datasets import Dataset
from backtrail.data.manifest import MANIFEST_FILE, DatasetManifest, read_receipt
from backtrail.errors import DatasetError

__all__ = ["Succession", "Successors"]

_SAME: Final = ("calendar", "timeframe")


@dataclass(frozen=True, slots=True)
class Succession:
    """What became of a dataset by a revision.

    Attributes:
        before: The dataset, as the runs read it; None when it cannot be opened any more.
        after: What took its place; None when there is none, or nobody can tell.
        problem: Why there is no `after`.
    """

    before: Dataset | None
    after: Dataset | None
    problem: str = ""


class Successors:
    """Finds what takes the place of the datasets that a revision reaches.

    A dataset is reached when it is the revised one, or was made of one that is reached: longer
    bars of it, or a join of several. Then its place is taken by the dataset of the same bundle that
    was made of the newer ones in the same way, and of nothing else that is new.

    Args:
        bundles_dir: Folder of the bundles.
        before: The older dataset.
        after: The newer one.
    """

    def __init__(self, bundles_dir: Path, before: Dataset, after: Dataset) -> None:
        self._bundles = bundles_dir
        self._before = before
        self._after = after
        self._known: dict[tuple[str, str], Succession | None] = {}

    def of(self, bundle: str, dataset_id: str) -> Succession | None:
        """Return what became of a dataset, or None when the revision does not reach it.

        Args:
            bundle: Name of the bundle it is of, as a run says.
            dataset_id: The dataset.
        """
        if dataset_id == self._before.manifest.dataset_id:  # equal content, whatever its name
            return Succession(self._before, self._after)
        key = (bundle, dataset_id)
        if key not in self._known:
            self._known[key] = self._derived(bundle, dataset_id)
        return self._known[key]

    def _derived(self, bundle: str, dataset_id: str) -> Succession | None:
        path = self._bundles / bundle / dataset_id
        try:
            dataset = Dataset.open(path)
        except DatasetError as error:
            if not self._is_made_of_others(bundle):
                return None
            return Succession(
                None,
                None,
                f"bundle {bundle} is made of others, and of what dataset {dataset_id} was made "
                f"cannot be told: {error}",
            )
        parents = _parents(dataset.manifest.derived)
        places = {name: self.of(name, parent) for name, parent in parents.items()}
        reached = {name: place for name, place in places.items() if place is not None}
        if not reached:
            return None
        for name, place in reached.items():
            if place.after is None:
                return Succession(
                    dataset,
                    None,
                    f"it is made of dataset {parents[name]} of {name}: {place.problem}",
                )
        wanted = {
            **parents,
            **{
                name: place.after.manifest.dataset_id
                for name, place in reached.items()
                if place.after is not None
            },
        }
        after = self._made_of(dataset, wanted)
        if after is not None:
            return Succession(dataset, after)
        made_of = ", ".join(f"dataset {wanted[name]} of {name}" for name in reached)
        return Succession(
            dataset,
            None,
            f"bundle {bundle} was never made of {made_of} with all else as it was; ingest it "
            f"(`snakemake` does), then ask again, or compare two of its datasets: `backtrail data "
            f"diff {bundle} --impact`",
        )

    def _made_of(self, dataset: Dataset, wanted: Mapping[str, str]) -> Dataset | None:
        """Return the dataset of the same bundle that was made of others in the same way."""
        manifest = dataset.manifest
        found = []
        for other in _manifests(dataset.path.parent):
            same = all(getattr(other, name) == getattr(manifest, name) for name in _SAME)
            if same and _parents(other.derived) == wanted:
                # The one whose members come from the same list first.
                is_other = other.derived.get("universe") != manifest.derived.get("universe")
                found.append((is_other, other.dataset_id))
        if found:
            return Dataset.open(dataset.path.parent / min(found)[1])
        # What is made of the newer ones may be the same, and says of itself what it was first.
        receipt = _receipt(self._bundles, manifest.bundle)
        if receipt.get("dataset_id") == manifest.dataset_id:
            made_of = receipt.get("derived_from")
            if made_of == wanted or (len(wanted) == 1 and made_of in wanted.values()):
                return dataset
        return None

    def _is_made_of_others(self, bundle: str) -> bool:
        """Say whether a bundle is one whose datasets are made of those of others."""
        return "derived_from" in _receipt(self._bundles, bundle) or any(
            manifest.derived for manifest in _manifests(self._bundles / bundle)
        )


def _parents(derived: Mapping[str, Any]) -> dict[str, str]:
    """Return the datasets that one was made of, by their bundles; of its own source, none."""
    if "joined" in derived:
        return {str(name): str(parent) for name, parent in derived["joined"].items()}
    if "dataset_id" in derived:
        return {str(derived["bundle"]): str(derived["dataset_id"])}
    return {}


def _manifests(folder: Path) -> Iterator[DatasetManifest]:
    for path in sorted(folder.glob(f"[!.]*/{MANIFEST_FILE}")):
        try:
            yield DatasetManifest.load(path)
        except DatasetError:
            continue  # damaged: nothing can be run on it


def _receipt(bundles_dir: Path, bundle: str) -> Mapping[str, Any]:
    try:
        return read_receipt(bundles_dir, bundle) or {}
    except DatasetError:
        return {}
