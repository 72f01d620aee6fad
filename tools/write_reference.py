"""Write docs/reference: config, command line and artifacts, from what the code declares."""

import argparse
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from backtrail.artifacts import schemas
from backtrail.batch.config import load_schema
from backtrail.cli import build_parser

__all__ = ["artifacts_page", "cli_page", "config_page", "pages"]

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"
Schema = Mapping[str, Any]

_SETTINGS = "#/$defs/settings/properties/"


def pages() -> dict[str, str]:
    """Return the text of every generated page by its file name."""
    return {"artifacts.md": artifacts_page(), "cli.md": cli_page(), "config.md": config_page()}


def _head(title: str, source: str) -> str:
    return f"# {title}\n\n<!-- Written by `make docs` from {source}; do not edit. -->\n\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines) + "\n"


# Config


def config_page() -> str:
    """Return the page of config keys: type, default and meaning of each."""
    text = _head("Config keys", "workflow/schemas/config.schema.yaml")
    text += (
        "A batch is one YAML file. Unknown keys, duplicate keys and `..` in paths are errors. "
        "Later files of one `--configfile` list have more weight than earlier ones.\n\n"
    )
    for title, node in _sections("", load_schema()):
        text += f"## {title}\n\n"
        if "description" in node and title != "Top level":
            text += f"{' '.join(node['description'].split())}\n\n"
        text += _table(("Key", "Type", "Default", "Meaning"), list(_key_rows(node)))
        if node.get("additionalProperties") is True:
            text += "Further keys are options of the adapter.\n\n"
    return text.rstrip("\n") + "\n"


def _resolve(node: Schema) -> Schema:
    while "$ref" in node:
        target: Any = load_schema()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def _is_setting(node: Schema) -> bool:
    return str(node.get("$ref", "")).startswith(_SETTINGS)


