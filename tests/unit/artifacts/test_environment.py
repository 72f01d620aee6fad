import json
import platform
import re
import sys
from importlib.metadata import version

from backtrail.artifacts.environment import describe_environment, environment_difference


def test_the_environment_names_interpreter_and_every_package_and_no_host():
    found = describe_environment()
    assert found["python"] == platform.python_version()
    assert found["byteorder"] == sys.byteorder
    assert found["packages"]["numpy"] == version("numpy")
    assert found["packages"]["sqlalchemy"] == version("sqlalchemy")
    assert list(found["packages"]) == sorted(found["packages"])
    assert not any("_" in name or name != name.lower() for name in found["packages"])
    assert platform.node() not in re.split(r"[^\w.-]+", json.dumps(found))


def test_equal_environments_do_not_differ():
    assert environment_difference(describe_environment(), describe_environment()) == []


def test_every_difference_is_named_once_with_both_versions():
    old = {"python": "3.11.7", "system": "Linux", "packages": {"numpy": "2.2.0", "gone": "1"}}
    new = {"python": "3.12.1", "system": "Linux", "packages": {"numpy": "2.3.0", "new": "2"}}
    assert environment_difference(old, new) == [
        "python 3.11.7 -> 3.12.1",
        "gone 1 -> absent",
        "new absent -> 2",
        "numpy 2.2.0 -> 2.3.0",
    ]
    assert environment_difference({}, {"python": "3.12.1"}) == ["python None -> 3.12.1"]
