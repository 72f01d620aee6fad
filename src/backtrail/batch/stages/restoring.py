"""A sealed run stays as it is: intact means done, missing files are put back, altered ones stop."""

import json
import os
import shutil
import tempfile
from pathlib import Path

from backtrail.artifacts.environment import describe_environment, environment_difference
from backtrail.artifacts.manifest import inspect_run, is_sealed, require_intact
from backtrail.artifacts.paths import is_twin
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.execution.outcome import StrategyFailedError
from backtrail.batch.execution.protocol import RunExecutor
from backtrail.batch.stages.materials import materialize_code, write_metadata
from backtrail.canonical import sha256_file
from backtrail.errors import SealError
from backtrail.files import atomic_path, write_bytes, write_json
from backtrail.provenance.inputs import OPENED, restore_input
from backtrail.provenance.objects import ObjectStore

__all__ = ["restore_run", "sealed_and_whole"]


def restore_run(store: RunStore, backtest_id: str, executor: RunExecutor) -> None:
    """Put back what is missing from a sealed run, byte for byte, and nothing else.

    Raises:
        SealError: If something was altered, or the same bytes cannot be made again.
    """
    run = store.restore_spec(backtest_id)
    with run.lease():
        sealed_and_whole(store, run, executor=executor)


def sealed_and_whole(store: RunStore, run: RunDir, *, executor: RunExecutor | None) -> bool:
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
        materialize_code(store, spec, scratch)
        if run.environment.exists():
            write_bytes(scratch.environment, run.environment.read_bytes())
        else:
            write_json(scratch.environment, describe_environment())
        write_json(scratch.spec, spec)
        write_metadata(scratch, spec, manifest)
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
