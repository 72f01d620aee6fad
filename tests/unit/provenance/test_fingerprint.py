import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backtrail.provenance.fingerprint import (
    INGEST_CODE,
    RESULT_CODE,
    SEARCH_CODE,
    library_fingerprint,
    package_fingerprint,
    source_fingerprint,
)

SRC = Path(__file__).resolve().parents[3] / "src"
PYTHONS = sorted(
    path
    for version in ("3.11", "3.12", "3.13")
    for path in (Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python")
)

PLAIN = """
import os
LIMIT = 10
def f(a, b=[]):
    if a > LIMIT:
        return a + b
    return {"x": 1.0, **b}
"""
REWORDED = '''"""A module docstring."""

# A comment.
import os

LIMIT = 10  # and another


def f(
    a,
    b=[],
):
    """Return something.

    With words.
    """
    if (a > LIMIT):
        # why
        return (a + b)

    return {
        'x': 1.0,
        **b,
    }
'''


def in_fresh_process(home: Path, code: str, **environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": str(SRC), "PYTHONPYCACHEPREFIX": str(home), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.strip()


FINGERPRINT = (
    "from backtrail.provenance import fingerprint; print(fingerprint.library_fingerprint())"
)
WITHOUT_PARSING = (
    "import ast; from backtrail.provenance import fingerprint; ast.parse = None; "
    "print(fingerprint.library_fingerprint())"
)


def test_a_fingerprint_is_kept_beside_the_bytecode_and_sources_are_not_parsed_again(tmp_path):
    first = in_fresh_process(tmp_path, FINGERPRINT)
    (memory,) = tmp_path.rglob("fingerprints-*.json")
    assert in_fresh_process(tmp_path, WITHOUT_PARSING) == first == library_fingerprint()
    memory.write_text("damaged")
    assert in_fresh_process(tmp_path, FINGERPRINT) == first
    assert in_fresh_process(tmp_path, WITHOUT_PARSING) == first, "it was written anew"


def test_what_is_kept_is_found_by_content_so_an_edited_source_is_looked_at_again(tmp_path):
    package = tmp_path / "backtrail"
    shutil.copytree(SRC / "backtrail", package, ignore=shutil.ignore_patterns("__pycache__"))
    here = {"PYTHONPATH": str(tmp_path)}
    first = in_fresh_process(tmp_path / "kept", FINGERPRINT, **here)
    edited = package / "metrics" / "returns.py"
    moment = edited.stat().st_mtime_ns
    (package / "metrics/__pycache__/steps").mkdir(parents=True)
    (package / "metrics/__pycache__/steps/kept.py").write_text("ADDED = 1\n")
    assert in_fresh_process(tmp_path / "kept", FINGERPRINT, **here) == first, "it is no source"
    edited.write_text(edited.read_text() + "\nADDED = 1\n")
    os.utime(edited, ns=(moment, moment))
    other = in_fresh_process(tmp_path / "kept", FINGERPRINT, **here)
    assert other != first
    table = package / "data/session_tables/XNYS.csv.gz"
    table.write_bytes(table.read_bytes() + b"\0")
    assert in_fresh_process(tmp_path / "kept", FINGERPRINT, **here) not in (first, other)


def test_where_python_keeps_no_bytecode_nothing_is_kept(tmp_path):
    first = in_fresh_process(tmp_path, FINGERPRINT, PYTHONDONTWRITEBYTECODE="1")
    assert first == library_fingerprint()
    assert list(tmp_path.iterdir()) == []


def test_comments_docstrings_quotes_and_layout_do_not_count():
    assert source_fingerprint(PLAIN) == source_fingerprint(REWORDED)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("10", "11"),
        ("10", "10.0"),
        ("10", "True"),
        ("a > LIMIT", "a >= LIMIT"),
        ("a + b", "b + a"),
        ("b=[]", "b=()"),
        ("b=[]", "b=None"),
        ("b=[]", "*b"),
        ("import os", "import sys as os"),
        ("return a + b", "a + b"),
        ("def f", "async def f"),
        ("def f(a", "def f(a: int"),
        ("LIMIT = 10", "LIMIT = 10\nLIMIT"),
        ("LIMIT = 10", "LIMIT = 10\n'a string that is no docstring'"),
        ('"x"', 'b"x"'),
        ("**b", "'b': b"),
    ],
)
def test_every_change_of_a_statement_counts(old, new):
    assert old in PLAIN
    assert source_fingerprint(PLAIN.replace(old, new, 1)) != source_fingerprint(PLAIN)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("f(a)(b)", "f(a, b)"),
        ("[a, [b]]", "[[a], b]"),
        ("if a:\n    b\nc", "if a:\n    b\n    c"),
        ("f(x, *y)", "f(*x, y)"),
        ("a = b = c", "a = b; a = c"),
        ("lambda x: y", "lambda y: x"),
        ("f'{x!r}'", "f'{x!s}'"),
        ("f'{x:>3}'", "f'{x:>4}'"),
        ("def f(a, /): pass", "def f(a): pass"),
        ("def f(*, a): pass", "def f(a): pass"),
        ("class A(B): pass", "class A(metaclass=B): pass"),
        ("return_ = None", "return_ = ..."),
        ("x[1:]", "x[:1]"),
        ("try:\n    a\nexcept E:\n    b", "try:\n    a\nfinally:\n    b"),
    ],
)
def test_sources_of_other_structure_differ(one, other):
    assert source_fingerprint(one) != source_fingerprint(other)


