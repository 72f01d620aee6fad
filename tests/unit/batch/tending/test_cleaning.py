"""Cleaning up: which runs go, and that what stays can still be verified, restored and replayed."""

import json
import os
import random
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from backtrail.artifacts.rundir import LOCK
from backtrail.artifacts.tags import edit_tags
from backtrail.batch import stages
from backtrail.batch.history.replay import replay_runs
from backtrail.batch.history.verifying import verify_runs
from backtrail.batch.tending.cleaning import (
    Choice,
    choose_runs,
    clean_store,
    parse_age,
    preview_cleanup,
)
from backtrail.batch.tending.deleting import delete_runs
from backtrail.canonical import sha256_file
from backtrail.errors import BacktrailError
from backtrail.files import lease

from .support import NOW, ids_by_name

LATER = datetime(2999, 1, 1, tzinfo=UTC)


def redate(project, backtest_id, moment):
    """Let the manifest of a run say that it began at another moment; the seal fits it."""
    run = project.store.run(backtest_id)
    manifest = {**run.read_manifest(), "started_at": moment}
    run.manifest.write_text(json.dumps(manifest))
    mark = run.success if run.success.exists() else run.failed
    mark.write_text(sha256_file(run.manifest))


def key_of(project, backtest_id):
    return project.store.read_spec(backtest_id)["run_key"]


@pytest.mark.parametrize(
    ("text", "age"),
    [("90d", timedelta(days=90)), ("12h", timedelta(hours=12)), ("6w", timedelta(days=42))],
)
def test_an_age_is_a_number_and_a_unit(text, age):
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "1.5d", "90 d", "9" * 40 + "d"])
def test_no_age_is_guessed(text):
    with pytest.raises(BacktrailError, match=r"no age; write a whole number and h, d or w"):
        parse_age(text)


def test_age_is_what_the_manifest_says_and_not_what_the_name_says(project, ids):
    now = datetime(2030, 1, 1, tzinfo=UTC)
    for name, backtest_id in ids.items():
        redate(project, backtest_id, "2029-12-31T00:00:00Z")
        if name == "hold":
            redate(project, backtest_id, "2029-09-01T00:00:00Z")
    old = project.store.run("20290901_000000_000").path
    shutil.copytree(project.store.run(ids["sma"]).path, old)
    custom = project.store.base_dir / "my-run/metadata"
    custom.mkdir(parents=True)
    (custom / "backtest_metadata.json").write_text('{"timestamp": "2029-01-01T00:00:00"}')
    (project.store.base_dir / "undated").mkdir()
    chosen = choose_runs(project.store, Choice(older_than=timedelta(days=90)), now=now)
    assert chosen.backtest_ids == (ids["hold"], "my-run")
    assert chosen.undated == ("undated",)
    every = choose_runs(project.store, Choice(older_than=timedelta(0)), now=now)
    assert set(every.backtest_ids) == {*ids.values(), old.name, "my-run"}


def test_a_status_alone_chooses_and_tags_and_the_best_are_spared(project, ids):
    store = project.store
    assert choose_runs(store, Choice(status="failed"), now=LATER).backtest_ids == (ids["bad"],)
    edit_tags(store, [key_of(project, ids["hold"])], add=["paper"])
    metrics = {
        name: store.run(ids[name]).read_manifest()["metrics"]["total_return"]
        for name in ("sma", "sma-grid/fast=2", "sma-grid/fast=4")
    }
    best = max(metrics, key=metrics.get)
    choice = Choice(status="completed", keep_tags=("paper",), keep_best=1, metric="total_return")
    redate_best = store.run(ids["hold"]).read_manifest()["metrics"]["total_return"]
    ranked = {**metrics, "hold": redate_best, "reader": 0.0}
    first = max(ranked, key=ranked.get)
    chosen = choose_runs(store, choice, now=LATER)
    assert chosen.spared[ids["hold"]] == "it has the tag paper"
    if first != "hold":
        assert chosen.spared[ids[best]] == "number 1 by total_return"
    expected = {ids[name] for name in ranked} - {ids["hold"], ids[first]}
    assert set(chosen.backtest_ids) == expected


def test_what_spares_nothing_is_refused():
    with pytest.raises(BacktrailError, match="go together: give both, or neither"):
        Choice(status="failed", keep_best=3)
    with pytest.raises(BacktrailError, match="give one of these"):
        Choice(keep_tags=("paper",))


def test_an_unknown_metric_names_the_known_ones(project):
    choice = Choice(status="completed", keep_best=1, metric="sharp")
    with pytest.raises(BacktrailError, match=r"no completed run has the metric 'sharp'.*cagr"):
        choose_runs(project.store, choice, now=LATER)