def _sections(path: str, node: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield every mapping with keys of its own, outer ones first."""
    if node.get("properties"):
        yield (f"`{path}`" if path else "Top level"), node
    for name, child in node.get("properties", {}).items():
        if _is_setting(child):
            continue  # told once, under `defaults`
        below = f"{path}.{name}".lstrip(".")
        resolved = _resolve(child)
        yield from _sections(below, resolved)
        items = resolved.get("items")
        if isinstance(items, Mapping):
            yield from _sections(f"{below}[]", _resolve(items))
        values = resolved.get("additionalProperties")
        if isinstance(values, Mapping):
            named = _resolve(values)
            yield from _sections(f"{below}.<name>", named)


def _key_rows(node: Schema) -> Iterator[tuple[str, ...]]:
    required = set(node.get("required", ()))
    for name, child in node["properties"].items():
        resolved = _resolve(child)
        if _is_setting(child):
            default = "as in `defaults`"
        elif name in required:
            default = "required"
        elif "default" in resolved:
            default = f"`{json.dumps(resolved['default'])}`"
        else:
            default = ""
        yield f"`{name}`", _type(resolved), default, _meaning(resolved)


def _meaning(node: Schema) -> str:
    """Return a key's description, with that of its values where names are the user's own."""
    values = node.get("additionalProperties")
    parts = [node.get("description", "")]
    if isinstance(values, Mapping) and not _resolve(values).get("properties"):
        parts.append(_resolve(values).get("description", ""))
    return " ".join(part for part in parts if part)


_TYPES = {
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
    "null": "null",
    "number": "number",
    "object": "mapping",
    "string": "text",
}


def _type(node: Schema) -> str:
    if "enum" in node:
        return ", ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    if "oneOf" in node:
        return " or ".join(_type(_resolve(choice)) for choice in node["oneOf"])
    kinds = node.get("type", "any")
    if kinds == "any":
        return "any"
    if isinstance(kinds, list):
        return " or ".join(_TYPES[kind] for kind in kinds)
    if node.get("format") == "date":
        return "date, `YYYY-MM-DD`"
    if kinds == "array" and "items" in node:
        return f"list of {_type(_resolve(node['items']))}"
    if kinds == "object" and isinstance(node.get("additionalProperties"), Mapping):
        return "mapping of names"
    return _TYPES[kinds] + _bounds(node)


def _bounds(node: Schema) -> str:
    bounds = [
        f"{sign} {node[key]}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in node
    ]
    return f", {' and '.join(bounds)}" if bounds else ""


# Command line


def cli_page() -> str:
    """Return the page of commands, with every option of each."""
    parser = build_parser()
    text = _head("Command line", "backtrail.cli")
    text += f"{parser.description}\n\n"
    text += "Exit status: 0 well, 1 a finding or an error, 2 a command line that is none.\n\n"
    commands = _commands(parser)
    text += _table(
        ("Command", "What it does"),
        [(f"[`{name}`](#{name})", str(each.description)) for name, each in commands.items()],
    )
    for name, command in commands.items():
        text += f"## `{name}`\n\n{command.description}\n\n```sh\n{_usage(name, command)}\n```\n\n"
        text += _table(("Argument", "Meaning"), [_option(a) for a in _arguments(command)])
    return text.rstrip("\n") + "\n"


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise ValueError("the parser has no commands")


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found = [a for a in parser._actions if not isinstance(a, argparse._HelpAction)]
    return sorted(found, key=lambda action: bool(action.option_strings))


def _value(action: argparse.Action) -> str:
    """Return how the value of an argument is written; empty for a switch."""
    if action.nargs == 0:
        return ""
    if action.choices is not None:
        return f"{{{','.join(map(str, action.choices))}}}"
    name = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    many = {"+": " ...", "*": " ..."}.get(str(action.nargs), "")
    return f"{name}{many}"


def _usage(name: str, parser: argparse.ArgumentParser) -> str:
    words = [f"backtrail {name}"]
    for action in _arguments(parser):
        value = _value(action)
        if action.option_strings:
            words.append(f"[{' '.join([action.option_strings[-1], value]).strip()}]")
        else:
            words.append(f"[{value}]" if action.nargs in ("*", "?") else value)
    return " ".join(words)


def _option(action: argparse.Action) -> tuple[str, str]:
    shown = ", ".join(action.option_strings) or str(action.dest)
    value = _value(action) if action.option_strings else ""
    return f"`{' '.join([shown, value]).strip()}`", action.help or ""


# Artifacts


def artifacts_page() -> str:
    """Return the page of tables: every column with its type and meaning."""
    text = _head("Artifacts", "backtrail.artifacts.schemas")
    text += f"{' '.join(str(schemas.__doc__).split())}\n\n"
    text += (
        "All tables but `errors` lie in `results/` of a run as `<name>.parquet`; `errors` lies in "
        "`errors/`. Where each file of a run lies: [run-directory.md](run-directory.md).\n\n"
    )
    comments = _comments(inspect.getsource(schemas))
    for table, columns in schemas.ARTIFACT_SCHEMAS.items():
        text += f"## `{table}`\n\n{comments[table, '']}\n\n"
        text += _table(
            ("Column", "Type", "Meaning"),
            [
                (f"`{name}`", _dtype(dtype), comments.get((table, name), ""))
                for name, dtype in columns.items()
            ],
        )
    return text.rstrip("\n") + "\n"


def _comments(source: str) -> dict[tuple[str, str], str]:
    """Return the comments of declarations: of tables under (table, ""), of columns beside them."""
    found: dict[tuple[str, str], str] = {}
    above: list[str] = []
    table = ""
    for line in source.splitlines():
        if match := re.fullmatch(r"    # (.*)", line):
            above.append(match[1])
            continue
        if match := re.fullmatch(r'    "(\w+)": \{', line):
            table = match[1]
            found[table, ""] = " ".join(above)
        elif match := re.fullmatch(r'        "(\w+)": [^#]*# (.*)', line):
            found[table, match[1]] = match[2]
        above = []
    return found


def _dtype(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Datetime):
        return "timestamp, µs, UTC"
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision}, {dtype.scale})"
    return str(dtype).lower()


def main() -> None:
    """Write the pages."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
