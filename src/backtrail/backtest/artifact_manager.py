"""The directory of one run, for scripts and notebooks: made, filled, found again."""

import json
import logging
import threading
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from backtrail.artifacts.manifest import DERIVED_RESULTS, is_sealed
from backtrail.artifacts.paths import result_name
from backtrail.artifacts.refusals import unavailable
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore, check_id, name_of
from backtrail.backtest.capturing import capture_into, check_strategy_path, read_captured
from backtrail.backtest.data_catalog import DataCatalog
from backtrail.backtest.places import locate_base_dir
from backtrail.errors import (
    ArtifactManagerError,
    CatalogError,
    CatalogUnavailableError,
    InvalidNameError,
    RunNotFoundError,
)
from backtrail.files import is_temporary, write_json
from backtrail.provenance.detection import CAPTURE_MODES
from backtrail.provenance.metadata import BacktestMetadataGenerator

__all__ = ["BacktestArtifactManager"]

_FOLDERS = ("results", "code", "metadata")

_log = logging.getLogger(__name__)


class BacktestArtifactManager:
    """The directory of one run: `results/`, `code/`, `metadata/`.

    A manager without an id makes a run directory at once, by an exclusive `mkdir`, so that no
    other thread, process or machine on the file system has its id. A manager with an id opens
    that run, or makes it when `initialize` is called.

    Runs of `run_algorithm` and of batches are sealed: of them, everything can be read, and nothing
    but exports and reports written.

    Args:
        base_dir: Folder of the runs. A relative one counts from the project folder, found by its
            marker files at or above the working directory; None is the one that the project's
            config names, or else `backtests`.
        code_capture_mode: `import_analysis` follows imports, `strategy_yaml` takes what a
            `strategy.yaml` lists, None captures nothing.
        backtest_id: Id of the run, in place of the moment in UTC.

    Raises:
        ValueError: If `base_dir` has `..` in it, or the mode or the id cannot be meant.
        ArtifactManagerError: If the directory cannot be made; also an `OSError`.
    """

    _last_generated: ClassVar[datetime | None] = None
    _generating: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        base_dir: str | Path | None = None,
        code_capture_mode: str | None = "import_analysis",
        backtest_id: str | None = None,
    ) -> None:
        if code_capture_mode is not None and code_capture_mode not in CAPTURE_MODES:
            raise InvalidNameError(
                f"invalid code_capture_mode {code_capture_mode!r}; "
                f"use one of {', '.join(CAPTURE_MODES)}, or None"
            )
        self._mode = code_capture_mode
        self._store = RunStore(locate_base_dir(base_dir))
        self._lease: ExitStack | None = None  # held while the directory is an empty name
        self._is_made = False
        self._strategy: Path | None = None
        self._run = self._reserve() if backtest_id is None else self._named(backtest_id)

    def _named(self, backtest_id: str) -> RunDir:
        return self._store.run(check_id(backtest_id))

    def _reserve(self) -> RunDir:
        """Take an id, and hold its lease, so that nobody sweeps the empty directory away."""
        while True:
            run = self._store.run(self._store.take_id(datetime.now(UTC)))
            held = ExitStack()
            try:
                held.enter_context(run.lease())
            except ArtifactManagerError:  # swept between the two steps
                continue
            except OSError as error:
                _remove_empty(run.path)
                raise unavailable("write to", run.path, error) from error
            self._lease = held
            return run

    @classmethod
    def generate_backtest_id(cls) -> str:
        """Return the id of this moment in UTC, `YYYYMMDD_HHMMSS_mmm`.

        No two calls in one process return the same. Only the directory makes an id unique among
        processes: a manager made without an id takes both.
        """
        with cls._generating:
            moment = datetime.now(UTC)
            if cls._last_generated is not None:
                moment = max(moment, cls._last_generated + timedelta(milliseconds=1))
            cls._last_generated = moment
        return name_of(moment)

    @classmethod
    def from_backtest_id(
        cls, backtest_id: str, base_dir: str | Path | None = None
    ) -> "BacktestArtifactManager":
        """Open a run that exists.

        Args:
            backtest_id: Its whole id.
            base_dir: Folder of the runs, as above.

        Raises:
            FileNotFoundError: If there is no such run.
            ValueError: If the id or the folder cannot be meant.
        """
        manager = cls(base_dir, backtest_id=backtest_id)
        if not manager.output_dir.is_dir():
            runs = manager._store.run_dirs()
            newest = f"the newest is {runs[-1].backtest_id}" if runs else "there are no runs"
            raise RunNotFoundError(
                f"there is no run {backtest_id} in {manager.base_dir}; {newest} there"
            )
        return manager

    @property
    def base_dir(self) -> Path:
        """The folder of the runs, absolute."""
        return self._store.base_dir

    @property
    def code_capture_mode(self) -> str | None:
        """How the files of a strategy are found; None when they are not captured."""
        return self._mode

    @property
    def backtest_id(self) -> str:
        """The run's id; the name of its directory."""
        return self._run.backtest_id

    @property
    def output_dir(self) -> Path:
        """The run's directory, `<base_dir>/<backtest_id>`."""
        return self._run.path

    @property
    def results_dir(self) -> Path:
        """The folder of results."""
        return self._run.results

    @property
    def code_dir(self) -> Path:
        """The folder of captured code."""
        return self._run.code

    @property
    def metadata_dir(self) -> Path:
        """The folder of metadata."""
        return self._run.metadata.parent

    @property
    def is_sealed(self) -> bool:
        """Whether the run is finished, and its files are listed with checksums."""
        return is_sealed(self._run)

    def initialize(self) -> None:
        """Make the run's directory with `results/`, `code/` and `metadata/`.

        Calling it again changes nothing. Either all folders are there afterwards, or none of
        those that this call would have made.

        Raises:
            ArtifactManagerError: If the folders cannot be made, which is also an `OSError` (a
                `PermissionError` where that is the reason); or if the id was given and a run of
                that id exists.
        """
        if self._is_made:
            return
        if self._lease is None:
            self._store.take_name(self.backtest_id)
        try:
            for name in _FOLDERS:
                (self.output_dir / name).mkdir(exist_ok=True)
        except OSError as error:
            for name in _FOLDERS:
                _remove_empty(self.output_dir / name)
            self._release()
            _remove_empty(self.output_dir)
            raise unavailable("make the folders of", self.output_dir, error) from error
        self._release()
        self._is_made = True
        _log.info(
            "backtest %s: output goes to %s",
            self.backtest_id,
            self.output_dir,
            extra={"backtest_id": self.backtest_id, "output_dir": str(self.output_dir)},
        )

    def _release(self) -> None:
        if self._lease is not None:
            self._lease.close()
            self._lease = None

    def create_output_structure(self) -> None:
        """Make the run's folders; another name of `initialize`."""
        self.initialize()

    def capture_strategy_code(
        self, strategy_path: str | Path, strategy_yaml_path: str | Path | None = None
    ) -> list[str]:
        """Copy a strategy's files into `code/`, read-only, each content stored once in the store.

        Args:
            strategy_path: The strategy, a Python file or a notebook.
            strategy_yaml_path: The `strategy.yaml` that lists the files, in place of one beside the
                strategy.

        Returns:
            The captured files relative to `code/`, the strategy first. Nothing with a capture mode
            of None.

        Raises:
            FileNotFoundError: If the strategy does not exist.
            ValueError: If it is no file that could be a strategy.
            CodeCaptureError: If its files cannot be captured.
            ArtifactManagerError: If the run is finished, or the files cannot be written.
        """
        self._require_open("capture code")
        strategy = check_strategy_path(strategy_path)
        self._strategy = strategy
        if self._mode is None:
            return []
        yaml = None if strategy_yaml_path is None else Path(strategy_yaml_path)
        return capture_into(self._store, self._run, strategy, mode=self._mode, yaml=yaml)

    def save_metadata(self, metadata: dict[str, Any]) -> Path:
        """Write the run's metadata: sorted and indented JSON, by a temporary name and a rename.

        Args:
            metadata: Plain values; dates and paths become text.

        Returns:
            The file, `metadata/backtest_metadata.json`.

        Raises:
            ValueError: If it is no dict of plain values, or names another run.
            ArtifactManagerError: If the run is finished, or the file cannot be written; the latter
                is also an `OSError`.
        """
        self._require_open("save metadata")
        if not isinstance(metadata, dict):
            raise InvalidNameError(f"metadata is a {type(metadata).__name__}; give a dict")
        named = metadata.get("backtest_id", self.backtest_id)
        if named != self.backtest_id:
            raise InvalidNameError(
                f"metadata names the run {named!r}; this is {self.backtest_id}. Drop the key"
            )
        try:
            write_json(self._run.metadata, metadata)
        except (TypeError, ValueError) as error:
            raise InvalidNameError(f"metadata cannot be written as JSON: {error}") from error
        except OSError as error:
            raise unavailable("write", self._run.metadata, error) from error
        return self._run.metadata

    def generate_metadata(self, data_catalog: DataCatalog | None = None) -> Path:
        """Write the metadata that can be known of a run kept by hand.

        Args:
            data_catalog: Asked for the run's bundle and datasets; not asked when None.

        Returns:
            The file, `metadata/backtest_metadata.json`.

        Raises:
            MetadataGenerationError: If it cannot be written.
            ArtifactManagerError: If the run is finished, or no strategy was captured.
        """
        self._require_open("generate metadata")
        captured = read_captured(self._run)
        strategy = captured[0] if self._strategy is None and captured else self._strategy
        if strategy is None:
            raise ArtifactManagerError(
                f"run {self.backtest_id} has no strategy; call capture_strategy_code first"
            )
        generator = BacktestMetadataGenerator(self.backtest_id, self.metadata_dir)
        return generator.generate(strategy, captured, data_catalog)

    def load_metadata(self) -> dict[str, Any]:
        """Return the run's metadata.

        Raises:
            FileNotFoundError: If there are none.
            json.JSONDecodeError: If the file holds no JSON.
        """
        path = self._run.metadata
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise RunNotFoundError(
                f"run {self.backtest_id} has no metadata: {path} does not exist"
            ) from None
        try:
            metadata: dict[str, Any] = json.loads(text)
        except json.JSONDecodeError as error:
            raise json.JSONDecodeError(f"{path}: {error.msg}", error.doc, error.pos) from None
        return metadata

    def get_result_path(self, filename: str, subfolder: str | None = None) -> Path:
        """Return the path of a result file.

        While the run is open, the folder is made when it is absent. Of a finished run every path
        is one to read from: what is written beside its sealed files is named by `verify`. Tables
        for other tools belong into the subfolder `exports`, which is not sealed.

        Args:
            filename: A bare file name.
            subfolder: A folder inside `results/`.

        Raises:
            ValueError: If the name or the folder leads elsewhere, is hidden, or has control
                characters.
        """
        return self.get_output_path(
            filename, "results" if subfolder is None else f"results/{subfolder}"
        )

    def get_output_path(self, filename: str, subdirectory: str = "results") -> Path:
        """Return the path of a file in a folder of the run, as `get_result_path` does.

        Args:
            filename: A bare file name.
            subdirectory: `results`, `code` or `metadata`, or a folder inside one.

        Raises:
            ValueError: If the name or the folder leads elsewhere.
        """
        try:
            name = result_name(filename, str(subdirectory))
        except ArtifactManagerError as error:
            raise InvalidNameError(str(error)) from None
        if name.partition("/")[0] not in _FOLDERS:
            raise InvalidNameError(
                f"{subdirectory!r} is no folder of a run; choose one of {', '.join(_FOLDERS)}"
            )
        path = self.output_dir / name
        if not self._is_engines or name.startswith(DERIVED_RESULTS):
            self._make_folder(path.parent)
        return path

    def list_result_files(self) -> list[Path]:
        """Return every file below `results/`, sorted; none while there is no such folder."""
        found = self.results_dir.rglob("*")
        return sorted(path for path in found if path.is_file() and not is_temporary(path))

    def link_backtest_to_bundles(self, catalog: DataCatalog | None = None) -> list[str]:
        """Bring the catalog level with the run, and return the bundles it is linked to.

        Only a finished run of `run_algorithm` or of a batch says which data it used. One that is
        kept by hand is linked to nothing.

        Args:
            catalog: The catalog; the one of the run's project when None.

        Raises:
            RuntimeError: If the catalog cannot be reached.
        """
        try:
            if catalog is not None:
                return catalog.link_backtest(self.backtest_id)
            with DataCatalog(base_dir=self.base_dir) as own:
                return own.link_backtest(self.backtest_id)
        except CatalogError as error:
            raise CatalogUnavailableError(
                f"run {self.backtest_id} was not linked: {error}"
            ) from error

    @property
    def _is_engines(self) -> bool:
        """Whether the engine keeps this run: it was claimed with a run spec."""
        return self._run.spec.exists()

    def _require_open(self, what: str) -> None:
        if self._is_engines:
            state = "sealed" if self.is_sealed else "kept by the engine"
            raise ArtifactManagerError(
                f"cannot {what}: run {self.backtest_id} is {state}, and its files are its own; "
                "make another run"
            )
        if self._lease is not None or not self.output_dir.exists():
            self.initialize()

    def _make_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unavailable("make the folder", folder, error) from error


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