TRICKY = r"""
type_ = f"{x!r:>{width}} and {'nested'} {y=}" "joined" f"{z}"
@decorator
class A[0:1] if False else 1: ...
""".replace(
    "class A[0:1] if False else 1: ...", "class A(B, metaclass=M):\n    'doc'\n    x: int = 1"
)
TRICKY += r'''
async def f(a, /, b: int = 1, *args: str, c=2, **kw) -> None:
    """doc"""
    async for i in g(): yield i, *a
    match a:
        case {"k": [1, *rest], **more} if rest: pass
        case A(x=1) | None: pass
        case -1.5 | "\N{BULLET}\0\ud800": pass
    try: pass
    except* ValueError as e: raise X from e
    with (open(a) as b, c): del b
    global q
    return {**a, 1j: b"\xff", ...: -0.0}, [*b], (lambda: (yield)), 10**100, not a
'''


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: path.parts[-3])
def test_fingerprints_are_the_same_on_every_python(python, tmp_path):
    (tmp_path / "tricky.py").write_text(TRICKY)
    code = (
        "import sys; from pathlib import Path\n"
        "from backtrail.provenance.fingerprint import *\n"
        "print(library_fingerprint())\n"
        "print(source_fingerprint(Path(sys.argv[1]).read_text()))\n"
        "for file in sorted(Path(sys.argv[2]).rglob('*.py')):\n"
        "    print(file.name, source_fingerprint(file.read_text(encoding='utf-8')))\n"
    )

    def run(executable):
        return subprocess.run(
            [executable, "-c", code, tmp_path / "tricky.py", SRC],
            env={**os.environ, "PYTHONPATH": str(SRC)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    found = run(python)
    assert found == run(sys.executable)
    assert found.count("\n") > 80


def test_the_library_fingerprint_is_16_hex_and_covers_what_decides_results():
    found = library_fingerprint()
    assert len(found) == 16
    assert int(found, 16) >= 0
    assert found == package_fingerprint(*RESULT_CODE)
    assert {"engine", "metrics", "artifacts"} <= set(RESULT_CODE)
    assert all((SRC / "backtrail" / part).exists() for part in RESULT_CODE)


def test_what_makes_seeds_and_bytes_is_part_of_what_decides_runs_and_datasets():
    # Seeds, the bytes of every JSON file, and the order in which numbers are hashed.
    assert {"canonical.py", "arrow.py"} <= {*RESULT_CODE} & {*INGEST_CODE}
    assert "data" in INGEST_CODE


# They end a run or let it through, and change nothing that it says.
CARRIERS = {"__init__", "failures", "hints", "outcome", "protocol", "sandbox", "zygote"}


def test_every_module_that_executes_runs_decides_results_or_is_named_as_a_carrier():
    folder = "batch/execution"
    decides = {Path(part).stem for part in (*RESULT_CODE, *SEARCH_CODE) if part.startswith(folder)}
    there = {path.stem for path in (SRC / "backtrail" / folder).glob("*.py")}
    assert there == decides | CARRIERS
    assert not decides & CARRIERS


@pytest.mark.parametrize(
    ("module", "marks"),
    [
        ("batch/execution/executor.py", ("derive_seed(", "read_window(", "dataset_periods(")),
        ("batch/execution/child.py", ("import_entry(", "seed=asked", "Bars.over(")),
        ("backtest/in_process.py", ("derive_seed(", "load_bars(", "dataset_periods(")),
        ("batch/execution/surroundings.py", ("PYTHONHASHSEED",)),
        ("provenance/closure.py", ("def import_roots(",)),
    ],
)
def test_code_that_makes_seeds_and_what_a_strategy_sees_moves_the_fingerprint(module, marks):
    source = (SRC / "backtrail" / module).read_text(encoding="utf-8")
    assert all(mark in source for mark in marks)
    assert module in RESULT_CODE


def test_parts_and_their_names_move_the_package_fingerprint():
    assert package_fingerprint("engine") != package_fingerprint("metrics")
    assert package_fingerprint("engine") != package_fingerprint("engine", "metrics")
