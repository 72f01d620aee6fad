"""`backtest_metadata.json`: the provenance of a run in one file, under the seeds' names."""

import logging
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import backtrail
from backtrail.artifacts.timings import known_before_the_seal
from backtrail.canonical import derive_seed, pretty_json, utc_iso
from backtrail.errors import CatalogError, MetadataGenerationError
from backtrail.files import write_bytes
from backtrail.optimization.search import executed_identity

__all__ = ["METADATA_FILE", "BacktestMetadataGenerator", "BundleLinks", "describe_run_metadata"]

METADATA_FILE = "backtest_metadata.json"

_log = logging.getLogger(__name__)


class BundleLinks(Protocol):
    """What the generator asks a catalog: the datasets and bundles a run is linked to."""

    def get_datasets_for_backtest(self, backtest_id: str) -> list[str]:
        """Return the ids of its datasets."""
        ...

    def get_bundles_for_backtest(self, backtest_id: str) -> list[str]:
        """Return the names of its bundles."""
        ...


class BacktestMetadataGenerator:
    """Writes the metadata of one run, atomically, as sorted and indented JSON.

    Args:
        backtest_id: Id of the run.
        metadata_dir: Folder `metadata/` of the run; made when absent.
    """

    def __init__(self, backtest_id: str, metadata_dir: str | Path) -> None:
        self.backtest_id = backtest_id
        self.metadata_dir = Path(metadata_dir)

    @property
    def path(self) -> Path:
        """The file that is written."""
        return self.metadata_dir / METADATA_FILE

    def generate(
        self,
        strategy_entry_point: str | Path,
        captured_files: Sequence[str | Path],
        data_catalog: BundleLinks | None = None,
    ) -> Path:
        """Write the metadata of a run that is kept by hand: what the seed documents list.

        Args:
            strategy_entry_point: The strategy file.
            captured_files: Captured files, relative to `code/`.
            data_catalog: Asked for the run's bundle and datasets; without one they stay empty, and
                so they do, with a warning in the log, when it cannot be read.

        Returns:
            The file.

        Raises:
            MetadataGenerationError: If it cannot be written.
        """
        return self.write(
            {
                "backtest_id": self.backtest_id,
                "timestamp": utc_iso(datetime.now(UTC)),
                "framework_version": backtrail.__version__,
                "python_version": platform.python_version(),
                "strategy_entry_point": str(strategy_entry_point),
                "captured_files": [Path(file).as_posix() for file in captured_files],
                "data_bundle_info": self._query_data_catalog(data_catalog),
            }
        )

    def generate_for_run(
        self,
        spec: Mapping[str, Any],
        record: Mapping[str, Any],
        environment: Mapping[str, Any],
    ) -> Path:
        """Write the metadata of a run from its spec, its manifest so far, and its environment.

        Raises:
            MetadataGenerationError: If it cannot be written.
        """
        return self.write(describe_run_metadata(spec, record, environment))

    def write(self, metadata: Mapping[str, Any]) -> Path:
        """Write metadata by a temporary name and a rename.

        Raises:
            MetadataGenerationError: If a value has no JSON form, or the file cannot be written.
        """
        try:
            write_bytes(self.path, pretty_json(dict(metadata)).encode())
        except (ValueError, TypeError) as error:
            raise MetadataGenerationError(
                f"metadata of {self.backtest_id} cannot be written as JSON: {error}"
            ) from error
        except OSError as error:
            raise MetadataGenerationError(
                f"cannot write {self.path}: {error.strerror or error}"
            ) from error
        return self.path

    def _query_data_catalog(self, data_catalog: BundleLinks | None) -> dict[str, Any]:
        if data_catalog is None:
            return {"bundle_name": None, "dataset_ids": []}
        try:
            names = data_catalog.get_bundles_for_backtest(self.backtest_id)
            datasets = data_catalog.get_datasets_for_backtest(self.backtest_id)
        except CatalogError as error:
            _log.warning("metadata of %s lacks its bundle: %s", self.backtest_id, error)
            return {"bundle_name": None, "dataset_ids": []}
        return {"bundle_name": names[0] if names else None, "dataset_ids": datasets}


def describe_run_metadata(
    spec: Mapping[str, Any], record: Mapping[str, Any], environment: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metadata of a run: equal arguments give equal values, so it can be made again.

    Args:
        spec: The run spec.
        record: The run's manifest as it is now.
        environment: The run's `environment.json`.
    """
    searched = {"identity": spec["identity"], "selection": record.get("selection")}
    identity, code = executed_identity(searched), spec["code"]
    strategy, dataset = identity["strategy"], identity["dataset"]
    origin = spec["origin"]
    return {
        "backtest_id": spec["backtest_id"],
        "timestamp": record["started_at"],
        "framework_version": record["framework_version"],
        "python_version": record["python_version"],
        "strategy_entry_point": origin["strategy"],
        "captured_files": [file["path"] for file in code["files"]],
        "code_capture": {
            "mode": code["mode"],
            "code_hash": strategy["code_hash"],
            "warnings": code["warnings"],
        },
        "data_bundle_info": {
            "bundle_name": spec["labels"]["bundle"],
            "dataset_ids": [dataset["dataset_id"]],
            "content": spec["data"]["content"],
            "calendar": dataset["calendar"],
            "timeframe": dataset["timeframe"],
        },
        "run_key": spec["run_key"],
        "run_type": identity["run_type"],
        "names": spec["labels"]["names"],
        "status": record["status"],
        "attempt": record["attempt"],
        "finished_at": record.get("finished_at"),
        "error": _short_error(record["error"]),
        "timings": known_before_the_seal(record.get("timings", {})),
        "strategy": dict(strategy),
        "parameters": identity["params"],
        "symbols": identity["symbols"],
        "benchmark": identity["benchmark"],
        **{name: identity[name] for name in ("risk_free_rate",) if name in identity},
        "start": identity["start"],
        "end": identity["end"],
        "engine": identity["engine"],
        "ledger": identity["ledger"],
        "capital_base": identity["capital_base"],
        "commission": identity["commission"],
        "slippage": identity["slippage"],
        "execution": identity["execution"],
        "seed": identity["seed"],
        "run_seed": derive_seed(identity["seed"], spec["run_key"], "run"),
        "library": identity["library"],
        "git": origin["git"],
        "packages": environment["packages"],
        "environment": {k: v for k, v in environment.items() if k != "packages"},
        "machine": record["machine"],
    }


def _short_error(error: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what failed; traceback and log lines stand in `run.json`."""
    return None if error is None else {key: error[key] for key in ("stage", "kind", "message")}
