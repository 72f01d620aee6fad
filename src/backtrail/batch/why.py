"""Why a run is not the one before it, in research words: code, data, parameters, settings."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtrail.artifacts.manifest import Damage, inspect_run, is_sealed
from backtrail.artifacts.store import RunDir, RunStore
from backtrail.batch.loading import Batch
from backtrail.batch.resolving import ResolvedRun, outdated_bundles, resolve_runs
from backtrail.canonical import canonical_json
from backtrail.errors import ArtifactManagerError
from backtrail.provenance.closure import CodeClosure

__all__ = [
    "STATES",
    "PreviewedRun",
    "error_words",
    "explain_difference",
    "first_line",
    "preview_batch",
]

STATES = ("damaged", "failed", "open", "restore", "new", "reused")


@dataclass(frozen=True, slots=True)
class PreviewedRun:
    """What planning would make of one run.

    Attributes:
        run_key: Its identity; None while its bundle has to be ingested first.
        state: `new`; `open` (begun, never sealed); `failed` (will be tried again); `restore`
            (sealed, with missing files that will be put back); `damaged` (sealed, and altered);
            or `reused`.
        backtest_id: The run's directory where it has one.
        predecessor: The last run of this name, where there is one and it is another.
        reasons: Why a new run is not its predecessor, and what another one lacks; for a run with
            two names, the second of them says so.
    """

    name: str
    run_key: str | None
    state: str
    backtest_id: str | None
    predecessor: str | None
    reasons: tuple[str, ...]


def preview_batch(batch: Batch) -> list[PreviewedRun]:
    """Say what would run and why, without writing anything.

    A run whose bundle has to be ingested first has no key yet; it is new, and the reason says so.

    Raises:
        ConfigError: If the batch cannot be planned.
    """
    outdated = outdated_bundles(batch)
    store = batch.places.store
    named = _latest_by_name(store)
    previews = [
        PreviewedRun(item.name, None, "new", None, named.get(item.name), (outdated[item.bundle],))
        for item in batch.requests
        if item.bundle in outdated
    ]
    known = [item for item in batch.requests if item.bundle not in outdated]
    first_names: dict[str, str] = {}
    for run in resolve_runs(batch, known):
        key, name = run.run_key, run.request.name
        backtest_id = store.find(key)
        predecessor = named.get(name)
        if backtest_id is not None:
            state, reasons = _state(store.run(backtest_id))
            predecessor = predecessor if state != "reused" and predecessor != backtest_id else None
        elif predecessor is None:
            state, reasons = "new", ("no run of this name before",)
        else:
            spec = store.run(predecessor).read_spec()
            closure = batch.closures[run.request.strategy]
            state, reasons = "new", tuple(explain_difference(spec, run, closure))
        first = first_names.setdefault(key, name)
        if first != name:  # why it is new depends on the name, the rest only on the run
            reasons = (*(reasons if state == "new" else ()), f"the same run as {first}")
        previews.append(PreviewedRun(name, key, state, backtest_id, predecessor, reasons))
    return previews


def _state(run: RunDir) -> tuple[str, tuple[str, ...]]:
    if is_sealed(run):
        return _sealed_state(inspect_run(run, thorough=False))
    try:
        manifest = run.read_manifest()
    except ArtifactManagerError as error:
        return "damaged", (f"{error}; delete the run's folder to have the run made again",)
    if not run.path.exists():
        return "open", ("its folder was deleted; it will be made again under the same id",)
    if manifest is None:
        return "open", ("planned, not begun",)
    failure = manifest.get("error")
    if run.failed.exists() and failure:
        words = error_words(failure["kind"], failure["message"])
        return "failed", (words, f"attempt {manifest['attempt']} failed; it will be tried again")
    if manifest["status"] == "executed":
        return "open", (f"executed, not sealed; begun at {manifest['started_at']}",)
    return "open", (f"begun at {manifest['started_at']}, not finished",)


def _sealed_state(damage: Damage) -> tuple[str, tuple[str, ...]]:
    missing = [f"{name} is missing" for name in damage.missing]
    if "run.json" in (*damage.missing, *damage.altered):
        how = "is missing" if missing else "is not the one that was sealed"
        return "damaged", (
            f"run.json {how}",
            "snakemake refuses it; put the sealed one back, or delete the run's folder and the "
            "run is made again",
        )
    if damage.altered:
        return "damaged", (
            *(f"{name} was altered after the seal" for name in damage.altered),
            *missing,
            "snakemake refuses it; delete what was altered, and the next call puts it back",
        )
    if missing:
        return "restore", (*missing, "the next call makes it again and compares the bytes")
    return "reused", ()


def error_words(kind: str, message: str | None) -> str:
    """Return an error in one line: its kind, and the first line of its message."""
    first = first_line(message or "")
    return kind if first in ("", kind) else f"{kind}: {first}"


def first_line(text: str) -> str:
    """Return the first line of a text that has one, without what a terminal might obey."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return "".join(letter if letter.isprintable() else " " for letter in line)


