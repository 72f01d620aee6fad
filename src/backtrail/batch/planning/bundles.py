"""Definitions of bundles from a batch config, each with those of the bundles it is made of."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from backtrail.data.bundles import BundleConfig, Parent, Waiver, source_names
from backtrail.errors import ConfigError, Problem

__all__ = ["bundle_config", "bundle_definition"]

_BUNDLE_KEYS = {
    "adapter",
    "calendar",
    "dataset",
    "gaps",
    "parents",
    "path",
    "resample_from",
    "timeframe",
    "universe",
    "waivers",
}


def bundle_definition(
    name: str, bundles: Mapping[str, Mapping[str, Any]], below: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the keys of a bundle, with those of the bundles it is made of under `parents`.

    Args:
        name: The bundle.
        bundles: Keys of every bundle of a config.
        below: Bundles that are made of this one, so that a circle is found.

    Raises:
        ConfigError: If a bundle is made of itself.
    """
    values = dict(bundles[name])
    if values.get("adapter") != "bundle":
        return values
    parents = {}
    for source in source_names(values):
        if source in (*below, name):
            circle = " of ".join([*below, name, source])
            remedy = "let one of them have a source of its own"
            raise ConfigError([Problem(f"bundles.{name}.source", f"{circle} goes round", remedy)])
        if source in bundles:
            parents[source] = bundle_definition(source, bundles, (*below, name))
    return {**values, "parents": parents}


def bundle_config(name: str, values: Mapping[str, Any]) -> BundleConfig:
    """Return the definition of a bundle from its keys in a batch config.

    Args:
        name: The bundle.
        values: Its keys; of a bundle made of others as `bundle_definition` returns them.

    Raises:
        ConfigError: If something cannot be meant as written.
    """
    waivers = tuple(
        Waiver(
            rule=item["rule"],
            reason=item["reason"],
            symbols=tuple(item.get("symbols", ())),
            dates=tuple(date.fromisoformat(day) for day in item.get("dates", ())),
        )
        for item in values.get("waivers", ())
    )
    return BundleConfig(
        name=name,
        adapter=values["adapter"],
        calendar=values["calendar"],
        timeframe=values["timeframe"],
        path=values.get("path"),
        options={key: value for key, value in values.items() if key not in _BUNDLE_KEYS},
        waivers=waivers,
        gaps=values.get("gaps", "allow"),
        resample_from=values.get("resample_from"),
        universe=values.get("universe"),
        parents=tuple(
            Parent(bundle_config(source, keys), keys.get("dataset"))
            for source, keys in values.get("parents", {}).items()
        ),
    )
