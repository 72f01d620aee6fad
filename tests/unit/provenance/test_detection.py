import importlib.machinery
import json
import os
import sys
from pathlib import Path

import pytest

from backtrail.canonical import sha256_bytes
from backtrail.errors import CodeCaptureError
from backtrail.provenance.closure import SecretWaiver, import_roots
from backtrail.provenance.detection import capture_closure, importable
from backtrail.provenance.reading import LARGE


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


NOWHERE = "which was found neither in the project nor among installed packages"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import foo", "foo"),
        ("import foo.bar as b", "foo.bar"),
        ("from foo.bar import x", "foo.bar"),
        ("import json, foo", "foo"),
        ("def f():\n    import foo", "foo"),
        ("import p.nothing", "p.nothing"),
        ("from p.nothing import x", "p.nothing"),
        ("import a.b", "a.b"),
        ("from .nothing import x", ".nothing"),
        ("from ..nowhere import x", "..nowhere"),
        ("from ..... import nothing", "....."),
        ("from importlib import import_module\nimport_module('foo')", "foo"),
        ("try:\n    import foo\nexcept ValueError:\n    pass", "foo"),
        ("try:\n    pass\nexcept ImportError:\n    import foo", "foo"),
        ("try:\n    pass\nexcept ImportError:\n    pass\nelse:\n    import foo", "foo"),
        ("try:\n    def f():\n        import foo\nexcept ImportError:\n    pass", "foo"),
        ("if debug:\n    import foo", "foo"),
        ("with open('x') as f:\n    import foo", "foo"),
    ],
)
def test_an_import_that_is_found_nowhere_is_a_warning_with_its_line(project, source, name):
    files = {"strategies/s.py": source, "strategies/p/__init__.py": "", "strategies/a.py": ""}
    closure = project(files)
    line = next(n for n, text in enumerate(source.splitlines(), 1) if name in text)
    assert closure.warnings == (f"strategies/s.py:{line} imports {name!r}, {NOWHERE}",)
    assert closure.notes == ()


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import foo\nexcept ImportError:\n    foo = None",
        "try:\n    import foo\nexcept (KeyError, ModuleNotFoundError):\n    foo = None",
        "try:\n    import foo\nexcept Exception:\n    pass",
        "try:\n    import foo\nexcept:\n    pass",
        "try:\n    if x:\n        from foo import bar\nexcept builtins.ImportError:\n    pass",
        "with contextlib.suppress(ImportError):\n    import foo",
        "if TYPE_CHECKING:\n    import foo",
        "if typing.TYPE_CHECKING:\n    from foo import Bar",
        "if find_spec('foo') is not None:\n    import foo",
        "if sys.version_info > (3, 11):\n    import json\nelse:\n    import foo",
        "try:\n    m = importlib.import_module('foo')\nexcept ImportError:\n    pass",
    ],
)
def test_an_import_that_the_code_does_without_is_a_note(project, source):
    closure = project({"strategies/s.py": source})
    line = next(
        n for n, text in enumerate(source.splitlines(), 1) if "    " in text and "foo" in text
    )
    assert closure.warnings == ()
    assert closure.notes == (f"strategies/s.py:{line} imports 'foo', {NOWHERE}",)


@pytest.mark.parametrize(
    "source",
    [
        "import __future__, sys, _thread, winreg, xml.etree.ElementTree, zipimport",
        "import numpy.linalg, polars, backtrail.engine, yaml",
        "from numpy import nothing_of_this_name",
        "import bare, bare.m\nfrom bare import anything\nfrom p import anything",
    ],
)
def test_what_python_would_find_is_no_warning(project, source):
    closure = project(
        {"strategies/s.py": source, "strategies/bare/m.py": "", "strategies/p/__init__.py": ""}
    )
    assert (closure.warnings, closure.notes) == ((), ())


def test_warnings_are_sorted_by_file_and_line(project):
    files = {
        "strategies/s.py": "import b, a\n" + "\n" * 8 + "import foo\nimport foo",
        "strategies/a.py": "import foo",
        "strategies/b.py": "\nimport foo",
    }
    closure = project(files)
    assert [text.split()[0] for text in closure.warnings] == [
        "strategies/a.py:1",
        "strategies/b.py:2",
        "strategies/s.py:10",
        "strategies/s.py:11",
    ]


