"""The schema of a batch config: its defaults, and every mistake at once."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from backtrail.batch.planning.config_files import dotted, load_strictly, read_config
from backtrail.batch.planning.folders import check_path, check_store_path, expand_home, expand_homes
from backtrail.batch.planning.schema_words import schema_mistakes
from backtrail.data.calendar_names import calendar_mistake
from backtrail.errors import ConfigError, Problem

__all__ = [
    "SCHEMA_PATH",
    "entry_defaults",
    "load_schema",
    "read_sections",
    "schema_problems",
    "with_defaults",
]

SCHEMA_PATH = Path(__file__).with_name("config.schema.yaml")


@cache
def load_schema() -> dict[str, Any]:
    """Return the JSON schema of a batch config."""
    schema: dict[str, Any] = load_strictly(SCHEMA_PATH.read_text(encoding="utf-8"))
    return schema


def _resolve(node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        target: Any = load_schema()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def with_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a valid config with the schema's defaults in the top-level sections, `~` expanded."""
    filled = deepcopy(dict(values))
    for key, section in load_schema()["properties"].items():
        section = _resolve(section)
        if key not in filled and "default" in section:
            filled[key] = deepcopy(section["default"])
        if key != "defaults" and isinstance(filled.get(key), dict):
            for name, child in section.get("properties", {}).items():
                if "default" in child:
                    filled[key].setdefault(name, deepcopy(child["default"]))
    settings = load_schema()["$defs"]["settings"]["properties"]
    filled["defaults"] = {
        **{name: deepcopy(item["default"]) for name, item in settings.items()},
        **filled["defaults"],
    }
    expand_homes(filled)
    return filled


def entry_defaults(key: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of an entry's key with the schema's defaults, in whatever depth it has some.

    Args:
        key: A key of batch entries whose value has keys of its own.
        values: What the entry says.
    """
    node = load_schema()["$defs"]["entry"]["properties"][key]
    return _filled(values, _resolve(node))


def _filled(values: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    filled = deepcopy(dict(values))
    for name, child in node["properties"].items():
        child = _resolve(child)
        if name not in filled and "default" in child:
            filled[name] = deepcopy(child["default"])
        if isinstance(filled.get(name), dict) and "properties" in child:
            filled[name] = _filled(filled[name], child)
    return filled


def schema_problems(values: Mapping[str, Any], source: str) -> list[Problem]:
    """Compare a config with the schema.

    Args:
        values: The config as read.
        source: The file name that problems carry.
    """
    from jsonschema import Draft202012Validator, FormatChecker

    checker = FormatChecker(formats=())
    checker.checks("date", raises=ValueError)(_is_date)
    checker.checks("catalog-url", raises=ValueError)(_is_catalog_url)
    checker.checks("path", raises=ValueError)(_is_path)
    checker.checks("store-path", raises=ValueError)(_is_store_path)
    checker.checks("calendar")(_is_calendar)
    validator = Draft202012Validator(load_schema(), format_checker=checker)
    problems: list[Problem] = []
    for error in sorted(validator.iter_errors(values), key=lambda item: dotted(item.absolute_path)):
        problems.extend(schema_mistakes(error, source))
    return list(dict.fromkeys(problems))  # each missing key is an error that names them all


def read_sections(files: Sequence[Path], root: Path, *names: str) -> dict[str, Any]:
    """Return some sections of config files with their defaults; the others are not looked at.

    Args:
        files: Config files; later ones have more weight.
        root: Project folder, to which they are relative.
        names: The sections.

    Raises:
        ConfigError: If a file is absent or no YAML, or what it says in these sections is wrong.
    """
    values = read_config([root / file for file in files])
    known = {name: values[name] for name in names if name in values}
    source = " + ".join(map(str, files))
    asked = tuple(f"{source}: {name}" for name in known)
    problems = [item for item in schema_problems(known, source) if item.where.startswith(asked)]
    if problems:
        raise ConfigError(problems)
    filled = with_defaults({**known, "defaults": {}})
    return {name: filled[name] for name in names}


def _is_date(value: object) -> bool:
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            raise ValueError("dates are written YYYY-MM-DD")
        date.fromisoformat(value)
    return True


def _is_catalog_url(value: object) -> bool:
    if isinstance(value, str):
        expand_home(value)
    return True


def _is_path(value: object) -> bool:
    if isinstance(value, str):
        check_path(value)
    return True


def _is_store_path(value: object) -> bool:
    if isinstance(value, str):
        check_store_path(value)
    return True


def _is_calendar(value: object) -> bool:
    return not isinstance(value, str) or calendar_mistake(value) is None
