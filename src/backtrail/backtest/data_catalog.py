"""Which data a run used, and which runs used what data: the catalog as scripts ask it."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from backtrail.artifacts.store import RunStore
from backtrail.backtest.places import locate_base_dir, project_places
from backtrail.data.manifest import MANIFEST_FILE, DatasetManifest
from backtrail.project import find_project_root

if TYPE_CHECKING:
    from backtrail.catalog.catalog import Catalog

__all__ = ["DataCatalog"]


class DataCatalog:
    """The bundles, their datasets, and the links between runs and datasets.

    It may be used as a context manager. SQLite and PostgreSQL answer alike.

    Relative folders count from the project around the working directory, found by its marker
    files, or from the working directory without a project.

    Args:
        url: SQLAlchemy URL of the catalog; when None, the one that the config of the runs' project
            names for them, or else `catalog.sqlite` in their folder.
        base_dir: Folder of the runs; when None, the one that the project's config names, or else
            `backtests`.
        bundles_dir: Folder of the bundles; when None, that of the runs' project, likewise.

    Raises:
        InvalidNameError: If the base directory cannot name a folder.
        ConfigError: If the project's config says of folders what cannot be meant.
        CatalogError: If the database cannot be opened.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        base_dir: str | Path | None = None,
        bundles_dir: str | Path | None = None,
    ) -> None:
        here = Path.cwd()
        self.base_dir = locate_base_dir(base_dir)
        places = project_places(here if base_dir is None else self.base_dir.parent)
        if bundles_dir is None:
            self.bundles_dir = places.bundles
        else:
            self.bundles_dir = (find_project_root(here) or here) / bundles_dir
        is_configs = places.store.base_dir == self.base_dir
        usual = places.located_catalog_url if is_configs else _beside(self.base_dir)
        self.url = usual if url is None else url
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

    def get_backtests_using_dataset(self, dataset_id: str) -> list[str]:
        """Return the ids of the runs that used a dataset, oldest first.

        Raises:
            CatalogError: If the catalog cannot be read.
        """
        links = self._open().find_links(dataset_id=dataset_id)
        return sorted({link["backtest_id"] for link in links})

    def get_bundles(self) -> list[dict[str, Any]]:
        """Return every bundle, by name.

        Each has `bundle`, the `dataset_id` it means now, and how many `datasets` it has meant.

        Raises:
            CatalogError: If the catalog cannot be read.
        """
        return self._open().find_bundles()

    def get_datasets(self, bundle: str | None = None) -> list[dict[str, Any]]:
        """Return the datasets of a bundle, or of all, by id.

        Each has `dataset_id`, `bundle`, `calendar`, `timeframe`, `bars`, `symbols` (their number),
        `first_bar`, `last_bar` and `synthetic`; empty where a run is linked to a dataset whose
        folder was deleted.

        Raises:
            CatalogError: If the catalog cannot be read.
        """
        return self._open().find_datasets(bundle=bundle)

    def find_cached(
        self,
        symbols: Sequence[str],
        start: date,
        end: date,
        *,
        timeframe: str,
        calendar: str | None = None,
        bundle: str | None = None,
    ) -> list[Path]:
        """Return the directories of datasets in bundle storage that hold what is asked for.

        So a script can use again what was ingested before, for another run or another bundle.

        Args:
            symbols: Symbols it has to hold.
            start: First date, on or before which each symbol has to begin.
            end: Last date, on or after which each symbol has to end.
            timeframe: Length of a bar.
            calendar: Name of the calendar; any when None.
            bundle: Bundle to look into; all when None.

        Returns:
            The dataset that its bundle means now first, then by most recent last bar.

        Raises:
            CatalogError: If the catalog cannot be read.
            DatasetError: If a manifest that the catalog knows is damaged.
        """
        catalog = self._open()
        wanted = catalog.find_datasets(bundle=bundle, timeframe=timeframe, calendar=calendar)
        heads = {row["dataset_id"] for row in catalog.find_bundles()}
        found = [
            (row["dataset_id"] in heads, row["last_bar"], row["dataset_id"], path)
            for row in wanted
            if (
                path := self.bundles_dir / row["bundle"] / row["dataset_id"] / MANIFEST_FILE
            ).exists()
            and _covers(DatasetManifest.load(path), symbols, start, end)
        ]
        return [path.parent for *_, path in sorted(found, reverse=True)]

    def _open(self) -> "Catalog":
        if self._catalog is None:
            from backtrail.catalog.catalog import Catalog

            self._catalog = Catalog(self.url, RunStore(self.base_dir), self.bundles_dir)
        return self._catalog


def _beside(base_dir: Path) -> str:
    return f"sqlite:///{base_dir / 'catalog.sqlite'}"


def _covers(manifest: DatasetManifest, symbols: Sequence[str], start: date, end: date) -> bool:
    records = [manifest.symbols.get(symbol) for symbol in symbols]
    return all(
        record is not None
        and record.first[:10] <= start.isoformat()
        and record.last[:10] >= end.isoformat()
        for record in records
    )