def test_a_deeply_nested_expression_is_read_or_named(project):
    def nested(depth):
        source = "x = " + " + ".join(["1"] * depth) + "\nimport a"
        return project({"strategies/s.py": source, "strategies/a.py": ""})

    assert paths(nested(900)) == ["strategies/a.py", "strategies/s.py"]
    (warning,) = nested(100_000).warnings
    assert warning.startswith("strategies/s.py does not parse (")
    assert warning.endswith("its imports are unknown")


def test_looking_for_a_module_imports_nothing(project, tmp_path, monkeypatch):
    (tmp_path / "site/loud").mkdir(parents=True)
    (tmp_path / "site/loud/__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    before = set(sys.modules)
    assert project({"strategies/s.py": "import loud.more"}).warnings == ()
    assert set(sys.modules) == before


@pytest.mark.parametrize("place", ["root", "path", "empty"])
def test_what_only_this_process_could_import_is_not_installed(
    project, tmp_path, monkeypatch, place
):
    """The process of a run has neither the working directory nor PYTHONPATH on its path."""
    folder = tmp_path if place != "path" else tmp_path / "elsewhere"
    folder.mkdir(exist_ok=True)
    (folder / "native.so").touch()
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    (folder / f"native{suffix}").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("" if place == "empty" else folder)
    if place == "path":
        monkeypatch.setenv("PYTHONPATH", str(folder))
    assert importlib.machinery.PathFinder.find_spec("native") is not None
    assert len(project({"strategies/s.py": "import native"}).warnings) == 1


def test_warnings_and_notes_are_no_part_of_the_code_hash(project, tmp_path, monkeypatch):
    files = {"strategies/s.py": "import late\ntry:\n    import later\nexcept ImportError: pass"}
    without = project(files)
    (tmp_path / "site").mkdir()
    for name in ("late", "later"):
        (tmp_path / f"site/{name}.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    with_both = project(files)
    assert [len(without.warnings), len(without.notes)] == [1, 1]
    assert [with_both.warnings, with_both.notes] == [(), ()]
    assert without.code_hash == with_both.code_hash


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


# Files as they lie on disk


def test_a_record_has_size_time_and_permissions_of_every_file(project, tmp_path):
    files = {"strategies/s.py": "import a", "strategies/a.py": "x = 1\n"}
    project(files)
    os.utime(tmp_path / "strategies/a.py", ns=(0, 1_700_000_000_123_456_000))
    (tmp_path / "strategies/a.py").chmod(0o640)
    closure = capture_closure(tmp_path / "strategies/s.py", tmp_path)
    record = closure.as_record()
    assert json.loads(json.dumps(record)) == record
    assert list(record) == ["mode", "origin", "files", "warnings", "notes"]
    assert record["files"][0] == {
        "path": "strategies/a.py",
        "sha256": sha256_bytes(b"x = 1\n"),
        "size": 6,
        "modified_at": "2023-11-14T22:13:20.123456Z",
        "mode": "0640",
        "imported_by": ["strategies/s.py"],
    }
    assert [file.content for file in closure.files] == [None, None]


def test_times_and_permissions_do_not_move_the_code_hash(project, tmp_path):
    first = project({"strategies/s.py": ""})
    (tmp_path / "strategies/s.py").chmod(0o755)
    os.utime(tmp_path / "strategies/s.py", (1, 1))
    second = capture_closure(tmp_path / "strategies/s.py", tmp_path)
    assert (second.code_hash, second.files[0].mode) == (first.code_hash, "0755")


def test_a_project_reached_through_a_link_is_the_same_project(project, tmp_path):
    closure = project({"one/strategies/s.py": "import a", "one/a.py": ""}, "one/strategies/s.py")
    (tmp_path / "two").symlink_to("one")
    assert [file.path for file in closure.files] == ["one/strategies/s.py"]
    names = ["a.py", "strategies/s.py"]
    for entry, root in (("two", "two"), ("two", "one"), ("one", "two")):
        found = capture_closure(tmp_path / entry / "strategies/s.py", tmp_path / root)
        assert paths(found) == names


def test_a_strategy_that_is_a_link_has_its_own_place_and_neighbours(project, tmp_path):
    project(
        {"strategies/near.py": "", "shared/real.py": "import near", "shared/near.py": ""},
        "shared/real.py",
    )
    (tmp_path / "strategies/s.py").symlink_to("../shared/real.py")
    found = capture_closure(tmp_path / "strategies/s.py", tmp_path)
    assert paths(found) == ["strategies/near.py", "strategies/s.py"]
    assert found.warnings == ()


def test_a_strategy_that_leads_outside_is_captured_and_the_warning_says_whose_it_is(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "outside.py").write_text("import near\n")
    (tmp_path / "project/near.py").write_text("")
    (tmp_path / "project/s.py").symlink_to("../outside.py")
    found = capture_closure(tmp_path / "project/s.py", tmp_path / "project")
    assert paths(found) == ["near.py", "s.py"]
    (warning,) = found.warnings
    assert warning.startswith("s.py is read through a link that leads outside the project, to ")
    assert str(tmp_path / "outside.py") in warning


def test_a_link_to_nothing_is_no_module(project, tmp_path):
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies/a.py").symlink_to("nowhere.py")
    assert paths(project({"strategies/s.py": "import a", "a.py": ""})) == [
        "a.py",
        "strategies/s.py",
    ]


def test_a_folder_linked_into_itself_ends_where_the_system_ends(project, tmp_path):
    (tmp_path / "strategies/p").mkdir(parents=True)
    (tmp_path / "strategies/p/loop").symlink_to(".")
    closure = project(
        {
            "strategies/s.py": "import p.m",
            "strategies/p/__init__.py": "",
            "strategies/p/m.py": "try:\n    from .loop import m\nexcept ImportError:\n    pass\n",
        }
    )
    assert "strategies/p/loop/loop/loop/m.py" in paths(closure)
    assert closure.warnings == ()


def test_compiled_files_of_the_cache_are_never_captured(project):
    closure = project(
        {
            "strategies/s.py": "import a",
            "strategies/a.py": "",
            "strategies/__pycache__/a.cpython-311.pyc": b"\0",
            "strategies/strategy.yaml": "files: ['**/*']",
        }
    )
    assert paths(closure) == ["strategies/a.py", "strategies/s.py", "strategies/strategy.yaml"]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file that cannot be read")
def test_a_module_that_cannot_be_read_is_a_warning_and_a_strategy_an_error(project, tmp_path):
    """The memory of a process is a file whose first byte cannot be read, whoever asks."""
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies/a.py").symlink_to("/proc/self/mem")
    closure = project({"strategies/s.py": "import a\nimport b", "strategies/b.py": "import a"})
    assert paths(closure) == ["strategies/b.py", "strategies/s.py"]
    assert closure.warnings == (
        "strategies/a.py cannot be read (Input/output error); it is not captured",
    )
    with pytest.raises(CodeCaptureError, match=r"cannot read .*a\.py: Input/output error"):
        capture_closure(tmp_path / "strategies/a.py", tmp_path)
    listed = project({"strategies/s.py": "", "strategies/strategy.yaml": "files: [b.py]"})
    assert listed.warnings == ()
    named = "from backtrail.engine.api import data_file\ndata_file('a.py')"
    (tmp_path / "strategies/strategy.yaml").unlink()
    with pytest.raises(
        CodeCaptureError, match=r"s\.py:2 names the data file 'a\.py', which cannot"
    ):
        project({"strategies/s.py": named})


def test_a_pipe_is_no_strategy_and_nobody_waits_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "s.py")
    with pytest.raises(CodeCaptureError, match=r"cannot read .*s\.py: Is no regular file"):
        capture_closure(tmp_path / "s.py", tmp_path)


def test_a_large_data_file_is_captured_without_being_held_or_searched(project, tmp_path):
    project(
        {
            "strategies/s.py": "from backtrail.engine.api import data_file\ndata_file('x.bin')",
            "strategies/x.bin": b"",
        }
    )
    with (tmp_path / "strategies/x.bin").open("wb") as stream:
        stream.truncate(LARGE + 1)
    closure = capture_closure(tmp_path / "strategies/s.py", tmp_path)
    (_, large) = closure.files
    assert (large.path, large.size) == ("strategies/x.bin", LARGE + 1)
    assert large.sha256 == sha256_bytes(bytes(LARGE + 1))
    assert closure.warnings == ("strategies/x.bin has 16 MB and was not searched for secrets",)


# Modules outside of the project


def test_a_namespace_package_may_continue_among_installed_packages(project, tmp_path, monkeypatch):
    (tmp_path / "site/vendor/sub").mkdir(parents=True)
    (tmp_path / "site/vendor/sub/__init__.py").write_text("")
    (tmp_path / "site/vendor/sub/deep.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "site")
    closure = project(
        {
            "strategies/s.py": "import vendor.sub.deep, vendor.own\nfrom vendor import nothing",
            "strategies/vendor/own.py": "import vendor.none",
        }
    )
    assert paths(closure) == ["strategies/s.py", "strategies/vendor/own.py"]
    assert closure.warnings == (f"strategies/vendor/own.py:1 imports 'vendor.none', {NOWHERE}",)


def test_an_installed_package_hides_a_bare_folder_of_its_name(project, tmp_path, monkeypatch):
    (tmp_path / "site/vendor").mkdir(parents=True)
    (tmp_path / "site/vendor/__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "site")
    files = {"strategies/s.py": "from vendor import own", "strategies/vendor/own.py": ""}
    assert paths(project(files)) == ["strategies/s.py"]


@pytest.mark.parametrize("name", ["'a-b.c'", "'a..b'", "'a/b'", "'a\\0b'", "'\\ud800'", "' '"])
def test_names_that_no_module_has_are_found_nowhere(project, name):
    call = f"import importlib\nimportlib.import_module({name})"
    closure = project({"strategies/s.py": call, "strategies/a.py": "", "strategies/a/b.py": ""})
    assert "strategies/a/b.py" not in paths(closure)
    (warning,) = closure.warnings
    assert warning.startswith("strategies/s.py:2 imports ")
    assert warning.endswith(NOWHERE)


def test_a_module_whose_name_is_no_identifier_is_found(project):
    call = "import importlib\nimportlib.import_module('my-module')"
    closure = project({"strategies/s.py": call, "strategies/my-module.py": ""})
    assert paths(closure) == ["strategies/my-module.py", "strategies/s.py"]


def test_a_listed_name_that_is_no_utf8_is_refused(project, tmp_path):
    (tmp_path / "strategies").mkdir()
    with open(os.fsencode(tmp_path) + b"/strategies/\xff.txt", "wb"):
        pass
    with pytest.raises(CodeCaptureError, match=r"matches '.udcff\.txt', which is no UTF-8"):
        project({"strategies/s.py": "", "strategies/strategy.yaml": "files: ['*.txt']"})


# Modes, waivers, notebooks


def test_an_unknown_mode_is_a_value_error(project, tmp_path):
    project({"strategies/s.py": ""})
    with pytest.raises(ValueError, match="'git' is no capture mode; use import_analysis or"):
        capture_closure(tmp_path / "strategies/s.py", tmp_path, mode="git")


def test_a_strategy_yaml_is_part_of_the_code_hash_and_names_what_it_lists(project):
    files = {"strategies/s.py": "import a", "strategies/a.py": "", "strategies/b.txt": ""}
    listed = {**files, "strategies/strategy.yaml": "files: [a.py, b.txt]"}
    closure = project(listed)
    assert {file.path: file.imported_by for file in closure.files} == {
        "strategies/a.py": ("strategies/s.py", "strategies/strategy.yaml"),
        "strategies/b.txt": ("strategies/strategy.yaml",),
        "strategies/s.py": (),
        "strategies/strategy.yaml": (),
    }
    other = project({**listed, "strategies/strategy.yaml": "files: ['a.py', 'b.txt']"})
    assert other.code_hash != closure.code_hash


def test_a_secret_in_any_captured_file_stops_the_capture(project, tmp_path):
    secret = "gh" + "p_" + "a1B2c3D4e5F6g7H8i9J0" * 2
    files = {
        "strategies/s.py": "import a",
        "strategies/a.py": f"# fine\nx = '{secret}'\n",
        "strategies/unused.py": f"x = '{secret}'\n",
    }
    with pytest.raises(
        CodeCaptureError, match=r"^strategies/a\.py:2 holds .* GitHub token\. "
    ) as caught:
        project(files)
    assert secret not in str(caught.value)
    assert "unused" not in str(caught.value)
    waiver = SecretWaiver("strategies/a.py", "it was revoked")
    closure = capture_closure(tmp_path / "strategies/s.py", tmp_path, secret_waivers=[waiver])
    assert closure.as_record()["waived_secrets"] == [
        {
            "file": "strategies/a.py",
            "line": 2,
            "kind": "a GitHub token",
            "reason": "it was revoked",
        }
    ]
    data = {"strategies/s.py": "", "strategies/strategy.yaml": "files: [keys.json]"}
    data["strategies/keys.json"] = f'{{"x": "{secret}"}}'
    with pytest.raises(CodeCaptureError, match=r"^strategies/keys\.json:1 holds"):
        project(data)


def notebook(*sources, output="1\n"):
    cells = [
        {
            "cell_type": "code",
            "metadata": {},
            "execution_count": number,
            "outputs": [{"output_type": "stream", "name": "stdout", "text": output}],
            "source": source,
        }
        for number, source in enumerate(sources)
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells})


def test_outputs_and_text_of_a_notebook_do_not_move_its_code_hash(project, tmp_path):
    entry = "notebooks/s.ipynb"
    first = project({entry: notebook("x = 1", "y = 2")}, entry)
    again = project({entry: notebook("x = 1", "", "y = 2", output="another\n")}, entry)
    changed = project({entry: notebook("x = 1", "y = 3")}, entry)
    assert first.code_hash == again.code_hash != changed.code_hash
    assert (first.entry, first.origin) == ("notebooks/s_ipynb.py", entry)
    (file,) = first.files
    assert file.sha256 == sha256_bytes(file.content)
    assert file.size == len(file.content)
    assert file.mode == f"{(tmp_path / entry).stat().st_mode & 0o777:04o}"


def test_a_secret_in_a_cell_is_found_and_one_in_an_output_is_not_captured(project, tmp_path):
    secret = "gh" + "p_" + "a1B2c3D4e5F6g7H8i9J0" * 2
    entry = "notebooks/s.ipynb"
    assert project({entry: notebook("x = 1", output=secret)}, entry).files[0].size < 80
    with pytest.raises(CodeCaptureError, match=r"^notebooks/s\.ipynb:4 holds"):
        project({entry: notebook(f"x = '{secret}'")}, entry)
    waiver = SecretWaiver(entry, "revoked")
    closure = capture_closure(tmp_path / entry, tmp_path, secret_waivers=[waiver])
    assert [item["file"] for item in closure.waived] == [entry]


def test_without_nbformat_the_error_names_the_extra(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "nbformat", None)
    with pytest.raises(CodeCaptureError, match=r"pip install 'backtrail\[notebook\]'"):
        project({"s.ipynb": notebook("x = 1")}, "s.ipynb")


def test_a_strategy_is_imported_from_a_folder_that_holds_its_files_alone(project, tmp_path):
    closure = project(
        {"strategies/s.py": "import t", "strategies/t.py": "", "os.py": "", "u.py": ""}
    )
    with importable(closure, tmp_path) as folder:
        there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))
        assert there == ["strategies/s.py", "strategies/t.py"]
    entry = "notebooks/s.ipynb"
    files = {entry: notebook("import a"), "notebooks/a.py": "x = 1", "notebooks/b.py": ""}
    with importable(project(files, entry), tmp_path) as folder:
        assert sorted(path.name for path in folder.rglob("*.*")) == ["a.py", "s_ipynb.py"]
        assert (folder / "notebooks/a.py").read_text() == "x = 1"
        assert "import a" in (folder / "notebooks/s_ipynb.py").read_text()
    assert not folder.exists()
    assert not (tmp_path / "notebooks/s_ipynb.py").exists()
