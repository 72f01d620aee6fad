"""Fingerprints of our own code: a hash that rewording does not move.

Comments, docstrings, blank lines and layout are dropped by hashing the syntax tree, in a form that
is the same on every supported Python.

Every job of a batch asks for them, and a syntax tree costs more than reading the file. So they are
kept beside the bytecode, by the checksum of the source they are of, as Python keeps what it has
compiled: a source that changed by one byte is looked at again.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path

import backtrail
from backtrail.files import write_json

__all__ = [
    "INGEST_CODE",
    "RESULT_CODE",
    "SEARCH_CODE",
    "library_fingerprint",
    "package_fingerprint",
    "source_fingerprint",
]

_PACKAGE = Path(backtrail.__file__).parent
_MOST_KNOWN = 2000  # then those of sources that are long gone are dropped

# What decides a run's numbers and bytes, relative to the package. Folders are taken whole.
#
# Of the code that lets a run happen, that part is in it which makes the seed, chooses the bars and
# the periods per year, builds what the strategy finds around it (import path, working directory,
# environment, attributes) and takes what it wrote into the results. The other part carries: forks,
# pipes, limits, logs, watching and sealing end a run or let it through, but do not change what it
# says; they are left out, so that work on them reruns nothing.
RESULT_CODE = (
    "engine",
    "metrics",
    "artifacts",
    "arrow.py",
    "canonical.py",
    "backtest/callables.py",
    "backtest/in_process.py",
    "batch/execution/child.py",
    "batch/execution/evaluation.py",
    "batch/execution/executor.py",
    "batch/execution/importing.py",
    "batch/execution/results.py",
    "batch/execution/surroundings.py",
    "batch/execution/written.py",
    "data/arrays.py",
    "data/calendars.py",
    "data/datasets.py",
    "data/identity.py",
    "data/packed_bars.py",
    "data/session_tables/XNYS.csv.gz",
    "data/sessions.py",
    "data/stored_sessions.py",
    "data/windows.py",
    "provenance/closure.py",
)

# What decides a search and its validation besides.
SEARCH_CODE = (
    "optimization",
    "validation",
    "batch/execution/searching.py",
    "batch/execution/asking.py",
    "batch/execution/bias_checking.py",
    "batch/execution/cost_grid.py",
    "batch/execution/evaluated_sets.py",
    "batch/execution/holdout_files.py",
    "batch/execution/laboratory.py",
    "batch/execution/selection_files.py",
    "batch/execution/set_evaluation.py",
    "batch/execution/simulating.py",
    "batch/execution/validating.py",
    "batch/execution/validation_answers.py",
    "batch/execution/validation_files.py",
    "batch/execution/verdict_file.py",
    "batch/execution/walking.py",
    "batch/planning/validation_steps.py",
)


# What decides a dataset.
INGEST_CODE = ("data", "data/session_tables/XNYS.csv.gz", "arrow.py", "canonical.py")


def _strip_docstring(node: ast.AST) -> list[ast.stmt] | None:
    if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    body = node.body
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return body


def _is_empty_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == ""


_SKIPPED = frozenset({"ctx", "kind", "type_comment"})


def _collect(node: object, tokens: list[str]) -> None:
    """Append what a syntax tree says; a list and plain recursion, since every parse pays for it."""
    if isinstance(node, ast.AST):
        tokens.append(type(node).__name__)
        body = _strip_docstring(node)
        for name in node._fields:
            value = getattr(node, name, None)
            if name == "body" and body is not None:
                value = body
            if isinstance(node, ast.JoinedStr):  # Python 3.12.0 and 3.12.1 end some with ""
                value = [part for part in node.values if not _is_empty_text(part)]
            # Empty fields are skipped: newer Pythons have fields that older ones lack.
            if value is None or value == [] or name in _SKIPPED:
                continue
            tokens.append(name)
            _collect(value, tokens)
        tokens.append(")")
    elif isinstance(node, list):
        for item in node:
            _collect(item, tokens)
        tokens.append("]")
    else:
        tokens.append(repr(node))


def source_fingerprint(source: str) -> str:
    """Return the sha256 of a Python source with comments, docstrings and layout dropped."""
    tokens: list[str] = []
    _collect(ast.parse(source), tokens)
    return hashlib.sha256("\0".join([*tokens, ""]).encode()).hexdigest()


def _memory() -> Path:
    """Return the file of known fingerprints; another way to make them has another file."""
    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    return Path(cache_from_source(__file__)).with_name(f"fingerprints-{own}.json")


def _known(memory: Path) -> dict[str, str]:
    try:
        found = json.loads(memory.read_bytes())
    except (OSError, ValueError):  # not there yet, or damaged
        return {}
    return found if isinstance(found, dict) else {}


def _keep(memory: Path, fingerprints: Mapping[str, str]) -> None:
    if sys.dont_write_bytecode:
        return
    try:
        memory.parent.mkdir(exist_ok=True)
        write_json(memory, fingerprints)
    except OSError:  # an installation that others own
        return


def _files(parts: Iterable[str]) -> Iterator[Path]:
    for part in parts:
        path = _PACKAGE / part
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        yield from (f for f in files if "__pycache__" not in f.relative_to(_PACKAGE).parts)


@cache
def package_fingerprint(*parts: str) -> str:
    """Return the fingerprint of modules, folders of modules and tables of this package.

    Args:
        parts: Their paths relative to the package; of a folder, its Python files.
    """
    memory = _memory()
    known = _known(memory)
    learned: dict[str, str] = {}
    digest = hashlib.sha256()
    for file in _files(parts):
        source = file.read_bytes()
        checksum = hashlib.sha256(source).hexdigest()
        if file.suffix != ".py":  # a table has no comments to drop
            known[checksum] = checksum
        elif checksum not in known:
            known[checksum] = learned[checksum] = source_fingerprint(source.decode("utf-8"))
        digest.update(file.relative_to(_PACKAGE).as_posix().encode())
        digest.update(known[checksum].encode())
    if learned:
        _keep(memory, known if len(known) < _MOST_KNOWN else learned)
    return digest.hexdigest()[:16]


def library_fingerprint(*, search: bool = False) -> str:
    """Return the fingerprint of all code that decides the results of a run, 16 hex digits.

    Args:
        search: For a run that searches a parameter space, or looks at its holdout.
    """
    return package_fingerprint(*RESULT_CODE, *(SEARCH_CODE if search else ()))
