"""What a run used from outside: kept with its origin, and named in words."""

import os
import stat
from collections.abc import Mapping
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from backtrail.canonical import sha256_file
from backtrail.errors import CodeCaptureError, SealError
from backtrail.provenance.kernel_watch import KernelWatch
from backtrail.provenance.objects import ObjectStore
from backtrail.provenance.outside import readable
from backtrail.provenance.packages import distributions
from backtrail.provenance.secrets import find_secrets

__all__ = ["OPENED", "keep_inputs", "merge_usage", "restore_input", "usage_gaps"]

OPENED = "inputs/opened"
_LARGEST_BYTES = 100_000_000
_NAME_LENGTH = 100
_CHANGED = "it has changed since it was read"


def merge_usage(seen: Mapping[str, Any], watch: KernelWatch | None) -> dict[str, Any]:
    """Join what Python saw in the process of a run with what the kernel reported about it.

    Args:
        seen: The report of a `UsageRecorder`.
        watch: The other end of its channel; None when there was none.

    Returns:
        `opened` (size and time of change by path), `modules` and `packages` (name and file),
        `processes`, `connections`, and `unseen`: native code whose openings nobody saw.
    """
    usage = {name: seen[name] for name in ("opened", "modules", "packages")}
    usage["processes"], usage["connections"] = seen["processes"], seen["connections"]
    is_seen = watch is not None and seen["watched"] and not watch.is_blind
    usage["unseen"] = [] if is_seen else seen["native"]
    if watch is not None:
        usage["opened"] = {**watch.opened, **seen["opened"]}
        usage["processes"] = list(dict.fromkeys([*seen["processes"], *watch.processes]))
        usage["connections"] = list(dict.fromkeys([*seen["connections"], *watch.connections]))
    return usage


def keep_inputs(usage: Mapping[str, Any], objects: ObjectStore, run: Path) -> dict[str, Any]:
    """Copy what a run used from outside into it, read-only; return `usage` of its manifest.

    A file that is too large, no regular file, not as it was when the run read it, or that holds
    what looks like a secret, is not copied, and the reason is stated.

    Args:
        usage: From `merge_usage`.
        objects: Where contents are stored once.
        run: The run directory.
    """
    modules = dict(usage["modules"])
    compiled = {cache_from_source(path) for path in modules.values() if path.endswith(".py")}
    opened = {
        path: state
        for path, state in sorted(usage["opened"].items())
        if path not in compiled and path not in modules.values()
    }
    return {
        "opened": [_kept(path, state, objects, run) for path, state in opened.items()],
        "modules": [
            {"name": name, **_kept(path, usage["opened"].get(path), objects, run)}
            for name, path in sorted(modules.items())
        ],
        "processes": list(usage["processes"]),
        "connections": list(usage["connections"]),
        "unseen": list(usage["unseen"]),
        "packages": distributions(usage["packages"]),
    }


def _kept(
    origin: str, state: tuple[int, int] | None, objects: ObjectStore, run: Path
) -> dict[str, Any]:
    shown = readable(origin)
    record: dict[str, Any] = {"origin": shown, "sha256": None, "size": None, "stored": None}
    source = Path(origin)
    try:
        found = source.stat()
        record["size"] = found.st_size
        reason = _refusal(source, found)
        if state is not None and (found.st_size, found.st_mtime_ns) != tuple(state):
            reason = _CHANGED
        if reason is None:
            record["sha256"] = sha256_file(source)
            objects.put(source, record["sha256"])
    except FileNotFoundError:
        reason = "it is gone"
    except OSError as error:
        reason = f"it could not be copied ({error.strerror})"
    except CodeCaptureError:
        record["sha256"], reason = None, _CHANGED
    if reason is None:
        name = "".join(letter if letter.isprintable() else "_" for letter in Path(shown).name)
        record["stored"] = f"{OPENED}/{record['sha256'][:12]}-{name[-_NAME_LENGTH:]}"
        objects.materialize(record["sha256"], run / record["stored"])
    return {**record, "reason": reason}


def _refusal(source: Path, found: os.stat_result) -> str | None:
    if not stat.S_ISREG(found.st_mode):
        return "it is no regular file"
    if found.st_size > _LARGEST_BYTES:
        return f"it is larger than {_LARGEST_BYTES // 10**6} MB"
    secrets = find_secrets(source.read_bytes())
    if secrets:
        return f"line {secrets[0].line} holds what looks like {secrets[0].kind}"
    return None


def restore_input(usage: Mapping[str, Any], stored: str, objects: ObjectStore, run: Path) -> None:
    """Put a lost copy of a file from outside back, from the store or from where it came.

    Args:
        usage: `usage` of the manifest.
        stored: The copy, relative to the run.
        objects: Where contents are stored once.
        run: The run directory, or another one.

    Raises:
        SealError: If neither has the content any more.
    """
    known = [*usage["opened"], *usage["modules"]]
    item = next(item for item in known if item["stored"] == stored)
    sha256 = item["sha256"]
    try:
        objects.put(Path(item["origin"]), sha256)
    except (OSError, CodeCaptureError):
        raise SealError(
            f"{stored} is lost, its object {sha256[:12]}… too, and {item['origin']}, from where it "
            "was copied, has not the same content any more; put it back there"
        ) from None
    objects.materialize(sha256, run / stored)


def usage_gaps(usage: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each thing that a run used and that was not captured with its code.

    Args:
        usage: `usage` of a manifest.
    """
    gaps = [f"{item['origin']} was read; {_fate(item)}" for item in usage["opened"]]
    gaps += [
        f"module {item['name']} was imported from {item['origin']}; {_fate(item)}"
        for item in usage["modules"]
    ]
    gaps += [f"a program was started: {command}" for command in usage["processes"]]
    gaps += [
        f"a connection was made to {address}; what came from there is not kept"
        for address in usage["connections"]
    ]
    return gaps + [
        f"{name} is native code, and this system does not show which files it opened"
        for name in usage["unseen"]
    ]


def _fate(item: Mapping[str, Any]) -> str:
    if item["reason"] is None:
        return f"it is no part of the captured code and is kept as {item['stored']}"
    return f"it is no part of the captured code and is not kept: {item['reason']}"
