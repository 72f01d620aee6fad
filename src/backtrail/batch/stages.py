"""The stages of a run: capture, execute, seal, report.

Chains call them one job at a time, shards call them in a loop; there is no other way through a
run. Every stage holds the run's lease, looks at the seal again, and leaves a sealed run as it is:
intact means done, missing files are put back, altered ones are an error.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from backtrail.artifacts.environment import describe_environment, environment_difference
from backtrail.artifacts.manifest import (
    inspect_run,
    inventory,
    is_sealed,
    require_intact,
    seal,
)
from backtrail.artifacts.paths import is_twin
from backtrail.artifacts.store import RunDir, RunStore
from backtrail.batch.captured import CapturedFiles
from backtrail.batch.hints import with_hint
from backtrail.batch.outcome import Outcome, StrategyFailedError
from backtrail.batch.records import (
    begin_record,
    captured_record,
    failure_record,
    finished_record,
    sealed_record,
    trial_record,
)
from backtrail.batch.written import remove_written
from backtrail.canonical import sha256_file
from backtrail.errors import BacktrailError, CodeCaptureError, RunFailedError, SealError
from backtrail.files import atomic_path, write_bytes, write_json
from backtrail.provenance.closure import log_capture
from backtrail.provenance.inputs import OPENED, keep_inputs, restore_input
from backtrail.provenance.metadata import BacktestMetadataGenerator
from backtrail.provenance.objects import ObjectStore

__all__ = [
    "RunExecutor",
    "capture_code",
    "render_report",
    "restore_object",
    "restore_run",
    "run_backtest",
    "seal_run",
]

_BEFORE_A_RUN = frozenset({"code", "metadata", "logs", "run.json", ".lock"})


class RunExecutor(Protocol):
    """What executes a spec: children of a sandbox, or a script's own process."""

    @property
    def bundles_dir(self) -> Path:
        """Folder of the bundles."""
        ...

    def execute(
        self,
        spec: Mapping[str, Any],
        code: Path,
        target: RunDir,
        *,
        csv_twins: bool | None = None,
    ) -> tuple[Outcome, dict[str, str]]:
        """Run a spec and write its results; see `Executor.execute`."""
        ...


def capture_code(store: RunStore, backtest_id: str) -> None:
    """Materialize the captured files of a run from the object store.

    A run directory that was deleted is made again. An object that is missing or damaged is stored
    anew from the project's file or another run's copy, where one has the same content.

    Raises:
        CodeCaptureError: If an object is missing or damaged, and nothing has its content.
        SealError: If the run is sealed and was altered.
    """
    run = store.restore_spec(backtest_id)
    with run.lease():
        if _sealed_and_whole(store, run, executor=None):
            return
        spec, started = run.read_spec(), time.monotonic()
        _materialize(store, spec, run)
        if not run.manifest.exists():
            seconds = time.monotonic() - started
            write_json(run.manifest, captured_record(spec, seconds, datetime.now(UTC)))
        # Doubts were logged when the batch was planned, once and not for each run.
        log_capture(spec["code"], backtest_id=backtest_id, output_dir=run.path, doubts=False)


def _materialize(store: RunStore, spec: Mapping[str, Any], target: RunDir) -> None:
    objects, captured = ObjectStore(store.objects), CapturedFiles(store)
    for file in spec["code"]["files"]:
        path, sha256 = target.code / file["path"], file["sha256"]
        if not path.exists() or sha256_file(path) != sha256:
            objects.materialize(sha256, path, captured.sources(file["path"], sha256))
    strategy, code = spec["identity"]["strategy"], dict(spec["code"])
    write_json(
        target.code_manifest,
        {
            # Runs of earlier versions have less in it, and are restored byte for byte.
            "capture_mode": code.pop("mode", "import_analysis"),
            "code_hash": strategy["code_hash"],
            "entry": strategy["entry"],
            **code,
        },
    )
    git = spec["origin"]["git"]
    if git is not None and git["diff_sha256"] is not None:
        objects.materialize(git["diff_sha256"], target.git_diff)


def restore_object(store: RunStore, sha256: str) -> None:
    """Store a captured file anew in `.objects/`, from the project or from any run that has it.

    Raises:
        CodeCaptureError: If no run captured it, or nothing has its content any more.
    """
    captured = CapturedFiles(store)
    paths = {path: None for _, path in captured.by_content.get(sha256, ())}
    if not paths:
        raise CodeCaptureError(f"no run in {store.base_dir} captured a file with sha256 {sha256}")
    sources = (source for path in paths for source in captured.sources(path, sha256))
    ObjectStore(store.objects).ensure(sha256, sources)


