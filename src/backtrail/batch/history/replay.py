"""Repeating sealed runs from their own captured code, and comparing every file they made.

A replay is executed beside the run and never writes into it. It first refuses when anything the
run consists of or was made from is not what the records say: a comparison with altered files would
prove nothing. What agrees is attested in the ledger, for exactly the manifest it was compared with.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from backtrail.artifacts.environment import describe_environment, environment_difference
from backtrail.artifacts.manifest import inspect_run, is_sealed
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch import stages
from backtrail.batch.execution.executor import Executor
from backtrail.batch.execution.sandbox import Limits, StrategyFailedError
from backtrail.batch.history.differences import FirstDifference, first_difference
from backtrail.batch.history.sources import SourceCheck
from backtrail.canonical import sha256_file, utc_iso
from backtrail.errors import BacktrailError
from backtrail.provenance.attestation import Attestation, add_attestation, graded_manifest
from backtrail.provenance.fingerprint import library_fingerprint

__all__ = ["FileReplay", "Replay", "examine_run", "repeated_run", "replay_runs"]

# What execution is given; it is checked by checksum alone. Everything else execution makes.
_GIVEN: Final = ("code/", "metadata/", "inputs/")
_NOT_SEALED: Final = ("results/reports/", "logs/attempt-")
_CSV_TWIN: Final = "results/backtest_results.csv"


@dataclass(frozen=True, slots=True)
class FileReplay:
    """What repeating a run gave for one of its files.

    Attributes:
        path: Path inside the run.
        state: `identical` (same bytes), `same content` (other bytes, equal values), `differs`,
            `not made` (the run has it, the replay made none) or `new` (only the replay made it).
        first: The first difference, of a file that differs and exists on both sides.
    """

    path: str
    state: str
    first: FirstDifference | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """What repeating one run gave.

    Attributes:
        state: `identical`, `same content` (equal values in other bytes under another environment),
            `differs`, `failed` (the strategy did not get through) or `refused` (not executed).
        problems: Why it was refused or failed; for `same content` and `differs`, what a reader has
            to know beside the files.
        files: Every file that execution makes, in the order of their paths.
        environment: What is another than when the run was made, one entry per version.
        grade: Best grade of the run after this replay; None before it has one.
        restored: Missing files that were put back before.
        attestation: The ledger file that now holds the proof; None when nothing was proven.
    """

    backtest_id: str
    name: str
    state: str
    problems: tuple[str, ...] = ()
    files: tuple[FileReplay, ...] = ()
    environment: tuple[str, ...] = ()
    grade: str | None = None
    restored: tuple[str, ...] = ()
    attestation: str | None = None

    @property
    def agrees(self) -> bool:
        """Whether the run was repeated and every file agrees."""
        return self.state in {"identical", "same content"}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def replay_runs(
    store: RunStore,
    runs: Sequence[RunDir],
    bundles_dir: Path,
    limits: Limits,
    *,
    restore: bool = False,
) -> Iterator[Replay]:
    """Repeat sealed runs one after another; one that is refused or differs stops no other.

    An agreeing replay is attested in the ledger, and the run's report is rendered again with the
    grade it then has. The catalog is not touched: a sync takes the grades over.

    Args:
        store: The run store.
        runs: Runs of that store.
        bundles_dir: Folder of the bundles.
        limits: Time and memory each run may use.
        restore: Put back missing files first.
    """
    check = SourceCheck(store, bundles_dir)
    with Executor(bundles_dir, limits, csv_twins=True) as executor:
        for run in runs:
            yield _replay(store, run, executor, check, restore=restore)


def _replay(
    store: RunStore, run: RunDir, executor: Executor, check: SourceCheck, *, restore: bool
) -> Replay:
    restored, problems = examine_run(store, run, check, executor=executor if restore else None)
    if problems:
        return Replay(run.backtest_id, run.backtest_id, "refused", problems, restored=restored)
    spec, manifest = run.read_spec(), graded_manifest(run)
    assert manifest is not None
    present = describe_environment()
    library = library_fingerprint(search=not {"search", "holdout"}.isdisjoint(spec["identity"]))
    changed = environment_difference(json.loads(run.environment.read_bytes()), present)
    if spec["identity"]["library"] != library:
        changed.append(f"backtrail's own code {spec['identity']['library']} -> {library}")
    ended = Replay(
        run.backtest_id,
        manifest["labels"]["names"][0],
        "failed",
        environment=tuple(changed),
        grade=manifest["grade"],
        restored=restored,
    )
    try:
        files = _repeat(run, spec, manifest["inventory"], executor)
    except StrategyFailedError as failure:
        outcome = failure.outcome
        return replace(ended, problems=(f"{outcome.kind}: {outcome.message}",))
    except BacktrailError as error:
        return replace(ended, problems=(str(error),))
    ended = replace(ended, state=_verdict(files, changed), files=files)
    if not ended.agrees:
        return replace(ended, problems=tuple(_remarks(files, changed, manifest)))
    attestation = Attestation(
        backtest_id=run.backtest_id,
        manifest_sha256=sha256_file(run.manifest),
        agreed_at=utc_iso(datetime.now(UTC)),
        library=library,
        environment=present,
        changed=tuple(changed),
        files={item.path: item.state for item in files},
    )
    path = add_attestation(store, spec["run_key"], attestation)
    return replace(
        ended,
        grade=_shown_grade(store, run, executor.bundles_dir),
        attestation=path.as_posix(),
    )


def _shown_grade(store: RunStore, run: RunDir, bundles_dir: Path) -> str | None:
    """Return the grade that a run has now, after rendering the pages it has again."""
    stages.render_report_again(store, run.backtest_id, bundles_dir)
    manifest = graded_manifest(run)
    return None if manifest is None else manifest["grade"]


def examine_run(
    store: RunStore, run: RunDir, check: SourceCheck, *, executor: Executor | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what was put back, and why the run cannot be repeated: each file by its name.

    Args:
        store: The run store.
        run: A run of it.
        check: Looks at what the run was made from.
        executor: Puts back missing files first; without one, none are.
    """
    restored: tuple[str, ...] = ()
    if not is_sealed(run):
        state = "failed" if run.failed.exists() else "was never finished"
        return restored, (f"the run {state}; only a sealed run has results to compare with",)
    try:
        if executor is not None and (missing := inspect_run(run, thorough=False).missing):
            stages.restore_run(store, run.backtest_id, executor)
            restored = missing
        damage = inspect_run(run)
        graded_manifest(run)
        if not damage and not run.read_spec().get("code"):
            return restored, ("its code was not captured; there is nothing to repeat it from",)
    except BacktrailError as error:
        return restored, (str(error),)
    problems = [f"{name} is not what the manifest says" for name in damage.altered]
    problems += [
        f"{name} is missing; `backtrail replay --restore` puts it back" for name in damage.missing
    ]
    problems += [f"{name} is not in the manifest" for name in damage.unlisted]
    problems += [f"{item.path.as_posix()} {item.what} ({item.used_as})" for item in check.look(run)]
    return restored, tuple(problems)


