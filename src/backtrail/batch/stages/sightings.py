"""Who saw dates that a search withheld, other than by opening its holdout.

A run of the same strategy file over the same dates shows what a look would. Nothing is written for
that: the trial ledger has every sealed run with its dates, deleted and imported ones included, and
of a search the date from which on it withheld them. Runs and looks match as trials do: by strategy
file, on the dataset and on others of its bundle.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Final

from backtrail.artifacts.rundir import read_record
from backtrail.artifacts.store import RunStore
from backtrail.artifacts.trial_ledger import find_records
from backtrail.errors import ArtifactManagerError
from backtrail.reports.looks import NO_LOOKS, HoldoutLooks

__all__ = ["FamilyRecords", "StoreLooks", "Window"]

_FIRST: Final = "0000-00-00"
_LAST: Final = "9999-99-99"

Record = Mapping[str, Any]
Window = tuple[str, str]


class FamilyRecords:
    """What the ledger has of one strategy file on the data of a bundle, read once.

    Args:
        store: The run store.
        dataset_id: The dataset.
        family: Strategy file, relative to the project.
        bundle: Name of its bundle; None where that is not known.

    Raises:
        ArtifactManagerError: If a record of the ledger is unreadable.
    """

    def __init__(self, store: RunStore, dataset_id: str, family: str, bundle: str | None) -> None:
        self._store = store
        self.own, self.others = find_records(
            store.ledger / "trials",
            dataset_id,
            family,
            bundle=bundle,
            window=None,
            spec_of=store.key_path,
        )
        self._openings = store.find_looks(dataset_id, family, "", _LAST, bundle=bundle)
        # Many runs of a store ask the same.
        self._answers: dict[tuple[str, Window | None], tuple[list[Record], list[str]]] = {}

    def count(self, window: Window) -> int:
        """Return how many parameter sets were tried, as `RunStore.count_trials` does."""
        first, last = window
        others = [trial for trial in self.others if _overlaps(_dates(trial), first, last)]
        return sum(int(trial["sets"]) for trial in self.own + others)

    def looks(
        self, start: str, *, run_key: str | None = None, began: str | None = None
    ) -> HoldoutLooks:
        """Return who saw withheld dates from a date on.

        Args:
            start: First date of the run that this is told of: what was seen after it may have
                steered what was tried next.
            run_key: That run. Of a search that withheld dates, and of a look, only runs that show
                its own ones are told.
            began: When it began, for how many runs were before it; None counts none.
        """
        own = None if run_key is None else self._withheld.get(run_key)
        if (start, own) not in self._answers:
            self._answers[start, own] = self._seen(start, own)
        openings, moments = self._answers[start, own]
        before = bisect_left(moments, _comparable(began or ""))
        return HoldoutLooks.of(openings, seen=len(moments), before=before)

    def _seen(self, start: str, own: Window | None) -> tuple[list[Record], list[str]]:
        """Return the looks from a date on, and when the runs began that show withheld dates."""
        windows = [
            window
            for window in ({*self._withheld.values()} if own is None else {own})
            if start <= window[1]
        ]
        moments = [
            _moment(trial)
            for trial in self._trials
            if any(self._shows(trial, window) for window in windows)
        ]
        return [look for look in self._openings if start <= str(look["end"])], sorted(moments)

    @cached_property
    def _trials(self) -> list[Record]:
        return [_with_dates(self._store, trial) for trial in [*self.own, *self.others]]

    @cached_property
    def _withheld(self) -> dict[str, Window]:
        """First and last of the withheld dates, by key of the search or look."""
        found = {
            str(trial["run_key"]): (str(trial["withheld"]), _dates(trial)[1])
            for trial in self._trials
            if "withheld" in trial
        }
        for look in self._openings:
            window = (str(look["start"]), str(look["end"]))
            found.setdefault(str(look["run_key"]), window)
            if "parent" in look:  # its search may be deleted, and of a version that said no dates
                found.setdefault(str(look["parent"]), window)
        return found

    @cached_property
    def _looked_at(self) -> dict[tuple[Any, Any], list[tuple[str, Window]]]:
        """When and at which dates a set was looked at, by its hash and that of the code."""
        looks = {str(look["run_key"]): look for look in self._openings}
        found: dict[tuple[Any, Any], list[tuple[str, Window]]] = {}
        for trial in self._trials:
            look = looks.get(str(trial["run_key"]))
            if look is not None:
                opened = _comparable(str(look.get("opened_at", _LAST)))
                window = (str(look["start"]), str(look["end"]))
                found.setdefault(_set(trial), []).append((opened, window))
        return found

    def _shows(self, trial: Record, window: Window) -> bool:
        """Say whether a trial has results of withheld dates that no look of its set had shown."""
        if trial.get("run_type") == "holdout":
            return False  # counted as the look that it is
        own = self._withheld.get(str(trial["run_key"]))
        first, last = _dates(trial)
        if not _overlaps((first, last), *window) or (own is not None and own[0] <= window[0]):
            return False
        # A set that was looked at may be run again, as its holdout may be opened again.
        begins, ends = max(first, window[0]), min(last, window[1])
        return int(trial["sets"]) > 1 or not any(
            opened <= _moment(trial) and at <= begins and ends <= until
            for opened, (at, until) in self._looked_at.get(_set(trial), ())
        )


class StoreLooks:
    """Who saw withheld dates, for many runs of a store; the ledger is read once for each question.

    Args:
        store: The run store.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._families = frozenset(_withholding(store))
        self._found: dict[tuple[str, str, str], FamilyRecords] = {}

    def of(self, row: Mapping[str, Any]) -> HoldoutLooks:
        """Return what is to be told of a row of the table of runs.

        Raises:
            ArtifactManagerError: If a record of the ledger is unreadable.
        """
        if row["strategy"] not in self._families or row["dataset_id"] is None:
            return NO_LOOKS
        key = (row["dataset_id"], row["strategy"], row["bundle"])
        if key not in self._found:
            self._found[key] = FamilyRecords(self._store, *key)
        return self._found[key].looks(
            row["start_date"], run_key=row["run_key"], began=row["started_at"]
        )


