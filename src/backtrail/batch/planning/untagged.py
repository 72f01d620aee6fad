"""What of a config decides a batch: everything but the tags, which only label its runs."""

from collections.abc import Iterator, Mapping
from typing import Any

from backtrail.artifacts.tags import check_tag
from backtrail.errors import InvalidNameError

__all__ = ["are_tags_sound", "untagged"]

_KEY = "tags"


def untagged(values: Any) -> Any:
    """Return a config as it was read, without the tags of its defaults and entries.

    Args:
        values: The config, however broken.
    """
    if not isinstance(values, Mapping):
        return values
    kept = dict(values)
    if isinstance(values.get("defaults"), Mapping):
        kept["defaults"] = _without(values["defaults"])
        if not kept["defaults"]:
            del kept["defaults"]  # a section of tags alone is none, and so is an empty one
    if isinstance(values.get("batch"), Mapping):
        kept["batch"] = {
            name: _without(entry) if _has_tags(entry) else entry
            for name, entry in values["batch"].items()
        }
    return kept


def are_tags_sound(values: Any) -> bool:
    """Say whether every tag of a config is one; a batch that is known is checked no further."""
    return all(
        isinstance(tags, list) and _are_names(tags) and len(set(tags)) == len(tags)
        for tags in _found(values)
    )


def _found(values: Any) -> Iterator[Any]:
    if not isinstance(values, Mapping):
        return
    batch = values.get("batch")
    entries = batch.values() if isinstance(batch, Mapping) else ()
    for part in (values.get("defaults"), *entries):
        if _has_tags(part):
            yield part[_KEY]


def _are_names(tags: list[Any]) -> bool:
    try:
        return all(check_tag(tag) for tag in tags)
    except InvalidNameError:
        return False


def _has_tags(part: Any) -> bool:
    return isinstance(part, Mapping) and _KEY in part


def _without(part: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key != _KEY}
