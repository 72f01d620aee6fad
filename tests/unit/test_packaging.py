"""The lock, environment.yml and pyproject.toml say the same."""

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import backtrail

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
NOT_LOCKED = {"slurm"}  # its plugin would make every call of snakemake longer
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
ENVIRONMENT = (ROOT / "environment.yml").read_text(encoding="utf-8")


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tools_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:  # tools import each other, as scripts do
        patch.syspath_prepend(ROOT / "tools")
        spec.loader.exec_module(module)
    return module


def lock_entries() -> list[str]:
    """Return each requirement of the lock with its hashes as one line."""
    text = re.sub(r"^\s*#.*\n", "", LOCK, flags=re.MULTILINE).replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip()]


def requirements() -> list[Requirement]:
    project = tomllib.loads(PYPROJECT)
    named = list(project["project"]["dependencies"]) + list(project["build-system"]["requires"])
    extras = project["project"]["optional-dependencies"]
    for extra in sorted(extras.keys() - NOT_LOCKED):
        named += extras[extra]
    return [Requirement(item) for item in named]


def test_the_lock_is_made_of_every_extra_but_that_of_clusters() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (line,) = re.findall(r"^EXTRAS := (.*)$", makefile, re.MULTILINE)
    extras = tomllib.loads(PYPROJECT)["project"]["optional-dependencies"]
    assert line.split() == sorted(extras.keys() - NOT_LOCKED)


def pinned() -> dict[str, str]:
    pins = {}
    for entry in lock_entries():
        requirement = Requirement(re.split(r"\s+--hash", entry)[0])
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", entry
        pins[canonicalize_name(requirement.name)] = specifier.version
    return pins


def conda_pins() -> dict[str, str]:
    """Return the pins of environment.yml under the names of PyPI."""
    renamed = {v: k for k, v in load_tool("write_environment").CONDA_NAMES.items()}
    *plain, nested = yaml.safe_load(ENVIRONMENT)["dependencies"]
    pins = dict(item.split("=") for item in plain if item != "pip")
    pins |= dict(item.split("==") for item in nested["pip"])
    return {
        canonicalize_name(renamed.get(name, name).split("[")[0]): version
        for name, version in pins.items()
    }


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_lock_pins_every_requirement_of_pyproject_to_a_version_it_allows(
    requirement: Requirement,
) -> None:
    version = pinned().get(canonicalize_name(requirement.name))
    assert version is not None, f"{requirement} is not in requirements.lock; `make lock`"
    assert requirement.specifier.contains(version, prereleases=True)


def test_lock_names_every_distribution_once() -> None:
    assert len(pinned()) == len(lock_entries()) > 80


def test_lock_has_hashes_for_every_requirement() -> None:
    for entry in lock_entries():
        hashes = re.findall(r"--hash=(\S+)", entry)
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", item) for item in hashes), entry


def test_lock_names_no_address() -> None:
    assert "://" not in LOCK
    assert "--index" not in LOCK
    assert "--find-links" not in LOCK


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_lock_holds_for_every_supported_python(version: str) -> None:
    environment = {"python_version": version, "python_full_version": f"{version}.0"}
    needed = {canonicalize_name(item.name) for item in requirements()}
    for entry in lock_entries():
        requirement = Requirement(re.split(r"\s+--hash", entry)[0])
        if canonicalize_name(requirement.name) in needed and requirement.marker is not None:
            assert requirement.marker.evaluate(environment), entry


def test_environment_has_the_pins_of_the_lock_for_every_direct_requirement() -> None:
    direct = {canonicalize_name(item.name) for item in requirements()}
    locked = pinned()
    assert conda_pins() == {name: locked[name] for name in direct} | {"python": "3.11"}


def test_environment_is_what_make_environment_writes() -> None:
    tool = load_tool("write_environment")
    assert set(tool.NOT_LOCKED) == NOT_LOCKED
    assert tool.environment_text(PYPROJECT, LOCK) == ENVIRONMENT, "run `make environment`"


def test_version_is_the_same_in_package_and_pyproject() -> None:
    assert tomllib.loads(PYPROJECT)["project"]["version"] == backtrail.__version__


def test_make_without_a_python_says_what_is_needed(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    made = subprocess.run(
        ["make", "setup", "PYTHON="], cwd=tmp_path, capture_output=True, text=True
    )
    assert made.returncode != 0
    assert "needs Python 3.11, 3.12 or 3.13" in made.stderr
    assert not (tmp_path / ".venv").exists()