def _withholding(store: RunStore) -> Iterable[str]:
    """Yield the strategy files of which dates were withheld, or looked at."""
    for path in (store.ledger / "holdout").glob("*/*.json"):
        yield str(read_record(path)["family"])
    for path in (store.ledger / "trials").glob("*/*.json"):
        trial = read_record(path)
        if "withheld" in _with_dates(store, trial):
            yield str(trial["family"])


def _with_dates(store: RunStore, trial: Record) -> Record:
    """Return a record with its dates; those of an older version are in the spec of its run."""
    if "started_at" in trial or trial.get("run_type") not in ("backtest", "optimization"):
        return trial
    if trial["run_type"] == "backtest" and "start" in trial:
        return trial
    try:
        identity = read_record(store.key_path(str(trial["run_key"])))["identity"]
        dates = {"start": identity["start"], "end": identity["end"]}
    except (ArtifactManagerError, KeyError):  # deleted, or damaged: it says nothing
        return trial
    holdout = identity.get("validate", {}).get("holdout")
    return {**dates, **({} if holdout is None else {"withheld": holdout["start"]}), **trial}


def _dates(trial: Record) -> Window:
    return str(trial.get("start", _FIRST)), str(trial.get("end", _LAST))


def _overlaps(dates: Window, first: str, last: str) -> bool:
    return dates[0] <= last and first <= dates[1]


def _moment(trial: Record) -> str:
    """Return when a trial began; one of which that is not known counts as before everything."""
    return _comparable(str(trial.get("started_at", "")))


def _comparable(moment: str) -> str:
    return moment.removesuffix("Z")  # with it a whole second would come after its fractions


def _set(trial: Record) -> tuple[Any, Any]:
    return trial.get("code_hash"), trial.get("sets_sha256")
