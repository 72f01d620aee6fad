"""Reading config files: strict YAML, in which nothing means what nobody has written."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from backtrail.errors import ConfigError, Problem

__all__ = ["dotted", "kind_of", "load_strictly", "read_config", "value_problems"]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# What YAML 1.1 takes for numbers and nobody means: 010 for 8, and 10:30 for 630.
_DISGUISED = re.compile(r"[-+]?0[0-9_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")


class _StrictLoader(_Loader):  # type: ignore[misc]
    """Safe YAML that refuses duplicate keys, and leaves dates and times as they are written."""


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


def _plain_number(loader: Any, node: yaml.ScalarNode) -> Any:
    if _DISGUISED.fullmatch(node.value):
        return node.value
    is_whole = node.tag == "tag:yaml.org,2002:int"
    return loader.construct_yaml_int(node) if is_whole else loader.construct_yaml_float(node)


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _strict_mapping)
for _kind in ("int", "float"):
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _plain_number)
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def load_strictly(text: str) -> Any:
    """Return what a text says in the YAML of config files.

    Raises:
        yaml.YAMLError: If it is no YAML, or a key stands there twice.
        ValueError: If a number in it is too long.
    """
    try:
        return yaml.load(text, _StrictLoader)
    except RecursionError:
        raise ValueError("lists or keys lie too deep in each other") from None


def _load_yaml(path: Path) -> dict[str, Any]:
    try:
        values = load_strictly(path.read_text(encoding="utf-8"))
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
        found = "the file is empty" if values is None else f"the file holds {kind_of(values)}"
        raise ConfigError([Problem(str(path), found, "write keys and values; see config/")])
    _refuse_values(values, str(path))
    return values


def _refuse_values(values: Mapping[str, Any], source: str) -> None:
    problems = list(value_problems(values, source))
    if problems:
        raise ConfigError(problems)


def value_problems(value: Any, source: str, path: tuple[Any, ...] = ()) -> Iterator[Problem]:
    """Yield what YAML can say and a config cannot: infinity, bytes, sets, broken characters.

    Args:
        value: A config, or a value inside one.
        source: The file name that problems carry.
        path: Keys and indices that lead to the value.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            yield from value_problems(item, source, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from value_problems(item, source, (*path, index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(f"{source}: {dotted(path)}", f"{value} is no value", "write a finite number")
    elif isinstance(value, str) and not _is_encodable(value):
        yield Problem(
            f"{source}: {dotted(path)}", f"{value!r} has half a character", "write whole text"
        )
    elif value is not None and not isinstance(value, (bool, int, float, str)):
        yield Problem(
            f"{source}: {dotted(path)}",
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

    Dates and times stay strings, and so do numbers that begin with 0; duplicate keys, tags and
    broken YAML are refused.

    Raises:
        ConfigError: If a file is absent or is not such YAML, or a value is none of a config.
    """
    values: dict[str, Any] = {}
    for file in files:
        _merge(values, _load_yaml(file))
    # Values given on a command line may hold tuples or dates; JSON makes them what YAML gives.
    over = json.loads(json.dumps(dict(overrides or {}), default=str))
    _refuse_values(over, "values over those of the config")
    return _merge(values, over)


def dotted(path: Sequence[Any]) -> str:
    """Return the place of a value in a config, as `batch.sma.symbols[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def kind_of(value: object) -> str:
    """Return in words what kind of value stands somewhere in a config."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    kinds = ((dict, "keys and values"), (list, "a list"), (str, "text"), ((int, float), "a number"))
    return next((name for kind, name in kinds if isinstance(value, kind)), type(value).__name__)
