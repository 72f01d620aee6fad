"""What an engine has to have so that runs can be cross-checked on it.

An engine is an `Adapter` and a script. The script is started as `PYTHON script.py FOLDER` by a
Python that has the engine; it needs nothing of backtrail's environment. FOLDER holds:

- `task.json`: `entry` and `code_dir` (the captured strategy), `import_paths`, `functions` (roles to
  names, or null), `library` (folder to find the package `backtrail` in: its `engine` needs NumPy
  alone), `params`, `symbols`, `calendar`, `timeframe`, `capital_base`, `commission` (`model`,
  `cost`), `rules` (`fill`, `size_at`, `shares`, `cash_policy`), `seed`;
- `bars.npz`: `timestamps` (microseconds UTC, n), `open`, `high`, `low`, `close`, `volume`,
  `splits`, `dividends` (n by k, NaN where a symbol has no bar) and `delisted` (k), as in
  `backtrail.engine.Bars`.

It writes `answer.json` there: `engine`, `versions` (name to version), `fills` in the order of bars
(`row`, `symbol`, `quantity` signed, `price`, `commission`), `equity` (portfolio value at every
bar's close), `notes` (what makes the engine differ on these bars); or `error` and `trace`. It ends
with status 0 in both cases.

An adapter is found by its entry point in the group `backtrail.engines`, which names an object of
this protocol, or its class.
"""

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from backtrail.crosscheck.zipline_adapter import ZiplineAdapter
from backtrail.errors import BacktrailError

__all__ = ["Adapter", "CrossCheckError", "adapter_of"]


class CrossCheckError(BacktrailError):
    """A run cannot be cross-checked; the message says why, and what would do."""


class Adapter(Protocol):
    """An engine that runs strategies written for backtrail.

    Attributes:
        name: What `--engine` calls it.
        package: The package a Python has to have, as it is imported.
        install: The command that makes an environment with it.
        environments: Folders of environments to look into, relative to the project.
    """

    name: str
    package: str
    install: str
    environments: tuple[str, ...]

    @property
    def script(self) -> Path:
        """The script that runs a task."""
        ...

    def refusal(self, identity: Mapping[str, Any]) -> str | None:
        """Return which setting of a run the engine has nothing for; None when it has all."""
        ...


def adapter_of(name: str) -> Adapter:
    """Return the adapter of an engine.

    Raises:
        CrossCheckError: If there is none of that name.
    """
    if name == "zipline":
        return ZiplineAdapter()
    others = {point.name: point for point in entry_points(group="backtrail.engines")}
    if name not in others:
        known = ", ".join(["zipline", *sorted(others)])
        raise CrossCheckError(f"there is no engine {name!r} to cross-check with; known: {known}")
    loaded = others[name].load()
    adapter: Adapter = loaded() if isinstance(loaded, type) else loaded
    return adapter
