import os

import pytest

from backtrail.errors import CodeCaptureError
from backtrail.provenance.capture import capture_closure
from backtrail.provenance.closure import import_roots


@pytest.fixture
def project(tmp_path):
    """Write files given by name and text, and trace the first one."""

    def trace(files, entry="strategies/s.py"):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return capture_closure(tmp_path / entry, tmp_path)

    return trace


def paths(closure):
    return [file.path for file in closure.files]


@pytest.mark.parametrize(
    ("statement", "taken"),
    [
        ("import a", ["strategies/a.py"]),
        ("import a as b", ["strategies/a.py"]),
        ("import a, p.m", ["strategies/a.py", "strategies/p/__init__.py", "strategies/p/m.py"]),
        ("from a import x", ["strategies/a.py"]),
        ("import p", ["strategies/p/__init__.py"]),
        ("from p import m", ["strategies/p/__init__.py", "strategies/p/m.py"]),
        ("from p import name", ["strategies/p/__init__.py"]),
        ("from p.m import *", ["strategies/p/__init__.py", "strategies/p/m.py"]),
        (
            "import p.q.n",
            ["strategies/p/__init__.py", "strategies/p/q/__init__.py", "strategies/p/q/n.py"],
        ),
        (
            "from p.q import n",
            ["strategies/p/__init__.py", "strategies/p/q/__init__.py", "strategies/p/q/n.py"],
        ),
        ("from p import q", ["strategies/p/__init__.py", "strategies/p/q/__init__.py"]),
        ("import bare.m", ["strategies/bare/m.py"]),
        ("from bare import m", ["strategies/bare/m.py"]),
        ("import bare", []),
        ("import top", ["top.py"]),
        ("from shared.deep import thing", ["shared/deep/thing.py"]),
        ("import numpy, json, backtrail.engine", []),
        ("import missing.entirely", []),
        ("def f():\n    import a", ["strategies/a.py"]),
        ("class C:\n    def f(self):\n        from p import m", "p.m"),
        ("if TYPE_CHECKING:\n    import a", ["strategies/a.py"]),
        ("try:\n    import fast\nexcept ImportError:\n    import a", ["strategies/a.py"]),
        ("async def f():\n    async with x:\n        import a", ["strategies/a.py"]),
        ("match x:\n    case 1:\n        import a", ["strategies/a.py"]),
        ("import importlib\nm = importlib.import_module('a')", ["strategies/a.py"]),
        ("from importlib import import_module\nm = import_module('p.m')", "p.m"),
        ("m = __import__('a')", ["strategies/a.py"]),
        ("from strategies import a", ["strategies/a.py"]),
        ("import strategies.p.m", "p.m"),
        ("from . import a", ["strategies/a.py"]),
        ("from .p.m import x", "p.m"),
        ("from .. import top", ["top.py"]),
        ("from ..shared.deep import thing", ["shared/deep/thing.py"]),
        ("from ..... import nothing", []),
    ],
)
def test_an_import_takes_the_files_that_python_would_execute(project, statement, taken):
    if taken == "p.m":
        taken = ["strategies/p/__init__.py", "strategies/p/m.py"]
    closure = project(
        {
            "strategies/s.py": statement,
            "strategies/a.py": "",
            "strategies/p/__init__.py": "",
            "strategies/p/m.py": "",
            "strategies/p/q/__init__.py": "",
            "strategies/p/q/n.py": "",
            "strategies/bare/m.py": "",
            "top.py": "",
            "shared/deep/thing.py": "",
        }
    )
    assert paths(closure) == sorted(["strategies/s.py", *taken])
    assert closure.warnings == ()


