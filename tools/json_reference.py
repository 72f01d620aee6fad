"""The page of JSON files, from their published schemas."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reference_tables import TYPE_WORDS, bounds, markdown_table, page_head

__all__ = ["json_page"]

Schema = Mapping[str, Any]

_SCHEMAS = Path(__file__).resolve().parents[1] / "workflow" / "schemas"
_DEFINITIONS = "definitions.schema.json"
_ABSENT = "x-absent"  # marks here, and in no schema, a key that need not be there


def json_page() -> str:
    """Return the page of JSON files: where each lies, and every key with its meaning."""
    text = page_head("JSON files", "workflow/schemas/*.schema.json")
    text += (
        "Every JSON file of a run, the store and a bundle has a schema in "
        "[workflow/schemas](../../workflow/schemas), draft 2020-12, to which tests hold the files "
        "of real runs. Keys that a schema does not name are errors. `x-files` of a schema says "
        "where its files lie, with `backtests/` and `bundles/` for the folders that the config "
        "names; schemas refer to each other by file name. Files are what this version writes: "
        "runs of earlier ones may lack keys. Not told here are working files, which go when they "
        "have served, and a strategy's own. What each file is for: "
        "[run-directory.md](run-directory.md).\n\n"
    )
    found = {
        path.name: json.loads(path.read_bytes()) for path in sorted(_SCHEMAS.glob("*.schema.json"))
    }
    shared = found.pop(_DEFINITIONS)
    rows = [
        (", ".join(f"`{place}`" for place in schema["x-files"]), _schema_link(name))
        for name, schema in found.items()
    ]
    text += markdown_table(("Files", "Schema"), sorted(rows))
    for name, schema in found.items():
        text += _json_section(name.removesuffix(".schema.json"), schema)
    text += f"## Definitions\n\n{shared['description']}\n\n"
    simple = {name: node for name, node in shared["$defs"].items() if not _inner(node)}
    text += markdown_table(
        ("Name", "Type", "Meaning"), [_json_row(*item) for item in simple.items()]
    )
    for name, node in shared["$defs"].items():
        if name not in simple:
            text += _json_section(f"Definition: {name}", node)
    return text.rstrip("\n") + "\n"


def _schema_link(file: str) -> str:
    name = file.removesuffix(".schema.json")
    return f"[{name}](#{name.lower()})"


def _json_section(name: str, schema: Schema) -> str:
    text = f"## {name}\n\n{schema['description']}\n\n"
    if "$ref" in schema:
        return f"{text}It is {_json_type(schema)}.\n\n"
    return text + markdown_table(
        ("Key", "Type", "Meaning"), [_json_row(*item) for item in _inner(schema)]
    )


def _inner(node: Schema, path: str = "") -> list[tuple[str, Schema]]:
    """Return every key below a node by its path; `[]` is an item, `<name>` a key of the file's."""
    found: dict[str, Schema] = {}
    for name, child in {**node.get("properties", {}), **node.get("patternProperties", {})}.items():
        if isinstance(child, Mapping):
            shown = f"{path}.{name.strip('^$')}".lstrip(".")
            is_told = name in node.get("required", ()) or name in node.get("patternProperties", ())
            found |= {shown: {**child, _ABSENT: not is_told}, **dict(_inner(child, shown))}
    for key, mark in (("items", "[]"), ("additionalProperties", ".<name>")):
        if isinstance(node.get(key), Mapping):
            found |= _inner(node[key], f"{path}{mark}".lstrip("."))
    for choice in node.get("anyOf", ()):
        found = {**dict(_inner(choice, path)), **found}
    return list(found.items())


def _json_row(name: str, node: Schema) -> tuple[str, ...]:
    said = node.get("description", "")
    if not said and "$ref" in node:
        said = _referred(node["$ref"]).get("description", "")
    absent = ", or absent" if node.get(_ABSENT) else ""
    return f"`{name}`", f"{_json_type(node)}{absent}", said


def _json_type(node: Schema) -> str:
    if "$ref" in node:
        file, _, pointer = str(node["$ref"]).partition("#")
        name = pointer.split("/")[-1] if pointer else ""
        if file == _DEFINITIONS and pointer.count("/") == 2:
            is_simple = not _inner(_referred(node["$ref"]))
            return f"[{name}](#{'definitions' if is_simple else f'definition-{name}'})"
        said = f"[{file.removesuffix('.schema.json')}](#{file.removesuffix('.schema.json')})"
        return f"`{name}` of {said}" if name else said
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(_json_type(choice) for choice in node["anyOf"]))
    if "enum" in node:
        return ", ".join(f"`{json.dumps(value)}`" for value in node["enum"])
    if "const" in node:
        return f"`{json.dumps(node['const'])}`"
    if node.get("type") == "array" and isinstance(node.get("items"), Mapping):
        return f"list of {_json_type(node['items'])}"
    if node.get("type") == "object" and isinstance(node.get("additionalProperties"), Mapping):
        return f"mapping to {_json_type(node['additionalProperties'])}"
    kinds = node.get("type", "any")
    named = [kinds] if isinstance(kinds, str) else kinds
    return " or ".join(TYPE_WORDS.get(kind, kind) for kind in named) + bounds(node)


def _referred(reference: str) -> Schema:
    file, _, pointer = reference.partition("#")
    node: Any = json.loads((_SCHEMAS / file).read_bytes())
    for part in pointer.strip("/").split("/") if pointer else ():
        node = node[part]
    found: Schema = node
    return found
