"""Reading what a run directory and its dataset hold, as the pages need it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from backtrail.artifacts.schemas import ARTIFACT_SCHEMAS
from backtrail.data.datasets import Dataset
from backtrail.engine.schedule import Sessions, days_in
from backtrail.errors import ArtifactManagerError, DatasetError
from backtrail.optimization.search import executed_identity

__all__ = [
    "PRICE_COLUMNS",
    "RunRecord",
    "read_dataset_manifest",
    "read_prices",
    "read_run",
    "session_days",
]

PRICE_COLUMNS = ("open", "high", "low", "close")
_US_PER_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as its files describe it.

    Attributes:
        run_dir: The run directory.
        spec: The run spec (`metadata/run_spec.json`).
        manifest: The run's `run.json`; empty before there is one.
    """

    run_dir: Path
    spec: Mapping[str, Any]
    manifest: Mapping[str, Any]

    @property
    def backtest_id(self) -> str:
        """Return the name of the run directory."""
        return str(self.spec["backtest_id"])

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return what decides the run's results; of a search, with the set that it selected."""
        return executed_identity({"identity": self.spec["identity"], "selection": self.selection})

    @property
    def selection(self) -> Mapping[str, Any] | None:
        """Return what a search selected, and from how many sets; None for a plain run."""
        return self.manifest.get("selection")

    @property
    def verdict(self) -> Mapping[str, Any] | None:
        """Return whether a search passed its validation, and why; None without one."""
        return self.manifest.get("verdict")

    @property
    def left_out(self) -> int:
        """Return how many bars at the start a verdict leaves out; 0 without a verdict on luck."""
        judged = self.spec["identity"].get("validate", {}).get("overfitting") or {}
        return 0 if self.verdict is None else int(judged.get("warm_up", 0))

    @property
    def holdout(self) -> tuple[str, str] | None:
        """Return first and last date that a search withheld; None without any."""
        holdout = self.spec["identity"].get("validate", {}).get("holdout")
        return None if holdout is None else (holdout["start"], self.spec["identity"]["end"])

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names the batch config gives this run; at least one."""
        names = self.spec.get("labels", {}).get("names") or [self.identity["strategy"]["entry"]]
        return tuple(str(name) for name in names)

    @property
    def bundle(self) -> str | None:
        """Return the name of the bundle the dataset came from."""
        bundle = self.spec.get("labels", {}).get("bundle")
        return None if bundle is None else str(bundle)

    @property
    def intraday(self) -> bool:
        """Say whether bars are shorter than a day."""
        timeframe = str(self.identity["dataset"]["timeframe"])
        return not timeframe.lower().endswith(("d", "w", "mo", "y"))

    def table(self, name: str) -> pl.DataFrame:
        """Return a Parquet artifact of `results/` after comparing it with its declared schema.

        Raises:
            ArtifactManagerError: If the file is missing or its columns are other ones.
        """
        path = self.run_dir / "results" / f"{name}.parquet"
        if not path.is_file():
            raise ArtifactManagerError(f"{path} is missing; the run has no complete results")
        frame = pl.read_parquet(path)
        if dict(frame.schema) != ARTIFACT_SCHEMAS[name]:
            raise ArtifactManagerError(
                f"{path} has the columns {dict(frame.schema)}; "
                f"the schema of {name} is {ARTIFACT_SCHEMAS[name]}"
            )
        return frame


def _read_object(path: Path) -> Mapping[str, Any]:
    try:
        value: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactManagerError(f"{path} is missing; give the directory of a run") from error
    except ValueError as error:
        raise ArtifactManagerError(f"{path} is not JSON: {error}") from error
    return value


def read_run(run_dir: Path) -> RunRecord:
    """Return the run of a directory.

    Raises:
        ArtifactManagerError: If the directory has no readable run spec.
    """
    manifest = run_dir / "run.json"
    return RunRecord(
        run_dir=run_dir,
        spec=_read_object(run_dir / "metadata" / "run_spec.json"),
        manifest=_read_object(manifest) if manifest.is_file() else {},
    )


def _dataset_dir(run: RunRecord, bundles_dir: Path) -> Path:
    dataset_id = str(run.identity["dataset"]["dataset_id"])
    if run.bundle is None:
        raise DatasetError(f"{run.run_dir} names no bundle; its dataset {dataset_id} is not found")
    folder = bundles_dir / run.bundle / dataset_id
    if not (folder / "manifest.json").is_file():
        raise DatasetError(
            f"{folder} is missing, the report of {run.backtest_id} needs its prices; "
            f"ingest bundle {run.bundle} again or restore the dataset"
        )
    return folder


def read_dataset_manifest(run: RunRecord, bundles_dir: Path) -> Mapping[str, Any]:
    """Return the manifest of the dataset that a run used.

    Raises:
        DatasetError: If the dataset is not in `bundles_dir`.
    """
    return _read_object(_dataset_dir(run, bundles_dir) / "manifest.json")


def read_prices(
    run: RunRecord, bundles_dir: Path, symbols: Sequence[str], columns: Sequence[str]
) -> dict[str, pl.DataFrame]:
    """Return the raw prices of a run's symbols, per symbol, oldest first.

    Args:
        run: The run whose dataset is read.
        bundles_dir: The central bundle storage.
        symbols: Which symbols; one without a bar is absent from the answer.
        columns: Which of `PRICE_COLUMNS`.

    Raises:
        DatasetError: If the dataset is not in `bundles_dir`.
    """
    path = _dataset_dir(run, bundles_dir) / "bars.parquet"
    if not path.is_file():
        raise DatasetError(f"{path} is missing; `backtrail data verify` names what is damaged")
    found, withheld = path.stat(), None if run.holdout is None else run.holdout[0]
    state = (found.st_ino, found.st_size, found.st_mtime_ns)
    return dict(_prices(path, state, tuple(symbols), tuple(columns), withheld))


@lru_cache(maxsize=1)
def _prices(
    path: Path,
    _state: tuple[int, ...],
    symbols: tuple[str, ...],
    columns: tuple[str, ...],
    withheld: str | None,
) -> Mapping[str, pl.DataFrame]:
    """Return prices by symbol; as a rule the next run of a shard asks for the same."""
    scan = pl.scan_parquet(path).filter(pl.col("symbol").is_in(list(symbols)))
    if withheld is not None:  # nothing of a page may tell what these dates hold
        scan = scan.filter(pl.col("timestamp").dt.date() < date.fromisoformat(withheld))
    frame = scan.select("symbol", "timestamp", *columns).collect()
    parts = frame.partition_by("symbol", as_dict=True, include_key=False)
    return {str(key[0]): part for key, part in parts.items()}


def session_days(
    run: RunRecord, bundles_dir: Path, moments: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the session date of each of a run's bars, days since 1970.

    Args:
        run: The run.
        bundles_dir: The central bundle storage.
        moments: Microseconds since 1970 UTC of its bars, oldest first.

    Raises:
        DatasetError: If the dataset is not in `bundles_dir`, or its sessions cannot be read.
    """
    if not run.intraday or "session_year" not in run.identity["dataset"]:
        return moments // _US_PER_DAY
    table = Dataset.open(_dataset_dir(run, bundles_dir)).calendar()
    if isinstance(table, str):
        return moments // _US_PER_DAY
    days = table.dates.astype("datetime64[D]").astype(np.int64)
    return days_in(Sessions(days, table.opens, table.closes), moments)
