import pytest

from .support import copy_project, ids_by_name, make_project


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A project that is run once and not to be touched."""
    return make_project(tmp_path_factory.mktemp("tending") / "project")


@pytest.fixture
def project(model, tmp_path):
    return copy_project(model, tmp_path / "project")


@pytest.fixture
def ids(project):
    return ids_by_name(project)
