import importlib
from importlib.metadata import version

import pytest

from backtrail.provenance.packages import distributions


def file_of(name):
    return name, importlib.import_module(name).__file__


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("numpy", "numpy"),
        ("yaml", "pyyaml"),
        ("jinja2", "jinja2"),
        ("markupsafe", "markupsafe"),
        ("sqlalchemy", "sqlalchemy"),
    ],
)
def test_a_module_is_traced_to_the_distribution_it_came_with(module, name):
    assert distributions([file_of(module)]) == {name: version(name)}


def test_several_modules_of_one_distribution_are_one():
    name, path = file_of("yaml")
    inner = ("_yaml", path.replace("/yaml/", "/_yaml/"))
    found = distributions([(name, path), inner, file_of("numpy")])
    assert list(found) == ["numpy", "pyyaml"]


def test_a_module_without_distribution_is_named_as_unknown():
    folder = file_of("numpy")[1].rpartition("numpy/")[0]
    assert distributions([("stray.part", f"{folder}stray/part.py")]) == {"stray": "unknown"}
    assert distributions([("other", "/nowhere/other.py")]) == {"other": "unknown"}