def run_backtest(store: RunStore, backtest_id: str, executor: RunExecutor) -> None:
    """Execute a run from its captured copy and write its results.

    A run that was executed and only lacks its seal is left as it is. A failed one is tried again
    under the same id; the logs of the earlier attempt are kept.

    Raises:
        RunFailedError: If the strategy fails; the run is marked and keeps the reason.
        SealError: If the run is sealed and was altered.
    """
    run = store.run(backtest_id)
    with run.lease():
        if _sealed_and_whole(store, run, executor=executor):
            return
        former = run.read_manifest()
        if former is not None and former["status"] == "executed":
            return
        spec = run.read_spec()
        record = begin_record(spec, former, datetime.now(UTC))
        _clear_former_attempt(run, former, spec)
        write_json(run.manifest, record)
        write_json(run.environment, describe_environment())
        _write_metadata(run, spec, record)
        try:
            outcome, contents = executor.execute(spec, run.code, run)
        except (StrategyFailedError, BacktrailError) as error:
            failure = with_hint(_outcome_of(error), spec)
            _mark_failed(run, record, failure, executor.bundles_dir)
            raise RunFailedError(
                f"run {backtest_id} ({', '.join(spec['labels']['names'])}) failed: "
                f"{failure.kind}: {failure.message}\n{failure.traceback}"
                f"It is catalogued{_where_logs_are(run)}"
            ) from None
        assert outcome.answer is not None
        usage = keep_inputs(outcome.answer["usage"], ObjectStore(store.objects), run.path)
        now = datetime.now(UTC)
        write_json(run.manifest, finished_record(record, outcome, contents, usage, now))


def _write_metadata(
    target: RunDir, spec: Mapping[str, Any], record: Mapping[str, Any], **changed: Any
) -> None:
    """Write the run's metadata as its manifest stands, or will stand with some keys changed."""
    environment = json.loads(target.environment.read_bytes())
    generator = BacktestMetadataGenerator(spec["backtest_id"], target.metadata.parent)
    generator.generate_for_run(spec, {**record, **changed}, environment)


def _outcome_of(error: StrategyFailedError | BacktrailError) -> Outcome:
    if isinstance(error, StrategyFailedError):
        return error.outcome
    return Outcome(None, type(error).__name__, str(error), "", 0.0, 0.0, 0.0)


def _where_logs_are(run: RunDir) -> str:
    # A run that failed before its child was started printed nothing, and may have older logs.
    return f"; its logs are in {run.logs}" if (run.logs / "stdout.txt").exists() else ""


def _clear_former_attempt(
    run: RunDir, former: Mapping[str, Any] | None, spec: Mapping[str, Any]
) -> None:
    """Move earlier logs aside and remove what a failed or killed attempt left."""
    _remove_outputs(run)
    remove_written(run.code, [file["path"] for file in spec["code"]["files"]])
    if former is None:
        return
    kept = run.logs / f"attempt-{former['attempt']}"
    for name in ("stdout.txt", "stderr.txt"):
        if (run.logs / name).exists():
            kept.mkdir(parents=True, exist_ok=True)
            (run.logs / name).replace(kept / name)


def _remove_outputs(run: RunDir) -> None:
    """Remove everything but what was there before the run: code, records, logs and the lease."""
    for entry in os.scandir(run.path):
        if entry.name not in _BEFORE_A_RUN:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)


def _mark_failed(
    run: RunDir, record: Mapping[str, Any], failure: Outcome, bundles_dir: Path
) -> None:
    from backtrail.artifacts.tables import build_table, write_table
    from backtrail.reports.failed import render_failed_page

    _remove_outputs(run)
    failed = failure_record(record, failure, run, datetime.now(UTC))
    error = failed["error"]
    write_table(
        run.errors / "errors.parquet",
        build_table(
            "errors",
            {
                "attempt": [failed["attempt"]],
                "stage": ["run_backtest"],
                "kind": [error["kind"]],
                "message": [error["message"]],
                "traceback": [error["traceback"]],
            },
        ),
    )
    write_json(run.manifest, failed, durable=True)
    _write_metadata(run, run.read_spec(), failed)
    render_failed_page(run.path, bundles_dir=bundles_dir, out=run.errors / "failed_run.html")
    write_bytes(run.failed, f"{sha256_file(run.manifest)}\n".encode(), durable=True)


def seal_run(store: RunStore, backtest_id: str) -> None:
    """List every file with its checksum, write the manifest, count the trial, set the seal.

    Raises:
        SealError: If the run was not executed, or a table changed since, or a sealed run was
            altered.
    """
    run = store.run(backtest_id)
    with run.lease():
        if _sealed_and_whole(store, run, executor=None):
            return
        record = run.read_manifest()
        if record is None or record["status"] not in {"executed", "completed"}:
            status = "not begun" if record is None else record["status"]
            raise SealError(f"run {backtest_id} cannot be sealed: it is {status}; execute it first")
        spec = run.read_spec()
        _write_metadata(run, spec, record, status="completed")
        listed = inventory(run, record["contents"])
        for file in spec["code"]["files"]:
            if listed.get(f"code/{file['path']}", {}).get("sha256") != file["sha256"]:
                raise SealError(
                    f"captured file {file['path']} of run {backtest_id} was altered before the "
                    f"seal; delete {run.manifest} and {run.code} and run again"
                )
        if record["status"] == "completed" and listed != record["inventory"]:
            raise SealError(f"run {backtest_id} changed while it was being sealed; delete it")
        write_json(
            store.ledger
            / "trials"
            / spec["identity"]["dataset"]["dataset_id"]
            / f"{spec['run_key']}.json",
            trial_record(spec),
        )
        seal(run, sealed_record(record, run, listed))


