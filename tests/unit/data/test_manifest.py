import json

import pytest

from backtrail.data import DatasetManifest, read_head
from backtrail.data.bundles import Waiver
from backtrail.data.datasets import dataset_damage
from backtrail.errors import DatasetError

from .places import daily_row


def test_manifest_loads_as_it_was_returned(store):
    made = store.ingest()
    folder = store.bundles / "b" / made.dataset_id
    assert DatasetManifest.load(folder) == made
    assert DatasetManifest.load(folder / "manifest.json") == made
    record = made.symbols["AAA"]
    assert (record.rows, record.first, record.last) == (
        2,
        "2020-01-02T00:00:00Z",
        "2020-01-03T00:00:00Z",
    )


def test_manifest_knows_the_checksums_of_its_files(store):
    import hashlib

    made = store.ingest()
    for name, entry in made.files.items():
        data = (store.bundles / "b" / made.dataset_id / name).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (entry["sha256"], entry["size"])


@pytest.mark.parametrize(
    "change", [{"origin": "elsewhere"}, {"licence": "mine"}, {"waivers": []}, {"checksum": None}]
)
def test_a_word_changed_in_a_manifest_is_found_out_and_ingesting_again_mends_it(store, change):
    store.write("AAA.csv", daily_row("2020-01-02") + "2020-01-03,,,,,\n")
    waivers = [Waiver("null_row", "a holiday")]
    made = store.ingest(waivers=waivers)
    path = store.bundles / "b" / made.dataset_id / "manifest.json"
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_text(json.dumps({**json.loads(before), **change}))
    with pytest.raises(DatasetError, match=r"was altered: .*; put it back, or ingest the bundle"):
        DatasetManifest.load(path)
    assert list(dataset_damage(path.parent)) == ["manifest.json"]
    store.ingest(waivers=waivers)
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 99}'])
def test_manifest_that_is_no_manifest_is_refused(tmp_path, text):
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match="ingest the bundle again"):
        DatasetManifest.load(path)


def test_read_head_of_an_unknown_bundle_names_the_known_ones(store):
    store.ingest()
    with pytest.raises(DatasetError, match="ingested bundles: b; run its ingest first"):
        read_head(store.bundles, "c")


def test_read_head_refuses_a_damaged_file(store):
    store.ingest()
    (store.bundles / "b/HEAD.json").write_text(json.dumps({"history": []}))
    with pytest.raises(DatasetError, match="names no dataset_id"):
        read_head(store.bundles, "b")
