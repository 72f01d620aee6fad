"""Stage `seal_run`: every file listed with its checksum, the trial counted, the seal set."""

import json
import time
from typing import Any

from backtrail.artifacts.manifest import inventory, seal
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.stages.materials import write_metadata
from backtrail.batch.stages.records import sealed_record, trial_record
from backtrail.batch.stages.restoring import sealed_and_whole
from backtrail.batch.stages.working import WorkingFiles, close_parts
from backtrail.errors import SealError
from backtrail.files import write_json
from backtrail.provenance.inputs import keep_inputs
from backtrail.provenance.objects import ObjectStore

__all__ = ["seal_run"]


def seal_run(store: RunStore, backtest_id: str) -> None:
    """List every file with its checksum, write the manifest, count the trial, set the seal.

    Raises:
        SealError: If the run was not executed, or one of its files changed since, or a sealed run
            was altered.
    """
    run, started = store.run(backtest_id), time.monotonic()
    with run.lease():
        if sealed_and_whole(store, run, executor=None):
            return
        record = run.read_manifest()
        if record is None or record["status"] not in {"executed", "completed"}:
            status = "not begun" if record is None else record["status"]
            raise SealError(f"run {backtest_id} cannot be sealed: it is {status}; execute it first")
        spec = run.read_spec()
        if "search" in spec["identity"]:
            record = _close_search(store, run, record)
        write_metadata(run, spec, record, status="completed")
        listed = inventory(run, record["contents"])
        promised = {f"code/{file['path']}": file["sha256"] for file in spec["code"]["files"]}
        for name, sha256 in {**promised, **record.get("written", {})}.items():
            if listed.get(name, {}).get("sha256") != sha256:
                raise SealError(
                    f"{name} of run {backtest_id} was altered before the seal; delete {run.path} "
                    "and run again"
                )
        if record["status"] == "completed" and listed != record["inventory"]:
            raise SealError(f"run {backtest_id} changed while it was being sealed; delete it")
        write_json(
            store.trial_path(spec["identity"]["dataset"]["dataset_id"], spec["run_key"]),
            trial_record(spec, record.get("selection"), started_at=record["started_at"]),
        )
        seal(run, sealed_record(record, run, listed, seconds=time.monotonic() - started))


def _close_search(store: RunStore, run: RunDir, record: dict[str, Any]) -> dict[str, Any]:
    """Take what the stages of a search made and used into its manifest; remove working files.

    The manifest is written before they go: a seal that is killed between the two finds it so.
    """
    objects = ObjectStore(store.objects)
    closed = close_parts(run, record, lambda usage: keep_inputs(usage, objects, run.path))
    write_json(run.manifest, closed, durable=True)
    WorkingFiles(run).remove()
    verdict = run.results / "validation" / "verdict.json"
    judged = {}
    if verdict.exists():
        found = json.loads(verdict.read_bytes())
        judged = {"verdict": {name: found[name] for name in ("passed", "judged", "summary")}}
    return {**closed, "selection": run.read_selection(), **judged}
