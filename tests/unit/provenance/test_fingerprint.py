import os
import subprocess
import sys
from pathlib import Path

import pytest

from backtrail.provenance.fingerprint import (
    RESULT_CODE,
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


def test_parts_and_their_names_move_the_package_fingerprint():
    assert package_fingerprint("engine") != package_fingerprint("metrics")
    assert package_fingerprint("engine") != package_fingerprint("engine", "metrics")
