import shutil

import pytest

from backtrail.artifacts.store import RunStore
from backtrail.batch.reading import describe_run, find_run, source_lines, verify_runs
from backtrail.errors import ArtifactManagerError
from backtrail.files import write_json
from backtrail.provenance.objects import ObjectStore

from .support import batch_config, entry


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
        "sources": [],
    }
    assert found[1].damage.missing == ("results/fills.parquet",)
    assert found[1].damage.unlisted == ("results/extra.txt",)


def flip(path, position=10):
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))


@pytest.fixture
def two_datasets(project):
    """Return a run on the first dataset, a failed one on it, and a run on a second dataset."""
    batch = {"sma": entry(), "bad": entry(strategy="strategies/bad.py")}
    project.write("strategies/bad.py", "import nowhere\n")
    project.configure(batch_config(batch=batch))
    project.run()
    prices = project.root / "prices/AAA.csv"
    prices.write_text(prices.read_text().replace(",1000", ",1001"))
    project.configure(batch_config())
    project.run()
    return project


def test_a_byte_changed_in_a_dataset_is_told_of_exactly_the_runs_that_use_it(two_datasets):
    project = two_datasets
    first, bad, second = project.store.run_dirs()
    dataset = first.read_spec()["identity"]["dataset"]["dataset_id"]
    assert bad.read_spec()["identity"]["dataset"]["dataset_id"] == dataset
    runs = [first, bad, second]
    clean = verify_runs(project.store, runs, project.bundles)
    assert [item.is_damaged for item in clean] == [False, False, False]
    flip(project.bundles / "prices" / dataset / "bars.parquet")
    found = verify_runs(project.store, runs, project.bundles)
    assert [item.state for item in found] == ["damaged", "failed", "intact"]
    assert [item.is_damaged for item in found] == [True, True, False]
    (source,) = found[0].sources
    assert source.path.endswith(f"bundles/prices/{dataset}/bars.parquet")
    assert source.used_as == f"dataset {dataset} of bundle prices"
    (line,) = source_lines(found)
    assert line.endswith(f"used by {first.backtest_id}, {bad.backtest_id})")
    assert not found[0].damage


def test_a_dataset_that_is_gone_is_named(two_datasets):
    first, *_ = two_datasets.store.run_dirs()
    dataset = first.read_spec()["identity"]["dataset"]["dataset_id"]
    folder = two_datasets.bundles / "prices" / dataset
    shutil.rmtree(folder)
    (found,) = verify_runs(two_datasets.store, [first], two_datasets.bundles)
    assert [(item.path, item.what) for item in found.sources] == [(str(folder), "is missing")]


def test_a_damaged_object_is_told_of_the_runs_whose_code_it_holds(two_datasets):
    project = two_datasets
    first, bad, second = project.store.run_dirs()
    (file,) = bad.read_spec()["code"]["files"]
    shared = ObjectStore(project.store.objects).path(file["sha256"])
    flip(shared, 2)
    found = verify_runs(project.store, [first, bad, second], project.bundles)
    assert [item.is_damaged for item in found] == [False, True, False]
    (source,) = found[1].sources
    assert (source.path, source.used_as) == (str(shared), "code/strategies/bad.py")
    shared.unlink()  # every run has its own link; only planning needs the object
    found = verify_runs(project.store, [bad], project.bundles)
    assert not found[0].is_damaged


def test_records_that_were_altered_break_no_verification(two_datasets):
    project = two_datasets
    first, _, second = project.store.run_dirs()
    first.manifest.write_text("{}")
    second.spec.chmod(0o644)
    second.spec.write_text('{"identity": 1}')
    found = verify_runs(project.store, [first, second], project.bundles)
    assert [item.damage.altered for item in found] == [("run.json",), ("metadata/run_spec.json",)]
    assert [item.sources for item in found] == [(), ()]
