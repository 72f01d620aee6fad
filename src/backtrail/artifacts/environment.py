"""The environment a run was executed in: what has to be the same for bytes to be the same."""

import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import backtrail

__all__ = ["describe_environment", "describe_machine", "environment_difference"]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


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


@cache
def _processor() -> str:
    """Return the model of the processor, or its architecture where the system does not say."""
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.machine()


def describe_machine(threads: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what a run was executed on; of no influence on results, so no part of comparisons.

    Args:
        threads: Environment of the process that ran the strategy; this process's own when None.
    """
    settings = os.environ if threads is None else threads
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": {name: settings[name] for name in _THREADS if name in settings},
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
