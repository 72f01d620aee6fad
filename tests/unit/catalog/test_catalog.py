import json
import logging
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from backtrail.artifacts.store import RunStore
from backtrail.artifacts.tags import ask_tags, edit_tags, tag_files
from backtrail.canonical import sha256_file
from backtrail.catalog import tables
from backtrail.catalog.catalog import Catalog, SyncCounts
from backtrail.errors import CatalogError
from backtrail.files import write_json
from backtrail.provenance.attestation import Attestation, add_attestation

from .conftest import DATASET


def open_catalog(runs, url=None):
    return Catalog(url or runs.url, runs.store, runs.bundles)


def sync(runs, *, rebuild=False, url=None):
    with open_catalog(runs, url) as catalog:
        return catalog.sync(rebuild=rebuild)


def dump(runs, url=None):
    """Return every row of every table."""
    engine = sa.create_engine(url or runs.url)
    try:
        with engine.connect() as connection:
            return {
                table.name: sorted(
                    (tuple(row) for row in connection.execute(sa.select(table))), key=repr
                )
                for table in tables.metadata.sorted_tables
            }
    finally:
        engine.dispose()


@pytest.fixture
def stocked(runs):
    runs.dataset()
    for number in (1, 2):
        runs.seal(number)
    runs.fail(3)
    return runs


def test_the_first_sync_takes_everything_in(stocked):
    assert sync(stocked) == SyncCounts(added=3, updated=0, removed=0, total=3, failed=1)
    rows = dump(stocked)
    assert [len(rows[name]) for name in ("bundles", "datasets", "trials")] == [1, 1, 2]
    assert len(rows["backtest_runs_catalog"]) == 3
    assert len(rows["backtest_data_links"]) == 3
    assert len(rows["backtest_artifacts_catalog"]) == 4
    with open_catalog(stocked) as catalog:
        first, _, failed = catalog.find_runs()
    assert (first["name"], first["total_return"], first["sharpe_ratio"]) == ("run-1", 0.01, None)
    assert first["params_json"] == '{"n":1}'
    assert (failed["status"], failed["error_kind"], failed["total_return"]) == (
        "failed",
        "ValueError",
        None,
    )


def test_trials_say_which_dates_they_showed_and_withheld_and_a_rebuild_says_the_same(stocked):
    path = stocked.store.ledger / "trials" / DATASET / f"{2:064x}.json"
    dates = {"bundle": "prices", "start": "2010-01-04", "end": "2020-12-31"}
    told = {**dates, "withheld": "2020-01-02", "started_at": "2026-01-01T00:00:00Z"}
    write_json(path, {**json.loads(path.read_bytes()), **told})
    sync(stocked)
    before = dump(stocked)
    columns = [column.name for column in tables.trials.columns]
    older, newer = (dict(zip(columns, row, strict=True)) for row in before["trials"])
    names = ("bundle", "start_date", "end_date", "withheld_from", "started_at")
    assert [newer[name] for name in names] == list(told.values())
    assert [older[name] for name in names] == [None] * 5, "a record of an older version"
    sync(stocked, rebuild=True)
    assert dump(stocked) == before


def test_syncing_twice_changes_nothing(stocked):
    sync(stocked)
    before = dump(stocked), stocked.store.runs_table.read_bytes()
    assert sync(stocked) == SyncCounts(0, 0, 0, 3)
    assert (dump(stocked), stocked.store.runs_table.read_bytes()) == before


def test_a_removed_run_is_pruned_with_its_rows_and_its_trial_stays(stocked):
    sync(stocked)
    shutil.rmtree(stocked.store.run("20260101_000000_001").path)
    assert sync(stocked) == SyncCounts(0, 0, 1, 2)
    rows = dump(stocked)
    assert len(rows["backtest_artifacts_catalog"]) == 2
    assert len(rows["backtest_data_links"]) == 2
    assert len(rows["trials"]) == 2, "a deleted run stays counted"


