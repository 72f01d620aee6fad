import json
import shutil
from datetime import date

import pytest

from backtrail.backtest import DataCatalog
from backtrail.data.manifest import read_head
from backtrail.errors import CatalogError
from tests.postgres import new_database, running_server
from tests.projects import write_prices
from tests.unit.batch.support import Project


@pytest.fixture(scope="module")
def server():
    with running_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    """The URL of an empty database of either kind; None is SQLite's usual place."""
    if request.param == "sqlite":
        return None
    return new_database(request.getfixturevalue("server"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    project = Project.make(tmp_path_factory.mktemp("catalog") / "project")
    plan, failed = project.run()
    assert failed == []
    return project, plan.runs[0].backtest_id


@pytest.fixture
def copy(finished, tmp_path):
    project, _ = finished
    return Project(shutil.copytree(project.root, tmp_path / "copy", symlinks=True))


@pytest.fixture
def catalog(copy, url):
    with DataCatalog(url, base_dir=copy.store.base_dir, bundles_dir=copy.bundles) as catalog:
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


def test_a_catalog_that_was_never_made_is_named(catalog, url):
    expected = r"there is no catalog at .*backtests/catalog\.sqlite"
    if url is not None:
        expected = r"cannot read the catalog postgresql.*`backtrail catalog-sync` makes it"
    with pytest.raises(CatalogError, match=expected):
        catalog.get_bundles_for_backtest("20200101_000000_000")


@pytest.fixture
def grown(copy, catalog):
    """Add a run on a second dataset of the bundle; return both runs and both datasets."""
    write_prices(copy.root / "prices", sessions=42)
    plan, failed = copy.run()
    assert failed == []
    runs = [run.backtest_id for run in copy.store.run_dirs()]
    catalog.link_backtest(plan.runs[0].backtest_id)
    head = json.loads((copy.bundles / "prices/HEAD.json").read_text())
    return runs, [entry["dataset_id"] for entry in head["history"]]


def test_each_run_is_linked_to_its_own_dataset_of_one_bundle(catalog, grown):
    runs, datasets = grown
    assert len(set(runs)) == len(set(datasets)) == 2
    for run, dataset in zip(runs, datasets, strict=True):
        assert catalog.get_datasets_for_backtest(run) == [dataset]
        assert catalog.get_backtests_using_dataset(dataset) == [run]
    assert catalog.get_backtests_using_bundle("prices") == runs
    assert catalog.get_backtests_using_dataset("0" * 16) == []


def test_bundles_and_datasets_are_listed_with_what_they_hold(catalog, grown, copy):
    _, (older, newer) = grown
    assert catalog.get_bundles() == [{"bundle": "prices", "dataset_id": newer, "datasets": 2}]
    listed = {row["dataset_id"]: row for row in catalog.get_datasets("prices")}
    assert list(listed) == sorted([older, newer])
    assert (listed[older]["bars"], listed[newer]["bars"]) == (80, 84)
    assert listed[newer]["symbols"] == 2
    assert (listed[newer]["calendar"], listed[newer]["timeframe"]) == ("24/5", "1d")
    assert catalog.get_datasets("other") == []
    assert catalog.get_datasets() == list(listed.values())


def test_what_was_ingested_before_is_found_for_another_use(catalog, grown, copy):
    _, (older, newer) = grown
    folder = copy.bundles / "prices"
    assert read_head(copy.bundles, "prices") == newer
    window = (date(2020, 1, 2), date(2020, 2, 26))

    def find(*symbols, window=window, **options):
        return catalog.find_cached(symbols, *window, **{"timeframe": "1d", **options})

    assert find("AAA") == [folder / newer, folder / older]
    assert find("AAA", "BBB", calendar="24/5", bundle="prices") == [folder / newer, folder / older]
    assert find("AAA", window=(date(2020, 1, 2), date(2020, 2, 28))) == [folder / newer]
    assert find("AAA", window=(date(2020, 1, 1), date(2020, 2, 28))) == []
    for nothing in ({"timeframe": "1h"}, {"calendar": "XNYS"}, {"bundle": "other"}):
        assert find("AAA", **nothing) == []
    assert find("AAA", "ZZZ") == []
    shutil.rmtree(folder / older)
    assert find("AAA") == [folder / newer]


def test_two_bundles_of_equal_content_both_hold_their_dataset(catalog, copy, finished):
    (dataset,) = [path.parent for path in copy.bundles.glob("prices/*/manifest.json")]
    twin = copy.bundles / "aaa"  # the first by name
    shutil.copytree(copy.bundles / "prices", twin)
    catalog.link_backtest(finished[1])
    for bundle in ("prices", "aaa"):
        (row,) = catalog.get_datasets(bundle)
        assert (row["bundle"], row["dataset_id"]) == (bundle, dataset.name)
        window = (date(2020, 1, 2), date(2020, 2, 26))
        found = catalog.find_cached(["AAA"], *window, timeframe="1d", bundle=bundle)
        assert found == [copy.bundles / bundle / dataset.name]
    assert len(catalog.get_datasets()) == 1


def test_a_rebuilt_catalog_has_the_same_links(catalog, grown, copy, url):
    runs, _ = grown
    before = [(run, catalog.get_datasets_for_backtest(run)) for run in runs]
    catalog.close()
    if url is None:
        for path in copy.store.base_dir.glob("catalog.sqlite*"):
            path.unlink()
    else:
        url = new_database(url.rpartition("/")[0])
    with DataCatalog(url, base_dir=copy.store.base_dir, bundles_dir=copy.bundles) as again:
        again.link_backtest(runs[0])
        assert [(run, again.get_datasets_for_backtest(run)) for run in runs] == before


def test_relative_folders_count_from_the_project_around_us(tmp_path, monkeypatch):
    (tmp_path / "Snakefile").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    catalog = DataCatalog()
    assert catalog.base_dir == tmp_path / "backtests"
    assert catalog.bundles_dir == tmp_path / "bundles"
    assert catalog.url == f"sqlite:///{tmp_path}/backtests/catalog.sqlite"
    assert list((tmp_path / "notebooks").iterdir()) == []


def test_folders_and_url_are_those_of_the_projects_config(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(
        "backtest_output: {base_dir: runs}\n"
        "storage: {bundles_dir: data/bundles, catalog_url: 'sqlite:///index.sqlite'}\n"
    )
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    catalog = DataCatalog()
    assert catalog.base_dir == tmp_path / "runs"
    assert catalog.bundles_dir == tmp_path / "data/bundles"
    assert catalog.url == f"sqlite:///{tmp_path}/index.sqlite"
    assert DataCatalog(base_dir=tmp_path / "runs").url == catalog.url
    other = DataCatalog(base_dir="others")
    assert other.url == f"sqlite:///{tmp_path}/others/catalog.sqlite", "a store of its own"
