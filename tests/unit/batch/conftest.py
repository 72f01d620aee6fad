import pytest

from .support import Project


@pytest.fixture
def project(tmp_path):
    return Project.make(tmp_path / "project")
