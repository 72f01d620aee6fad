"""What the executor and the child of a run import, followed to its end, against the fingerprint."""

import ast
from functools import cache
from pathlib import Path

import pytest

import backtrail
from backtrail.provenance.fingerprint import INGEST_CODE, RESULT_CODE, SEARCH_CODE

PACKAGE = Path(backtrail.__file__).parent

# Modules that a run's process imports and that no fingerprint covers, each with the reason why an
# edit there cannot change what a run says.
NO_NUMBER_IN_IT = {
    "batch/execution/failures.py": "words of a failure, which has no results",
    "batch/execution/outcome.py": "carries the tables between processes",
    "batch/execution/sandbox.py": "starts the child, ends it by its limits",
    "batch/execution/zygote.py": "forks the child",
    "data/manifest.py": "hands on, field by field, what a file says that has a checksum",
    "errors.py": "words of errors",
    "files.py": "writes given bytes by a temporary name",
    "provenance/inputs.py": "records what was opened",
    "provenance/kernel_watch.py": "records what was opened",
    "provenance/objects.py": "stores given bytes by their checksum",
    "provenance/outside.py": "refuses what leads outside, or lets it through",
    "provenance/packages.py": "names installed packages",
    "provenance/secrets.py": "blackens records of what was opened",
    "provenance/usage.py": "records what was imported and opened",
    "wording.py": "words of messages",
}


def module_file(name):
    """Return the file of a dotted name of this package, relative to it; None for anything else."""
    top, *parts = name.split(".")
    if top != "backtrail" or not parts:
        return None
    for candidate in (Path(*parts).with_suffix(".py"), Path(*parts, "__init__.py")):
        if (PACKAGE / candidate).is_file():
            return candidate.as_posix()
    return None


@cache
def imported_files(file):
    """Return the files of this package that a file imports when executed, also in functions."""
    found = set()
    if not file.endswith(".py"):
        return found
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports are not followed here"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in whole if module_file(name)]
            names = modules if len(modules) == len(whole) else [*modules, node.module]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            file_named = module_file(node.value)  # as in import_module("backtrail.…")
            names = [node.value] if file_named and "__init__" not in file_named else []
        found.update(filter(None, map(module_file, names)))
    return found


def files_of(parts):
    for part in parts:
        path = PACKAGE / part
        for file in path.rglob("*.py") if path.is_dir() else [path]:
            yield file.relative_to(PACKAGE).as_posix()


def reached(start):
    """Return every file that files lead to, with the one that imports it."""
    found, waiting = {}, [(file, None) for file in start]
    while waiting:
        file, importer = waiting.pop()
        if file not in found:
            found[file] = importer
            waiting += [(other, file) for other in imported_files(file)]
    return found


COVERED = {*files_of((*RESULT_CODE, *SEARCH_CODE))}
REACHED = reached(COVERED)


def test_every_module_that_a_run_imports_is_fingerprinted_or_cannot_change_a_number():
    forgotten = {
        file: f"imported by {importer}"
        for file, importer in REACHED.items()
        if file not in COVERED and file not in NO_NUMBER_IN_IT
    }
    assert forgotten == {}


def test_no_module_is_excused_that_is_covered_or_that_no_run_imports():
    assert not COVERED & NO_NUMBER_IN_IT.keys()
    assert NO_NUMBER_IN_IT.keys() <= REACHED.keys()


@pytest.mark.parametrize(
    "module",
    [
        "data/datasets.py",
        "data/stored_sessions.py",
        "data/windows.py",
        "data/sessions.py",
        "data/calendars.py",
        "data/identity.py",
        "data/packed_bars.py",
    ],
)
def test_what_reads_bars_and_sessions_of_a_run_is_reached_and_fingerprinted(module):
    starts = ("batch/execution/executor.py", "batch/execution/child.py")
    assert module in reached(starts)
    assert module in {*files_of(RESULT_CODE)} & {*files_of(INGEST_CODE)}


def test_tables_that_are_read_beside_the_code_move_both_fingerprints():
    # Sessions of XNYS decide on which bars a scheduled function is called.
    there = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.glob("data/**/*.gz")}
    assert there == {"data/session_tables/XNYS.csv.gz"}
    assert there <= {*RESULT_CODE} & {*INGEST_CODE}


def test_an_import_in_a_function_is_followed_and_one_for_types_alone_is_not():
    # `Dataset.calendar` imports it where it needs it; only names of types come from sessions.
    assert "data/stored_sessions.py" in imported_files("data/datasets.py")
    assert "data/sessions.py" not in imported_files("data/datasets.py")
    assert "batch/execution/set_evaluation.py" in imported_files("batch/execution/child.py")
