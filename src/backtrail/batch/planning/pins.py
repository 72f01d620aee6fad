"""Datasets that config files name: a batch that was never run, too, wants what it pins."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from backtrail.batch.planning.config_files import load_strictly
from backtrail.data.lock import LOCK_FILE
from backtrail.errors import ConfigError, Problem

__all__ = ["pinned_datasets"]

_FOLDER: Final = "config"
_ENDINGS: Final = (".yaml", ".yml")


def pinned_datasets(root: Path, files: Sequence[Path] = ()) -> frozenset[tuple[str, str]]:
    """Return bundle and dataset id of every `dataset:` in the config files of a project.

    Args:
        root: The project; every YAML file below its `config/` is looked at.
        files: Further config files, relative to the project.

    Raises:
        ConfigError: If one cannot be read, so that nobody can tell what it names.
    """
    found = {path for path in (root / _FOLDER).rglob("*") if path.suffix in _ENDINGS}
    found |= {root / file for file in files}
    found.discard(root / LOCK_FILE)
    return frozenset(pin for path in sorted(found) if path.is_file() for pin in _pins(path))


def _pins(path: Path) -> Iterator[tuple[str, str]]:
    try:
        values = load_strictly(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = str(getattr(error, "problem", None) or error).splitlines()[0]
        remedy = "mend it, or move it out of config/"
        raise ConfigError(
            [Problem(str(path), f"nobody can tell which datasets it names: {reason}", remedy)]
        ) from error
    bundles: Any = values.get("bundles") if isinstance(values, dict) else None
    for name, bundle in bundles.items() if isinstance(bundles, dict) else ():
        if isinstance(bundle, dict) and bundle.get("dataset") is not None:
            yield str(name), str(bundle["dataset"])
