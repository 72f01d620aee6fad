"""Where a config puts its runs, its bundles and its catalog."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtrail.artifacts.store import RunStore
from backtrail.batch.planning.config import read_sections
from backtrail.batch.planning.folders import SQLITE
from backtrail.batch.planning.limits import parse_bytes

__all__ = ["Places"]


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of a config and its catalog.

    Attributes:
        root: Project folder, from which relative paths count.
        base_dir: Folder of the run store as the config writes it.
        bundles_dir: Folder of the bundles as the config writes it.
        catalog_url: SQLAlchemy URL of the catalog; a relative SQLite path counts from the working
            directory, so that a project that is moved stays the same.
        warn_above: Size of the run store above which to warn, in bytes.
    """

    root: Path
    base_dir: Path
    bundles_dir: Path
    catalog_url: str
    warn_above: int

    @classmethod
    def of(cls, config: Mapping[str, Any], root: Path) -> "Places":
        """Return the places of a config whose defaults are filled in."""
        base_dir = Path(config["backtest_output"]["base_dir"])
        url = config["storage"].get("catalog_url", f"sqlite:///{base_dir / 'catalog.sqlite'}")
        warn_above = parse_bytes(config["backtest_output"]["warn_above"])
        return cls(root, base_dir, Path(config["storage"]["bundles_dir"]), url, warn_above)

    @classmethod
    def read(cls, files: Sequence[Path], root: Path) -> "Places":
        """Return the places that config files name; the rest of the config is not looked at.

        Raises:
            ConfigError: If a file is absent or no YAML, or what it says of folders is wrong.
        """
        return cls.of(read_sections(files, root, "backtest_output", "storage"), root)

    @property
    def located_catalog_url(self) -> str:
        """The catalog's URL with the path of an SQLite file counted from the project folder."""
        path = self.catalog_url.removeprefix(SQLITE)
        if path == self.catalog_url or not path or path.startswith((":memory:", "file:")):
            return self.catalog_url
        return f"{SQLITE}{self.root / path}"

    @property
    def store(self) -> RunStore:
        """The run store."""
        return RunStore(self.root / self.base_dir, self.root)

    @property
    def bundles(self) -> Path:
        """The bundles' folder."""
        return self.root / self.bundles_dir
