import pytest

from backtrail.artifacts.store import RunStore
from backtrail.batch.history.reading import describe_run, find_run
from backtrail.errors import ArtifactManagerError
from backtrail.files import write_json


@pytest.fixture
def store(tmp_path):
    store = RunStore(tmp_path)
    for name in ("20200101_000000_000", "20200101_000000_001", "20210101_000000_000", "mine"):
        spec = {"backtest_id": name, "run_key": name, "identity": {}}
        write_json(store.run(name).spec, spec)
    return store


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("20210101_000000_000", "20210101_000000_000"),
        ("2021", "20210101_000000_000"),
        ("m", "mine"),
    ],
)
def test_a_run_is_found_by_its_id_or_its_beginning(store, wanted, found):
    assert find_run(store, wanted).backtest_id == found


def test_an_exact_id_wins_over_ids_that_begin_with_it(store):
    write_json(store.run("mine-too").spec, {})
    assert find_run(store, "mine").backtest_id == "mine"


def test_an_ambiguous_beginning_names_the_candidates(store):
    with pytest.raises(ArtifactManagerError, match=r"'2020' begins 2 ids \(20200101_000000_000, "):
        find_run(store, "2020")


def test_an_absent_run_names_the_newest_or_the_empty_store(store, tmp_path):
    with pytest.raises(ArtifactManagerError, match=r"no run 'x' in .*; the newest is mine"):
        find_run(store, "x")
    with pytest.raises(ArtifactManagerError, match=r"the store is empty"):
        find_run(RunStore(tmp_path / "nothing"), "x")


def test_a_run_that_has_not_begun_is_planned(store):
    assert describe_run(store.run("mine"))["status"] == "planned"
