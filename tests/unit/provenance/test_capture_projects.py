"""Small projects, one pattern each, with the exact list of files that capture takes."""

from pathlib import Path

import pytest
import yaml

from backtrail.errors import CodeCaptureError
from backtrail.provenance.capture import capture_closure

from .python import imported_files

DATA = Path(__file__).resolve().parents[2] / "data/capture"
PROJECTS = sorted(path.parent for path in DATA.glob("*/expected.yaml"))


def load(folder):
    expected = yaml.safe_load((folder / "expected.yaml").read_text(encoding="utf-8"))
    return folder / expected.get("root", "."), expected


def capture(root, expected):
    return capture_closure(
        root / expected["entry"], root, mode=expected.get("mode", "import_analysis")
    )


def python_files(names):
    return {name for name in names if name.endswith((".py", ".so"))}


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda path: path.name)
def test_a_project_is_captured_as_expected(folder):
    root, expected = load(folder)
    if "error" in expected:
        with pytest.raises(CodeCaptureError) as caught:
            capture(root, expected)
        found, told = str(caught.value), expected["error"].replace("{root}", str(root))
        if told.endswith("…"):  # the rest is another's sentence
            assert found.startswith(told[:-1])
        else:
            assert found == told
        return
    closure = capture(root, expected)
    assert [file.path for file in closure.files] == expected["files"]
    assert list(closure.warnings) == [
        text.replace("{data}", str(DATA)) for text in expected["warnings"]
    ]
    assert closure.mode == expected.get("captured_by", "import_analysis")
    assert closure.origin == expected.get("origin")
    generated = {file.path: file.content for file in closure.files if file.content is not None}
    assert set(generated) == ({closure.entry} if closure.origin else set())
    if "source" in expected:
        assert generated[closure.entry].decode() == expected["source"]


@pytest.mark.parametrize(
    "folder",
    [path for path in PROJECTS if load(path)[1].get("python", "none") != "none"],
    ids=lambda path: path.name,
)
def test_what_is_expected_is_what_python_imports(folder):
    root, expected = load(folder)
    imported, failure = imported_files(root, expected["entry"])
    assert failure is None
    taken = python_files(expected["files"])
    match expected["python"]:
        case "same":
            assert set(imported) == taken
        case "fewer":  # what may be imported is captured, too
            assert set(imported) < taken
        case "more":  # and a warning says so
            assert set(imported) > taken
            assert expected["warnings"]


def test_there_are_many_projects_and_each_has_a_pattern_of_its_own():
    assert len(PROJECTS) >= 90
    entries = [(path / "expected.yaml").read_text().splitlines()[0] for path in PROJECTS]
    assert len(set(entries)) == len(PROJECTS)
