"""A project whose default batch has been run once per worker; every test gets a copy of it."""

import subprocess
from pathlib import Path

import pytest

from tests.workflow.project import Project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with a finished batch. Not to be touched: copy it."""
    project = Project.make(tmp_path_factory.mktemp("finished") / "project")
    project.first_output = project.snakemake()
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """Return a copy of the finished project, its file times and hard links kept."""
    subprocess.run(["cp", "-a", finished.root, tmp_path / "project"], check=True)
    return Project(tmp_path / "project", finished.first_output)


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    """Return a project in which nothing has been run."""
    return Project.make(tmp_path / "project")
