import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.unit.batch.support import batch_config

from .project import ScriptProject


@pytest.fixture(scope="session")
def ingested(tmp_path_factory):
    """A project whose bundle is ingested. Not to be touched: copy it."""
    from backtrail.batch.planning.bundles import bundle_config
    from backtrail.data import ingest_bundle

    project = ScriptProject.make(tmp_path_factory.mktemp("ingested") / "project")
    bundle = bundle_config("prices", batch_config()["bundles"]["prices"])
    ingest_bundle(bundle, root=project.root, bundles_dir=project.root / "bundles")
    return project


@pytest.fixture
def project(ingested, tmp_path):
    """A copy of the project, in a folder that no marker file of another one is above."""
    shutil.copytree(ingested.root, tmp_path / "project", symlinks=True)
    return ScriptProject(tmp_path / "project")


@pytest.fixture
def open_folder():
    """A folder that every user may enter, as folders of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="backtrail-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of a few blocks, or a skip where mounting is not permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k,nr_inodes=40", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip("mounting is not permitted")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder without any project around it, and the working directory in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quandl(project, monkeypatch):
    """A project whose bundle is called `quandl`, and the working directory in it."""
    (project.root / "bundles/prices").rename(project.root / "bundles/quandl")
    project.configure(batch_config(bundles={}))
    (project.root / "config/config.yaml").write_text("seed: 1\n")
    monkeypatch.chdir(project.root)
    return project