def test_a_tag_that_no_run_has_spares_nothing_and_is_refused(project, ids):
    choice = Choice(status="completed", keep_tags=("paper", "papper"))
    with pytest.raises(BacktrailError, match=r"no run has the tag 'paper'.* are no tags at all"):
        choose_runs(project.store, choice, now=LATER)
    edit_tags(project.store, [key_of(project, ids["hold"])], add=["paper"])
    edit_tags(project.store, [key_of(project, ids["bad"])], add=["draft"])
    with pytest.raises(BacktrailError, match=r"no run has the tag 'papper'.* are draft, paper$"):
        clean_store(project.store, choice, now=LATER)
    assert project.store.run(ids["sma"]).success.is_file()


def test_without_a_choice_only_what_nothing_needs_goes(project, ids):
    store = project.store
    orphan = store.objects / "ab" / ("ab" * 32)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"x" * 1000)
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    host = os.uname().nodename.replace(".", "-")
    left = [
        folder / f".x.json.{host}.{dead}.1.tmp~"
        for folder in (store.base_dir, store.plans, store.run(ids["sma"]).results)
    ]
    alive = store.run(ids["sma"]).results / f".y.json.{host}.{os.getpid()}.1.tmp~"
    for path in (*left, alive):
        path.write_bytes(b"12345")
    said = preview_cleanup(store, Choice(), now=LATER)
    assert (said.deletion.objects, said.deletion.bytes) == (1, 1000)
    assert (said.leftovers, said.leftover_bytes) == (3, 15)
    assert all(path.exists() for path in (*left, orphan))
    done = clean_store(store, Choice(), now=LATER)
    assert (done.deletion.runs, done.deletion.bytes, done.leftovers) == ((), 1000, 3)
    assert not any(path.exists() for path in (*left, orphan))
    assert alive.exists()
    alive.unlink()
    assert verify_runs(store).is_intact
    assert len(store.run_dirs()) == 6


def test_runs_that_are_executed_are_passed_over_and_objects_stay(project, ids):
    with lease(project.store.run(ids["bad"]).path / LOCK):
        done = clean_store(project.store, Choice(older_than=timedelta(0)), now=LATER)
    assert set(done.deletion.busy) == set(ids.values())
    assert (done.deletion.runs, done.deletion.kept) == ((), 6)
    assert f"run {ids['bad']} is being executed" in done.deletion.remark


def test_what_a_run_opened_stays_as_long_as_the_run(project, ids):
    store = project.store
    (opened,) = store.run(ids["reader"]).read_manifest()["usage"]["opened"]
    clean_store(store, Choice(status="failed"), now=LATER)
    assert (store.objects / opened["sha256"][:2] / opened["sha256"]).is_file()
    delete_runs(store, [ids["reader"]], now=NOW)
    assert not (store.objects / opened["sha256"][:2] / opened["sha256"]).exists()


@pytest.mark.parametrize("seed", range(4))
def test_no_sequence_of_deletions_breaks_a_run_that_stays(project, seed):
    """Every kept run is intact, is restored from the objects alone, and repeats itself."""
    generator, store = random.Random(seed), project.store
    shutil.rmtree(project.root / "strategies" / "lib")  # nothing else has these files
    for _ in range(generator.randint(1, 3)):
        there = [run.backtest_id for run in store.run_dirs()]
        some = generator.sample(there, generator.randint(1, max(1, len(there) // 2)))
        if generator.random() < 0.3:
            clean_store(store, Choice(status="failed"), now=LATER)
        there = [run.backtest_id for run in store.run_dirs()]
        delete_runs(
            store,
            [name for name in some if name in there],
            now=NOW,
            every_object=generator.random() < 0.5,
        )
        assert verify_runs(store, bundles_dir=project.bundles).is_intact
        trials = list((store.ledger / "trials").rglob("*.json"))
        assert len(trials) == 5
    kept = [run for run in store.run_dirs() if run.success.exists()]
    with project.executor() as executor:
        for run in kept:
            sealed = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
            for folder in ("code", "inputs"):
                shutil.rmtree(run.path / folder, ignore_errors=True)
            stages.restore_run(store, run.backtest_id, executor)
            assert {path: path.read_bytes() for path in sealed} == sealed
        limits = executor.limits
    states = {item.state for item in replay_runs(store, kept, project.bundles, limits)}
    assert states <= {"identical"}
    assert ids_by_name(project).keys() >= {
        name for run in kept for name in run.read_spec()["labels"]["names"]
    }
