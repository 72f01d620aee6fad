"""What breaks the schema of a config, in words: what was found, and what would do."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from backtrail.batch.planning.config_files import dotted, kind_of
from backtrail.data.calendar_names import calendar_mistake
from backtrail.errors import Problem

__all__ = ["schema_mistakes"]


def schema_mistakes(error: Any, source: str) -> Iterator[Problem]:
    """Yield what one error of the schema's validator says.

    Args:
        error: The error.
        source: The file name that problems carry.
    """
    key = dotted(error.absolute_path)
    where = f"{source}: {key}" if key else source
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
        case "type" if "enum" in error.schema:
            return  # the enum says it better
        case _:
            yield Problem(where, *_value_mistake(error))


def _value_mistake(error: Any) -> tuple[str, str]:
    """Return what is wrong with one value, and what would do."""
    value = json.dumps(error.instance, ensure_ascii=False, default=str)
    match error.validator:
        case "enum":
            return f"{value} is not known here", _choices(error, value, error.validator_value)
        case "const":
            return f"{value} is not known here", _choices(error, value, [error.validator_value])
        case "format":
            return _format_mistake(error, value)
        case "type":
            return _type_mistake(error, value)
        case "oneOf":
            remedy = f"write {' or '.join(_choice(item) for item in error.validator_value)}"
            items = error.instance if isinstance(error.instance, list) else [error.instance]
            trap = next((hint for item in items if (hint := _yaml_trap(item, ["string"]))), "")
            return f"{value} does not fit", remedy + trap
        case "minProperties" | "minItems" | "minLength":
            return "it is empty", "give at least one value or leave the key out"
        case "pattern":
            return f"{value} has a form that is not allowed", _described(error.schema)
    return error.message, _described(error.schema)


def _choices(error: Any, value: str, allowed: Sequence[Any]) -> str:
    choices = ", ".join(json.dumps(item) for item in allowed)
    remedy = f"use {'one of ' if len(allowed) > 1 else ''}{choices}{_nearest(value, allowed)}"
    return f"{remedy} ({_described(error.schema)})" if error.instance is None else remedy


def _format_mistake(error: Any, value: str) -> tuple[str, str]:
    kind = error.validator_value
    if kind == "calendar":
        return f"there is no calendar {value}", str(calendar_mistake(error.instance))
    reason = f" ({error.cause})" if error.cause else ""
    name, remedy = _FORMATS[kind]
    return f"{value} is not a {name}{reason}", getattr(error.cause, "remedy", remedy)


def _type_mistake(error: Any, value: str) -> tuple[str, str]:
    wanted = error.validator_value
    names = wanted if isinstance(wanted, list) else [wanted]
    remedy = f"write {' or '.join(_TYPES[name] for name in names)}"
    if "description" in error.schema:
        remedy += f": {_described(error.schema)}"
    found = f"{value} is {kind_of(error.instance)}"
    if error.instance is None or isinstance(error.instance, bool):
        found = f"{value} stands there"
    return found, remedy + _yaml_trap(error.instance, names)


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


_FORMATS = {
    "date": ("date", "write a date that exists as YYYY-MM-DD"),
    "catalog-url": ("usable URL", "write a URL of SQLAlchemy, as sqlite:///catalog.sqlite"),
    "path": ("usable path", "write a path, relative or absolute"),
    "store-path": ("usable path", "write a path, relative or absolute"),
}
_TYPES = {
    "object": "keys and values",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
}


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
