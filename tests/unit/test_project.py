from pathlib import Path

import pytest

from backtrail.project import MARKERS, find_project_root, project_root


@pytest.mark.parametrize("marker", MARKERS)
def test_each_marker_makes_the_folder_a_project(tmp_path, marker):
    (tmp_path / marker).parent.mkdir(exist_ok=True)
    (tmp_path / marker).touch()
    deep = tmp_path / "notebooks" / "january"
    deep.mkdir(parents=True)
    assert find_project_root(deep) == tmp_path
    assert project_root(deep / "strategy.py") == tmp_path


def test_the_nearest_marker_counts(tmp_path):
    (tmp_path / ".git").mkdir()
    inner = tmp_path / "research"
    inner.mkdir()
    (inner / "Snakefile").touch()
    assert find_project_root(inner / "strategies") == inner
    assert find_project_root(tmp_path / "other") == tmp_path


def test_without_a_marker_the_folder_of_the_file_is_the_project(tmp_path):
    assert find_project_root(tmp_path) is None, "this test needs a folder outside of any project"
    assert project_root(tmp_path / "a" / "strategy.py") == tmp_path / "a"


def test_a_relative_file_counts_from_where_we_are(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert project_root(Path("strategy.py")) == tmp_path