def restore_run(store: RunStore, backtest_id: str, executor: RunExecutor) -> None:
    """Put back what is missing from a sealed run, byte for byte, and nothing else.

    Raises:
        SealError: If something was altered, or the same bytes cannot be made again.
    """
    run = store.restore_spec(backtest_id)
    with run.lease():
        _sealed_and_whole(store, run, executor=executor)


def _sealed_and_whole(store: RunStore, run: RunDir, *, executor: RunExecutor | None) -> bool:
    """Say whether the run is sealed; when it is, leave it without a missing file.

    Without an executor only files that need no computation are put back.
    """
    if not is_sealed(run):
        return False
    damage = inspect_run(run)
    require_intact(run, damage)
    if damage.missing:
        _put_back(store, run, damage.missing, executor)
    return True


_INPUTS = f"{OPENED}/"
_KEPT = ("code/", "metadata/", _INPUTS)


def _put_back(
    store: RunStore, run: RunDir, missing: tuple[str, ...], executor: RunExecutor | None
) -> None:
    manifest = run.read_manifest()
    if manifest is None or "run.json" in missing:
        raise SealError(
            f"sealed run {run.backtest_id} has lost its manifest {run.manifest}; delete the run's "
            "directory to have the run made again"
        )
    spec = run.read_spec()
    with tempfile.TemporaryDirectory(prefix="backtrail-restore-") as folder:
        scratch = RunDir(Path(folder))
        _materialize(store, spec, scratch)
        if run.environment.exists():
            write_bytes(scratch.environment, run.environment.read_bytes())
        else:
            write_json(scratch.environment, describe_environment())
        write_json(scratch.spec, spec)
        _write_metadata(scratch, spec, manifest)
        for name in missing:
            if name.startswith(_INPUTS):
                objects = ObjectStore(store.objects)
                restore_input(manifest["usage"], name, objects, scratch.path)
        if executor is not None and any(_is_computed(name) for name in missing):
            try:
                twins = any(is_twin(name) for name in missing)
                executor.execute(spec, scratch.code, scratch, csv_twins=twins)
            except StrategyFailedError as failure:
                raise SealError(
                    f"sealed run {run.backtest_id} could not be repeated to restore it: "
                    f"{failure.outcome.kind}: {failure.outcome.message}"
                ) from None
        for name in missing:
            if (scratch.path / name).exists():
                _put_back_file(run, scratch, name, manifest["inventory"][name]["sha256"])


def _is_computed(name: str) -> bool:
    return not name.startswith(_KEPT) or name == "metadata/environment.json"


def _put_back_file(run: RunDir, scratch: RunDir, name: str, sha256: str) -> None:
    made = scratch.path / name
    if sha256_file(made) != sha256:
        changed = []
        if run.environment.exists():
            changed = environment_difference(
                json.loads(run.environment.read_bytes()), describe_environment()
            )
        reason = f"; the environment differs: {', '.join(changed)}" if changed else ""
        raise SealError(
            f"{name} of sealed run {run.backtest_id} was made again with other bytes{reason}. "
            "It was not put back"
        )
    with atomic_path(run.path / name) as temporary:
        shutil.copyfile(made, temporary)
        temporary.chmod(made.stat().st_mode)
        moment = _made_with(run, name).stat().st_mtime_ns
        os.utime(temporary, ns=(moment, moment))


def _made_with(run: RunDir, name: str) -> Path:
    """Return a file of the same stage, whose time a restored file takes.

    So neither a rule nor a look at the times takes what was put back for something new.
    """
    if name.startswith(("code/", "metadata/code", "metadata/run_spec")):
        anchor = run.spec
    elif name.startswith(_INPUTS) or _is_computed(name):
        anchor = run.code_manifest
    else:
        anchor = run.manifest
    return anchor if anchor.exists() else run.success


def render_report(
    store: RunStore, backtest_id: str, bundles_dir: Path, *, only_stale: bool = False
) -> None:
    """Render the pages of a sealed run; they are derived and stand outside the seal.

    Args:
        store: The run store.
        backtest_id: The run.
        bundles_dir: Folder of the bundles, for the price chart.
        only_stale: Leave a page that present templates made from this run.

    Raises:
        SealError: If a result was altered: nothing is rendered from it.
    """
    from backtrail.provenance.attestation import graded_manifest
    from backtrail.reports.fingerprint import describe_reports

    run = store.run(backtest_id)
    page, record = run.reports / "basic_report.html", run.reports / "reports.json"
    with run.lease():
        require_intact(run, inspect_run(run))
        manifest = graded_manifest(run)
        grade = None if manifest is None else manifest.get("grade")
        if only_stale and page.exists() and record.exists():
            known = json.loads(record.read_bytes())
            if known == describe_reports([page], grade=grade):
                return
        from backtrail.reports.basic import render_basic_report

        render_basic_report(run.path, bundles_dir=bundles_dir, out=page, grade=grade)
        write_json(record, describe_reports([page], grade=grade))
