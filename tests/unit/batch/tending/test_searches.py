"""Searches and looks at their holdouts, deleted and archived like any other run."""

import pytest

from backtrail.batch.execution.sandbox import Limits
from backtrail.batch.history.replay import replay_runs
from backtrail.batch.history.verifying import verify_runs
from backtrail.batch.holdout import open_holdout
from backtrail.batch.tending.archiving import archive_runs
from backtrail.batch.tending.deleting import delete_runs, preview_deletion
from backtrail.batch.tending.importing import import_archive
from tests.unit.batch.stages.test_searching import finish, plan_search
from tests.unit.batch.support import Project

from .support import NOW, copy_project


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A project with a search whose holdout was looked at. Not to be touched."""
    project = Project.make(tmp_path_factory.mktemp("searched") / "project")
    backtest_id, chunks = plan_search(project, validate={"holdout": {"start": "2020-02-20"}})
    search = finish(project, backtest_id, chunks)
    opened = open_holdout(project.store, search, project.bundles, Limits())
    return project, backtest_id, opened.backtest_id


def test_a_deletion_says_which_look_a_search_has_and_what_stays_counted(searched, tmp_path):
    model, search, look = searched
    project = copy_project(model, tmp_path / "project")
    store = project.store
    said = preview_deletion(store, [search]).runs[0]
    assert f"{look} is a look at its holdout, and stays" in said.needed
    assert said.stays == ("the count of 8 parameter sets",)
    (run,) = preview_deletion(store, [look]).runs
    assert run.stays == ("the count of 1 parameter set", "look 1 at the holdout of its search")
    both = preview_deletion(store, [search, look])
    assert not any("look" in sentence for run in both.runs for sentence in run.needed)
    identity = store.read_spec(look)["identity"]
    dataset, family = identity["dataset"]["dataset_id"], identity["strategy"]["entry"]
    counted = store.count_trials(dataset, family)
    delete_runs(store, [search, look], now=NOW)
    assert store.run_dirs() == []
    assert store.count_trials(dataset, family) == counted
    (kept,) = store.find_looks(dataset, family, **identity["holdout"])
    assert kept["look"] == 1


def test_a_search_and_its_look_are_replayed_on_another_machine(searched, tmp_path):
    model, search, look = searched
    file, other = tmp_path / "search.tar", Project(tmp_path / "other")
    archive_runs(model.store, [model.store.run(search), model.store.run(look)], model.bundles, file)
    import_archive(other.store, other.bundles, file)
    assert verify_runs(other.store, bundles_dir=other.bundles).is_intact
    replays = replay_runs(other.store, other.store.run_dirs(), other.bundles, Limits())
    assert {replay.backtest_id: replay.state for replay in replays} == {
        search: "identical",
        look: "identical",
    }
    spec = other.store.read_spec(look)["identity"]
    looks = other.store.find_looks(
        spec["dataset"]["dataset_id"], spec["strategy"]["entry"], **spec["holdout"]
    )
    assert [item["look"] for item in looks] == [1]
