import shutil

import pytest

from backtrail.data.catalog import DataCatalog
from backtrail.errors import CatalogError
from tests.unit.batch.support import Project


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    project = Project.make(tmp_path_factory.mktemp("catalog") / "project")
    plan, failed = project.run()
    assert failed == []
    return project, plan.runs[0].backtest_id


@pytest.fixture
def catalog(finished, tmp_path):
    project, _ = finished
    shutil.copytree(project.root, tmp_path / "copy", symlinks=True)
    root = tmp_path / "copy"
    with DataCatalog(base_dir=root / "backtests", bundles_dir=root / "bundles") as catalog:
        yield catalog


def test_a_run_is_linked_to_the_bundle_and_dataset_it_used(catalog, finished):
    project, backtest_id = finished
    assert catalog.link_backtest(backtest_id) == ["prices"]
    assert catalog.get_bundles_for_backtest(backtest_id) == ["prices"]
    (dataset,) = catalog.get_datasets_for_backtest(backtest_id)
    assert (project.bundles / "prices" / dataset / "manifest.json").is_file()
    assert catalog.get_backtests_using_bundle("prices") == [backtest_id]


def test_linking_twice_makes_no_second_link(catalog, finished):
    _, backtest_id = finished
    catalog.link_backtest(backtest_id)
    catalog.link_backtest(backtest_id)
    assert len(catalog.get_datasets_for_backtest(backtest_id)) == 1


def test_what_is_not_there_has_no_links(catalog, finished):
    catalog.link_backtest(finished[1])
    assert catalog.get_bundles_for_backtest("20200101_000000_000") == []
    assert catalog.get_backtests_using_bundle("other") == []


def test_a_catalog_that_was_never_made_is_named(catalog):
    with pytest.raises(CatalogError, match=r"there is no catalog at .*backtests/catalog\.sqlite"):
        catalog.get_bundles_for_backtest("20200101_000000_000")


def test_relative_folders_count_from_the_project_around_us(tmp_path, monkeypatch):
    (tmp_path / "Snakefile").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    catalog = DataCatalog()
    assert catalog.base_dir == tmp_path / "backtests"
    assert catalog.bundles_dir == tmp_path / "bundles"
    assert catalog.url == f"sqlite:///{tmp_path}/backtests/catalog.sqlite"
    assert list((tmp_path / "notebooks").iterdir()) == []
