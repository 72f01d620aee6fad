import pytest

from backtrail.artifacts.store import RunStore
from backtrail.batch.reading import describe_run, find_run, verify_runs
from backtrail.errors import ArtifactManagerError
from backtrail.files import write_json


@pytest.fixture
def store(tmp_path):
    store = RunStore(tmp_path)
    for name in ("20200101_000000_000", "20200101_000000_001", "20210101_000000_000", "mine"):
        write_json(store.run(name).spec, {"backtest_id": name, "identity": {}})
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


def test_verifying_names_what_differs_and_who_shares_it(project):
    project.run()
    _plan, _ = project.run(project.plan(seed=9))
    one, two = project.store.run_dirs()
    assert [item.state for item in verify_runs(project.store, [one, two])] == ["intact", "intact"]
    shared = one.code / "strategies/sma.py"
    shared.chmod(0o644)
    shared.write_text("altered")
    (two.results / "fills.parquet").unlink()
    (two.results / "extra.txt").touch()
    found = verify_runs(project.store, [one, two])
    assert [item.state for item in found] == ["damaged", "damaged"]
    assert found[0].to_dict() == {
        "backtest_id": one.backtest_id,
        "state": "damaged",
        "missing": [],
        "altered": ["code/strategies/sma.py"],
        "unlisted": [],
        "shares": {"code/strategies/sma.py": [two.backtest_id]},
    }
    assert found[1].damage.missing == ("results/fills.parquet",)
    assert found[1].damage.unlisted == ("results/extra.txt",)
