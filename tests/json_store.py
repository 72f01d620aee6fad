"""A store with every kind of JSON file that runs, ledger, plans and bundles have."""

import json
import subprocess
import tarfile
from datetime import UTC, datetime

from backtrail import run_algorithm
from backtrail.artifacts.tags import edit_tags
from backtrail.backtest.artifact_manager import BacktestArtifactManager
from backtrail.backtest.trials import record_trials
from backtrail.batch import stages
from backtrail.batch.closing.index import render_store_index
from backtrail.batch.closing.linking import link_catalog
from backtrail.batch.history.replay import replay_runs
from backtrail.batch.history.unreached import delete_unreached
from backtrail.batch.holdout import open_holdout
from backtrail.batch.planning.former import retire_plan
from backtrail.batch.planning.tags import tag_runs
from backtrail.batch.planning.validation_steps import validation_steps
from backtrail.batch.stages.shards import execute_shard, report_shard
from backtrail.batch.tending.archiving import archive_runs
from backtrail.batch.tending.deleting import delete_runs
from backtrail.errors import RunFailedError
from tests.projects import write_prices
from tests.unit.batch.execution.test_searching import SIGNAL, SPACE
from tests.unit.batch.support import Project, batch_config, entry, functions

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
READER = """
import importlib
import ssl  # loads native code


def initialize(context):
    importlib.import_module(str("json"))
    with open({!r}) as stream:
        context.text = stream.read()


def handle_data(context, data):
    pass
"""
VALIDATE = {
    "holdout": {"start": "2020-02-17", "warm_up": 3},
    "monte_carlo": {"paths": 100, "noise_runs": 0},
    "bias": {"random_entries": 0, "noise": 0},
    "costs": {"commission": [0, 5], "slippage": [0]},
}


def make_store(root):
    """Make a project of runs that differ in all that their records say differently."""
    project = Project.make(root)
    project.write("strategies/search.py", SIGNAL)
    project.write("strategies/bad.py", functions(handle_data="raise ValueError('no luck')"))
    project.write("strategies/listed/hold.py", functions())
    project.write("strategies/listed/strategy.yaml", "files: [hold.py]\n")
    project.write("strategies/reader.py", READER.format(str(root / "notes.txt")))
    project.write("notes.txt", "read from outside\n")
    for words in (["init", "-q"], ["add", "strategies"]):
        subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)
    margin = {"initial": 0.5, "maintenance": 0.25}
    batch = {
        "sma": entry(grid={"fast": [2, 3]}, tags=["base"], benchmark="BBB"),
        "lots": entry(margin=margin, instruments={"AAA": {"tick": 0.01, "lot": 1}}),
        "bad": entry(strategy="strategies/bad.py"),
        "listed": entry(strategy="strategies/listed/hold.py"),
        "reader": entry(strategy="strategies/reader.py"),
        "search": entry(
            strategy="strategies/search.py",
            optimize={"space": SPACE, "constraints": ["total_trades >= 0"]},
            validate=VALIDATE,
        ),
    }
    project.configure(batch_config(batch=batch))
    return project


def fill_store(project):
    """Take the batch of a project through all that leaves JSON; return the ids of runs by name."""
    store, bundles = project.store, project.bundles
    plan = project.plan()
    ids = {run.names[0]: run.backtest_id for run in plan.runs}
    planned = store.plans / plan.batch_key
    plan.save(planned / "plan.json")
    tag_runs(plan, store, "config.yaml", project.batch().tags, planned / "tags.json")
    with project.executor() as executor:
        for name, backtest_id in ids.items():
            stages.capture_code(store, backtest_id)
            if name == "search":
                _search(store, backtest_id, executor)
            elif name != "bad":
                stages.run_backtest(store, backtest_id, executor)
                stages.seal_run(store, backtest_id)
            else:
                try:
                    stages.run_backtest(store, backtest_id, executor)
                except RunFailedError:
                    continue
            stages.render_report(store, backtest_id, bundles)
        limits = executor.limits
    open_holdout(store, store.run(ids["search"]), bundles, limits)
    list(replay_runs(store, [store.run(ids["sma/fast=2"])], bundles, limits))
    edit_tags(store, [store.run(ids["lots"]).read_spec()["run_key"]], add=["paper"], remove=["old"])
    _shard(project)
    _by_hand(project)
    _delete(project, ids.pop("sma/fast=3"))
    url = f"sqlite:///{store.base_dir}/catalog.sqlite"
    link_catalog(url, store, bundles, planned / "catalog.json")
    render_store_index(store, bundles)
    return ids


def _search(store, backtest_id, executor):
    stages.select_parameters(store, backtest_id, executor)
    stages.run_backtest(store, backtest_id, executor)
    for step in validation_steps(store.run(backtest_id).read_spec()["identity"]):
        stages.validate_run(store, backtest_id, step, executor)
    stages.seal_run(store, backtest_id)


def _shard(project):
    """Run a batch of one shard, then let it be planned anew."""
    one = batch_config(batch={"late": entry(start="2020-01-06")}, execution={"runs_per_job": 10})
    project.configure(one)
    plan = project.plan()
    folder = project.store.plans / plan.batch_key
    plan.save(folder / "plan.json")
    (shard,), (report,) = plan.shards, plan.report_shards
    with project.executor() as executor:
        execute_shard(project.store, plan, shard, executor, folder / f"runs/{shard}.json")
    report_shard(project.store, plan, report, project.bundles, folder / f"reports/{report}.json")
    retire_plan(folder / "plan.json")


def _by_hand(project):
    """Count trials of a script, run a function that was not captured, and keep a folder by hand."""
    store = project.store
    sma = project.root / "strategies/sma.py"
    (dataset,) = {run.read_spec()["identity"]["dataset"]["dataset_id"] for run in store.run_dirs()}
    record_trials([{"fast": 2}], strategy=sma, dataset_id=dataset, base_dir=store.base_dir)
    window = {"start": "2020-01-02", "end": "2020-02-26", "symbols": ["AAA"]}
    run_algorithm(sma, **window, bundle="prices", code_capture_mode=None)
    for name in ("kept", "dropped"):
        manager = BacktestArtifactManager(store.base_dir, backtest_id=name)
        manager.initialize()
        manager.capture_strategy_code(sma)
        manager.generate_metadata()


def _delete(project, backtest_id):
    """Delete a run, a folder that was kept by hand, and a dataset that nothing reaches."""
    store = project.store
    delete_runs(store, [backtest_id, "dropped"], now=NOW)
    for sessions in (41, 42):
        write_prices(project.root / "prices", sessions=sessions)
        project.ingest()
    delete_unreached([store], project.bundles, [project.root], now=NOW)


def archived_list(project, ids, path):
    """Archive two runs of the store and return the list in the archive."""
    runs = [project.store.run(ids[name]) for name in ("sma/fast=2", "reader")]
    archive_runs(project.store, runs, project.bundles, path, with_data=False)
    with tarfile.open(path) as tar:
        return json.loads(tar.extractfile("archive.json").read())