def _latest_by_name(store: RunStore) -> dict[str, str]:
    """Return the run that each name meant in the latest plan that had it."""
    plans = sorted(store.plans.glob("*/plan.json"), key=lambda path: path.stat().st_mtime_ns)
    latest: dict[str, str] = {}
    for path in plans:
        for run in json.loads(path.read_bytes())["runs"]:
            for name in run["names"]:
                if store.run(run["backtest_id"]).spec.exists():
                    latest[name] = run["backtest_id"]
    return latest


def explain_difference(
    before: Mapping[str, Any], run: ResolvedRun, closure: CodeClosure
) -> Iterator[str]:
    """Yield a sentence for everything that makes a run another one than before.

    Args:
        before: Run spec of the predecessor.
        run: The run as it would be now.
        closure: Its code as it is now.
    """
    # Through JSON, so that decimals and dates look as they do in the predecessor's file.
    old, new = before["identity"], json.loads(canonical_json(dict(run.identity)))
    yield from _code_changes(before["code"]["files"], closure)
    if old["dataset"] != new["dataset"]:
        yield (
            f"the data of bundle {run.request.bundle} changed: dataset "
            f"{old['dataset']['dataset_id']} -> {new['dataset']['dataset_id']}"
        )
    yield from _value_changes("parameter", old["params"], new["params"])
    if old["library"] != new["library"]:
        yield f"the library's own code changed: {old['library']} -> {new['library']}"
    settings = sorted((old.keys() | new.keys()) - {"strategy", "dataset", "params", "library"})
    for key in settings:
        before_value, after_value = old.get(key), new.get(key)
        if isinstance(before_value, dict) and isinstance(after_value, dict):
            yield from _value_changes(key, before_value, after_value)
        elif before_value != after_value:
            yield f"{key} changed: {_shown(before_value)} -> {_shown(after_value)}"


def _code_changes(before: Sequence[Mapping[str, Any]], closure: CodeClosure) -> Iterator[str]:
    old = {file["path"]: file for file in before}
    new = {file.path: file for file in closure.files}
    for path in sorted(old.keys() | new.keys()):
        if path not in new:
            yield f"{path} is no longer imported"
        elif path not in old:
            yield f"{path} is new{_imported_by(path, closure)}"
        elif old[path]["sha256"] != new[path].sha256:
            yield f"{path} changed{_imported_by(path, closure)}"


def _imported_by(path: str, closure: CodeClosure) -> str:
    """Return the shortest chain of importers up to the strategy, in words."""
    importers = {file.path: file.imported_by for file in closure.files}
    chains = [[path]]
    seen = {path}
    while chains:
        chain = chains.pop(0)
        if chain[-1] == closure.entry:
            return "".join(f", imported by {Path(step).as_posix()}" for step in chain[1:])
        for importer in importers.get(chain[-1], ()):
            if importer not in seen:
                seen.add(importer)
                chains.append([*chain, importer])
    return ""


def _value_changes(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before != after:
            yield f"{kind} {name} changed: {_shown(before)} -> {_shown(after)}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else canonical_json(value)
