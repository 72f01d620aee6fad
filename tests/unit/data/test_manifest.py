import json

import pytest

from backtrail.data import DatasetManifest, read_head
from backtrail.errors import DatasetError


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
