"""What the ledger counts against a run by now: what stands beside the statistics of every page."""

from collections.abc import Mapping
from typing import Any

from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.stages.sightings import FamilyRecords
from backtrail.reports.looks import HoldoutLooks
from backtrail.wording import counted

__all__ = ["TrialCounts"]


class TrialCounts:
    """The ledger as the pages of one job show it.

    What it says of a strategy file and a dataset is read once, when it is first asked for: a job
    that renders many pages shows one state of it on all of them.

    Args:
        store: The run store.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._ledger = store.ledger / "trials"
        self._files: dict[str, int] = {}
        self._families: dict[tuple[str, str, str | None], FamilyRecords] = {}

    def words(self, run: RunDir) -> str:
        """Return how much was tried on the run's dataset, by its strategy file and by others.

        What was tried on other datasets of the bundle, on dates that overlap, is told where there
        is some.

        Raises:
            ArtifactManagerError: If a record of the ledger is unreadable.
        """
        spec = run.read_spec()
        identity, bundle = spec["identity"], spec["labels"]["bundle"]
        family, dataset = identity["strategy"]["entry"], identity["dataset"]["dataset_id"]
        records = self._records(dataset, family, bundle)
        if dataset not in self._files:
            self._files[dataset] = sum(1 for _ in (self._ledger / dataset).glob("*.json"))
        sets = sum(int(trial["sets"]) for trial in records.own)
        others = self._files[dataset] - len(records.own)
        tried = f"{counted(sets, 'parameter set')} of this strategy file"
        beside = f", and {counted(others, 'run')} of others," if others else ""
        where = f"in {counted(len(records.own), 'run')}"
        told = f"{tried} {where}{beside} on this dataset, when this page was made"
        everywhere = records.count((identity["start"], identity["end"]))
        if everywhere == sets:
            return told
        every = counted(everywhere, "parameter set")
        return f"{told}; {every} of it on all datasets of {bundle}"

    def looks(self, run: RunDir) -> HoldoutLooks:
        """Return who saw withheld dates from the run's start on; of a search its own, if any.

        Raises:
            ArtifactManagerError: If a record of the ledger is unreadable.
        """
        spec = run.read_spec()
        identity = spec["identity"]
        records = self._records(
            identity["dataset"]["dataset_id"],
            identity["strategy"]["entry"],
            spec["labels"]["bundle"],
        )
        manifest = run.read_manifest() or {}
        return records.looks(
            identity["start"], run_key=spec["run_key"], began=manifest.get("started_at")
        )

    def seen_before(self, look: Mapping[str, Any]) -> int:
        """Return how many runs that are no looks had shown the dates of a look when it was taken.

        Args:
            look: Its record in the ledger.

        Raises:
            ArtifactManagerError: If a record of the ledger is unreadable.
        """
        records = self._records(look["dataset_id"], look["family"], look.get("bundle"))
        told = records.looks(look["start"], run_key=look["run_key"], began=look.get("opened_at"))
        return told.before

    def _records(self, dataset: str, family: str, bundle: str | None) -> FamilyRecords:
        key = (dataset, family, bundle)
        if key not in self._families:
            self._families[key] = FamilyRecords(self._store, *key)
        return self._families[key]
