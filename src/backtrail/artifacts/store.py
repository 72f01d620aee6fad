"""The run store: run directories, one key link per run, and where everything else lies."""

import errno
import os
import re
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from backtrail.artifacts.refusals import unavailable
from backtrail.artifacts.rundir import LOCK, RunDir, read_record
from backtrail.artifacts.trial_ledger import find_records
from backtrail.errors import ArtifactManagerError, InvalidNameError
from backtrail.files import is_temporary, lease, write_json

__all__ = [
    "BACKTEST_ID",
    "RUN_NAME",
    "RunStore",
    "check_id",
    "is_generated_id",
    "name_of",
]

BACKTEST_ID = r"\d{8}_\d{6}_\d{3}"
RUN_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}"
_ID = re.compile(rf"^{BACKTEST_ID}$")
_GRAVE = ".swept."
_MILLISECOND = timedelta(milliseconds=1)
_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


def name_of(moment: datetime) -> str:
    """Return the id that a moment gives: UTC, to the millisecond."""
    moment = moment.astimezone(UTC)
    return f"{moment:%Y%m%d_%H%M%S}_{moment.microsecond // 1000:03d}"


def check_id(backtest_id: str) -> str:
    """Return an id that can name a run directory.

    Raises:
        InvalidNameError: If it has other characters than letters, digits, `.`, `_`, `-`, or `..`,
            or does not begin with a letter or digit, or is longer than 80.
    """
    if not isinstance(backtest_id, str) or not re.fullmatch(RUN_NAME, backtest_id):
        found = repr(backtest_id)
    elif ".." in backtest_id:
        found = f"{backtest_id!r} with '..'"
    else:
        return backtest_id
    raise InvalidNameError(
        f"invalid backtest id {found}: an id has letters, digits, '.', '_' and '-', begins with a "
        "letter or digit, and has at most 80 characters"
    )


def is_generated_id(backtest_id: str) -> bool:
    """Say whether an id is the moment of its claim, and not one that a user chose."""
    return _ID.match(backtest_id) is not None


