"""Stage `capture_code`: a run's captured files, from the object store into its directory."""

import time
from datetime import UTC, datetime

from backtrail.artifacts.store import RunStore
from backtrail.batch.stages.captured import CapturedFiles
from backtrail.batch.stages.materials import materialize_code
from backtrail.batch.stages.records import captured_record
from backtrail.batch.stages.restoring import sealed_and_whole
from backtrail.errors import CodeCaptureError
from backtrail.files import write_json
from backtrail.provenance.closure import log_capture
from backtrail.provenance.objects import ObjectStore

__all__ = ["capture_code", "restore_object"]


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
        if sealed_and_whole(store, run, executor=None):
            return
        spec, started = run.read_spec(), time.monotonic()
        materialize_code(store, spec, run)
        if not run.manifest.exists():
            seconds = time.monotonic() - started
            write_json(run.manifest, captured_record(spec, seconds, datetime.now(UTC)))
        # Doubts were logged when the batch was planned, once and not for each run.
        log_capture(spec["code"], backtest_id=backtest_id, output_dir=run.path, doubts=False)


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
