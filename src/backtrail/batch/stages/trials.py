"""How much was tried on a dataset by now: what stands beside the statistics of every page."""

from collections import Counter

from backtrail.artifacts.rundir import RunDir, read_record
from backtrail.artifacts.store import RunStore
from backtrail.wording import counted

__all__ = ["TrialCounts"]


class TrialCounts:
    """The trial ledger as the pages of one job show it.

    What the ledger says of a dataset is read once, when it is first asked for: a job that renders
    many pages shows one state of it on all of them.

    Args:
        store: The run store.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._ledger = store.ledger / "trials"
        self._runs: dict[str, Counter[str]] = {}
        self._sets: dict[str, Counter[str]] = {}
        self._all: dict[tuple[str, str, str, str, str], int] = {}

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
        if dataset not in self._runs:
            self._read(dataset)
        runs, sets = self._runs[dataset], self._sets[dataset]
        others = runs.total() - runs[family]
        tried = f"{counted(sets[family], 'parameter set')} of this strategy file"
        beside = f", and {counted(others, 'run')} of others," if others else ""
        where = f"in {counted(runs[family], 'run')}"
        told = f"{tried} {where}{beside} on this dataset, when this page was made"
        asked = (dataset, family, bundle, identity["start"], identity["end"])
        if asked not in self._all:
            self._all[asked] = self._store.count_trials(
                dataset, family, bundle=bundle, window=asked[3:]
            )
        if self._all[asked] == sets[family]:
            return told
        every = counted(self._all[asked], "parameter set")
        return f"{told}; {every} of it on all datasets of {bundle}"

    def _read(self, dataset: str) -> None:
        runs: Counter[str] = Counter()
        sets: Counter[str] = Counter()
        for path in (self._ledger / dataset).glob("*.json"):
            trial = read_record(path)
            runs[trial["family"]] += 1
            sets[trial["family"]] += int(trial["sets"])
        self._runs[dataset], self._sets[dataset] = runs, sets
