import os
import shutil

import pytest

from backtrail.artifacts.store import RunStore
from backtrail.batch import stages
from backtrail.batch.history.verifying import verify_runs
from backtrail.errors import ArtifactManagerError, SealError
from tests.unit.batch.support import batch_config, entry

MEANS = "strategies/lib/means.py"
NAME = f"code/{MEANS}"


@pytest.fixture
def two(project):
    """A project with two sealed runs of one strategy, which share their code."""
    project.run()
    project.run(project.plan(seed=9))
    return project, *project.store.run_dirs()


def alter(path, text="altered"):
    path.chmod(0o644)
    path.write_text(text)


def shared(project, run, name=MEANS):
    files = {file["path"]: file["sha256"] for file in run.read_spec()["code"]["files"]}
    return project.store.objects / files[name][:2] / files[name]


def states(found):
    return [run.state for run in found.runs]


def test_a_whole_store_is_intact(two):
    project, one, other = two
    found = verify_runs(project.store)
    assert found.is_intact
    assert states(found) == ["intact", "intact"]
    assert [run.backtest_id for run in found.runs] == [one.backtest_id, other.backtest_id]
    assert {run.names for run in found.runs} == {("sma",)}
    assert {run.remedy for run in found.runs} == {None}
    assert str(found) == "2 intact"


def test_an_absent_store_is_an_error_and_an_empty_one_is_not(tmp_path):
    with pytest.raises(
        ArtifactManagerError, match=f"there is no run store at {tmp_path}/nothing: "
    ):
        verify_runs(RunStore(tmp_path / "nothing"))
    with pytest.raises(ArtifactManagerError, match="there is no run store"):
        verify_runs(RunStore(tmp_path / "nothing"), [])
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactManagerError, match="there is no run store"):
        verify_runs(RunStore(tmp_path / "file"))
    found = verify_runs(RunStore(tmp_path))
    assert (found.is_intact, found.runs, found.objects) == (True, (), ())
    assert str(found) == "the store has no runs"


def test_a_damaged_run_says_what_restores_it_from_where(two):
    project, one, other = two
    (one.results / "fills.parquet").unlink()
    (one.metadata).unlink()
    (other.metadata).write_text("altered")
    (other.results / "extra.txt").touch()
    found = verify_runs(project.store, base_dir=project.batch().places.base_dir)
    assert states(found) == ["damaged", "damaged"]
    assert sorted(found.runs[0].damage.missing) == [
        "metadata/backtest_metadata.json",
        "results/fills.parquet",
    ]
    assert found.runs[0].remedy == (
        "the next call of a batch that has the run (sma on bundle prices) restores what is "
        "missing; from any batch of this store `snakemake --cores 1 "
        f"backtests/{one.backtest_id}/results/fills.parquet` does"
    )
    assert found.runs[1].remedy.startswith(
        "move the unlisted files elsewhere; delete the altered files; the next call of a batch"
    )
    assert f"backtests/{other.backtest_id}/metadata/backtest_metadata.json`" in found.runs[1].remedy
    lines = str(found).splitlines()
    assert lines[:3] == [
        f"missing  {one.backtest_id}/metadata/backtest_metadata.json",
        f"missing  {one.backtest_id}/results/fills.parquet",
        f"         {found.runs[0].remedy}",
    ]
    assert lines[-1] == "2 damaged"
    assert found.to_dict()["runs"][1] == {
        "backtest_id": other.backtest_id,
        "state": "damaged",
        "names": ["sma"],
        "missing": [],
        "altered": ["metadata/backtest_metadata.json"],
        "unlisted": ["results/extra.txt"],
        "remedy": found.runs[1].remedy,
    }


@pytest.mark.parametrize("name", ["run.json", "metadata/run_spec.json"])
def test_a_run_that_lost_what_names_it_is_still_named(two, name):
    project, one, _ = two
    (one.path / name).unlink()
    found = verify_runs(project.store, [one])
    assert found.runs[0].names == ("sma",)
    assert "(sma on bundle prices)" in found.runs[0].remedy
    if name == "run.json":
        assert found.runs[0].remedy.startswith(
            f"what the run promised is lost: `backtrail delete {found.runs[0].backtest_id}`"
        )


