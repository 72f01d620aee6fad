"""Reading a batch config: strict YAML, the schema, and every mistake at once."""

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from datetime import date
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from backtrail.data.calendar_names import calendar_mistake
from backtrail.errors import ConfigError, Problem

__all__ = [
    "SCHEMA_PATH",
    "entry_defaults",
    "load_schema",
    "read_config",
    "read_sections",
    "schema_problems",
    "with_defaults",
]

SCHEMA_PATH = Path(__file__).with_name("config.schema.yaml")

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_Loader):  # type: ignore[misc]
    """Safe YAML that refuses duplicate keys and leaves dates as they are written."""


def _strict_mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        is_merge = key_node.tag == "tag:yaml.org,2002:merge"
        key = "<<" if is_merge else loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is no text; put it in quotes", key_node.start_mark
            )
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"the key {key!r} stands in line {seen[key]} and again",
                key_node.start_mark,
            )
        seen[key] = line
    loader.flatten_mapping(node)
    mapping: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    return mapping


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _strict_mapping)
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def _load_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)
    except FileNotFoundError:
        raise ConfigError(
            [Problem(str(path), "there is no such file", "name an existing batch config")]
        ) from None
    except OSError as error:
        raise ConfigError(
            [Problem(str(path), f"it cannot be read ({error.strerror})", "name a batch config")]
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        found = str(getattr(error, "problem", None) or error).replace("tag:yaml.org,2002:", "!!")
        raise ConfigError(
            [Problem(where, found, "mend the YAML; every key may stand once")]
        ) from None
    if not isinstance(values, dict):
        found = "the file is empty" if values is None else f"the file holds {_type_of(values)}"
        raise ConfigError([Problem(str(path), found, "write keys and values; see config/")])
    problems = list(_value_problems(values, (), str(path)))
    if problems:
        raise ConfigError(problems)
    return values


def _value_problems(value: Any, path: tuple[Any, ...], source: str) -> Iterator[Problem]:
    """Yield what YAML can say and a config cannot: infinity, bytes, sets, broken characters."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _value_problems(item, (*path, key), source)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _value_problems(item, (*path, index), source)
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(f"{source}: {_dotted(path)}", f"{value} is no value", "write a finite number")
    elif isinstance(value, str) and not _is_encodable(value):
        yield Problem(
            f"{source}: {_dotted(path)}", f"{value!r} has half a character", "write whole text"
        )
    elif value is not None and not isinstance(value, (bool, int, float, str)):
        yield Problem(
            f"{source}: {_dotted(path)}",
            f"{value!r} is of a kind that a config has not ({type(value).__name__})",
            "write text, numbers, lists or keys, without YAML tags",
        )


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = deepcopy(value)
    return base


def read_config(
    files: Sequence[Path], overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read batch configs, later ones over earlier ones, and single values over all.

    Dates stay strings; duplicate keys, tags and broken YAML are refused.

    Raises:
        ConfigError: If a file is absent or is not such YAML.
    """
    values: dict[str, Any] = {}
    for file in files:
        _merge(values, _load_yaml(file))
    # Values given on a command line may hold tuples or dates; JSON makes them what YAML gives.
    return _merge(values, json.loads(json.dumps(dict(overrides or {}), default=str)))


@cache
def load_schema() -> dict[str, Any]:
    """Return the JSON schema of a batch config."""
    schema: dict[str, Any] = yaml.load(SCHEMA_PATH.read_text(encoding="utf-8"), _StrictLoader)
    return schema


def _resolve(node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        target: Any = load_schema()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def with_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a valid config with the schema's defaults in the top-level sections."""
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
    checker.checks("store-path", raises=ValueError)(_is_store_path)
    checker.checks("calendar")(_is_calendar)
    validator = Draft202012Validator(load_schema(), format_checker=checker)
    problems: list[Problem] = []
    for error in sorted(
        validator.iter_errors(values), key=lambda item: _dotted(item.absolute_path)
    ):
        problems.extend(_problems(error, source))
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


def _is_store_path(value: object) -> bool:
    if isinstance(value, str):
        if not value.strip() or "\0" in value:
            raise ValueError("the path is empty")
        if ".." in PurePosixPath(value).parts:
            raise ValueError("'..' could lead outside the project")
    return True


def _is_calendar(value: object) -> bool:
    return not isinstance(value, str) or calendar_mistake(value) is None


def _dotted(path: Sequence[Any]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _problems(error: Any, source: str) -> Iterator[Problem]:
    key = _dotted(error.absolute_path)
    where = f"{source}: {key}" if key else source
    value = json.dumps(error.instance, ensure_ascii=False, default=str)
    match error.validator:
        case "additionalProperties":
            known = sorted(error.schema.get("properties", {}))
            for name in sorted(set(error.instance) - set(known), key=str):
                full = f"{where}.{name}" if key else f"{source}: {name}"
                yield Problem(full, *_unknown_key(str(name), known))
        case "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            for name in missing:
                yield Problem(where, f"the key {name!r} is missing", f"add {name!r}")
        case "enum" | "const":
            allowed = (
                error.validator_value if error.validator == "enum" else [error.validator_value]
            )
            choices = ", ".join(json.dumps(item) for item in allowed)
            remedy = f"use {'one of ' if len(allowed) > 1 else ''}{choices}"
            remedy += _nearest(value, allowed)
            if error.instance is None:
                remedy += f" ({_described(error.schema)})"
            yield Problem(where, f"{value} is not known here", remedy)
        case "format" if error.validator_value == "calendar":
            yield Problem(
                where, f"there is no calendar {value}", str(calendar_mistake(error.instance))
            )
        case "format":
            remedy = (
                "write a date that exists as YYYY-MM-DD"
                if error.validator_value == "date"
                else "write a path without '..', relative or absolute"
            )
            reason = f" ({error.cause})" if error.cause else ""
            yield Problem(
                where, f"{value} is not a {_FORMATS[error.validator_value]}{reason}", remedy
            )
        case "type" if "enum" in error.schema:
            return  # the enum says it better
        case "type":
            wanted = error.validator_value
            names = wanted if isinstance(wanted, list) else [wanted]
            remedy = f"write {' or '.join(_TYPES[name] for name in names)}"
            if "description" in error.schema:
                remedy += f": {_described(error.schema)}"
            found = f"{value} is {_type_of(error.instance)}"
            if error.instance is None or isinstance(error.instance, bool):
                found = f"{value} stands there"
            yield Problem(where, found, remedy + _yaml_trap(error.instance, names))
        case "oneOf":
            remedy = f"write {' or '.join(_choice(item) for item in error.validator_value)}"
            items = error.instance if isinstance(error.instance, list) else [error.instance]
            trap = next((hint for item in items if (hint := _yaml_trap(item, ["string"]))), "")
            yield Problem(where, f"{value} does not fit", remedy + trap)
        case "minProperties" | "minItems" | "minLength":
            yield Problem(where, "it is empty", "give at least one value or leave the key out")
        case "pattern":
            yield Problem(
                where, f"{value} has a form that is not allowed", _described(error.schema)
            )
        case _:
            yield Problem(where, error.message, _described(error.schema))


def _choice(schema: Mapping[str, Any]) -> str:
    """Return one alternative of a `oneOf` in words."""
    match schema:
        case {"const": value}:
            return f"`{value}`"
        case {"type": "integer", "minimum": low, "maximum": high}:
            return f"a whole number from {low} to {high}"
        case {"type": "array", "items": {"type": kinds}}:
            several = "different values" if schema.get("uniqueItems") else "values"
            kind = f" ({_TYPES[kinds]})" if isinstance(kinds, str) else ""
            return f"a list of one or more {several}{kind}"
        case {"type": "object", "properties": keys}:
            return f"`{{{', '.join(keys)}}}` with numbers, the step above 0"
    return _described(schema)


def _yaml_trap(value: object, wanted: Sequence[str]) -> str:
    """Return a hint where YAML read something else than the user meant."""
    if isinstance(value, bool) and "string" in wanted:
        return " (YAML reads ON, OFF, YES and NO as true or false: put such names in quotes)"
    if isinstance(value, str) and {"number", "integer"} & set(wanted):
        with suppress(ValueError):
            plain = f"{float(value):f}".rstrip("0").rstrip(".")
            return f" (YAML reads {value} as text: write {plain})"
    return ""


def _described(schema: Mapping[str, Any]) -> str:
    text: str = schema.get("description", "see docs/reference/config.md")
    text = text.strip().rstrip(".")
    return text[0].lower() + text[1:]


_FORMATS = {"date": "date", "store-path": "usable path"}
_TYPES = {
    "object": "keys and values",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
}


def _type_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    for kind, name in ((dict, "keys and values"), (list, "a list"), (str, "text")):
        if isinstance(value, kind):
            return name
    return "a number"


_REFUSED = {
    "enabled": "a batch always keeps its runs; switching artifacts off belongs to run_algorithm",
}


def _unknown_key(name: str, known: Sequence[str]) -> tuple[str, str]:
    if name in _REFUSED:
        return f"the key {name!r} is refused", _REFUSED[name]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    remedy = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
    return f"the key {name!r} is unknown", remedy


def _nearest(value: str, allowed: Sequence[Any]) -> str:
    names = {str(item).casefold(): str(item) for item in allowed}
    near = [
        names[name]
        for name in difflib.get_close_matches(value.strip('"').casefold(), list(names), n=1)
    ]
    return f"; did you mean {near[0]!r}?" if near else ""