def test_a_failed_run_that_succeeds_later_is_updated(stocked):
    sync(stocked)
    stocked.seal(3, attempt=2)
    assert sync(stocked) == SyncCounts(0, 1, 0, 3)
    with open_catalog(stocked) as catalog:
        (row,) = catalog.find_runs(name="run-3")
    assert (row["status"], row["attempt"], row["error_kind"]) == ("completed", 2, None)


def tags_of(runs):
    with open_catalog(runs) as catalog:
        found = {row["name"]: row["tags_json"] for row in catalog.find_runs()}
    table = pl.read_parquet(runs.store.runs_table)
    assert dict(table.select("name", "tags_json").iter_rows()) == found
    return found


def test_tags_of_the_ledger_reach_the_catalog_and_a_rebuild_finds_them_again(stocked):
    sync(stocked)
    edit_tags(stocked.store, [f"{1:064x}", f"{3:064x}"], add=["Paper", "x_1"])
    ask_tags(stocked.store, "config.yaml", {f"{2:064x}": ["xa1"], f"{1:064x}": ["baseline"]})
    assert sync(stocked) == SyncCounts(0, 0, 0, 3)
    assert tags_of(stocked) == {
        "run-1": '["Paper","baseline","x_1"]',
        "run-2": '["xa1"]',
        "run-3": '["Paper","x_1"]',
    }
    with open_catalog(stocked) as catalog:
        for tag, names in (("x_1", ["run-1", "run-3"]), ("paper", []), ("xa1", ["run-2"])):
            assert [row["name"] for row in catalog.find_runs(tag=tag)] == names
        assert [row["name"] for row in catalog.find_runs(tag="Paper", status="failed")] == ["run-3"]
    before = dump(stocked)
    sync(stocked, rebuild=True)
    assert dump(stocked) == before


def test_a_run_that_is_deleted_and_comes_back_has_its_tags(stocked):
    edit_tags(stocked.store, [f"{1:064x}"], add=["x"])
    sync(stocked)
    shutil.rmtree(stocked.store.run("20260101_000000_001").path)
    sync(stocked)
    assert tags_of(stocked) == {"run-2": "[]", "run-3": "[]"}
    stocked.seal(1)
    sync(stocked)
    assert tags_of(stocked)["run-1"] == '["x"]'
    stocked.seal(1, attempt=2)
    sync(stocked)
    assert tags_of(stocked)["run-1"] == '["x"]', "a row that is written anew keeps them"


def test_tags_whose_record_is_gone_or_damaged_are_gone_from_the_catalog(stocked):
    edit_tags(stocked.store, [f"{1:064x}", f"{2:064x}"], add=["x"])
    sync(stocked)
    first, second = tag_files(stocked.store)
    first.unlink()
    second.write_text("{")
    counts = sync(stocked)
    assert list(counts.unreadable) == [str(second)]
    assert counts.total == 3
    assert set(tags_of(stocked).values()) == {"[]"}


def test_a_run_that_has_not_ended_is_not_catalogued(stocked):
    run = stocked.seal(4)
    run.success.unlink()
    assert sync(stocked).total == 3


def attest(runs, number):
    """Write to the ledger that a replay of a run, as it is sealed now, agreed."""
    run = runs.store.run(f"20260101_000000_{number:03d}")
    proof = Attestation(
        backtest_id=run.backtest_id,
        manifest_sha256=sha256_file(run.manifest),
        agreed_at="2026-01-02T00:00:00Z",
        library="f" * 16,
        environment={},
        changed=("polars 2.1.0 -> 2.2.0",),
        files={"results/a.parquet": "identical", "results/b.parquet": "same content"},
    )
    return add_attestation(runs.store, f"{number:064x}", proof)


def grades(runs):
    with open_catalog(runs) as catalog:
        rows = catalog.find_runs()
    return {row["name"]: (row["grade"], row["capture_grade"]) for row in rows}