def test_relative_imports_are_followed_at_every_level(project):
    closure = project(
        {
            "strategies/s.py": "import p.q.r.deep",
            "strategies/p/__init__.py": "",
            "strategies/p/one.py": "",
            "strategies/p/q/__init__.py": "from .two import x",
            "strategies/p/q/two.py": "",
            "strategies/p/q/r/__init__.py": "",
            "strategies/p/q/r/three.py": "",
            "strategies/p/q/r/deep.py": "from . import three\n"
            "from .. import two\nfrom ... import one",
        }
    )
    assert paths(closure) == [
        "strategies/p/__init__.py",
        "strategies/p/one.py",
        "strategies/p/q/__init__.py",
        "strategies/p/q/r/__init__.py",
        "strategies/p/q/r/deep.py",
        "strategies/p/q/r/three.py",
        "strategies/p/q/two.py",
        "strategies/s.py",
    ]


def test_what_lies_beside_the_strategy_wins_over_the_root(project):
    files = {"strategies/s.py": "import a, p.m", "strategies/a.py": "", "a.py": ""}
    files |= {"strategies/p/other.py": "", "p/m.py": ""}
    assert paths(project(files)) == ["p/m.py", "strategies/a.py", "strategies/s.py"]


def test_a_package_wins_over_a_module_of_the_same_name(project):
    files = {"strategies/s.py": "import a", "strategies/a.py": "", "strategies/a/__init__.py": ""}
    assert paths(project(files)) == ["strategies/a/__init__.py", "strategies/s.py"]


def test_modules_that_shadow_the_standard_library_are_taken(project):
    files = {"strategies/s.py": "import json, random", "strategies/random.py": "", "json.py": ""}
    assert paths(project(files)) == ["json.py", "strategies/random.py", "strategies/s.py"]


def test_the_packages_a_strategy_lies_in_are_taken_with_their_imports(project):
    closure = project(
        {
            "strategies/pkg/s.py": "from .near import x",
            "strategies/pkg/__init__.py": "from .setup import y",
            "strategies/pkg/near.py": "",
            "strategies/pkg/setup.py": "",
            "strategies/__init__.py": "import top",
            "top.py": "",
            "__init__.py": "",
        },
        "strategies/pkg/s.py",
    )
    assert paths(closure) == [
        "strategies/__init__.py",
        "strategies/pkg/__init__.py",
        "strategies/pkg/near.py",
        "strategies/pkg/s.py",
        "strategies/pkg/setup.py",
        "top.py",
    ]
    by_path = {file.path: file.imported_by for file in closure.files}
    assert by_path["strategies/pkg/__init__.py"] == ("strategies/pkg/s.py",)
    assert by_path["strategies/pkg/s.py"] == ()


def test_a_star_takes_the_submodules_that_the_package_lists(project):
    closure = project(
        {
            "strategies/s.py": "from p import *",
            "strategies/p/__init__.py": "__all__ = ['m', 'name']\n__all__ += ['n']",
            "strategies/p/m.py": "",
            "strategies/p/n.py": "",
            "strategies/p/unlisted.py": "",
        }
    )
    assert paths(closure) == [
        "strategies/p/__init__.py",
        "strategies/p/m.py",
        "strategies/p/n.py",
        "strategies/s.py",
    ]


def test_circles_end_and_name_every_importer(project):
    closure = project(
        {
            "strategies/s.py": "import a\nimport s",
            "strategies/a.py": "import b",
            "strategies/b.py": "import a\nimport s",
        }
    )
    assert {file.path: file.imported_by for file in closure.files} == {
        "strategies/a.py": ("strategies/b.py", "strategies/s.py"),
        "strategies/b.py": ("strategies/a.py",),
        "strategies/s.py": ("strategies/b.py",),
    }


@pytest.mark.parametrize(
    "call",
    ["import_module(name)", "importlib.import_module('p.' + name)", "__import__(f'{x}')"],
)
def test_an_import_of_a_computed_name_is_a_warning_with_its_line(project, call):
    closure = project({"strategies/s.py": f"import importlib\n\nm = {call}\n"})
    assert closure.warnings == (
        "strategies/s.py:3 imports a module whose name is computed; what it imports is unknown",
    )