class RunStore:
    """All runs below one base directory. Nothing is made before the first claim.

    Args:
        base_dir: The store's folder.
        project: The project that works with it; its files may mend a damaged `.objects/`.
    """

    def __init__(self, base_dir: Path, project: Path | None = None) -> None:
        self.base_dir = base_dir
        self.project = project
        self.keys = base_dir / ".keys"
        self.plans = base_dir / ".plans"
        self.objects = base_dir / ".objects"
        self.ledger = base_dir / ".ledger"
        self.catalog_lock = base_dir / ".catalog.lock"
        self.runs_table = base_dir / "runs.parquet"
        self.index = base_dir / "index.html"
        self._last_named: datetime | None = None
        self._naming = threading.Lock()

    def run(self, backtest_id: str) -> RunDir:
        """Return the directory of a run, made or not."""
        return RunDir(self.base_dir / backtest_id)

    def run_dirs(self) -> list[RunDir]:
        """Return every run directory, oldest first."""
        try:
            names = sorted(entry.name for entry in os.scandir(self.base_dir) if entry.is_dir())
        except FileNotFoundError:
            return []
        return [self.run(name) for name in names if not name.startswith(".")]

    def key_path(self, run_key: str) -> Path:
        """Return the link that a run key has once it is claimed."""
        return self.keys / run_key[:2] / run_key

    def find(self, run_key: str) -> str | None:
        """Return the id of the run that holds a key, or None."""
        path = self.key_path(run_key)
        if not path.exists():
            return None
        try:
            backtest_id: str = read_record(path)["backtest_id"]
        except (ArtifactManagerError, KeyError, TypeError) as error:
            raise ArtifactManagerError(
                f"the link of a run key is damaged ({error}); delete {path}, and the next call "
                "makes the run anew beside what is left of it"
            ) from None
        return backtest_id

    def claim(
        self,
        run_key: str,
        make_spec: Callable[[str], dict[str, Any]],
        now: datetime,
        *,
        name: str | None = None,
    ) -> tuple[str, bool]:
        """Find the run of a key, or make its directory: one key, one directory.

        The directory is taken by an exclusive `mkdir`, then the spec is written, then linked
        under the key. Who finds the link taken removes the own empty directory and uses the
        winner's.

        Args:
            run_key: Identity of the run.
            make_spec: Makes the run spec from the id; its value has `backtest_id` and `run_key`.
            now: The moment that names a new run.
            name: The id of a new run, in place of the moment's.

        Returns:
            The id, and whether this call made it.

        Raises:
            ArtifactManagerError: If the store cannot be written, or the name is another run's.
        """
        found = self.find(run_key)
        if found is not None:
            with suppress(FileNotFoundError):  # deleted since the look
                self._link_id(found, run_key)  # a claim may have been killed between its two links
                return found, False
        while True:
            backtest_id = self.take_id(now) if name is None else self.take_name(name)
            spec = make_spec(backtest_id)
            try:
                return self._link(self.run(backtest_id), run_key, spec)
            except FileNotFoundError:  # swept as an orphan between mkdir and lease
                continue
            except FileExistsError:  # swept, and made anew by another claim
                continue
            except OSError as error:
                run = self.run(backtest_id)
                self._sweep(run)
                raise unavailable("write the run spec of", run.path, error) from error

    def take_id(self, now: datetime) -> str:
        """Make the directory of a moment, or of the next free millisecond, and return its id.

        Raises:
            ArtifactManagerError: If the store cannot be written.
        """
        with self._naming:
            moment = now
            if self._last_named is not None:  # a loop of claims does not knock at its own doors
                moment = max(moment, self._last_named + _MILLISECOND)
            while not self._take(name_of(moment)):
                moment += _MILLISECOND
            self._last_named = moment
        return name_of(moment)

    def take_name(self, name: str) -> str:
        """Make the directory of an id that was asked for, and return the id.

        Raises:
            ArtifactManagerError: If it cannot name a run, or names one, or the store cannot be
                written.
        """
        run = self.run(check_id(name))
        while not self._take(name):
            if not self._sweep(run):
                raise ArtifactManagerError(
                    f"the id {name} is taken: {run.path} exists; choose another id, or open that "
                    f"run with BacktestArtifactManager.from_backtest_id({name!r})"
                )
        return name

    def _take(self, backtest_id: str) -> bool:
        """Make a run directory; say whether it was free."""
        path = self.run(backtest_id).path
        try:
            self.base_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unavailable("make the base directory", self.base_dir, error) from error
        try:
            path.mkdir()
        except FileExistsError:
            return False
        except OSError as error:
            raise unavailable("make the run directory", path, error) from error
        return True

    def _link(self, run: RunDir, run_key: str, spec: dict[str, Any]) -> tuple[str, bool]:
        with lease(run.path / LOCK):
            if run.spec.exists():
                raise FileExistsError(run.spec)
            write_json(run.spec, spec)
            link = self.key_path(run_key)
            link.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(run.spec, link)
            except FileExistsError:
                self._discard(run)
                winner = self.find(run_key)
                assert winner is not None
                return winner, False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                self._discard(run)
                raise ArtifactManagerError(
                    f"{self.base_dir} lies on a file system that makes no hard links "
                    f"({error.strerror}), and one key could not mean one run there; name another "
                    "base_dir"
                ) from error
            self._link_id(run.backtest_id, run_key)
        return run.backtest_id, True

    def _link_id(self, backtest_id: str, run_key: str) -> None:
        claimed = self.claimed_path(backtest_id)
        claimed.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.link(self.key_path(run_key), claimed)

    def trial_path(self, dataset_id: str, run_key: str) -> Path:
        """Return where the ledger counts the parameter sets of a run."""
        return self.ledger / "trials" / dataset_id / f"{run_key}.json"

    def count_trials(
        self,
        dataset_id: str,
        family: str,
        run_key: str | None = None,
        *,
        bundle: str | None = None,
        window: tuple[str, str] | None = None,
    ) -> int:
        """Return how many parameter sets of a family were ever evaluated on a bundle's data.

        Deleted runs count, and so does a set that several runs had: the count is on the safe side.

        Args:
            dataset_id: The dataset; every set that was evaluated on it counts.
            family: Strategy file, relative to the project.
            run_key: A run that does not count, if any.
            bundle: Name of its bundle; sets that were evaluated on the bundle's other datasets
                count, too.
            window: First and last date; of the other datasets those count whose dates overlap.

        Raises:
            ArtifactManagerError: If a record of the ledger is unreadable.
        """
        own, others = find_records(
            self.ledger / "trials",
            dataset_id,
            family,
            bundle=bundle,
            window=window,
            spec_of=self.key_path,
        )
        counted = [trial for trial in own + others if trial["run_key"] != run_key]
        return sum(int(trial["sets"]) for trial in counted)

    def holdout_looks(self, dataset_id: str) -> Path:
        """Return the folder of the looks at holdouts of a dataset, one record each."""
        return self.ledger / "holdout" / dataset_id

    def find_looks(
        self, dataset_id: str, family: str, start: str, end: str, *, bundle: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the looks of a family of strategies at dates of a bundle, deleted runs included.

        Args:
            dataset_id: The dataset.
            family: Strategy file, relative to the project.
            start: First of the dates.
            end: Last of them.
            bundle: Name of its bundle; looks at the bundle's other datasets count, too.

        Raises:
            ArtifactManagerError: If a record of the ledger is unreadable.
        """
        own, others = find_records(
            self.ledger / "holdout",
            dataset_id,
            family,
            bundle=bundle,
            window=(start, end),
            spec_of=self.key_path,
        )
        return [look for look in own + others if look["start"] <= end and start <= look["end"]]

    def restore_spec(self, backtest_id: str) -> RunDir:
        """Return a run's directory; when it or its spec was deleted, it is made again.

        Raises:
            ArtifactManagerError: If the run was never claimed in this store.
        """
        run = self.run(backtest_id)
        if not run.spec.exists():
            claimed = self.claimed_path(backtest_id)
            if not claimed.exists():
                raise ArtifactManagerError(
                    f"run {backtest_id} was never planned in {self.base_dir}; plan the batch again"
                )
            run.spec.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                os.link(claimed, run.spec)
        return run

    def read_spec(self, backtest_id: str) -> dict[str, Any]:
        """Return the spec of a claimed run, also when its directory was deleted.

        Raises:
            ArtifactManagerError: If it is missing or unreadable.
        """
        run, claimed = self.run(backtest_id), self.claimed_path(backtest_id)
        return (
            read_record(claimed) if not run.spec.exists() and claimed.exists() else run.read_spec()
        )

    def claimed_path(self, backtest_id: str) -> Path:
        """Return the second link of a claimed spec, found by id."""
        return self.keys / "ids" / backtest_id

    def sweep_orphans(self) -> list[str]:
        """Remove directories of planners that were killed before they linked their key.

        Only a directory that holds nothing but a spec without link is removed, and only while
        its lease is free. Returns the ids removed.
        """
        removed = []
        for run in self.run_dirs():
            if is_generated_id(run.backtest_id) and self._sweep(run):
                removed.append(run.backtest_id)
        for grave in self.base_dir.glob(f"{_GRAVE}*"):
            shutil.rmtree(grave, ignore_errors=True)
        return removed

    def _sweep(self, run: RunDir) -> bool:
        """Remove a directory if it is an orphan and nobody holds it; say whether it was."""
        if run.manifest.exists() or run.code.exists() or not self._is_orphan(run):
            return False
        with (
            suppress(FileNotFoundError),  # another process swept it
            lease(run.path / LOCK, wait=False) as held,
        ):
            if held and self._is_orphan(run):
                self._discard(run)
                return True
        return False

    def _discard(self, run: RunDir) -> None:
        """Remove a directory whose lease is held, in one step for everybody else."""
        grave = self.base_dir / f"{_GRAVE}{run.backtest_id}.{os.getpid()}"
        run.path.rename(grave)
        shutil.rmtree(grave, ignore_errors=True)

    def _is_orphan(self, run: RunDir) -> bool:
        if run.spec.exists() and self._is_linked(run):
            return False
        known = {run.path / LOCK, run.spec.parent, run.spec}
        return all(path in known or is_temporary(path) for path in run.path.rglob("*"))

    def _is_linked(self, run: RunDir) -> bool:
        try:
            spec = run.read_spec()
        except ArtifactManagerError:
            return False
        return self.find(spec["run_key"]) == run.backtest_id