def test_an_attested_run_has_grade_a_for_as_long_as_the_proof_is_of_it(stocked):
    stocked.seal(4, grade="C")
    sync(stocked)
    for number in (1, 3, 4):
        attest(stocked, number)
    assert sync(stocked) == SyncCounts(0, 0, 0, 4)
    assert grades(stocked) == {
        "run-1": ("A", "B"),
        "run-2": ("B", "B"),
        "run-3": ("D", "D"),
        "run-4": ("C", "C"),
    }
    with open_catalog(stocked) as catalog:
        assert [row["name"] for row in catalog.find_runs(grade="A")] == ["run-1"]
    assert pl.read_parquet(stocked.store.runs_table)["grade"].to_list() == ["A", "B", "D", "C"]
    first = dump(stocked)["replays"][0]
    assert first[:3] == (f"{1:064x}", 1, "20260101_000000_001")
    assert first[5:8] == (2, 1, '["polars 2.1.0 -> 2.2.0"]')
    path = attest(stocked, 1)
    sync(stocked)
    assert len(dump(stocked)["replays"]) == 4
    stocked.seal(1, attempt=2)
    sync(stocked)
    assert grades(stocked)["run-1"] == ("B", "B")
    attest(stocked, 1)
    sync(stocked)
    assert grades(stocked)["run-1"] == ("A", "B")
    path.unlink()
    sync(stocked)
    assert grades(stocked)["run-1"] == ("B", "B")
    assert len(dump(stocked)["replays"]) == 2


def test_a_damaged_record_of_replays_is_named_and_only_its_run_loses_the_grade(stocked):
    damaged, _ = attest(stocked, 1), attest(stocked, 2)
    sync(stocked)
    damaged.write_text("{")
    counts = sync(stocked)
    assert list(counts.unreadable) == [str(damaged)]
    assert grades(stocked)["run-1"] == ("B", "B")
    assert grades(stocked)["run-2"] == ("A", "B")
    grown = dump(stocked)
    assert sync(stocked, rebuild=True).unreadable == counts.unreadable
    assert dump(stocked) == grown


def test_a_catalog_with_the_columns_of_an_earlier_version_is_made_anew(stocked):
    sync(stocked)
    before = dump(stocked)
    database = sqlite3.connect(stocked.store.base_dir / "catalog.sqlite")
    database.execute("ALTER TABLE backtest_runs_catalog DROP COLUMN capture_grade")
    database.commit()
    database.close()
    with open_catalog(stocked) as catalog, pytest.raises(CatalogError, match=r"catalog-sync"):
        catalog.find_runs()
    assert sync(stocked).added == 3
    assert dump(stocked) == before


def test_commit_and_branch_of_a_run_are_columns_also_where_only_its_spec_has_them(runs):
    runs.dataset()
    git = {"commit": "ab" * 20, "branch": "main", "dirty": True}
    runs.seal(1, git=git)
    runs.seal(2, git=None)
    for number, origin in ((3, {"git": {**git, "dirty": False}}), (4, {"git": None})):
        run = runs.seal(number)
        write_json(run.spec, {"run_key": f"{number:064x}", "origin": origin})
    runs.seal(5).spec.unlink()
    sync(runs)
    with open_catalog(runs) as catalog:
        found = catalog.find_runs()
    names = ("git_commit", "git_branch", "git_dirty")
    none = (None, None, None)
    assert [tuple(row[name] for name in names) for row in found] == [
        ("ab" * 20, "main", True),
        none,
        ("ab" * 20, "main", False),
        none,
        none,
    ]
    assert pl.read_parquet(runs.store.runs_table).select(names).rows()[2] == (
        "ab" * 20,
        "main",
        False,
    )


def test_the_size_of_the_store_counts_shared_code_once(stocked):
    sync(stocked)
    one = sum(row[2] for row in dump(stocked)["backtest_artifacts_catalog"])
    with open_catalog(stocked) as catalog:
        assert catalog.stored_bytes() == one > 0
    for number, code_hash in ((5, "1" * 64), (6, "1" * 64), (7, "2" * 64)):
        run = stocked.store.run(f"20260101_000000_{number:03d}")
        (run.code / "a").mkdir(parents=True)
        (run.code / "a/same.py").write_text("x" * 100)
        (run.path / "code.txt").write_text("no code, and not sealed")
        identity = stocked.manifest(number)["identity"]
        identity["strategy"]["code_hash"] = code_hash
        stocked.seal(number, identity=identity)
    sync(stocked)
    with open_catalog(stocked) as catalog:
        grown = catalog.stored_bytes()
        (row,) = catalog.find_runs(name="run-7")
    results = sum(
        row[2]
        for row in dump(stocked)["backtest_artifacts_catalog"]
        if not row[1].startswith("code/")
    )
    assert grown == results + 2 * 100
    assert row["code_bytes"] == 100
    assert row["result_bytes"] > 0


