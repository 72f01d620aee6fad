"""A generated project is captured as Python imports it, file for file."""

import os
import re
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from backtrail.provenance.capture import capture_closure

from .python import imported_files

# `random` and `json` shadow the standard library; `time` is built in and `os` frozen, so that no
# file of these names is ever imported. None of the standard library's own modules that come along
# imports another of the list.
NAMES = ("a", "b", "c", "p", "q", "random", "json", "time", "os")
ENTRIES = ("s.py", "strategies/s.py", "strategies/p/s.py", "strategies/p/q/s.py")
FOLDERS = ("", "strategies/")
RELATIVE = re.compile(r"from \.|__package__|\(\), [12]\)")
EXAMPLES = int(os.environ.get("BACKTRAIL_EXAMPLES", "60"))

names = st.sampled_from(NAMES)
dotted = st.lists(names, min_size=1, max_size=3).map(".".join)
dots = st.integers(1, 3).map(".".__mul__)
folders = st.builds(
    lambda base, parts: base + "".join(f"{part}/" for part in parts),
    st.sampled_from(FOLDERS),
    st.lists(st.sampled_from(NAMES[:6]), max_size=2),
)
modules = st.builds(
    lambda folder, name: f"{folder}{name}.py", folders, st.one_of(st.just("__init__"), names)
)

# Names are bound to something private: a package that has an attribute of the name of a submodule
# keeps Python from importing the submodule, which nothing but running it can tell.
exact_statements = st.one_of(
    st.builds("import {} as _x".format, dotted),
    st.builds("from {} import {} as _x".format, dotted, names),
    st.builds("from {} import {} as _x, {} as _y".format, dotted, names, names),
    st.builds("from {}{} import {} as _x".format, dots, dotted, names),
    st.builds("from {} import {} as _x".format, dots, names),
    st.builds("_x = __import__({!r})".format, dotted),
    st.builds("_x = __import__({!r}, globals(), None, [{!r}])".format, dotted, names),
    st.builds("_x = __import__({!r}, globals(), None, (), {})".format, dotted, st.integers(1, 2)),
    st.builds("from importlib import import_module as _m; _m({!r})".format, dotted),
    st.builds("import importlib as _i; _i.import_module({!r})".format, dotted),
    st.builds(
        "import importlib as _i; _i.import_module({!r} + {!r}, __package__)".format, dots, dotted
    ),
    st.builds(
        "import importlib as _i; _i.import_module({!r} + {!r}, {!r})".format, dots, dotted, dotted
    ),
    st.builds("import runpy as _r; _i = {!r}".format, dotted),
)
loose_statements = st.one_of(
    exact_statements,
    st.builds("import {}".format, dotted),
    st.builds("from {} import *".format, dotted),
    st.builds("from {}{} import *".format, dots, names),
    st.builds("from {} import {}".format, dotted, names),
    st.builds("__all__ = [{!r}, {!r}]".format, names, names),
    st.builds("__all__ = [{!r}]; __all__ += [{!r}]".format, names, names),
    st.builds("__all__ = [{!r}]; __all__.append({!r})".format, names, names),
)


def bodies(statements):
    """Return texts of modules in which each statement may fail without ending the module."""
    guarded = "try:\n    {}\nexcept Exception:\n    pass\n".format
    # `import *` may not stand in a function, and neither does it need to.
    return st.lists(statements, max_size=5).map(lambda items: "".join(map(guarded, items)))


def projects(statements):
    return st.tuples(
        st.sampled_from(ENTRIES),
        st.lists(statements, min_size=1, max_size=6),
        st.dictionaries(modules, bodies(statements), max_size=14),
    )


def compare(project):
    """Write a project; return what capture takes, what Python imports, and the warnings."""
    entry, statements, files = project
    files = {path: text for path, text in files.items() if path != "__init__.py"}
    guarded = "try:\n    {}\nexcept Exception:\n    pass\n".format
    in_package = f"{Path(entry).parent}/__init__.py" in files
    # A strategy that lies in no package and imports relatively fails; capture is generous there.
    own = [line for line in statements if in_package or not RELATIVE.search(line)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        for path, text in {**files, entry: "".join(map(guarded, own))}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        captured = [file.path for file in capture_closure(root / entry, root).files]
        imported, failure = imported_files(root, entry)
    assume(failure is None)  # a module hides the package that the strategy lies in
    return captured, imported


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(projects(exact_statements))
@example(("s.py", ["import importlib as _i; _i.import_module('..' + 'a', 'a')"], {"a.py": ""}))
def test_capture_takes_exactly_what_python_imports(project):
    captured, imported = compare(project)
    assert captured == imported


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(projects(loose_statements))
def test_capture_misses_nothing_where_names_hide_modules(project):
    captured, imported = compare(project)
    assert set(imported) <= set(captured)
