import os
from pathlib import Path

import pytest

from backtrail.batch.planning.folders import PathMistakeError, check_path, check_store_path
from backtrail.batch.planning.places import Places
from backtrail.batch.planning.plan import make_plan
from backtrail.errors import ConfigError
from tests.projects import PRICES, write_prices
from tests.unit.batch.support import batch_config, entry


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def problems_of(project, **sections):
    with pytest.raises(ConfigError) as caught:
        project.batch(**sections)
    return [str(problem) for problem in caught.value.problems]


def test_a_tilde_is_the_home_folder_in_every_folder_of_a_config(home, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "backtest_output: {base_dir: ~/runs}\n"
        "storage: {bundles_dir: ~/bundles, catalog_url: 'sqlite:///~/catalog.sqlite'}\n"
    )
    places = Places.read([Path("c.yaml")], tmp_path)
    assert places.store.base_dir == home / "runs"
    assert places.bundles == home / "bundles"
    assert places.catalog_url == f"sqlite:///{home}/catalog.sqlite"
    (tmp_path / "c.yaml").write_text("backtest_output: {base_dir: ~/runs}\n")
    assert Places.read([Path("c.yaml")], tmp_path).catalog_url.startswith(f"sqlite:///{home}/runs")


def test_a_batch_below_the_home_folder_is_the_same_batch_for_every_user(
    project, home, tmp_path, monkeypatch
):
    write_prices(home / "prices", sessions=40)
    sections = {
        "backtest_output": {"base_dir": "~/runs"},
        "storage": {"bundles_dir": "~/bundles"},
        "bundles": {"prices": {**PRICES, "path": "~/prices"}},
    }
    project.configure(batch_config(**sections))
    plan = make_plan(project.ingest())
    (run,) = plan.runs
    assert (home / "runs" / run.backtest_id / "metadata/run_spec.json").is_file()
    assert (home / "bundles/prices/HEAD.json").is_file()
    assert not (project.root / "~").exists()

    other = tmp_path / "other"
    write_prices(other / "prices", sessions=40)
    monkeypatch.setenv("HOME", str(other))
    again = make_plan(project.ingest())
    assert again.batch_key == plan.batch_key
    assert [item.run_key for item in again.runs] == [run.run_key]
    assert (other / "runs" / again.runs[0].backtest_id).is_dir()


def test_a_planned_batch_below_the_home_folder_is_known_and_not_checked_again(project, home):
    project.configure(batch_config(backtest_output={"base_dir": "~/runs"}))
    make_plan(project.ingest())
    (project.root / "prices/AAA.csv").unlink()
    assert project.batch().plan_path.is_relative_to(home / "runs")


def test_the_home_of_nobody_is_a_mistake_with_its_key(project):
    found = problems_of(
        project,
        backtest_output={"base_dir": "~no-such-user/runs"},
        storage={"catalog_url": "sqlite:///~no-such-user/c.sqlite"},
    )
    assert found == [
        'config.yaml: backtest_output.base_dir: "~no-such-user/runs" is not a usable path '
        "(~no-such-user means a home folder, and there is none); name the folder itself",
        'config.yaml: storage.catalog_url: "sqlite:///~no-such-user/c.sqlite" is not a usable URL '
        "(~no-such-user means a home folder, and there is none); name the folder itself",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("runs{x}", "Snakemake reads it as a wildcard: {"),
        ("runs}", "Snakemake reads it as a wildcard: }"),
        ("$HOME/runs", "variables are not read in a config: $"),
        ("runs*", "it is read as a pattern of many paths: *"),
        ("runs`id`", "a shell reads it otherwise: `"),
        ("runs;id", "a shell reads it otherwise: ;"),
        ("ru\\ns", "a shell reads it otherwise: \\"),
        ("ru\nns", "it has the control character '\\n'"),
        ("s3://bucket/runs", "it is a URL"),
        ("c:runs", "what stands before ':' is read as the scheme of a URL"),
    ],
)
def test_a_sign_that_snakemake_or_a_shell_reads_otherwise_is_refused_in_a_folder(text, found):
    with pytest.raises(PathMistakeError) as caught:
        check_store_path(text)
    assert str(caught.value) == found
    check_path(text)  # a source is opened by us alone


@pytest.mark.parametrize(
    "text", ["runs", "/home/o'brien/my runs", "größe/läufe", "/a-b_c.d+e,f=g(1)#%@:x"]
)
def test_signs_that_mean_themselves_everywhere_are_taken(text):
    check_store_path(text)


def test_braces_in_both_folders_are_told_at_once_before_any_job(project):
    found = problems_of(
        project,
        backtest_output={"base_dir": "runs{x}"},
        storage={"bundles_dir": "b{bundle}"},
        batch={"sma": entry(symbols=["ZZZ"])},
    )
    assert len(found) == 3
    assert found[0].startswith(
        'config.yaml: backtest_output.base_dir: "runs{x}" is not a usable path (Snakemake reads '
        "it as a wildcard: {); name a folder by letters"
    )
    assert found[1].startswith('config.yaml: storage.bundles_dir: "b{bundle}" is not a usable')
    assert "has no symbol 'ZZZ'" in found[2]


def test_a_folder_that_is_a_file_or_cannot_be_made_is_told_with_the_other_mistakes(project):
    found = problems_of(
        project,
        backtest_output={"base_dir": "prices/AAA.csv"},
        storage={"bundles_dir": "prices/BBB.csv/bundles"},
        batch={"sma": entry(symbols=["ZZZ"])},
    )
    remedy = "; name a folder that is there or can be made"
    assert found[:2] == [
        f"config.yaml: backtest_output.base_dir: 'prices/AAA.csv' is no folder{remedy}",
        "config.yaml: storage.bundles_dir: 'prices/BBB.csv/bundles' cannot be made: "
        f"{project.root}/prices/BBB.csv is a file{remedy}",
    ]
    assert len(found) == 3


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_folder_where_nothing_can_be_made_is_told_even_to_root(project):
    (found,) = problems_of(project, storage={"bundles_dir": "/proc/nowhere"})
    assert "storage.bundles_dir: '/proc/nowhere' cannot be made: /proc: " in found


def test_a_link_that_leads_nowhere_is_no_folder(project):
    (project.root / "runs").symlink_to(project.root / "gone")
    (found,) = problems_of(project, backtest_output={"base_dir": "runs"})
    assert "backtest_output.base_dir: 'runs' is no folder" in found


def test_a_folder_that_can_be_made_is_not_made_by_the_look(project):
    before = sorted(os.listdir(project.root))
    project.batch(backtest_output={"base_dir": "new/runs"}, storage={"bundles_dir": "n/b"})
    assert sorted(os.listdir(project.root)) == before
