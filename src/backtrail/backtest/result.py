"""What a run gives back to a script: figures, tables, and where everything lies."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from backtrail.artifacts.paths import result_name
from backtrail.artifacts.refusals import unavailable
from backtrail.backtest.artifact_manager import BacktestArtifactManager
from backtrail.errors import ArtifactManagerError, InvalidNameError, RunNotFoundError
from backtrail.files import atomic_path

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BacktestResult"]

_PERFORMANCE = "backtest_results"


class BacktestResult:
    """A finished run. Tables are read when they are asked for, as Polars frames.

    Attributes:
        backtest_id: Id of the run; None when artifacts are switched off.
        output_dir: The run's directory; None when artifacts are switched off.
        artifact_manager: The run's directory as an object; None when artifacts are switched off.
        metrics: Every statistic by name; None where it is undefined. Unit and assumption of each
            stand in the table `summary`.
        reused: Whether a run of equal content existed, so that nothing was executed.
        grade: How complete the provenance is: B complete, C something was used that was not
            captured, D the code is not captured; None when artifacts are switched off.
        gaps: What was used and not captured, one sentence each.
    """

    def __init__(
        self,
        *,
        metrics: Mapping[str, float | None],
        tables: "Mapping[str, pl.DataFrame] | None" = None,
        artifact_manager: BacktestArtifactManager | None = None,
        bundles_dir: Path | None = None,
        reused: bool = False,
        grade: str | None = None,
        gaps: tuple[str, ...] = (),
    ) -> None:
        self.artifact_manager = artifact_manager
        self.backtest_id = None if artifact_manager is None else artifact_manager.backtest_id
        self.output_dir = None if artifact_manager is None else artifact_manager.output_dir
        self.metrics = dict(metrics)
        self.reused = reused
        self.grade = grade
        self.gaps = gaps
        self._bundles_dir = bundles_dir
        self._tables: dict[str, pl.DataFrame] = dict(tables or {})

    @classmethod
    def of_run(
        cls, manager: BacktestArtifactManager, *, bundles_dir: Path, reused: bool = False
    ) -> "BacktestResult":
        """Return the result of a sealed run.

        Args:
            manager: The run.
            bundles_dir: Folder of the bundles; its report shows prices.
            reused: Whether the run existed before.

        Raises:
            ArtifactManagerError: If the run is not sealed.
        """
        path = manager.output_dir / "run.json"
        if not manager.is_sealed:
            raise ArtifactManagerError(
                f"run {manager.backtest_id} is not finished; its results cannot be read"
            )
        manifest = json.loads(path.read_bytes())
        return cls(
            metrics=manifest["metrics"],
            artifact_manager=manager,
            bundles_dir=bundles_dir,
            reused=reused,
            grade=manifest["grade"],
            gaps=tuple(manifest["gaps"]),
        )

    def __repr__(self) -> str:
        shown = [f"{name}={value:.4g}" for name, value in self._headline()]
        where = [] if self.output_dir is None else [str(self.output_dir)]
        state = [] if self.grade is None else [f"grade {self.grade}"]
        state += ["reused"] if self.reused else []
        name = self.backtest_id or "not kept"
        return f"<BacktestResult {', '.join([name, *state, *shown, *where])}>"

    def _repr_html_(self) -> str:
        from backtrail.backtest.display import result_html

        return result_html(self)

    def _headline(self) -> list[tuple[str, float]]:
        names = ("total_return", "sharpe_ratio", "max_drawdown", "total_trades")
        found = ((name, self.metrics.get(name)) for name in names)
        return [(name, value) for name, value in found if value is not None]

    @property
    def performance(self) -> "pl.DataFrame":
        """One row per bar: portfolio value, cash, exposure, returns, drawdown."""
        return self.table(_PERFORMANCE)

    @property
    def orders(self) -> "pl.DataFrame":
        """One row per order."""
        return self.table("orders")

    @property
    def fills(self) -> "pl.DataFrame":
        """One row per execution."""
        return self.table("fills")

    @property
    def positions(self) -> "pl.DataFrame":
        """Holdings after every bar at which they changed."""
        return self.table("positions")

    @property
    def trades(self) -> "pl.DataFrame":
        """One row per round trip."""
        return self.table("trades")

    @property
    def recorded(self) -> "pl.DataFrame":
        """What the strategy recorded: timestamp, name, value."""
        return self.table("recorded")

    @property
    def summary(self) -> "pl.DataFrame":
        """Every metric with value, unit and assumption."""
        return self.table("summary")

    @property
    def selection(self) -> dict[str, Any] | None:
        """What a search selected: `params`, score, how many sets; None for a plain run.

        All sets that were evaluated stand in the table `optimization_results`.
        """
        return self._document("selection.json")

    @property
    def verdict(self) -> dict[str, Any] | None:
        """What the gates of a validation found; None for a run that was not validated."""
        return self._document("validation/verdict.json")

    def _document(self, name: str) -> dict[str, Any] | None:
        if self.artifact_manager is None:
            return None
        path = self.artifact_manager.results_dir / name
        found: dict[str, Any] | None = json.loads(path.read_bytes()) if path.is_file() else None
        return found

    @property
    def stdout(self) -> str:
        """What the strategy printed; empty when it ran in this process."""
        path = None if self.output_dir is None else self.output_dir / "logs" / "stdout.txt"
        return path.read_text(errors="replace") if path is not None and path.exists() else ""

    def table(self, name: str) -> "pl.DataFrame":
        """Return a table of the run by its name, as `trades`.

        Raises:
            FileNotFoundError: If the run has no such table.
        """
        if name not in self._tables:
            self._tables[name] = self._read(name)
        return self._tables[name]

    def _read(self, name: str) -> "pl.DataFrame":
        import polars as pl

        if self.artifact_manager is None:
            known = ", ".join(sorted(self._tables))
            raise RunNotFoundError(f"this run has no table {name!r}; its tables are {known}")
        path = self.artifact_manager.results_dir / f"{name}.parquet"
        if not path.is_file():
            found = sorted(item.stem for item in path.parent.glob("*.parquet"))
            raise RunNotFoundError(
                f"run {self.backtest_id} has no table {name!r}; its tables are {', '.join(found)}"
            )
        return pl.read_parquet(path)

    def to_csv(self, path: str | Path | None = None, *, table: str = _PERFORMANCE) -> Path:
        """Write a table as CSV and return where.

        Args:
            path: The file. A relative one goes to `results/exports/` of the run, which stands
                outside its seal, or to the working directory when artifacts are switched off. None
                is the name of the table.
            table: Which table.

        Raises:
            FileNotFoundError: If the run has no such table.
            ValueError: If a relative path leads out of the run.
            ArtifactManagerError: If the file cannot be written; also an `OSError`.
        """
        from backtrail.artifacts.tables import write_csv

        target, frame = self._export_path(path, f"{table}.csv"), self.table(table)
        try:
            write_csv(target, frame)
        except OSError as error:
            raise unavailable("write", target, error) from error
        return target

    def to_parquet(self, path: str | Path | None = None, *, table: str = _PERFORMANCE) -> Path:
        """Write a table as Parquet and return where; paths are those of `to_csv`.

        Raises:
            FileNotFoundError: If the run has no such table.
            ValueError: If a relative path leads out of the run.
            ArtifactManagerError: If the file cannot be written; also an `OSError`.
        """
        target, frame = self._export_path(path, f"{table}.parquet"), self.table(table)
        try:
            with atomic_path(target) as temporary:
                frame.write_parquet(temporary, compression="zstd")
        except OSError as error:
            raise unavailable("write", target, error) from error
        return target

    def _export_path(self, path: str | Path | None, default: str) -> Path:
        wanted = Path(default if path is None else path).expanduser()
        if wanted.is_absolute():
            return wanted
        if self.artifact_manager is None:
            return Path.cwd() / wanted
        name = PurePosixPath(wanted)
        try:
            inside = result_name(name.name, None if len(name.parts) == 1 else str(name.parent))
        except ArtifactManagerError as error:
            raise InvalidNameError(str(error)) from None
        return self.artifact_manager.results_dir / "exports" / inside

    def render_report(self) -> Path:
        """Render the run's page, unless it is up to date, and return where it is.

        Raises:
            ArtifactManagerError: If artifacts are switched off.
            SealError: If a result was altered.
        """
        if self.artifact_manager is None or self.backtest_id is None or self._bundles_dir is None:
            raise ArtifactManagerError("a run without a directory has no report; pass enabled=True")
        from backtrail.artifacts.store import RunStore
        from backtrail.batch.stages import render_report

        store = RunStore(self.artifact_manager.base_dir)
        render_report(store, self.backtest_id, self._bundles_dir, only_stale=True)
        return store.run(self.backtest_id).reports / "basic_report.html"
