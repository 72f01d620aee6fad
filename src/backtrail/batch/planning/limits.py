"""Amounts of time and memory as a config writes them."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from backtrail.batch.execution.sandbox import Limits
from backtrail.batch.planning.config import read_sections

__all__ = ["parse_bytes", "read_limits", "run_limits", "show_bytes"]

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_BYTES: Final = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


def parse_bytes(text: str) -> int:
    """Return bytes from a text such as `800MB` or `1.5TB`; units are powers of ten.

    Raises:
        ValueError: If the text is no such amount.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(MB|GB|TB)", text)
    if found is None:
        raise ValueError(f"{text!r} is no amount of memory; write it like 800MB or 1.5TB")
    return int(Decimal(found[1]) * _BYTES[found[2]])


def show_bytes(size: int) -> str:
    """Return a size for people, in the largest unit that leaves a number of one or more."""
    for unit in ("TB", "GB", "MB"):
        if size >= _BYTES[unit]:
            return f"{size / _BYTES[unit]:.1f} {unit}"
    return f"{size:,} bytes"


def run_limits(execution: Mapping[str, Any]) -> Limits:
    """Return time and memory of one run from the section `execution` of a config."""
    amount, unit = execution["time_limit"][:-1], execution["time_limit"][-1]
    return Limits(float(int(amount) * _SECONDS[unit]), parse_bytes(execution["memory_limit"]))


def read_limits(files: Sequence[Path], root: Path) -> Limits:
    """Return the limits that config files give one run; the rest of the config is not looked at.

    Raises:
        ConfigError: If a file is absent or no YAML, or what it says of execution is wrong.
    """
    return run_limits(read_sections(files, root, "execution")["execution"])