def history(runs):
    """Let a store live: runs come, fail, succeed, go; datasets come and go."""
    yield runs.dataset()
    yield runs.seal(1)
    yield runs.fail(2)
    yield runs.dataset("prices", "e" * 16)
    yield runs.seal(3, dataset="e" * 16)
    yield runs.seal(2, attempt=2)
    yield runs.dataset("aaa", DATASET)  # equal content under a name that sorts before
    yield runs.seal(4, dataset="9" * 16)  # of a dataset that the disk does not know yet
    yield runs.dataset("late", "9" * 16)
    yield shutil.rmtree(runs.bundles / "prices" / ("e" * 16))  # still used by a run
    yield runs.dataset("unused", "8" * 16)
    yield shutil.rmtree(runs.bundles / "unused")
    yield attest(runs, 2)
    yield runs.seal(2, attempt=3)  # another manifest: the proof no longer is of this run
    yield attest(runs, 2)
    yield attest(runs, 4)
    yield shutil.rmtree(runs.store.run("20260101_000000_001").path)
    yield runs.store.run("20260101_000000_004").success.write_text("0" * 64)
    before = runs.rewrite(2, metrics={"total_return": 9.0})  # altered after the seal
    yield before
    yield runs.store.run("20260101_000000_003").manifest.write_text("{")  # no manifest any more
    yield runs.store.run("20260101_000000_002").manifest.write_bytes(before)
    yield (runs.bundles / "late" / ("9" * 16) / "manifest.json").write_text("{")


def test_a_rebuild_equals_every_incremental_state(runs):
    for step, _ in enumerate(history(runs)):
        sync(runs)
        grown, table = dump(runs), runs.store.runs_table.read_bytes()
        sync(runs, rebuild=True)
        assert dump(runs) == grown, f"step {step}"
        assert runs.store.runs_table.read_bytes() == table
    assert step == 21


def test_a_deleted_catalog_comes_back_equal(stocked):
    sync(stocked)
    before = dump(stocked)
    for path in stocked.store.base_dir.glob("catalog.sqlite*"):
        path.unlink()
    assert sync(stocked).added == 3
    assert dump(stocked) == before


def test_the_table_of_runs_is_the_catalogs(stocked):
    sync(stocked)
    frame = pl.read_parquet(stocked.store.runs_table)
    with open_catalog(stocked) as catalog:
        assert frame.to_dicts() == catalog.find_runs()
    assert frame.schema["total_return"] == pl.Float64
    assert frame.schema["attempt"] == pl.Int64


def test_an_empty_store_has_an_empty_catalog(runs):
    assert sync(runs) == SyncCounts(0, 0, 0, 0)
    assert pl.read_parquet(runs.store.runs_table).is_empty()


def test_runs_are_found_by_equal_columns_oldest_first(stocked):
    sync(stocked)
    with open_catalog(stocked) as catalog:
        found = catalog.find_runs(status="completed", strategy="strategies/s.py", bundle=None)
        assert [row["name"] for row in found] == ["run-1", "run-2"]
        assert catalog.find_runs(grade="A") == []
        (row,) = catalog.find_runs(run_key=f"{2:064x}", status="completed", dataset_id=None)
        assert row["name"] == "run-2"
        assert catalog.find_runs(run_key=f"{2:064x}", name="run-1") == []


