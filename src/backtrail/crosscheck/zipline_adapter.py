"""What cross-checking on zipline-reloaded needs to know before it starts zipline."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["ZiplineAdapter"]


class ZiplineAdapter:
    """zipline-reloaded 3, in an environment of its own: it needs pandas below 3, and we do not."""

    name = "zipline"
    package = "zipline"
    install = (
        "python3.11 -m venv .venv-zipline && "
        ".venv-zipline/bin/pip install 'zipline-reloaded>=3.2,<4'"
    )
    environments: tuple[str, ...] = (".venv-zipline",)

    @property
    def script(self) -> Path:
        """The script that runs a task."""
        return Path(__file__).with_name("zipline_driver.py")

    def refusal(self, identity: Mapping[str, Any]) -> str | None:
        """Return which setting of a run zipline has nothing for; None when it has all."""
        dataset, rules = identity["dataset"], identity["execution"]
        if dataset["timeframe"] != "1d":
            return f"bars of {dataset['timeframe']}; daily ones can be cross-checked"
        wanted = {"fill": ("next_open", "next_close"), "size_at": ("signal_close",)}
        for name, allowed in {**wanted, "shares": ("whole",)}.items():
            if rules[name] not in allowed:
                return f"{name}: {rules[name]}; it has {' and '.join(allowed)}"
        for name in ("slippage", "margin", "instruments"):
            section = identity.get(name)
            if section and section not in ({"model": "none"},):
                return f"the section {name} of this run's config"
        return None
