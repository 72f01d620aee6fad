"""From a resolved run to its directory: the spec, the stored code, the claim of its key."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from backtrail.artifacts.store import RunStore
from backtrail.batch.planning.resolving import ResolvedRun
from backtrail.provenance.closure import CodeClosure
from backtrail.provenance.git import GitState, read_git_state
from backtrail.provenance.objects import ObjectStore

__all__ = ["Claimant", "store_code"]


class Claimant:
    """Claims runs of one project; its repository is read once, and only when a run is new.

    Args:
        store: The run store.
        root: Project folder.
        strategy: Where the strategy was found, for the record; the file in the project when None.
    """

    def __init__(self, store: RunStore, root: Path, *, strategy: str | None = None) -> None:
        self.store = store
        self.root = root
        self.strategy = strategy

    def claim(
        self,
        run: ResolvedRun,
        closure: CodeClosure,
        names: Sequence[str],
        *,
        backtest_id: str | None = None,
    ) -> tuple[str, bool]:
        """Find the run of an identity or make its directory, and say whether it was made.

        Args:
            run: The run.
            closure: Its code.
            names: What it is called.
            backtest_id: The id of a new run, in place of the moment's.

        Raises:
            ArtifactManagerError: If the store cannot be written, or the id is another run's.
        """
        identity, counted = dict(run.identity), {}
        if "search" in identity:
            dataset, family = identity["dataset"]["dataset_id"], identity["strategy"]["entry"]
            before = self.store.count_trials(
                dataset,
                family,
                run.run_key,
                bundle=run.request.bundle,
                window=(str(identity["start"]), str(identity["end"])),
            )
            counted = {"trials_before": before}

        def make_spec(claimed: str) -> dict[str, Any]:
            return {
                **counted,
                "backtest_id": claimed,
                "run_key": run.run_key,
                "identity": identity,
                "labels": {"names": list(names), "bundle": run.request.bundle},
                "code": closure.as_record(),
                "data": {"content": dict(run.content)},
                "origin": {
                    "strategy": self.strategy or str(self.root / (closure.entry)),
                    "git": self._stored_git(),
                },
            }

        found, is_new = self.store.claim(
            run.run_key, make_spec, datetime.now(UTC), name=backtest_id
        )
        self.store.restore_spec(found)
        return found, is_new

    def _stored_git(self) -> dict[str, Any] | None:
        state = self._git
        if state is None:
            return None
        if state.diff is not None:
            ObjectStore(self.store.objects).put_bytes(state.diff)
        return state.to_dict()

    @cached_property
    def _git(self) -> GitState | None:
        return read_git_state(self.root)


def store_code(store: RunStore, root: Path, closures: Iterable[CodeClosure]) -> None:
    """Store every captured file once.

    Raises:
        CodeCaptureError: If a file changed since it was captured.
    """
    objects = ObjectStore(store.objects)
    files = {(file.path, file.sha256): file for closure in closures for file in closure.files}
    for (path, sha256), file in sorted(files.items()):
        if file.content is None:
            objects.put(root / path, sha256)
        else:
            objects.put_bytes(file.content)
