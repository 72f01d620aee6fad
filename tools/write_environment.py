"""Write environment.yml: the conda environment with the pins of requirements.lock."""

import re
import tomllib
from pathlib import Path

__all__ = ["direct_requirements", "environment_text", "locked_versions"]

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "3.11"

# Where conda-forge has another name for a distribution.
CONDA_NAMES = {"arch": "arch-py"}
# What conda-forge does not carry, or not in every release, or not with the extra asked for.
PIP_ONLY = frozenset(
    {
        "ccxt",
        "duckdb",
        "editables",
        "exchange-calendars",
        "optuna",
        "snakefmt",
        "snakemake",
        "types-jsonschema",
        "types-pyyaml",
        "typst",
        "yfinance",
    }
)

# Extras that are not locked; the Makefile says why.
NOT_LOCKED = frozenset({"slurm"})

_HEAD = """\
# Written by `make environment` from requirements.lock and pyproject.toml; do not edit.
# The package itself is installed into it without dependencies, by environment.post-deploy.sh, or:
#   pip install --no-deps --no-build-isolation -e .
name: backtrail
channels:
  - conda-forge
  - nodefaults
dependencies:
"""
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(\[[^\]]*\])?")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def normalized(name: str) -> str:
    """Return a distribution's name in its canonical spelling."""
    return re.sub(r"[-_.]+", "-", name).lower()


def direct_requirements(pyproject: str) -> dict[str, str]:
    """Return every distribution of pyproject.toml that is locked, with its extras as written.

    Args:
        pyproject: Text of pyproject.toml.
    """
    project = tomllib.loads(pyproject)["project"]
    named = list(project["dependencies"])
    for extra, requirements in project["optional-dependencies"].items():
        named += [] if extra in NOT_LOCKED else requirements
    found = {}
    for requirement in named:
        match = _REQUIREMENT.match(requirement)
        if match is None:
            raise ValueError(f"{requirement!r} is no requirement")
        found[normalized(match[1])] = match[2] or ""
    return dict(sorted(found.items()))


def locked_versions(lock: str) -> dict[str, str]:
    """Return the pinned version of every distribution in a lock file.

    Args:
        lock: Text of requirements.lock.
    """
    return {normalized(name): version for name, version in _PIN.findall(lock)}


def environment_text(pyproject: str, lock: str) -> str:
    """Return environment.yml: every direct requirement with the version of the lock."""
    versions = locked_versions(lock)
    conda, pip = [f"python={PYTHON}", "pip"], []
    for name, extras in direct_requirements(pyproject).items():
        if name in PIP_ONLY:
            pip.append(f"{name}{extras}=={versions[name]}")
        else:
            conda.append(f"{CONDA_NAMES.get(name, name)}={versions[name]}")
    lines = [f"  - {item}\n" for item in conda]
    lines += ["  - pip:\n", *(f"      - {item}\n" for item in pip)]
    return _HEAD + "".join(lines)


def main() -> None:
    """Write the file."""
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    (ROOT / "environment.yml").write_text(environment_text(pyproject, lock), encoding="utf-8")


if __name__ == "__main__":
    main()