def test_runs_are_found_by_any_of_their_names_and_by_no_part_of_one(stocked):
    stocked.seal(4, labels={"names": ["first", "g/n=1,m=2", 'a"b%_'], "bundle": "prices"})
    stocked.seal(5, labels={"names": ["FIRST"], "bundle": "prices"})
    sync(stocked)
    with open_catalog(stocked) as catalog:
        for name, found in (
            ("first", ["first"]),
            ("g/n=1,m=2", ["first"]),
            ('a"b%_', ["first"]),
            ("b%_", []),
            ("firs_", []),
            ("FIRST", ["FIRST"]),
            ("g", ["first"]),
            ("g/n=1", []),
        ):
            assert [row["name"] for row in catalog.find_runs(name=name)] == found, name
        (row,) = catalog.find_runs(name="first", status="completed")
    assert json.loads(row["names_json"]) == ["first", "g/n=1,m=2", 'a"b%_']


CORRUPT = {
    "no JSON": ("{", "it is not the manifest of a run: Expecting property name"),
    "no text": (b"\xff\xfe\xff", "it is not the manifest of a run: "),
    "a list": ("[]", "it is not the manifest of a run: "),
    "empty": ("{}", "the key 'backtest_id' is missing"),
    "copied": ({"backtest_id": "20260101_000000_001"}, "it is that of run 20260101_000000_001"),
    "nameless": ({"labels": {"bundle": "prices"}}, "the key 'names' is missing"),
    "running": ({"status": "running"}, "its status is 'running', though the run has ended"),
    "odd time": ({"started_at": "soon"}, "Invalid isoformat string: 'soon'"),
    "odd type": ({"attempt": "1"}, "attempt is '1'"),
    "huge": ({"attempt": 2**40}, "attempt is 1099511627776"),
    "long": ({"run_key": "0" * 65}, "run_key is '000"),
    "infinite": ({"timings": {"execute_seconds": 1e999}}, "execute_seconds is inf"),
    "half a character": ({"run_type": "\ud800"}, "surrogates not allowed"),
    "gone": (None, "it is missing, though _SUCCESS is there"),
}


@pytest.mark.parametrize(("content", "reason"), CORRUPT.values(), ids=CORRUPT)
def test_one_unreadable_manifest_leaves_out_its_run_alone(stocked, caplog, content, reason):
    sync(stocked)
    manifest = stocked.store.run("20260101_000000_002").manifest
    before = manifest.read_bytes()
    if isinstance(content, dict):
        content = json.dumps({**json.loads(before), **content})
    if content is None:
        manifest.unlink()
    else:
        manifest.write_bytes(content if isinstance(content, bytes) else content.encode())
    stocked.seal(4)
    for rebuild, expected in ((False, (1, 0, 1)), (False, (0, 0, 0)), (True, (3, 0, 0))):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            counts = sync(stocked, rebuild=rebuild)
        assert (counts.added, counts.updated, counts.removed) == expected
        assert counts.total == 3
        assert list(counts.unreadable) == [str(manifest)]
        assert reason in counts.unreadable[str(manifest)]
        assert [record.getMessage() for record in caplog.records] == [
            f"left out of the catalog: {manifest}: {counts.unreadable[str(manifest)]}"
        ]
    with open_catalog(stocked) as catalog:
        assert [row["name"] for row in catalog.find_runs()] == ["run-1", "run-3", "run-4"]
    manifest.write_bytes(before)
    assert sync(stocked) == SyncCounts(1, 0, 0, 4)


def test_a_damaged_bundle_head_dataset_or_trial_is_named_and_stops_nothing(stocked):
    stocked.dataset("other", "e" * 16)
    paths = [
        stocked.bundles / "other/HEAD.json",
        stocked.bundles / "other" / ("e" * 16) / "manifest.json",
        stocked.store.ledger / "trials" / DATASET / f"{1:064x}.json",
    ]
    for path in paths:
        path.write_text("{}" if path.name == "HEAD.json" else "{")
    assert list(sync(stocked).unreadable) == [str(path) for path in paths]
    rows = dump(stocked)
    assert [len(rows[name]) for name in ("bundles", "datasets", "trials")] == [1, 1, 1]
    assert len(rows["backtest_runs_catalog"]) == 3


