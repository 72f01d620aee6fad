"""A project whose default batch has been run once; every test gets a copy of it."""

import os
import subprocess
from pathlib import Path

import pytest

from backtrail.files import lease
from tests.workflow.project import Project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with a finished batch. Not to be touched: copy it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished"
    folder.mkdir(exist_ok=True)
    said = folder / "said.txt"
    with lease(folder / "lock"):  # of the workers of a session the first one runs it
        if not said.exists():
            project = Project.make(folder / "project")
            output = project.plain_call()
            # Which trials a page counts depends on which runs had ended when it was made.
            project.snakemake("--forcerun", "render_report")
            said.write_text(output)
    return Project(folder / "project", said.read_text())


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """Return a copy of the finished project, its file times and hard links kept."""
    subprocess.run(["cp", "-a", finished.root, tmp_path / "project"], check=True)
    return Project(tmp_path / "project", finished.first_output)


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    """Return a project in which nothing has been run."""
    return Project.make(tmp_path / "project")
