import json
import shutil
import subprocess

import pytest

from backtrail.batch.history.versions import strategy_versions, versions_text
from backtrail.catalog.catalog import Catalog
from backtrail.cli import main
from backtrail.errors import QueryError
from tests.unit.batch.support import Project, batch_config, entry, functions

MEANS = "strategies/lib/means.py"


def git(folder, *arguments):
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, check=True)


def commit(folder):
    git(folder, "add", "strategies")
    git(folder, "commit", "-q", "-m", "as it is now")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project whose strategy has had three versions: two runs, a failed one, one more."""
    project = Project.make(tmp_path_factory.mktemp("versions") / "project")
    grid = {"sma": entry(grid={"fast": [2, 3]})}
    project.configure(batch_config(batch=grid))
    git(project.root, "init", "-q")
    commit(project.root)
    project.run()
    means = (project.root / MEANS).read_text()
    project.write(MEANS, means + "\n\nraise RuntimeError('no luck')\n")
    project.configure(batch_config(batch={"sma": entry()}))
    project.run()
    project.write(MEANS, means + "# better now\n")
    project.write("strategies/other/sma.py", functions())
    commit(project.root)
    other = entry(strategy="strategies/other/sma.py")
    project.configure(batch_config(batch={"sma": entry(), "other": other}))
    project.run()
    return project


@pytest.fixture
def catalog(made):
    url = f"sqlite:///{made.store.base_dir / 'catalog.sqlite'}"
    with Catalog(url, made.store, made.bundles) as catalog:
        catalog.sync()
        yield catalog


def hash_of(made, name, at):
    specs = [run.read_spec() for run in made.store.run_dirs()]
    found = [spec for spec in specs if spec["labels"]["names"][0].startswith(name)]
    return found[at]["identity"]["strategy"]["code_hash"]


def test_versions_follow_the_code_with_what_changed_and_how_they_did(catalog, made):
    first, second, third = strategy_versions(catalog, "strategies/sma.py", "total_trades")
    assert [item.code_hash for item in (first, second, third)] == [
        hash_of(made, "sma", at) for at in (0, 2, 3)
    ]
    counts = [(item.runs, item.completed, item.failed) for item in (first, second, third)]
    assert counts == [(2, 2, 0), (1, 0, 1), (1, 1, 0)]
    trades = [row["total_trades"] for row in catalog.find_runs(name="sma")]
    assert (first.best, first.median) == (max(trades[:2]), sum(trades[:2]) / 2)
    assert (second.best, third.best) == (None, trades[3])
    assert first.changes == ()
    assert second.changes == (f"{MEANS} changed in lines 3-5 (new), imported by strategies/sma.py",)
    assert third.changes == (f"{MEANS} changed in line 3, imported by strategies/sma.py",)
    assert [len(item.commits) for item in (first, second, third)] == [1, 1, 1]
    assert first.commits == second.commits != third.commits
    assert first.first == catalog.find_runs()[0]["started_at"][:10]


def test_versions_as_text_have_a_line_each_and_their_changes_below(catalog):
    versions = strategy_versions(catalog, "strategies/sma.py", "total_trades")
    lines = versions_text(versions, "total_trades").splitlines()
    day = versions[0].first
    assert lines[0] == "strategies/sma.py: 3 versions"
    best, median = versions[0].best, versions[0].median
    assert lines[1] == (
        f"  1  {versions[0].code_hash[:12]}  {day} to {versions[0].last}  2 runs  "
        f"total_trades best {best:,.0f}, median {median:g}"
    )
    assert lines[2] == f"     commit {versions[0].commits[0][:12]}"
    assert lines[3].startswith("  2  ")
    assert lines[3].endswith("  1 run, 1 failed")
    assert lines[4] == f"     {versions[1].changes[0]}"
    assert len(lines) == 9


def test_a_strategy_is_found_by_the_end_of_its_path_where_only_one_ends_so(catalog):
    (only,) = strategy_versions(catalog, "other/sma.py")
    assert only.strategy == "strategies/other/sma.py"
    with pytest.raises(QueryError, match=r"'sma.py' may be strategies/other/sma.py or strategies/"):
        strategy_versions(catalog, "sma.py")
    with pytest.raises(QueryError, match=r"no run has the strategy 'smaa.py'; there are strat"):
        strategy_versions(catalog, "smaa.py")
    with pytest.raises(QueryError, match=r"'shrape_ratio'; there are sharpe_ratio, "):
        strategy_versions(catalog, "other/sma.py", "shrape_ratio")


def test_a_version_whose_runs_are_gone_is_told_without_its_changes(catalog, made, tmp_path):
    run = made.store.run(catalog.find_runs(status="failed")[0]["backtest_id"])
    shutil.move(run.path, tmp_path / "kept")
    try:
        changes = [item.changes for item in strategy_versions(catalog, "strategies/sma.py")]
    finally:
        shutil.move(tmp_path / "kept", run.path)
    said = "what changed cannot be said: no run of {} is in the store any more"
    assert changes[1:] == [(said.format("this version"),), (said.format("the version before"),)]


def test_the_command_tells_the_same(catalog, made, monkeypatch, capsys):
    monkeypatch.chdir(made.root)
    arguments = ["history", "strategies/sma.py", "--configfile", "config.yaml"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == versions_text(
        strategy_versions(catalog, "strategies/sma.py"), "sharpe_ratio"
    )
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [item["runs"] for item in told] == [2, 1, 1]
    assert main(["history", "gone.py", "--configfile", "config.yaml"]) == 1
    assert "no run has the strategy 'gone.py'; there are" in capsys.readouterr().err
