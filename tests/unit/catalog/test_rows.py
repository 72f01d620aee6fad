import json
import os
import shutil

from backtrail.canonical import sha256_file
from backtrail.catalog.rows import (
    ManifestState,
    bundle_rows,
    manifest_state,
    run_rows,
    trial_files,
    trial_rows,
)

from .conftest import DATASET


def test_the_checksum_of_a_known_manifest_is_read_from_its_mark(runs):
    for run in (runs.seal(1), runs.fail(2)):
        state = manifest_state(run)
        assert state == ManifestState(sha256_file(run.manifest), is_stated=True)
        times = run.manifest.stat().st_atime_ns, run.manifest.stat().st_mtime_ns
        run.manifest.write_text("{}")
        os.utime(run.manifest, ns=times)
        assert manifest_state(run, state) == state, "the manifest is not opened"
        altered = ManifestState(sha256_file(run.manifest), is_stated=False)
        assert manifest_state(run) == manifest_state(run, altered) == altered
        os.utime(run.manifest)
        assert manifest_state(run, state) == altered, "it is younger than its mark"
    assert manifest_state(runs.store.run("nope")) is None


def test_rows_of_a_run_are_a_function_of_its_manifest(runs):
    run = runs.seal(7)
    rows = run_rows(run)
    assert run_rows(run) == rows
    assert rows.run["metrics_json"] == '{"other":3.0,"sharpe_ratio":null,"total_return":0.07}'
    assert rows.run["settings_json"].startswith('{"capital_base":"100000"')
    assert rows.run["manifest_sha256"] == sha256_file(run.manifest)
    assert rows.link["cache_key"] == f"prices/{DATASET}"
    assert rows.link["cached_at"] == 1767225600
    assert 0 <= rows.link["link_id"] < 2**63
    assert [(row["path"], row["content_sha256"]) for row in rows.artifacts] == [
        ("metadata/run_spec.json", None),
        ("results/performance-metrics.json", "a" * 64),
    ]


def test_a_running_run_has_no_rows(runs):
    run = runs.store.run("20260101_000000_001")
    assert run_rows(run) is None
    from backtrail.files import write_json

    write_json(run.manifest, runs.manifest(1, status="running"))
    assert run_rows(run) is None


def test_bundles_are_listed_with_what_they_mean_and_have_meant(runs):
    assert bundle_rows(runs.bundles, {}) == ([], [])
    runs.dataset()
    runs.dataset("prices", "e" * 16)
    runs.dataset("twin", DATASET)
    unreadable = {}
    heads, datasets = bundle_rows(runs.bundles, unreadable)
    assert unreadable == {}
    assert heads == [
        {
            "bundle": "prices",
            "dataset_id": "e" * 16,
            "datasets": 2,
            "datasets_json": json.dumps(sorted([DATASET, "e" * 16]), separators=(",", ":")),
        },
        {
            "bundle": "twin",
            "dataset_id": DATASET,
            "datasets": 1,
            "datasets_json": f'["{DATASET}"]',
        },
    ]
    assert {(row["dataset_id"], row["bundle"], row["bars"]) for row in datasets} == {
        (DATASET, "prices", 2),
        ("e" * 16, "prices", 2),
    }


def test_a_dataset_that_is_being_built_is_none_yet(runs):
    whole = runs.dataset()
    shutil.copytree(whole, whole.with_name(".0123456789abcdef.building~"))
    heads, datasets = bundle_rows(runs.bundles, {})
    assert [head["datasets_json"] for head in heads] == [f'["{DATASET}"]']
    assert [row["dataset_id"] for row in datasets] == [DATASET]


def test_a_trial_is_named_by_its_place_in_the_ledger(runs):
    for number in (1, 2):
        runs.seal(number)
    keys = [f"{1:064x}", f"{2:064x}"]
    files = trial_files(runs.store)
    assert list(files) == [(DATASET, key) for key in keys]
    assert [row["run_key"] for row in trial_rows(files, {})] == keys
