"""The published schemas of JSON files, and the files of a project that they describe."""

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

SCHEMAS = Path(__file__).resolve().parents[1] / "workflow/schemas"
_SUFFIX = ".schema.json"
# Working files: they go with the seal, or with the download, that they are for.
_WORKING = {".search", ".downloads"}


@cache
def published() -> dict[str, dict[str, Any]]:
    """Return every schema by its name."""
    files = sorted(SCHEMAS.glob(f"*{_SUFFIX}"))
    return {path.name.removesuffix(_SUFFIX): json.loads(path.read_bytes()) for path in files}


@cache
def validator(name: str) -> Draft202012Validator:
    """Return what checks a file against a schema; schemas refer to each other by file name."""
    found = published()
    Draft202012Validator.check_schema(found[name])
    resources = [(f"{key}{_SUFFIX}", Resource.from_contents(value)) for key, value in found.items()]
    return Draft202012Validator(found[name], registry=Registry().with_resources(resources))


def faults(name: str, value: Any) -> list[str]:
    """Return what a value has against a schema."""
    return [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(value)]


def schemas_of(path: str) -> list[str]:
    """Return the schemas that claim a file, by its path below the project."""
    parts = path.split("/")
    return [
        name
        for name, schema in published().items()
        for pattern in schema.get("x-files", ())
        if len(pattern.split("/")) == len(parts)
        and all(map(fnmatchcase, parts, pattern.split("/")))
    ]


def json_files(root: Path) -> Iterator[str]:
    """Yield the JSON files of runs, store and bundles, and the links of run keys, by their path."""
    for top in ("backtests", "bundles"):
        for path in sorted((root / top).rglob("*")):
            name = path.relative_to(root).as_posix()
            is_json = path.suffix == ".json" or ".keys" in path.parts
            if path.is_file() and is_json and not _WORKING.intersection(path.parts):
                yield name


def misfits(root: Path) -> dict[str, list[str]]:
    """Return what is wrong with the JSON files of a project: each has to fit its one schema."""
    found = {}
    for path in json_files(root):
        names = schemas_of(path)
        if len(names) != 1:
            found[path] = [f"it is claimed by {names or 'no schema'}"]
        elif wrong := faults(names[0], json.loads((root / path).read_bytes())):
            found[path] = wrong
    return found
