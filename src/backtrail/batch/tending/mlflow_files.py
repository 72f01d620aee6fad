"""Runs as an `mlruns` folder: the file store of MLflow, written without MLflow.

The layout is the one that MLflow's `FileStore` documents and reads: a folder per experiment and in
it one per run, each with `meta.yaml`; a file per parameter, metric and tag; artifacts beside them.
"""

import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml

from backtrail.artifacts.rundir import LOCK, RunDir
from backtrail.artifacts.store import RunStore
from backtrail.artifacts.tags import read_tags
from backtrail.canonical import canonical_json, sha256_bytes, sha256_file
from backtrail.errors import ArtifactManagerError
from backtrail.files import is_temporary, write_bytes
from backtrail.provenance.attestation import graded_manifest

__all__ = ["ExportedRun", "export_mlflow"]

# `RunStatus` and `SourceType` of MLflow's protocol.
_STATUS: Final[Mapping[str, int]] = {"completed": 3, "failed": 4}
_LOCAL: Final = 4
_LONGEST: Final = 6000  # characters of a parameter's value, by MLflow's rules
_SETTINGS: Final = (
    "symbols",
    "start",
    "end",
    "capital_base",
    "benchmark",
    "engine",
    "ledger",
    "execution",
    "commission",
    "slippage",
    "seed",
)
_NO_LINK: Final = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
)
_KEY: Final = "backtrail.run_key"


@dataclass(frozen=True, slots=True)
class ExportedRun:
    """One run in an `mlruns` folder.

    Attributes:
        backtest_id: The run.
        experiment: Name of its experiment: the strategy file.
        experiment_id: The experiment's id, decided by its name.
        run_id: MLflow's id of the run, the first half of its run key.
        path: Its folder.
    """

    backtest_id: str
    experiment: str
    experiment_id: str
    run_id: str
    path: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def export_mlflow(
    store: RunStore, runs: Sequence[RunDir], folder: Path, *, link: bool = False
) -> tuple[ExportedRun, ...]:
    """Write runs that have ended into an `mlruns` folder; one that is there is written anew.

    Args:
        store: The run store.
        runs: Runs of it.
        folder: The `mlruns` folder; made when absent. What else it holds stays.
        link: Let the artifacts be hard links to the files of the run instead of copies; on another
            disk they are copied all the same.

    Raises:
        ArtifactManagerError: If a run has not ended, or the folder is none of MLflow's; nothing is
            written then.
    """
    _require_mlruns(store, folder)
    described = []
    for run in runs:
        manifest = graded_manifest(run)
        if manifest is None or manifest.get("status") not in _STATUS:
            status = "planned" if manifest is None else manifest["status"]
            raise ArtifactManagerError(
                f"run {run.backtest_id} is {status}; only a run that has ended can be exported"
            )
        described.append((run, manifest))
    return tuple(_export(store, run, manifest, folder, link) for run, manifest in described)


