import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src/backtrail"

# A module imports from its own layer and from layers below it.
LAYERS = (
    {"arrow", "canonical", "errors", "files", "project", "wording"},
    {"engine", "metrics", "optimization", "validation"},
    {"data", "provenance", "artifacts", "catalog", "reports"},
    {"batch", "crosscheck"},
    {"jobs", "cli", "commands", "backtest", "__main__"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))
PURE = ("engine", "metrics", "reports")
CLOCKS = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns",
    "time.localtime", "time.gmtime",
}  # fmt: skip


def layer_of(file):
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def for_types_only(tree):
    """Yield the nodes below `if TYPE_CHECKING:`, which are never executed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                yield from ast.walk(statement)


def imported_parts(file, *, executed_only=False):
    """Yield the part of the package that each import names, and its line."""
    parts = ("backtrail", *file.relative_to(PACKAGE).with_suffix("").parts)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skipped = {id(node) for node in for_types_only(tree)} if executed_only else set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(parts[: len(parts) - node.level]) if node.level else []
            base += node.module.split(".") if node.module else []
            names = [".".join([*base, alias.name]) for alias in node.names]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            if top == "backtrail" and rest:
                yield rest.partition(".")[0], node.lineno


def test_every_module_has_a_layer():
    assert {layer_of(file) for file in FILES} - {"__init__", "_version"} <= set(LEVEL)
    assert len(FILES) > 80


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_nothing_from_a_layer_above_it(file):
    if layer_of(file) == "__init__":
        # The package offers names of its top layer, which it imports when they are asked for.
        assert list(imported_parts(file, executed_only=True)) == []
        assert {part for part, _ in imported_parts(file)} <= {"backtest"}
        return
    upward = [
        f"{file.name}:{line} imports backtrail.{part}"
        for part, line in imported_parts(file)
        if LEVEL.get(part, -1) > LEVEL[layer_of(file)]
    ]
    assert upward == []


def test_the_bottom_layer_imports_only_itself():
    for name in LAYERS[0]:
        assert {part for part, _ in imported_parts(PACKAGE / f"{name}.py")} <= LAYERS[0]


@pytest.mark.parametrize("part", ["engine", "metrics"])
def test_pure_layers_import_only_numpy_and_the_standard_library(part):
    import sys

    allowed = {*sys.stdlib_module_names, "numpy", "backtrail"}
    for file in (PACKAGE / part).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            tops = {name.partition(".")[0] for name in names}
            assert tops <= allowed, f"{file.name}:{node.lineno}"


def forbidden_calls(source):
    """Yield calls of a wall clock or of a global random generator."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            module = getattr(node, "module", None)
            if "random" in [*names, module] or (module == "time" and "time" in names):
                yield node.lineno, ast.unparse(node)
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            last_two = ".".join(name.split(".")[-2:])
            is_seeded = name.endswith(("default_rng", "Generator", "PCG64", "SeedSequence"))
            is_random = "random." in name and not (is_seeded and (node.args or node.keywords))
            if last_two in CLOCKS or is_random:
                yield node.lineno, name


@pytest.mark.parametrize("part", PURE)
def test_no_wall_clock_and_no_global_random_in(part):
    for file in sorted((PACKAGE / part).rglob("*.py")):
        found = list(forbidden_calls(file.read_text(encoding="utf-8")))
        assert found == [], f"{file}: {found}"


@pytest.mark.parametrize(
    "line",
    [
        "datetime.now(UTC)", "datetime.datetime.now()", "date.today()", "time.time()",
        "import random", "from random import choice", "np.random.normal()", "from time import time",
        "np.random.default_rng()",
    ],
)  # fmt: skip
def test_the_search_for_clocks_and_chance_finds(line):
    assert len(list(forbidden_calls(line))) == 1


def test_a_seeded_generator_is_allowed():
    assert list(forbidden_calls("rng = np.random.default_rng(seed)\nrng.normal()")) == []
