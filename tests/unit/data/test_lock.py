import pickle
import shutil

import pytest
import yaml

from backtrail.data.lock import (
    LOCK_FILE,
    check_lock,
    lock_bundles,
    lock_checksum,
    read_lock,
)
from backtrail.errors import BundleLockError, ConfigError, DatasetError

from .places import daily_row

HEADER = "date,open,high,low,close,volume,dividend\n"
OLD = {
    "AAA": [daily_row("2019-12-31"), daily_row("2020-01-02", 11.0), daily_row("2020-01-03", 12.0)],
    "1E5": [daily_row("2020-01-02", 20.0), daily_row("2020-01-03", 21.0)],
}


@pytest.fixture
def ingest(store):
    """Ingest files of rows and return the dataset's id."""

    def ingest(files, header=None):
        for path in store.prices.glob("*.csv"):
            path.unlink()
        for name, rows in files.items():
            store.write(f"{name}.csv", "".join(rows), **({"header": header} if header else {}))
        return store.ingest().dataset_id

    return ingest


def error_of(store, found):
    with pytest.raises(BundleLockError) as caught:
        check_lock(store.root, store.bundles, {"b": found})
    return caught.value


def test_a_lock_is_yaml_that_says_what_it_locks_and_reads_back(store, ingest):
    old = ingest(OLD)
    assert lock_checksum(store.root) == ""
    assert lock_bundles(store.root, store.bundles, ["b"]) == {"b": (None, old)}
    values = yaml.safe_load((store.root / LOCK_FILE).read_text())
    locked = values["bundles"]["b"]
    assert (locked["dataset_id"], locked["calendar"], locked["timeframe"]) == (old, "XNYS", "1d")
    assert list(locked["symbols"]) == ["1E5", "AAA"]
    assert locked["symbols"]["AAA"]["rows"] == 3
    assert list(locked["symbols"]["AAA"]["years"]) == ["2019", "2020"]
    assert read_lock(store.root)["b"].symbols["1E5"].last == "2020-01-03T00:00:00Z"
    check_lock(store.root, store.bundles, {"b": old, "not locked": "0" * 16})


@pytest.mark.parametrize("symbol", ["^GSPC", "BRK.B", "../x", 'a"b\\c', "Ä\u2028Ö", "🚀", "\x7f"])
def test_a_lock_keeps_every_symbol_as_it_is(store, symbol):
    rows = "symbol,date,open,high,low,close,volume\n"
    name = symbol.replace('"', '""')
    (store.prices / "all.csv").write_text(f'{rows}"{name}",2020-01-02,10,11,9,10,1\n')
    made = store.ingest("prices/all.csv").dataset_id
    lock_bundles(store.root, store.bundles, ["b"])
    assert list(read_lock(store.root)["b"].symbols) == [symbol]
    check_lock(store.root, store.bundles, {"b": made})


def test_locking_again_changes_no_byte_and_other_entries_stay(store, ingest):
    old = ingest(OLD)
    lock_bundles(store.root, store.bundles, ["b"])
    path = store.root / LOCK_FILE
    before, checksum = path.stat(), lock_checksum(store.root)
    assert lock_bundles(store.root, store.bundles, ["b"]) == {"b": (old, old)}
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    text = path.read_text()
    path.write_text(text.replace('"b":', '"other":') + text.split("bundles:\n")[1])
    assert lock_checksum(store.root) != checksum
    new = ingest({"AAA": OLD["AAA"]})
    assert lock_bundles(store.root, store.bundles, ["b"]) == {"b": (old, new)}
    ids = {name: item.dataset_id for name, item in read_lock(store.root).items()}
    assert ids == {"b": new, "other": old}


def test_a_mismatch_names_the_bars_that_differ(store, ingest):
    old = ingest(OLD)
    lock_bundles(store.root, store.bundles, ["b"])
    new = ingest({**OLD, "1E5": [OLD["1E5"][0], daily_row("2020-01-03", 21.0, volume=7)]})
    error = error_of(store, new)
    assert error.mismatches == {"b": (old, new)}
    text = str(error)
    assert f"bundle 'b' is dataset {new} now" in text
    assert f"config/bundles.lock.yaml locks it to {old}" in text
    assert "1 bar changed (volume 1): 1E5 2020-01-03 volume 100.0 -> 7.0" in text
    assert "AAA" not in text
    assert "`backtrail data lock b`" in text
    assert str(pickle.loads(pickle.dumps(error))) == text
    lock_bundles(store.root, store.bundles, ["b"])
    check_lock(store.root, store.bundles, {"b": new})


@pytest.mark.parametrize(
    ("files", "header", "words"),
    [
        (
            {**OLD, "AAA": [daily_row("2019-12-31"), daily_row("2020-01-02", 11.5), OLD["AAA"][2]]},
            None,
            ["AAA: other bars in 2020"],
        ),
        (
            {**OLD, "AAA": [*OLD["AAA"], daily_row("2021-01-04", 12.0)]},
            None,
            ["AAA: 3 bars -> 4; last 2020-01-03T00:00:00Z -> 2021-01-04T00:00:00Z; "
             "other bars in 2021"],
        ),
        ({"AAA": OLD["AAA"]}, None, ["1E5 was removed"]),
        ({**OLD, "CCC": OLD["AAA"]}, None, ["CCC was added"]),
        (
            {name: [row.replace("\n", ",0.5\n") for row in rows] for name, rows in OLD.items()},
            HEADER,
            ["splits, dividends or delistings changed"],
        ),
    ],
)  # fmt: skip
def test_on_another_machine_the_lock_itself_tells_what_differs(store, ingest, files, header, words):
    old = ingest(OLD)
    lock_bundles(store.root, store.bundles, ["b"])
    shutil.rmtree(store.bundles)
    lines = str(error_of(store, ingest(files, header))).splitlines()
    assert lines[1].strip() == (
        f"dataset {old} is not in {store.bundles / 'b'}; by the checksums in the lock:"
    )
    assert [line.strip() for line in lines[2:-1]] == words


def test_a_damaged_lock_is_a_clear_error(store, ingest):
    ingest(OLD)
    path = store.root / LOCK_FILE
    path.parent.mkdir()
    for text in ("bundles: [", "bundles:\n  b: {dataset_id: x}\n", "[]", "<<<<<<< HEAD\n"):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"config/bundles.lock.yaml: damaged: .*version cont"):
            check_lock(store.root, store.bundles, {"b": "0" * 16})


def test_a_bundle_that_was_never_ingested_cannot_be_locked(store):
    with pytest.raises(DatasetError, match="bundle 'x' has no dataset"):
        lock_bundles(store.root, store.bundles, ["x"])
    assert not (store.root / LOCK_FILE).exists()