def test_a_literal_relative_call_is_followed(project):
    closure = project(
        {
            "strategies/s.py": "import p",
            "strategies/p/__init__.py": (
                "from importlib import import_module\nm = import_module('.m', __package__)"
            ),
            "strategies/p/m.py": "",
        }
    )
    assert "strategies/p/m.py" in paths(closure)
    assert closure.warnings == ()


@pytest.mark.parametrize(
    ("source", "warning"),
    [
        (b"def f(:\n", "strategies/a.py:1 does not parse"),
        (b"x = 1\nif x\n", "strategies/a.py:2 does not parse"),
        (b"x = '\xff'\n", "does not parse"),
        (b"x = 1\0\n", "does not parse"),
        (b"# coding: klingon\n", "does not parse"),
    ],
)
def test_a_file_that_does_not_parse_is_taken_with_a_warning(project, source, warning):
    closure = project({"strategies/s.py": "import a", "strategies/a.py": source})
    assert paths(closure) == ["strategies/a.py", "strategies/s.py"]
    assert len(closure.warnings) == 1
    assert warning in closure.warnings[0]
    assert closure.warnings[0].endswith("its imports are unknown")


def test_a_declared_encoding_and_a_byte_order_mark_are_understood(project):
    closure = project(
        {
            "strategies/s.py": "# -*- coding: latin-1 -*-\n# café\nimport a".encode("latin-1"),
            "strategies/a.py": b"\xef\xbb\xbfimport b",
            "strategies/b.py": b"path = '\\d'\r\n",  # a doubtful escape is no syntax error
        }
    )
    assert paths(closure) == ["strategies/a.py", "strategies/b.py", "strategies/s.py"]
    assert closure.warnings == ()


def test_the_code_hash_follows_content_and_names_and_nothing_else(project, tmp_path):
    files = {"strategies/s.py": "import a", "strategies/a.py": "x = 1"}
    first = project(files)
    os.utime(tmp_path / "strategies/a.py", (1, 1))
    (tmp_path / "strategies/unused.py").write_text("")
    assert project(files).code_hash == first.code_hash
    changed = project({**files, "strategies/a.py": "x = 2"})
    assert changed.code_hash != first.code_hash
    (tmp_path / "strategies/a.py").unlink()
    moved = project({"strategies/s.py": "import a", "a.py": "x = 1"})
    assert moved.code_hash not in {first.code_hash, changed.code_hash}


def test_the_code_hash_does_not_depend_on_where_the_project_lies(tmp_path):
    hashes = set()
    for root in (tmp_path / "one", tmp_path / "elsewhere" / "two"):
        (root / "strategies").mkdir(parents=True)
        (root / "strategies/s.py").write_text("import a")
        (root / "strategies/a.py").write_text("")
        hashes.add(capture_closure(root / "strategies/s.py", root).code_hash)
    assert len(hashes) == 1


def test_a_linked_module_keeps_its_own_place(project, tmp_path):
    (tmp_path / "strategies").mkdir()
    (tmp_path / "real.py").write_text("x = 1")
    (tmp_path / "strategies/a.py").symlink_to("../real.py")
    assert paths(project({"strategies/s.py": "import a"})) == ["strategies/a.py", "strategies/s.py"]


def test_an_absent_strategy_is_refused(tmp_path):
    with pytest.raises(CodeCaptureError, match=r"strategy file .*nope\.py does not exist"):
        capture_closure(tmp_path / "nope.py", tmp_path)


def test_a_strategy_outside_the_root_is_refused(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "outside.py").write_text("")
    with pytest.raises(CodeCaptureError, match=r"outside the project root .*move it inside"):
        capture_closure(tmp_path / "project/../outside.py", tmp_path / "project")


def test_a_folder_as_strategy_is_refused(tmp_path):
    (tmp_path / "s").mkdir()
    with pytest.raises(CodeCaptureError, match=r"cannot read .*: Is a directory"):
        capture_closure(tmp_path / "s", tmp_path)


def test_imports_are_looked_up_beside_the_strategy_and_then_at_the_root():
    assert import_roots("strategies/deep/s.py") == ("strategies/deep", ".")
    assert import_roots("s.py") == (".",)