@pytest.mark.parametrize("is_hidden", [False, True], ids=["younger", "as old as before"])
@pytest.mark.parametrize("is_known", [False, True], ids=["new", "known"])
def test_an_altered_manifest_is_marked_once_and_its_figures_are_not_taken(
    stocked, is_known, is_hidden
):
    if is_known:
        sync(stocked)
    manifest = stocked.store.run("20260101_000000_001").manifest
    times = manifest.stat().st_atime_ns, manifest.stat().st_mtime_ns
    before = stocked.rewrite(1, metrics={"total_return": 9.0, "sharpe_ratio": 9.0})
    if is_hidden:
        os.utime(manifest, ns=times)
    first = sync(stocked, rebuild=is_hidden and is_known)  # nothing else looks behind the times
    assert first.total == 3
    assert sync(stocked) == SyncCounts(0, 0, 0, 3)
    with open_catalog(stocked) as catalog:
        (row,) = catalog.find_runs(status="altered")
    assert (row["name"], row["grade"], row["error_kind"]) == ("run-1", "D", "altered")
    assert row["error_message"] == "run.json is not the one that was written when the run ended"
    assert (row["total_return"], row["metrics_json"]) == (None, "{}")
    assert len(dump(stocked)["backtest_artifacts_catalog"]) == 2, "only those of run 2"
    manifest.write_bytes(before)
    assert sync(stocked) == SyncCounts(0, 1, 0, 3)
    with open_catalog(stocked) as catalog:
        assert catalog.find_runs(name="run-1")[0]["total_return"] == 0.01
        assert catalog.find_runs(status="altered") == []


def test_a_damaged_mark_vouches_for_nothing(stocked):
    sync(stocked)
    mark = stocked.store.run("20260101_000000_001").success
    mark.write_bytes(b"\xff\xfe")
    assert sync(stocked) == SyncCounts(0, 1, 0, 3)
    assert sync(stocked) == SyncCounts(0, 0, 0, 3)
    with open_catalog(stocked) as catalog:
        assert [row["name"] for row in catalog.find_runs(status="altered")] == ["run-1"]
    mark.unlink()
    mark.mkdir()
    counts = sync(stocked)
    assert list(counts.unreadable.values()) == ["it cannot be read (Is a directory)"]
    assert (counts.removed, counts.total) == (1, 2)


def test_a_catalog_with_other_columns_is_made_anew(stocked):
    sync(stocked)
    before = dump(stocked)
    with sqlite3.connect(stocked.store.base_dir / "catalog.sqlite") as connection:
        connection.execute("ALTER TABLE backtest_runs_catalog DROP COLUMN names_json")
        connection.execute("DELETE FROM trials")
    connection.close()
    with open_catalog(stocked) as catalog, pytest.raises(CatalogError, match=r"catalog-sync"):
        catalog.find_runs()
    assert sync(stocked).added == 3
    assert dump(stocked) == before


def test_reading_an_absent_catalog_makes_none(stocked):
    with (
        open_catalog(stocked) as catalog,
        pytest.raises(CatalogError, match=r"no catalog"),
    ):
        catalog.find_runs()
    assert not (stocked.store.base_dir / "catalog.sqlite").exists()


def test_reading_does_not_wait_for_a_writer(stocked):
    sync(stocked)
    writer = sqlite3.connect(stocked.store.base_dir / "catalog.sqlite", isolation_level=None)
    try:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM backtest_artifacts_catalog")
        with open_catalog(stocked) as catalog:
            assert len(catalog.find_runs()) == 3
    finally:
        writer.execute("ROLLBACK")
        writer.close()


def test_a_file_that_is_no_database_is_a_clear_error_and_stays(stocked):
    path = stocked.store.base_dir / "catalog.sqlite"
    path.write_text("this is no database, it is a text of some length\n" * 30)
    with pytest.raises(CatalogError, match=r"(?s)cannot write the catalog .*the runs are complete"):
        sync(stocked)
    assert path.read_text().startswith("this is no database")


@pytest.mark.parametrize("url", ["nonsense", "nosuch://x/y", "mysql://u:secret@h/d"])
def test_a_wrong_url_is_a_clear_error_that_keeps_the_password(stocked, url):
    with pytest.raises(CatalogError, match=r"cannot open the catalog") as caught:
        sync(stocked, url=url)
    assert "secret" not in str(caught.value)


