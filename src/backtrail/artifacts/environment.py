"""The environment a run was executed in: what has to be the same for bytes to be the same."""

import os
import platform
import sys
from contextlib import suppress
from functools import cache
from typing import Any

import backtrail

__all__ = ["describe_environment", "environment_difference"]


@cache
def _packages() -> dict[str, str]:
    """Return versions by name, read from the names of the metadata folders.

    The metadata files say the same and cost two hundred times as much to read.
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        with suppress(OSError):
            for entry in os.listdir(folder or "."):
                if entry.endswith(".dist-info"):
                    name, _, version = entry.removesuffix(".dist-info").partition("-")
                    found.setdefault(name.lower().replace("_", "-").replace(".", "-"), version)
    return dict(sorted(found.items()))


def describe_environment() -> dict[str, Any]:
    """Return interpreter, platform and package versions; no clock, host or user."""
    return {
        "backtrail": backtrail.__version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
        "byteorder": sys.byteorder,
        "packages": _packages(),
    }


def environment_difference(recorded: dict[str, Any], present: dict[str, Any]) -> list[str]:
    """Name what differs between two environments, one entry per version."""
    differences = [
        f"{key} {recorded.get(key)} -> {present.get(key)}"
        for key in sorted((recorded.keys() | present.keys()) - {"packages"})
        if recorded.get(key) != present.get(key)
    ]
    old, new = recorded.get("packages", {}), present.get("packages", {})
    differences += [
        f"{name} {old.get(name, 'absent')} -> {new.get(name, 'absent')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    return differences
