import json
from datetime import date

import polars as pl

from backtrail.data import BundleConfig, DatasetManifest, ingest_bundle
from backtrail.data.manifest import SymbolRecord, manifest_checksum
from backtrail.data.survival import survival

from .places import daily_row


def record(first, last):
    return SymbolRecord(1, f"{first}T00:00:00Z", f"{last}T00:00:00Z", 0, 0)


def test_symbols_that_stop_early_are_named_with_their_last_date(store):
    store.write("AAA.csv", daily_row("2020-01-02") + daily_row("2024-12-31"))
    store.write("BBB.csv", daily_row("2020-01-02") + daily_row("2024-12-24"))  # a week before
    store.write("CCC.csv", daily_row("2020-01-09") + daily_row("2024-12-23"))
    store.write("DDD.csv", daily_row("2023-01-03") + daily_row("2024-12-31"))
    assert store.ingest().survival == {
        "first": "2020-01-02",
        "last": "2024-12-31",
        "symbols": 4,
        "alive": 3,
        "share_alive": 0.75,
        "at_start": 3,
        "start_alive": 2,
        "stopped": [{"symbol": "CCC", "last": "2024-12-23", "delisted": False}],
    }


def test_a_delisting_says_why_a_symbol_stops(tmp_path):
    options = {"kind": "daily_universe", "symbols": 4, "seed": 1}
    options |= {"start": date(2020, 1, 2), "end": date(2020, 12, 31)}
    bundle = BundleConfig("b", "synthetic", "XNYS", "1d", None, options)
    found = ingest_bundle(bundle, root=tmp_path, bundles_dir=tmp_path / "bundles").survival
    assert (found["alive"], found["share_alive"], found["at_start"]) == (3, 0.75, 4)
    assert found["stopped"] == [{"symbol": "SYN03", "last": "2020-07-01", "delisted": True}]


def test_a_symbol_delisted_in_the_last_week_is_not_alive():
    delisting = pl.DataFrame({"symbol": ["B"], "kind": ["delisting"]})
    both = {"A": record("2020-01-01", "2020-12-31"), "B": record("2020-01-01", "2020-12-30")}
    assert survival(both, delisting)["stopped"] == [
        {"symbol": "B", "last": "2020-12-30", "delisted": True}
    ]


def test_a_manifest_from_before_the_audit_can_still_be_read(store):
    manifest = store.ingest()
    path = store.bundles / "b" / manifest.dataset_id / "manifest.json"
    values = json.loads(path.read_text())
    del values["survival"], values["derived"], values["sessions"], values["checksum"]
    values["checksum"] = manifest_checksum(values)
    path.chmod(0o644)
    path.write_text(json.dumps(values))
    loaded = DatasetManifest.load(path)
    assert (loaded.survival, loaded.rows) == ({}, 2)