def _sync_often(root, bundles, url, times):
    for _ in range(times):
        with Catalog(url, RunStore(root), bundles) as catalog:
            catalog.sync()


def test_8_processes_syncing_at_once_agree(runs):
    runs.dataset()
    for number in range(40):
        runs.seal(number)
    spawn = multiprocessing.get_context("spawn")
    arguments = (runs.store.base_dir, runs.bundles, runs.url, 3)
    workers = [spawn.Process(target=_sync_often, args=arguments) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 8
    grown = dump(runs)
    assert len(grown["backtest_runs_catalog"]) == 40
    sync(runs, rebuild=True)
    assert dump(runs) == grown


def test_a_trial_whose_record_is_gone_is_forgotten_as_by_a_rebuild(stocked):
    sync(stocked)
    (stocked.store.ledger / "trials" / DATASET / f"{1:064x}.json").unlink()
    sync(stocked)
    synced = dump(stocked)
    assert [row[1] for row in synced["trials"]] == [f"{2:064x}"]
    sync(stocked, rebuild=True)
    assert dump(stocked) == synced


def test_users_of_one_group_can_write_one_catalog(stocked):
    before = os.umask(0o002)
    try:
        sync(stocked)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in stocked.store.base_dir.glob("*.*")}
    assert {name: modes[name] for name in ("catalog.sqlite", "runs.parquet")} == {
        "catalog.sqlite": 0o664,
        "runs.parquet": 0o664,
    }


def test_a_store_that_cannot_be_written_is_a_clear_error(stocked):
    stocked.store.catalog_lock.mkdir()
    with pytest.raises(
        CatalogError, match=r"cannot write the catalog .*: Is a directory; the runs"
    ):
        sync(stocked)


def test_a_full_disk_is_a_clear_error_and_changes_no_row(stocked, tmp_path):
    sync(stocked)
    before = dump(stocked)
    stocked.seal(4)
    script = """
import resource, sys
from pathlib import Path
from backtrail.artifacts.store import RunStore
from backtrail.catalog.catalog import Catalog
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
url, base, bundles = sys.argv[1:]
Catalog(url, RunStore(Path(base)), Path(bundles)).sync()
"""
    places = [stocked.url, str(stocked.store.base_dir), str(stocked.bundles)]
    done = subprocess.run(
        [sys.executable, "-c", script, *places], capture_output=True, text=True, check=False
    )
    assert "CatalogError: cannot write the catalog" in done.stderr.splitlines()[-1]
    assert dump(stocked) == before
    assert sync(stocked).added == 1


def as_another_user(function):
    """Call a function as a user who may only read, and return what it returns as JSON."""
    if os.getuid() != 0:
        return function()
    receiver, sender = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other threads of this process hold nothing it needs
        child = os.fork()
    if child == 0:
        try:
            os.setuid(65534)
            os.write(sender, json.dumps(function()).encode())
        finally:
            os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return json.loads(said)


def test_a_catalog_in_a_protected_folder_can_be_read(stocked):
    folder = Path(tempfile.mkdtemp())
    try:
        shutil.copytree(stocked.store.base_dir, folder / "store ä%")
        store = RunStore(folder / "store ä%")
        catalog = Catalog(f"sqlite:///{store.base_dir}/catalog.sqlite", store, stocked.bundles)
        catalog.sync()
        names = [row["backtest_id"] for row in catalog.find_runs()]
        folder.chmod(0o755)
        store.base_dir.chmod(0o555)

        def read():
            url = f"sqlite:///{store.base_dir}/catalog.sqlite"
            with Catalog(url, store, stocked.bundles) as other:
                return [row["backtest_id"] for row in other.find_runs()]

        assert as_another_user(read) == names
        assert len(names) == 3
        assert not list(store.base_dir.glob("catalog.sqlite-*"))
    finally:
        store.base_dir.chmod(0o755)
        shutil.rmtree(folder)