def _require_mlruns(store: RunStore, folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ArtifactManagerError(f"{folder} is a file; name a folder for the MLflow runs")
    if folder.resolve().is_relative_to(store.base_dir.resolve()):
        raise ArtifactManagerError(
            f"{folder} lies in the run store, where every folder is a run; name one outside"
        )
    there = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    strangers = [path.name for path in there if path.name[0] != "." and _is_stranger(path)]
    if strangers and not set(strangers) <= {"models"}:
        raise ArtifactManagerError(
            f"{folder} is no mlruns folder: {sorted(strangers)[0]} in it is no experiment; name an "
            "empty folder, or one of MLflow's file store"
        )


def _is_stranger(path: Path) -> bool:
    """Say whether a folder is no experiment, nor the beginning of one by a call that was killed."""
    is_begun = path.name.isdecimal() and all(map(is_temporary, path.iterdir()))
    return not (path / "meta.yaml").is_file() and not is_begun


def _export(
    store: RunStore, run: RunDir, manifest: Mapping[str, Any], folder: Path, link: bool
) -> ExportedRun:
    experiment = str(manifest["identity"]["strategy"]["entry"])
    experiment_id = str(int(sha256_bytes(experiment.encode())[:15], 16))
    run_id = str(manifest["run_key"])[:32]
    home = folder.resolve() / experiment_id
    began, ended = (_milliseconds(manifest.get(key)) for key in ("started_at", "finished_at"))
    _write_experiment(home, experiment, experiment_id, began or 0)
    target = home / run_id
    _remove_former(target, run_id)
    tags = dict(_tags(store, run, manifest))
    _write_values(target / "params", dict(_params(manifest)))
    metrics = manifest.get("metrics", {})
    measured = {name: value for name, value in metrics.items() if value is not None}
    _write_values(
        target / "metrics", {name: f"{ended} {value!r} 0\n" for name, value in measured.items()}
    )
    _write_values(target / "tags", tags)
    _write_artifacts(run, target / "artifacts", link=link)
    meta: dict[str, Any] = {
        "artifact_uri": (target / "artifacts").as_uri(),
        "end_time": ended,
        "entry_point_name": "",
        "experiment_id": experiment_id,
        "lifecycle_stage": "active",
        "run_id": run_id,
        "run_name": tags["mlflow.runName"],
        "run_uuid": run_id,
        "source_name": "",
        "source_type": _LOCAL,
        "source_version": "",
        "start_time": began,
        "status": _STATUS[manifest["status"]],
        "tags": [],
        "user_id": manifest.get("user") or "",
    }
    # Last: without it MLflow sees no run.
    _write_yaml(target / "meta.yaml", meta)
    return ExportedRun(run.backtest_id, experiment, experiment_id, run_id, str(target))


def _milliseconds(moment: str | None) -> int | None:
    return None if moment is None else int(datetime.fromisoformat(moment).timestamp() * 1000)


def _write_experiment(home: Path, name: str, experiment_id: str, moment: int) -> None:
    if (home / "meta.yaml").is_file():
        return
    meta = {
        "artifact_location": home.as_uri(),
        "creation_time": moment,
        "experiment_id": experiment_id,
        "last_update_time": moment,
        "lifecycle_stage": "active",
        "name": name,
    }
    _write_yaml(home / "meta.yaml", meta)


def _write_yaml(path: Path, meta: Mapping[str, Any]) -> None:
    write_bytes(path, yaml.safe_dump(dict(meta)).encode())


def _remove_former(target: Path, run_id: str) -> None:
    if not target.exists():
        return
    key = target / "tags" / _KEY
    is_run = (target / "meta.yaml").is_file()  # without it an export was killed before its end
    if is_run and not (key.is_file() and key.read_text().startswith(run_id)):
        raise ArtifactManagerError(
            f"{target} is there and was not exported by backtrail; name another folder"
        )
    (target / "meta.yaml").unlink(missing_ok=True)
    for name in ("artifacts", "metrics", "params"):
        shutil.rmtree(target / name, ignore_errors=True)
    for path in (target / "tags").glob("backtrail.*"):  # others were given in MLflow
        path.unlink()


def _write_values(folder: Path, values: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name).write_text(value, encoding="utf-8")


def _params(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what was given to a run: the parameters by their names, then the settings."""
    identity = manifest["identity"]
    selection = manifest.get("selection")
    params = identity["params"] if selection is None else selection["params"]
    yield from _flat("", params)
    for name in _SETTINGS:
        yield from _flat("settings.", {name: identity.get(name)})
    if "risk_free_rate" in identity:
        yield "settings.risk_free_rate", identity["risk_free_rate"]


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            text = value if isinstance(value, str) else canonical_json(value)
            yield f"{prefix}{name}", text[:_LONGEST]


def _tags(store: RunStore, run: RunDir, manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    identity, run_key = manifest["identity"], manifest["run_key"]
    git = (run.read_spec().get("origin") or {}).get("git") or {}
    dataset = identity["dataset"]
    known = {
        "mlflow.runName": manifest["labels"]["names"][0],
        "mlflow.user": manifest.get("user"),
        "mlflow.source.name": identity["strategy"]["entry"],
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": git.get("commit"),
        "mlflow.source.git.branch": git.get("branch"),
        _KEY: run_key,
        "backtrail.backtest_id": run.backtest_id,
        "backtrail.names": ", ".join(manifest["labels"]["names"]),
        "backtrail.run_type": manifest["run_type"],
        "backtrail.status": manifest["status"],
        "backtrail.grade": manifest.get("grade"),
        "backtrail.code_hash": identity["strategy"]["code_hash"],
        "backtrail.bundle": manifest["labels"]["bundle"],
        "backtrail.dataset_id": dataset["dataset_id"],
        "backtrail.library": identity["library"],
        "backtrail.manifest_sha256": sha256_file(run.manifest),
        "backtrail.error": (manifest.get("error") or {}).get("message"),
    }
    yield from ((name, str(value)) for name, value in known.items() if value is not None)
    yield from ((f"backtrail.tag.{tag}", "true") for tag in read_tags(store, run_key).names)


def _write_artifacts(run: RunDir, target: Path, *, link: bool) -> None:
    target.mkdir(parents=True, exist_ok=True)
    home = run.path.resolve()
    for top, _, names in os.walk(home):
        for name in names:
            source = Path(top, name)
            inside = source.relative_to(home)
            if str(inside) == LOCK or is_temporary(source):
                continue
            path = target / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not symbolic: MLflow lists links that lead out of its folder and hands none out.
            if not (link and _linked(source, path)):
                shutil.copyfile(source, path)


def _linked(source: Path, path: Path) -> bool:
    try:
        os.link(source, path)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    return True
