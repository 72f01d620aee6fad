"""Comparing a run store with what it promises: sealed runs, shared code files, and datasets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backtrail.artifacts.manifest import Damage, inspect_run, is_sealed
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.history.sources import DatasetCheck, used_dataset
from backtrail.batch.stages.captured import CapturedFiles, captured_files
from backtrail.canonical import sha256_file
from backtrail.data.manifest import RECEIPT_FILE, read_head
from backtrail.errors import ArtifactManagerError, DatasetError
from backtrail.provenance.objects import ObjectStore, find_content
from backtrail.wording import counted

__all__ = [
    "DatasetVerification",
    "ObjectVerification",
    "RunVerification",
    "StoreVerification",
    "verify_runs",
]

_CODE = "code/"
# Restored with everything else a run lacks, because the rule that makes them executes the run.
_EXECUTED = ("results/", "logs/", "inputs/", _CODE, "metadata/environment.json")
_LOST = ("run.json", "_SUCCESS")


@dataclass(frozen=True, slots=True)
class RunVerification:
    """What comparing one run with its manifest gave.

    Attributes:
        state: `intact`, `damaged`, or for a run without a seal `failed` or `open`.
        names: The names the run has in the batch that made it.
        remedy: What mends a damaged run; None for others.
    """

    backtest_id: str
    state: str
    damage: Damage
    names: tuple[str, ...]
    remedy: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "backtest_id": self.backtest_id,
            "state": self.state,
            "names": list(self.names),
            **{key: list(value) for key, value in asdict(self.damage).items()},
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class ObjectVerification:
    """A captured file whose shared object or whose copies in runs are not what they should be.

    Attributes:
        sha256: The content it should have.
        state: `intact`, `damaged` or `missing`, of the object in `.objects/`.
        paths: Where runs have the file below `code/`.
        runs: Every run of the store that captured it, oldest first.
        altered: Those of them whose own copy has another content.
        remedy: What mends it.
    """

    sha256: str
    state: str
    paths: tuple[str, ...]
    runs: tuple[str, ...]
    altered: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, slots=True)
class DatasetVerification:
    """A dataset that is not what its id says.

    Attributes:
        dataset_id: Its id.
        bundle: The bundle it lies under.
        files: What is wrong with each of its files that is damaged, by path.
        runs: Every run of the store that uses it, oldest first.
        remedy: What mends it.
    """

    dataset_id: str
    bundle: str
    files: Mapping[str, str]
    runs: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, slots=True)
class StoreVerification:
    """What comparing runs, their shared code files and their datasets with the disk gave.

    Attributes:
        runs: One entry per run asked about.
        objects: Shared code files that are damaged, missing, or altered in some run.
        datasets: Datasets that are damaged or missing.
    """

    runs: tuple[RunVerification, ...]
    objects: tuple[ObjectVerification, ...]
    datasets: tuple[DatasetVerification, ...] = ()

    @property
    def is_intact(self) -> bool:
        """Whether nothing that was looked at differs; failed and open runs promise nothing."""
        return not (self.objects or self.datasets) and all(
            run.state != "damaged" for run in self.runs
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "runs": [run.to_dict() for run in self.runs],
            "objects": [asdict(item) for item in self.objects],
            "datasets": [asdict(item) for item in self.datasets],
        }

    def __str__(self) -> str:
        lines = []
        for run in self.runs:
            for kind, names in asdict(run.damage).items():
                lines += [f"{kind:<8} {run.backtest_id}/{name}" for name in names]
            if run.remedy is not None:
                lines.append(f"         {run.remedy}")
        for item in self.objects:
            where = f".objects/{item.sha256[:2]}/{item.sha256}"
            lines.append(f"{item.state:<8} {where} ({', '.join(item.paths)})")
            lines.append(
                f"         captured by {counted(len(item.runs), 'run')}: {', '.join(item.runs)}"
            )
            if item.altered:
                lines.append(f"         altered in {', '.join(item.altered)}")
            lines.append(f"         {item.remedy}")
        for dataset in self.datasets:
            lines += [f"damaged  {path} {what}" for path, what in dataset.files.items()]
            lines.append(
                f"         used by {counted(len(dataset.runs), 'run')}: {', '.join(dataset.runs)}"
            )
            lines.append(f"         {dataset.remedy}")
        states = [run.state for run in self.runs]
        counts = [
            f"{states.count(state)} {state}"
            for state in ("intact", "damaged", "failed", "open")
            if state in states
        ]
        if self.objects:
            counts.append(f"{counted(len(self.objects), 'shared code file')} to mend")
        if self.datasets:
            counts.append(f"{counted(len(self.datasets), 'dataset')} to mend")
        return "\n".join([*lines, ", ".join(counts) or "the store has no runs"])


def verify_runs(
    store: RunStore,
    runs: Sequence[RunDir] | None = None,
    *,
    base_dir: Path | None = None,
    bundles_dir: Path | None = None,
) -> StoreVerification:
    """Compare runs with their manifests, shared code with its names, datasets with their ids.

    Every file is read. A shared file is looked at when a run that is asked about needs it, sealed
    or not; then every run of the store that captured the same content is named, whether it has a
    link to it or a copy. So it is with a dataset, and every run that uses it is named.

    Args:
        store: The run store.
        runs: The runs to look at; every run of the store when None.
        base_dir: The store's folder as Snakemake is asked for it; that of the store when None.
        bundles_dir: Folder of the bundles; None looks at no dataset.

    Raises:
        ArtifactManagerError: If there is no store.
    """
    if not store.base_dir.is_dir():
        raise ArtifactManagerError(
            f"there is no run store at {store.base_dir}: no batch of this config has been run, or "
            "backtest_output.base_dir names another folder"
        )
    asked = store.run_dirs() if runs is None else runs
    home = store.base_dir if base_dir is None else base_dir
    verified = tuple(_verify_run(run, home) for run in asked)
    objects = tuple(_verify_objects(store, asked, verified, home))
    datasets = () if bundles_dir is None else _verify_datasets(store, asked, bundles_dir)
    return StoreVerification(verified, objects, tuple(datasets))


def _verify_datasets(
    store: RunStore, asked: Sequence[RunDir], bundles_dir: Path
) -> Iterator[DatasetVerification]:
    check = DatasetCheck(bundles_dir)
    wanted = {used for run in asked if (used := used_dataset(run)) is not None}
    damaged = {used: damage for used in sorted(wanted) if (damage := check.damage(*used))}
    if not damaged:
        return
    users: dict[tuple[str, str], list[str]] = {used: [] for used in damaged}
    for run in store.run_dirs():
        if (used := used_dataset(run)) in users:
            users[used].append(run.backtest_id)
    for used, files in damaged.items():
        bundle, dataset_id = used
        yield DatasetVerification(
            dataset_id,
            bundle,
            {path.as_posix(): what for path, what in files.items()},
            tuple(users[used]),
            _dataset_remedy(bundles_dir / bundle, dataset_id),
        )


def _dataset_remedy(folder: Path, dataset_id: str) -> str:
    try:
        is_present = read_head(folder.parent, folder.name) == dataset_id
    except DatasetError:
        is_present = False
    if not is_present:
        return "put its files back from a copy; the source of its bundle gives another dataset now"
    return (
        "put its files back from a copy; or, while the source of its bundle is unchanged, delete "
        f"{folder / dataset_id} and {folder / RECEIPT_FILE}, and the next call ingests it again"
    )


def _verify_run(run: RunDir, home: Path) -> RunVerification:
    names, bundle = _labels(run)
    if not is_sealed(run):
        state = "failed" if run.failed.exists() else "open"
        return RunVerification(run.backtest_id, state, Damage(), names, None)
    damage = inspect_run(run)
    if not damage:
        return RunVerification(run.backtest_id, "intact", damage, names, None)
    remedy = _remedy(damage, f"{home.as_posix()}/{run.backtest_id}", names, bundle)
    return RunVerification(run.backtest_id, "damaged", damage, names, remedy)


def _labels(run: RunDir) -> tuple[tuple[str, ...], str | None]:
    for read in (run.read_spec, run.read_manifest):
        try:
            labels = (read() or {})["labels"]
            return tuple(labels["names"]), labels["bundle"]
        except (ArtifactManagerError, KeyError, TypeError):
            continue
    return (), None


def _remedy(damage: Damage, home: str, names: Sequence[str], bundle: str | None) -> str:
    known = f" ({', '.join(names)} on bundle {bundle})" if names else ""
    if set(_LOST).intersection(damage.missing + damage.altered):
        return (
            f"what the run promised is lost: `backtrail delete {Path(home).name}` takes away what "
            f"is left, and the next call of a batch that has the run{known} makes it again"
        )
    steps = []
    if damage.unlisted:
        steps.append("move the unlisted files elsewhere")
    if damage.altered:
        steps.append("delete the altered files")
    lacking = damage.missing + damage.altered
    if lacking:
        steps.append(
            f"the next call of a batch that has the run{known} restores what is missing; from any "
            f"batch of this store `snakemake --cores 1 {_target(lacking, home)}` does"
        )
    return "; ".join(steps)


def _target(lacking: Sequence[str], home: str) -> str:
    executed = [name for name in lacking if name.startswith(_EXECUTED)]
    return " ".join(f"{home}/{name}" for name in executed[:1] or lacking)


def _verify_objects(
    store: RunStore, asked: Sequence[RunDir], verified: Sequence[RunVerification], home: Path
) -> list[ObjectVerification]:
    objects = ObjectStore(store.objects)
    states: dict[str, str] = {}
    suspects: dict[str, None] = {}
    for run, found in zip(asked, verified, strict=True):
        altered = {name.removeprefix(_CODE) for name in found.damage.altered}
        for path, sha256 in captured_files(store, run).items():
            if sha256 not in states:
                states[sha256] = objects.state(sha256)
            if states[sha256] != "intact" or path in altered:
                suspects[sha256] = None
    if not suspects:
        return []
    captured = CapturedFiles(store)
    contents: dict[tuple[int, int], str] = {}
    return [
        _verify_object(captured, sha256, states[sha256], contents, home)
        for sha256 in sorted(suspects)
    ]


def _verify_object(
    captured: CapturedFiles,
    sha256: str,
    state: str,
    contents: dict[tuple[int, int], str],
    home: Path,
) -> ObjectVerification:
    users = captured.by_content.get(sha256, ())
    paths = tuple(dict.fromkeys(path for _, path in users))
    altered = [
        run.backtest_id
        for run, path in users
        if _content(run.code / path, contents) not in (sha256, None)
    ]
    return ObjectVerification(
        sha256,
        state,
        paths,
        tuple(dict.fromkeys(run.backtest_id for run, _ in users)),
        tuple(dict.fromkeys(altered)),
        _object_remedy(captured, sha256, state, paths, home),
    )


def _content(path: Path, contents: dict[tuple[int, int], str]) -> str | None:
    """Return the sha256 of a file, or None when it is gone; links to one file are read once."""
    try:
        found = path.stat()
        key = (found.st_dev, found.st_ino)
        if key not in contents:
            contents[key] = sha256_file(path)
        return contents[key]
    except OSError:
        return None


def _object_remedy(
    captured: CapturedFiles, sha256: str, state: str, paths: Sequence[str], home: Path
) -> str:
    if state == "intact":
        return "delete the altered copies; they are restored from the shared file"
    places = (place for path in paths for place in captured.sources(path, sha256))
    source = find_content(sha256, places)
    if source is None:
        return (
            f"no file has its content any more: put {' or '.join(paths)} back as it was when the "
            "runs were planned, from version control or a backup"
        )
    first = "delete it; " if state == "damaged" else ""
    target = ObjectStore(home / ".objects").path(sha256).as_posix()
    return (
        f"it is stored anew from {source} when a run needs it; to have it now: "
        f"{first}snakemake --cores 1 {target}"
    )
