"""Finding every file a strategy consists of; nothing is executed and nothing is written."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from backtrail.canonical import sha256_bytes, utc_iso
from backtrail.errors import CodeCaptureError
from backtrail.provenance.closure import (
    CodeClosure,
    SecretWaiver,
    SourceFile,
    import_roots,
)
from backtrail.provenance.reading import ReadFile, outside_target, read_file
from backtrail.provenance.secrets import refuse_secrets
from backtrail.provenance.tracing import Trace, trace_imports

__all__ = [
    "CAPTURE_MODES",
    "CaptureMode",
    "capture_closure",
    "find_strategy_yaml",
    "importable",
    "relative_name",
    "require_mode",
]

CaptureMode = Literal["import_analysis", "strategy_yaml"]
CAPTURE_MODES: tuple[CaptureMode, ...] = get_args(CaptureMode)
_STRATEGY_YAML = "strategy.yaml"
_NOTEBOOK = ".ipynb"


def capture_closure(
    entry: Path,
    root: Path,
    *,
    mode: CaptureMode = "import_analysis",
    secret_waivers: Sequence[SecretWaiver] = (),
    strategy_yaml: Path | None = None,
    source: bytes | None = None,
) -> CodeClosure:
    """Find every file a strategy consists of. Nothing is executed and nothing is written.

    A `strategy.yaml` beside the strategy takes precedence: then the files it lists, itself and the
    strategy are taken. Otherwise the strategy's imports are followed through every file below the
    root, and the data files it names by `data_file("…")` are added.

    Args:
        entry: The strategy file, or a notebook.
        root: The capture root, usually the project folder.
        mode: `strategy_yaml` asks for a `strategy.yaml`, beside the strategy or at the root.
        secret_waivers: Findings of the secret scan that are accepted.
        strategy_yaml: A `strategy.yaml` at another place below the root.
        source: Text of an entry point that lies in no file; `entry` is where it would lie.

    Raises:
        CodeCaptureError: If the entry point is absent, unreadable or outside the root, a data file
            is missing, `strategy.yaml` is wrong, or something looks like a secret.
        ValueError: If there is no such mode.
    """
    require_mode(mode)
    base = os.path.realpath(root)
    if source is None and not os.path.exists(entry):
        raise CodeCaptureError(f"strategy file {entry} does not exist")
    name = relative_name(entry, root)
    generated, noted = _generate(name, base) if source is None else (_typed(name, source), ())
    code = next(iter(generated), name)
    trace = trace_imports(base, code, generated)
    listing = find_strategy_yaml(name, base, mode, strategy_yaml)
    if listing is None:
        if trace.faults:
            raise CodeCaptureError("; ".join(trace.faults))
    else:
        trace = _listed(trace, code, listing, base)
    # What a notebook holds is told, and waived, under the notebook's name.
    contents = {
        name if path in generated else path: file.data
        for path, file in trace.files.items()
        if file.data is not None
    }
    waived = refuse_secrets(contents, secret_waivers)
    return CodeClosure(
        entry=code,
        files=tuple(
            _source_file(path, trace, is_generated=path in generated)
            for path in sorted(trace.files)
        ),
        warnings=(*noted, *trace.warnings, *_doubts(trace, base)),
        notes=tuple(trace.notes),
        mode="import_analysis" if listing is None else "strategy_yaml",
        origin=name if generated and source is None else None,
        waived=waived,
    )


@contextmanager
def importable(closure: CodeClosure, root: Path) -> Iterator[Path]:
    """Yield a folder from which a strategy can be imported before it is captured.

    It is temporary and holds the closure alone, as the run's `code/` will: what stands beside the
    strategy in the project and was not captured cannot be imported by accident.

    Args:
        closure: The files of the strategy.
        root: The capture root.
    """
    with tempfile.TemporaryDirectory(prefix="backtrail-code-") as folder:
        for file in closure.files:
            target = Path(folder, file.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(
                (root / file.path).read_bytes() if file.content is None else file.content
            )
        yield Path(folder)


def require_mode(mode: str) -> None:
    """Raise a ValueError when there is no such capture mode."""
    if mode not in CAPTURE_MODES:
        raise ValueError(f"{mode!r} is no capture mode; use {' or '.join(CAPTURE_MODES)}")


def relative_name(path: Path, root: Path) -> str:
    """Return a path relative to the capture root, links in it kept as they are.

    Raises:
        CodeCaptureError: If it lies outside the root.
    """
    written = os.path.abspath(path)
    # A folder may be named in two ways when a link leads to it.
    real = os.path.join(os.path.realpath(path.parent), path.name)
    for name, folder in ((written, os.path.abspath(root)), (real, os.path.realpath(root))):
        if name.startswith(folder.rstrip("/") + "/"):
            return name.removeprefix(folder).lstrip("/")
    raise CodeCaptureError(
        f"strategy file {path} lies outside the project root {root}; move it inside"
    )


def _generate(name: str, base: str) -> tuple[dict[str, ReadFile], tuple[str, ...]]:
    """Return the Python file of a notebook, and what in the notebook is no Python."""
    if not name.endswith(_NOTEBOOK):
        return {}, ()
    generated = f"{name.removesuffix(_NOTEBOOK)}_ipynb.py"
    if os.path.exists(f"{base}/{generated}"):
        raise CodeCaptureError(
            f"the code cells of {name} are captured as {generated}, and a file of that name is "
            "there; rename one of them"
        )
    try:
        file = read_file(f"{base}/{name}")
    except OSError as error:
        raise CodeCaptureError(f"cannot read {name}: {error.strerror}") from error
    from backtrail.provenance.notebooks import read_notebook

    data = Path(base, name).read_bytes() if file.data is None else file.data
    code = read_notebook(data, name)
    source = code.source.encode()
    made = ReadFile(sha256_bytes(source), len(source), file.modified_at, file.mode, source)
    return {generated: made}, code.warnings


def _typed(name: str, source: bytes) -> dict[str, ReadFile]:
    """Return a file that nobody has written, as one that is written now."""
    now = utc_iso(datetime.now(UTC))
    return {name: ReadFile(sha256_bytes(source), len(source), now, "0644", source)}


def _source_file(path: str, trace: Trace, *, is_generated: bool) -> SourceFile:
    file = trace.files[path]
    return SourceFile(
        path,
        file.sha256,
        tuple(sorted(trace.importers[path])),
        file.size,
        file.modified_at,
        file.mode,
        file.data if is_generated else None,
    )


def _doubts(trace: Trace, base: str) -> Iterator[str]:
    for path, file in sorted(trace.files.items()):
        target = outside_target(f"{base}/{path}", base)
        if target is not None:
            yield (
                f"{path} is read through a link that leads outside the project, to {target}; "
                "its present content is captured"
            )
        if file.data is None:
            yield f"{path} has {file.size / 1e6:.0f} MB and was not searched for secrets"


def find_strategy_yaml(name: str, base: str, mode: CaptureMode, given: Path | None) -> str | None:
    """Return the `strategy.yaml` that holds for a strategy, relative to the root.

    Args:
        name: The strategy file, relative to the root.
        base: The root, without links.
        mode: `strategy_yaml` asks for one, beside the strategy or at the root.
        given: A file that is asked for by its path.

    Raises:
        CodeCaptureError: If one is asked for and there is none.
    """
    if given is not None:
        return relative_name(given, Path(base))
    beside, *other = (
        PurePosixPath(folder, _STRATEGY_YAML).as_posix() for folder in import_roots(name)
    )
    if os.path.lexists(f"{base}/{beside}"):
        return beside
    if mode == "import_analysis":
        return None
    for path in other:
        if os.path.lexists(f"{base}/{path}"):
            return path
    raise CodeCaptureError(
        f"code_capture_mode is strategy_yaml, and {name} has no strategy.yaml, neither beside it "
        "nor at the project root; write one that lists its files, or use import_analysis"
    )


def _listed(trace: Trace, code: str, listing: str, base: str) -> Trace:
    """Return the files a `strategy.yaml` lists, with what import analysis knows of them."""
    from backtrail.provenance.strategy_yaml import read_listing  # not at every parse

    folder = PurePosixPath(listing).parent
    found = read_listing(Path(base, listing))
    taken = Trace()
    taken.warnings += [f"{listing} names {entry}, which does not exist" for entry in found.missing]
    names = {(folder / name).as_posix() for name in found.files}
    for path in sorted({code, listing, *names}):
        try:
            taken.files[path] = trace.files.get(path) or read_file(f"{base}/{path}")
        except OSError as error:
            reason = error.strerror
            taken.warnings.append(f"{path} cannot be read ({reason}); it is not captured")
    for path in taken.files:
        importers = trace.importers.get(path, set()) & taken.files.keys()
        by_listing = {listing} if path in names - {code, listing} else set()
        taken.importers[path] = importers | by_listing
    for path in sorted(trace.files.keys() - taken.files.keys()):
        by = min(trace.importers[path])
        verb = "imports" if path.endswith(".py") else "needs"
        taken.warnings.append(f"{listing} leaves out {path}, which {by} {verb}")
    taken.warnings += trace.faults
    return taken