def _repeat(
    run: RunDir, spec: Mapping[str, Any], listed: Mapping[str, Any], executor: Executor
) -> tuple[FileReplay, ...]:
    """Execute a run from a copy of its own captured code, and compare what that makes."""
    with repeated_run(run, spec, executor, csv_twins=_CSV_TWIN in listed) as (scratch, _):
        made = {
            name
            for path in scratch.path.rglob("*")
            if path.is_file()
            for name in (path.relative_to(scratch.path).as_posix(),)
            if _is_executed(name)
        }
        wanted = {name for name in listed if _is_executed(name)}
        return tuple(
            _compare(name, run.path / name, scratch.path / name, listed.get(name))
            for name in sorted(wanted | made)
        )


@contextmanager
def repeated_run(
    run: RunDir, spec: Mapping[str, Any], executor: Executor, *, csv_twins: bool
) -> Iterator[tuple[RunDir, dict[str, str]]]:
    """Execute a spec from a copy of a run's own captured code, beside the run.

    Args:
        run: Whose code it is.
        spec: What to execute: the run's own spec, or one that differs in its data.
        executor: Where it is executed.
        csv_twins: Write CSV beside the tables.

    Yields:
        A scratch directory with what execution made, which goes with the block, and the content
        checksum of every table.

    Raises:
        StrategyFailedError: If the strategy does not get through.
        BacktrailError: If it cannot be executed.
    """
    with tempfile.TemporaryDirectory(prefix="backtrail-replay-") as folder:
        scratch = RunDir(Path(folder))
        for file in spec["code"]["files"]:
            target = scratch.code / file["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(run.code / file["path"], target)
        _, contents = executor.execute(spec, scratch.code, scratch, csv_twins=csv_twins)
        yield scratch, contents


def _is_executed(name: str) -> bool:
    return not name.startswith((*_GIVEN, *_NOT_SEALED))


def _compare(name: str, stored: Path, made: Path, entry: Mapping[str, Any] | None) -> FileReplay:
    if entry is None:
        return FileReplay(name, "new")
    if not made.exists():
        return FileReplay(name, "not made")
    if sha256_file(made) == entry["sha256"]:
        return FileReplay(name, "identical")
    first = first_difference(stored, made)
    if first is not None:
        return FileReplay(name, "differs", first)
    return FileReplay(name, "same content")


def _verdict(files: Sequence[FileReplay], changed: Sequence[str]) -> str:
    """Decide: bytes must be equal, or under another environment at least the content."""
    states = {item.state for item in files}
    if states <= {"identical"}:
        return "identical"
    return "same content" if changed and states <= {"identical", "same content"} else "differs"


def _remarks(
    files: Sequence[FileReplay], changed: Sequence[str], manifest: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what may explain a difference, beside the files themselves."""
    if not changed and {item.state for item in files} <= {"identical", "same content"}:
        yield (
            "values agree, but bytes do not, although the environment is the recorded one: "
            "something that is not recorded took part"
        )
    if all(item.state == "identical" for item in files if not item.path.startswith("logs/")):
        yield "every result is identical; only what the strategy printed is another"
    for item in manifest.get("usage", {}).get("opened", ()):
        origin = Path(item["origin"])
        if not origin.is_file():
            yield f"{origin}, which the run read and which is not captured, is gone"
        elif item.get("sha256") not in (None, sha256_file(origin)):
            yield f"{origin}, which the run read and which is not captured, has changed since"