def test_runs_without_a_seal_promise_nothing(project):
    plan = project.plan()
    run = project.store.run(plan.runs[0].backtest_id)
    assert states(verify_runs(project.store)) == ["open"]
    run.failed.touch()
    found = verify_runs(project.store)
    assert (states(found), found.is_intact) == (["failed"], True)


def test_a_file_altered_in_place_names_every_run_that_shares_it_also_when_one_is_asked_for(two):
    project, one, other = two
    alter(one.code / MEANS)
    for asked in (None, [one], [other]):
        found = verify_runs(project.store, asked)
        assert set(states(found)) == {"damaged"}
        (item,) = found.objects
        assert item.sha256 == shared(project, one).name
        assert item.state == "damaged"
        assert item.paths == (MEANS,)
        assert item.runs == item.altered == (one.backtest_id, other.backtest_id)
    text = str(found)
    assert f"captured by 2 runs: {one.backtest_id}, {other.backtest_id}\n" in text
    assert f"altered in {one.backtest_id}, {other.backtest_id}\n" in text
    assert text.splitlines()[-1] == "1 damaged, 1 shared code file to mend"


@pytest.mark.parametrize("lost", [True, False])
def test_a_lost_object_is_named_with_its_runs_though_their_copies_are_whole(two, lost):
    project, one, other = two
    text = (one.code / MEANS).read_bytes()
    for run in (one, other):  # copies, as on a file system without links
        (run.code / MEANS).unlink()
        (run.code / MEANS).write_bytes(text)
        os.utime(run.code / MEANS, (1, 1))
    thing = shared(project, one)
    thing.unlink() if lost else alter(thing)
    found = verify_runs(project.store, [one], base_dir=project.batch().places.base_dir)
    assert (states(found), found.is_intact) == (["intact"], False)
    (item,) = found.objects
    assert item.state == ("missing" if lost else "damaged")
    assert (item.runs, item.altered) == ((one.backtest_id, other.backtest_id), ())
    assert item.remedy == (
        f"it is stored anew from {project.root / MEANS} when a run needs it; to have it now: "
        + ("" if lost else "delete it; ")
        + f"snakemake --cores 1 backtests/.objects/{thing.parent.name}/{thing.name}"
    )
    project.write(MEANS, "changed")
    (found,) = verify_runs(project.store, [one]).objects
    assert f"from {one.code / MEANS} when" in found.remedy
    for run in (one, other):
        alter(run.code / MEANS)
    (found,) = verify_runs(project.store, [one]).objects
    assert found.remedy.startswith(f"no file has its content any more: put {MEANS} back as it was")


def test_a_copy_altered_by_itself_names_its_run_alone(two):
    project, one, other = two
    (one.code / MEANS).unlink()
    (one.code / MEANS).write_text("altered")
    found = verify_runs(project.store)
    assert states(found) == ["damaged", "intact"]
    (item,) = found.objects
    assert (item.state, item.altered) == ("intact", (one.backtest_id,))
    assert item.runs == (one.backtest_id, other.backtest_id)
    assert item.remedy == "delete the altered copies; they are restored from the shared file"


def test_mending_goes_as_the_remedies_say(two):
    project, one, other = two
    alter(one.code / MEANS)
    for run in (one, other):
        with pytest.raises(SealError):
            stages.capture_code(project.store, run.backtest_id)
        (run.code / MEANS).unlink()
    with project.executor() as executor:
        for run in (one, other):
            stages.restore_run(project.store, run.backtest_id, executor)
    assert str(verify_runs(project.store)) == "2 intact"


def test_code_that_a_planned_run_needs_is_looked_at(project):
    plan = project.plan()
    run = project.store.run(plan.runs[0].backtest_id)
    shared(project, run).unlink()
    (item,) = verify_runs(project.store).objects
    assert (item.state, item.runs, item.altered) == ("missing", (run.backtest_id,), ())
    shutil.rmtree(run.path)
    assert verify_runs(project.store).objects == (), "no run is left that needs it"


