"""The batch, the folders it works in, and the input functions; no rule lives here."""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from backtrail.artifacts.manifest import is_sealed
from backtrail.artifacts.store import BACKTEST_ID
from backtrail.batch.closing.linking import close_failed_batch
from backtrail.batch.closing.summary import summarize_batch
from backtrail.batch.planning import targets
from backtrail.batch.planning.dossier import batch_identity
from backtrail.batch.planning.job_resources import job_megabytes, job_minutes, report_minutes
from backtrail.batch.planning.loading import open_batch
from backtrail.batch.planning.plan import Plan, run_origin
from backtrail.batch.planning.validation_steps import judged_files, validation_steps
from backtrail.canonical import canonical_json
from backtrail.data.lock import lock_checksum
from backtrail.data.sources import source_checksum, useful_threads
from backtrail.errors import BacktrailError
from backtrail.jobs import failed_attempts, name_workflow_source
from backtrail.provenance.fingerprint import INGEST_CODE, package_fingerprint
from backtrail.reports.fingerprint import page_fingerprint
from backtrail.reports.settings import REPORT_FILES, STORE_REPORTS
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

name_workflow_source(Path(workflow.current_basedir.get_path_or_uri(secret_free=True)))

STARTED = time.time()
LOOKS = []  # what this call found damaged, each time it looked at every sealed run

# A `configfile:` would be merged under every --configfile, so the default is named only alone.
CONFIG_FILES = [str(path) for path in workflow.overwrite_configfiles] or ["config/config.yaml"]

try:
    BATCH = open_batch(
        [Path(path) for path in CONFIG_FILES],
        root=Path.cwd(),
        overrides=workflow.config_settings.config,
    )
    REPORTS = BATCH.reports
    OVERRIDES = canonical_json(dict(workflow.config_settings.config or {}))
    # For the text of the Snakemake report alone: no job reads the config.
    config["batch_identity"] = batch_identity(BATCH)
except BacktrailError as error:
    raise WorkflowError(str(error)) from None

# A job of a cluster reads config and strategies when it starts, which may be after an edit of them;
# its batch is the one that was planned where snakemake was called.
if workflow.is_main_process:
    os.environ["BACKTRAIL_BATCH_KEY"] = BATCH.batch_key


# Whatever the executor, its jobs are given it.
envvars:
    "BACKTRAIL_BATCH_KEY",


BATCH = replace(BATCH, batch_key=os.environ["BACKTRAIL_BATCH_KEY"])
BASE = BATCH.places.base_dir.as_posix()
BUNDLES = BATCH.places.bundles_dir.as_posix()
PLAN = BATCH.plan_path.as_posix()
PLANNED = BATCH.plan_path.parent.as_posix()
RUN_MEGABYTES = job_megabytes(BATCH.limits)
RUN_MINUTES = job_minutes(BATCH.limits)


wildcard_constraints:
    backtest_id=BACKTEST_ID,
    bundle="[A-Za-z0-9][A-Za-z0-9._-]*",
    shard="[0-9a-f]{16}",
    chunk=r"\d{9}-\d{9}",


def base_dir(wildcards):
    return BASE


def bundles_dir(wildcards):
    return BUNDLES


def ingest_threads(wildcards):
    return useful_threads(BATCH.bundle(wildcards.bundle), BATCH.root)


def planned():
    """Return the plan, once the checkpoint has made it."""
    return Plan.load(Path(checkpoints.plan_batch.get().output.plan))


def origin(wildcards):
    """Return what a run was made from; files of another batch's run may be asked for by path."""
    return run_origin(planned(), BATCH.places.store, wildcards.backtest_id)


def run_labels(wildcards):
    """Return what tells a run apart in the workflow report."""
    run = origin(wildcards)
    return {"run": run.names[0], "strategy": Path(run.strategy).stem, "bundle": run.bundle}


def dataset_manifest(wildcards):
    run = origin(wildcards)
    return f"{BUNDLES}/{run.bundle}/{run.dataset_id}/manifest.json"


def dataset_manifests(wildcards):
    return [
        f"{BUNDLES}/{bundle}/{dataset}/manifest.json"
        for bundle, dataset in planned().datasets.items()
    ]


