import json
from dataclasses import replace

import pytest

from backtrail.artifacts.store import RunStore
from backtrail.canonical import sha256_file
from backtrail.errors import ArtifactManagerError
from backtrail.files import write_json
from backtrail.provenance.attestation import (
    Attestation,
    add_attestation,
    attestation_files,
    best_grade,
    graded_manifest,
    read_attestations,
)

KEY = "ab" * 32
PROOF = Attestation(
    backtest_id="20260101_000000_000",
    manifest_sha256="c" * 64,
    agreed_at="2026-01-02T00:00:00Z",
    library="f" * 16,
    environment={"python": "3.11.7"},
    changed=("polars 2.1.0 -> 2.2.0",),
    files={"results/fills.parquet": "same content"},
)


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path)


def test_attestations_are_appended_and_read_back_in_order(store):
    path = add_attestation(store, KEY, PROOF)
    assert path == store.ledger / "replays" / f"{KEY}.json"
    second = replace(PROOF, agreed_at="2026-01-03T00:00:00Z", changed=())
    add_attestation(store, KEY, second)
    assert read_attestations(path) == (PROOF, second)
    assert json.loads(path.read_bytes())["run_key"] == KEY
    assert list(attestation_files(store)) == [path]
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_key_that_was_never_replayed_has_none(store):
    assert read_attestations(store.ledger / "replays" / "x.json") == ()
    assert list(attestation_files(store)) == []


@pytest.mark.parametrize("content", ["{", "[]", '{"replays": [{"backtest_id": "x"}]}', '{"a": 1}'])
def test_a_damaged_ledger_file_is_named(store, content):
    path = add_attestation(store, KEY, PROOF)
    path.write_text(content)
    with pytest.raises(ArtifactManagerError, match=f"{KEY}.json is damaged"):
        read_attestations(path)


@pytest.mark.parametrize(
    ("capture_grade", "attested", "best"),
    [("B", True, "A"), ("B", False, "B"), ("C", True, "C"), ("D", True, "D"), (None, False, None)],
)
def test_only_a_complete_capture_is_lifted(capture_grade, attested, best):
    assert best_grade(capture_grade, attested=attested) == best


def test_the_proof_counts_for_exactly_the_manifest_it_was_made_of(store):
    run = store.run("20260101_000000_000")
    assert graded_manifest(run) is None
    write_json(run.manifest, {"run_key": KEY, "status": "running"})
    assert "grade" not in graded_manifest(run)
    write_json(run.manifest, {"run_key": KEY, "grade": "B"})
    assert graded_manifest(run)["grade"] == "B"
    add_attestation(store, KEY, PROOF)
    assert graded_manifest(run)["grade"] == "B"
    add_attestation(store, KEY, replace(PROOF, manifest_sha256=sha256_file(run.manifest)))
    assert graded_manifest(run) == {
        "run_key": KEY,
        "grade": "A",
        "capture_grade": "B",
        "replays": ["2026-01-02T00:00:00Z"],
    }
    write_json(run.manifest, {"run_key": KEY, "grade": "B", "attempt": 2})
    assert (graded_manifest(run)["grade"], graded_manifest(run)["replays"]) == ("B", [])
