"""What earlier plans of a store say: which run a name meant, and how long its search took."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from backtrail.artifacts.store import RunStore
from backtrail.errors import ArtifactManagerError

__all__ = ["latest_by_name", "planned_names", "plans_of", "retire_plan", "seconds_per_set"]

_FORMER: Final = "former_plan.json"
_TELLING: Final = 10.0  # seconds of a chunk; in a shorter one the start of its job is most of it


def planned_names(store: RunStore) -> Iterator[tuple[str, str]]:
    """Yield every name that a plan gave a run, with the run's id, in the order of the plans."""
    found = [path for name in ("plan.json", _FORMER) for path in store.plans.glob(f"*/{name}")]
    for path in sorted(found, key=lambda path: path.stat().st_mtime_ns):
        for run in json.loads(path.read_bytes())["runs"]:
            for name in run["names"]:
                yield name, run["backtest_id"]


def plans_of(store: RunStore) -> dict[Path, dict[str, tuple[str, ...]]]:
    """Return the plans that the next call of their batch takes: the names of each run by its id."""
    return {
        path: {
            run["backtest_id"]: tuple(run["names"]) for run in json.loads(path.read_bytes())["runs"]
        }
        for path in sorted(store.plans.glob("*/plan.json"))
    }


def retire_plan(path: Path) -> None:
    """Let the next call of a batch plan it anew; which names the plan gave stays known."""
    path.replace(path.with_name(_FORMER))


def latest_by_name(store: RunStore) -> dict[str, str]:
    """Return the run that each name meant in the latest plan that had it."""
    return {
        name: backtest_id
        for name, backtest_id in planned_names(store)
        if store.run(backtest_id).spec.exists()
    }


def seconds_per_set(store: RunStore, backtest_id: str) -> float | None:
    """Return how long a sealed search took for each parameter set, on one core.

    Returns:
        None for a run that is no such search, or was too short to tell.
    """
    try:
        manifest = store.run(backtest_id).read_manifest() or {}
    except ArtifactManagerError:
        return None
    selection, timings = manifest.get("selection"), manifest.get("timings", {})
    if selection is None or timings["search_seconds"] < _TELLING * timings["chunks"]:
        return None
    seconds: float = timings["search_seconds"] / selection["sets"]
    return seconds
