import json
import os

import pytest

from backtrail.cli import main
from tests.unit.batch.support import Project, batch_config, entry


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with two sealed runs, whose config has the usual name."""
    project = Project.make(tmp_path_factory.mktemp("options") / "project")
    project.configure(batch_config(batch={"sma": entry(), "slow": entry(params={"slow": 9})}))
    project.run()
    (project.root / "config").mkdir()
    (project.root / "config.yaml").rename(project.root / "config/config.yaml")
    (project.root / "docs/deep").mkdir(parents=True)
    return project


@pytest.fixture
def call(made, monkeypatch, capsys):
    """Run a command from a folder of the project; return status, output and errors."""

    def call(folder, *arguments):
        monkeypatch.chdir(made.root / folder)
        status = main(arguments)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    assert call(".", "catalog-sync")[0] == 0
    return call


def files_of(project):
    return sorted(
        path.relative_to(project.root).as_posix()
        for path in project.root.rglob("*")
        if "__pycache__" not in path.parts
    )


@pytest.mark.parametrize(
    "command",
    [
        ["plan", "--all"],
        ["list", "--json"],
        ["show", "RUN"],
        ["verify"],
        ["replay", "RUN"],
        ["why", "RUN"],
        ["tag", "RUN"],
        ["report", "RUN", "--json"],
        ["verdict"],
        ["catalog-sync", "--rebuild"],
        ["data", "list"],
        ["data", "verify"],
        ["data", "lock", "--check"],
        ["data", "gc"],
    ],
    ids=" ".join,
)
def test_a_command_says_the_same_in_every_folder_of_a_project(command, call, made):
    run = min(run.backtest_id for run in made.store.run_dirs())
    arguments = [run if piece == "RUN" else piece for piece in command]
    call(".", *arguments)  # the first replay lifts the grade
    expected = call(".", *arguments)
    assert expected[0] == 0
    before = files_of(made)
    for folder in ("docs/deep", "strategies", "backtests"):
        assert call(folder, *arguments) == expected
    assert files_of(made) == before, "nothing was made where the user stood"


def test_a_named_config_counts_from_where_the_user_stands(call, made):
    made.write("config/batches/other.yaml", "backtest_output: {base_dir: nothing}\n")
    for folder, typed in (
        ("docs/deep", "../../config/batches/other.yaml"),
        ("config/batches", "other.yaml"),
        ("docs", str(made.root / "config/batches/other.yaml")),
    ):
        status, out, err = call(folder, "list", "--configfile", typed)
        assert (status, out) == (1, "")
        assert f"there is no run store {made.root / 'nothing'}; " in err
        assert "base_dir in config/batches/other.yaml; " in err
        assert err.endswith(f"\nThe project is {made.root}; its paths count from there\n")
    status, _, err = call("docs", "list", "--configfile", "config/config.yaml")
    assert status == 1
    assert "docs/config/config.yaml: there is no such file" in err


def test_what_a_command_writes_for_the_user_counts_from_where_the_user_stands(call, made):
    runs = [run.backtest_id for run in made.store.run_dirs()]
    assert call("docs/deep", "compare", *runs, "--out", "table.csv")[0] == 0
    assert (made.root / "docs/deep/table.csv").read_text().count("\n") == 3
    status, out, _ = call("docs/deep", "data", "lock")
    assert status == 0
    assert out.endswith("written: ../../config/bundles.lock.yaml\n")
    assert "prices" in (made.root / "config/bundles.lock.yaml").read_text()


def test_outside_of_every_project_a_named_config_leads_to_its_own(call, made, tmp_path):
    expected = json.loads(call(".", "list", "--json")[1])
    away = os.path.relpath(tmp_path, made.root)
    status, out, _ = call(
        away, "list", "--json", "--configfile", str(made.root / "config/config.yaml")
    )
    assert (status, json.loads(out)) == (0, expected)
    assert list(tmp_path.iterdir()) == []


def test_a_project_without_the_usual_config_is_named_where_it_was_found(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "Snakefile").touch()
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    assert main(["list"]) == 1
    err = capsys.readouterr().err
    assert f"{tmp_path}: this project has no config/config.yaml; " in err
    assert err.endswith(f"The project is {tmp_path}; its paths count from there\n")
