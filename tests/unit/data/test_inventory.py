import shutil

import pytest

from backtrail.data.inventory import (
    bundle_names,
    find_dataset,
    list_datasets,
    list_history,
    previous_dataset,
)
from backtrail.errors import DatasetError

from .places import daily_row


@pytest.fixture
def made(store):
    """Three datasets of one bundle; the name has meant the first one again in between."""
    ids = []
    for close in (11.0, 12.0, 11.0, 13.0):
        store.write("AAA.csv", daily_row("2020-01-02") + daily_row("2020-01-03", close))
        ids.append(store.ingest().dataset_id)
    assert ids[0] == ids[2]
    return ids


def test_datasets_stand_in_the_order_in_which_the_name_came_to_mean_them(store, made):
    assert bundle_names(store.bundles) == ("b",)
    assert list_history(store.bundles, "b") == tuple(made)
    entries = list_datasets(store.bundles, "b")
    assert [entry.dataset_id for entry in entries] == [made[1], made[0], made[3]]
    assert [entry.is_head for entry in entries] == [False, False, True]
    last = entries[-1]
    assert last.path == store.bundles / "b" / made[3]
    assert (last.rows, last.symbols, last.calendar, last.timeframe) == (2, 1, "XNYS", "1d")
    assert (last.first, last.last) == ("2020-01-02T00:00:00Z", "2020-01-03T00:00:00Z")
    assert last.bytes == sum(path.stat().st_size for path in last.path.glob("*.parquet"))


def test_a_deleted_dataset_stays_in_the_list_by_its_id_alone(store, made):
    shutil.rmtree(store.bundles / "b" / made[1])
    first = list_datasets(store.bundles, "b")[0]
    assert (first.dataset_id, first.path, first.rows, first.bytes) == (made[1], None, None, 0)
    with pytest.raises(DatasetError, match=f"and had {made[1]}, which was deleted"):
        find_dataset(store.bundles, "b", made[1])


def test_a_dataset_beside_the_history_is_listed_first(store, made):
    head = store.bundles / "b/HEAD.json"
    head.unlink()
    assert [entry.dataset_id for entry in list_datasets(store.bundles, "b")] == sorted(set(made))
    assert not any(entry.is_head for entry in list_datasets(store.bundles, "b"))


def test_a_dataset_is_found_by_the_beginning_of_its_id_or_as_the_one_of_now(store, made):
    folder = store.bundles / "b"
    assert find_dataset(store.bundles, "b") == folder / made[3]
    assert find_dataset(store.bundles, "b", made[1]) == folder / made[1]
    assert find_dataset(store.bundles, "b", made[0][:8]) == folder / made[0]
    with pytest.raises(DatasetError, match="begins 3 datasets of b"):
        find_dataset(store.bundles, "b", "")
    with pytest.raises(DatasetError, match="has no dataset 'zz'; it has"):
        find_dataset(store.bundles, "b", "zz")
    with pytest.raises(DatasetError, match=r"bundle 'c' has no dataset .*ingested bundles: b"):
        find_dataset(store.bundles, "c")


def test_the_dataset_before_is_the_one_before_it_that_is_still_there(store, made):
    assert previous_dataset(store.bundles, "b", made[3]) == made[0]
    shutil.rmtree(store.bundles / "b" / made[0])
    assert previous_dataset(store.bundles, "b", made[3]) == made[1]
    with pytest.raises(DatasetError, match="name the one to compare with"):
        previous_dataset(store.bundles, "b", made[1])
