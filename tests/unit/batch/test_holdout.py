import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from backtrail.artifacts.store import RunStore
from backtrail.batch.holdout import count_look

IDENTITY = {
    "dataset": {"dataset_id": "0123456789abcdef"},
    "strategy": {"entry": "strategies/s.py"},
    "holdout": {"start": "2020-01-02", "end": "2020-06-30"},
    "parent": "p" * 64,
}


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "backtests")


def test_looks_that_are_opened_at_the_same_time_have_different_numbers(store):
    keys = [f"{number:064x}" for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        looks = list(threads.map(lambda key: count_look(store, IDENTITY, key), keys))
    assert sorted(looks) == list(range(1, 25))
    folder = store.holdout_looks(IDENTITY["dataset"]["dataset_id"])
    kept = {path.stem: json.loads(path.read_bytes())["look"] for path in folder.glob("*.json")}
    assert kept == dict(zip(keys, looks, strict=True))


def test_a_look_is_counted_once_and_other_dates_or_strategies_count_apart(store):
    assert count_look(store, IDENTITY, "a" * 64) == 1
    assert count_look(store, IDENTITY, "a" * 64) == 1
    later = {**IDENTITY, "holdout": {"start": "2020-07-01", "end": "2020-12-31"}}
    assert count_look(store, later, "b" * 64) == 1
    other = {**IDENTITY, "strategy": {"entry": "strategies/t.py"}}
    assert count_look(store, other, "c" * 64) == 1
    across = {**IDENTITY, "holdout": {"start": "2020-06-30", "end": "2020-07-01"}}
    assert count_look(store, across, "d" * 64) == 3


def test_looks_at_the_same_dates_of_another_dataset_of_the_bundle_count_together(store):
    later = {**IDENTITY, "dataset": {"dataset_id": "f" * 16}}
    assert count_look(store, IDENTITY, "a" * 64, bundle="prices") == 1
    assert count_look(store, later, "b" * 64, bundle="prices") == 2
    assert count_look(store, later, "c" * 64, bundle="other") == 3, "no look is forgotten"
    strange = {**IDENTITY, "dataset": {"dataset_id": "e" * 16}}
    assert count_look(store, strange, "d" * 64, bundle="third") == 1


def test_looks_at_two_datasets_at_the_same_time_have_different_numbers(store):
    keys = [f"{number:064x}" for number in range(24)]

    def look(key):
        identity = {**IDENTITY, "dataset": {"dataset_id": key[-1] * 16}}
        return count_look(store, identity, key, bundle="prices")

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(look, keys)) == list(range(1, 25))