def chunk_files(wildcards):
    """Return the chunks of a search; a sealed one has none any more, and needs none."""
    if is_sealed(BATCH.places.store.run(wildcards.backtest_id)):
        return []
    chunks = planned().searches.get(wildcards.backtest_id, ())
    return [f"{BASE}/{wildcards.backtest_id}/.search/{chunk}.parquet" for chunk in chunks]


def selected(wildcards):
    """Return what the backtest of a search run waits for."""
    if not origin(wildcards).is_search:
        return []
    return f"{BASE}/{wildcards.backtest_id}/results/selection.json"


def judged(wildcards):
    """Return what the verdict of a search run rests on."""
    identity = BATCH.places.store.read_spec(wildcards.backtest_id)["identity"]
    return [f"{BASE}/{wildcards.backtest_id}/results/{name}" for name in judged_files(identity)]


def validated(wildcards):
    """Return what the seal of a search run waits for beside its backtest."""
    if not origin(wildcards).is_search:
        return []
    identity = BATCH.places.store.read_spec(wildcards.backtest_id)["identity"]
    if not validation_steps(identity):
        return []
    return f"{BASE}/{wildcards.backtest_id}/results/validation/verdict.json"


def executed(wildcards):
    """Return what the catalog waits for: the seals of chains and the receipts of shards."""
    plan = planned()
    seals = [f"{BASE}/{run.backtest_id}/_SUCCESS" for run in plan.chained]
    return seals + (run_receipts(wildcards) if plan.shards is not None else [])


def tagged(wildcards):
    """Return the receipt of the batch's tags, where it has or had some."""
    receipt = f"{PLANNED}/tags.json"
    return [receipt] if BATCH.tags or Path(receipt).exists() else []


def reported(wildcards):
    """Return what the comparison page waits for, so that each of its links has a page."""
    plan = planned()
    pages = [
        f"{BASE}/{run.backtest_id}/results/reports/{name}"
        for run in plan.chained
        for name in [*REPORTS.files, *([targets.SEARCH_REPORT] if plan.is_search(run) else [])]
    ]
    return pages + [f"{PLANNED}/reports/{shard}.json" for shard in plan.report_shards]


def run_receipts(wildcards):
    return [f"{PLANNED}/runs/{shard}.json" for shard in planned().shards]


def shard_minutes(wildcards):
    return job_minutes(BATCH.limits, runs=len(planned().shards[wildcards.shard]))


def report_shard_minutes(wildcards):
    return report_minutes(len(planned().report_shards[wildcards.shard]))


def receipts_of_reported(wildcards):
    """Return what a shard of reports waits for: the shards that make its runs, and no other.

    With all of them Snakemake would weigh as many edges as there are pairs of shards.
    """
    sources = planned().report_sources.get(wildcards.shard, ())
    return [f"{PLANNED}/runs/{shard}.json" for shard in sources]


def batch_targets(wildcards):
    plan, store = planned(), BATCH.places.store
    damaged = targets.damaged_runs(plan, store)
    LOOKS.append(damaged)
    try:
        runs = targets.run_targets(
            plan, store, BATCH.places.base_dir, damaged, reports=REPORTS.files
        )
    except BacktrailError as error:
        refuse(error)
    return [
        *runs,
        *targets.object_targets(BATCH),
        *(f"{PLANNED}/reports/{shard}.json" for shard in plan.report_shards),
        *tagged(wildcards),
        f"{PLANNED}/catalog.json",
        f"{BASE}/index.html",
        *(f"{BASE}/{name}" for name in STORE_REPORTS),
    ]


def refuse(error):
    """End the call with nothing but a message.

    Snakemake wraps every Exception of an input function in a traceback of its own.
    """
    logger.error(f"{type(error).__name__}: {error}")
    raise SystemExit(1)


def print_summary(*, complete):
    """Say how the batch ended; a whole call that succeeds with unfinished runs is an error."""
    looked = {run: damage for look in LOOKS for run, damage in look.items()} if LOOKS else None
    summary = summarize_batch(BATCH, since=STARTED, looked=looked, is_over=complete)
    if summary is not None:
        sys.stderr.write(f"{summary}\n")
        settings = workflow.dag_settings
        partial = settings.targets or settings.until or settings.omit_from
        if complete and not partial and not summary.is_complete:
            raise WorkflowError("some runs were left unfinished or damaged; run the command again")