def test_a_run_whose_spec_is_lost_everywhere_is_known_by_its_inventory(two):
    project, one, other = two
    one.spec.unlink()
    (project.store.keys / "ids" / one.backtest_id).unlink()
    shared(project, other).unlink()
    (item,) = verify_runs(project.store, [one]).objects
    assert item.runs == (one.backtest_id, other.backtest_id)


def flip(path, position=10):
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))


@pytest.fixture
def two_datasets(project):
    """Return a run on the first dataset, a failed one on it, and a run on a second dataset."""
    project.write("strategies/bad.py", "import nowhere\n")
    project.configure(
        batch_config(batch={"sma": entry(), "bad": entry(strategy="strategies/bad.py")})
    )
    project.run()
    prices = project.root / "prices/AAA.csv"
    prices.write_text(prices.read_text().replace(",1000", ",1001"))
    project.configure(batch_config())
    project.run()
    return project, *project.store.run_dirs()


def test_a_byte_changed_in_a_dataset_is_told_of_exactly_the_runs_that_use_it(two_datasets):
    project, first, bad, second = two_datasets
    ids = [run.read_spec()["identity"]["dataset"]["dataset_id"] for run in (first, bad, second)]
    assert ids[0] == ids[1] != ids[2]
    assert verify_runs(project.store, bundles_dir=project.bundles).is_intact
    for dataset, users in ((ids[0], [first, bad]), (ids[2], [second])):
        folder = project.bundles / "prices" / dataset
        for name in ("bars.parquet", "adjustments.parquet"):
            flip(folder / name)
            found = verify_runs(project.store, bundles_dir=project.bundles)
            assert not found.is_intact
            assert states(found) == ["intact", "failed", "intact"], "the runs' own files are whole"
            (damaged,) = found.datasets
            assert list(damaged.files) == [str(folder / name)]
            assert damaged.runs == tuple(run.backtest_id for run in users)
            count = f"{len(users)} run{'s' if len(users) > 1 else ''}"
            assert f"used by {count}: {', '.join(damaged.runs)}\n" in str(found)
            assert str(found).endswith(", 1 dataset to mend")
            flip(folder / name)
    assert verify_runs(project.store, bundles_dir=project.bundles).is_intact


def test_asking_about_one_run_names_all_that_use_its_damaged_dataset(two_datasets):
    project, first, bad, second = two_datasets
    dataset = first.read_spec()["identity"]["dataset"]["dataset_id"]
    folder = project.bundles / "prices" / dataset
    shutil.rmtree(folder)
    assert verify_runs(project.store, [second], bundles_dir=project.bundles).is_intact
    found = verify_runs(project.store, [bad], bundles_dir=project.bundles)
    (damaged,) = found.datasets
    assert (damaged.files, damaged.bundle) == ({str(folder): "is missing"}, "prices")
    assert damaged.runs == (first.backtest_id, bad.backtest_id)
    assert "the source of its bundle gives another dataset now" in damaged.remedy
    shutil.rmtree(
        project.bundles / "prices" / second.read_spec()["identity"]["dataset"]["dataset_id"]
    )
    (damaged,) = verify_runs(project.store, [second], bundles_dir=project.bundles).datasets
    assert "receipt.json, and the next call ingests it again" in damaged.remedy
    (project.bundles / "prices" / "receipt.json").unlink()
    project.run()
    assert verify_runs(project.store, [second], bundles_dir=project.bundles).is_intact


def test_records_that_were_altered_break_no_verification(two_datasets):
    project, first, _, second = two_datasets
    first.manifest.write_text("{}")
    second.spec.chmod(0o644)
    second.spec.write_text('{"identity": 1}')
    found = verify_runs(project.store, [first, second], bundles_dir=project.bundles)
    assert [run.damage.altered for run in found.runs] == [
        ("run.json",),
        ("metadata/run_spec.json",),
    ]
    assert found.datasets == ()
