"""Which data a run used, and which runs used a bundle: the catalog as scripts ask it."""

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from backtrail.artifacts.store import RunStore
from backtrail.project import find_project_root

if TYPE_CHECKING:
    from backtrail.catalog.catalog import Catalog

__all__ = ["DataCatalog"]


class DataCatalog:
    """The links between runs and datasets. It may be used as a context manager.

    Relative folders count from the project around the working directory, found by its marker
    files, or from the working directory without a project.

    Args:
        url: SQLAlchemy URL of the catalog; `catalog.sqlite` in the base directory when None.
        base_dir: Folder of the runs.
        bundles_dir: Folder of the bundles.

    Raises:
        CatalogError: If the database cannot be opened.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        base_dir: str | Path = "backtests",
        bundles_dir: str | Path = "bundles",
    ) -> None:
        here = Path.cwd()
        root = find_project_root(here) or here
        self.base_dir = root / base_dir
        self.bundles_dir = root / bundles_dir
        self.url = url or f"sqlite:///{self.base_dir / 'catalog.sqlite'}"
        self._catalog: Catalog | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        if self._catalog is not None:
            self._catalog.__exit__(None, None, None)
            self._catalog = None

    def link_backtest(self, backtest_id: str) -> list[str]:
        """Bring the catalog level with the runs on disk; return the bundles one is linked to.

        Raises:
            CatalogError: If the catalog cannot be written.
        """
        self._open().sync()
        return self.get_bundles_for_backtest(backtest_id)

    def get_bundles_for_backtest(self, backtest_id: str) -> list[str]:
        """Return the names of the bundles whose data a run used, sorted.

        Raises:
            CatalogError: If the catalog cannot be read.
        """
        links = self._open().find_links(backtest_id=backtest_id)
        return sorted({link["bundle"] for link in links})

    def get_datasets_for_backtest(self, backtest_id: str) -> list[str]:
        """Return the ids of the datasets a run used, sorted.

        Raises:
            CatalogError: If the catalog cannot be read.
        """
        links = self._open().find_links(backtest_id=backtest_id)
        return sorted({link["dataset_id"] for link in links})

    def get_backtests_using_bundle(self, bundle: str) -> list[str]:
        """Return the ids of the runs that used a bundle's data, oldest first.

        Raises:
            CatalogError: If the catalog cannot be read.
        """
        return sorted({link["backtest_id"] for link in self._open().find_links(bundle=bundle)})

    def _open(self) -> "Catalog":
        if self._catalog is None:
            from backtrail.catalog.catalog import Catalog

            self._catalog = Catalog(self.url, RunStore(self.base_dir), self.bundles_dir)
        return self._catalog
