import subprocess
import sys

import pytest

from backtrail.data.calendar_names import (
    ALIASES,
    LIBRARY_CALENDARS,
    SHIPPED_CALENDARS,
    calendar_mistake,
)


@pytest.mark.parametrize("name", ["XNYS", "24/5", "24/7", "XLON", "CMES", "us_futures"])
def test_a_calendar_that_there_is_is_no_mistake(name):
    assert calendar_mistake(name) is None


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("NYSE", "write XNYS, its name among calendars"),
        ("LSE", "write XLON, its name among calendars"),
        ("xlon", "did you mean XLON"),
        ("XLOM", "did you mean XLON"),
        ("US_FUTURE", "did you mean us_futures"),
        ("Nymx", "did you mean "),
        ("qqqqqqqq", "calendars are XNYS, 24/5, 24/7, and those of exchange_calendars, such as"),
    ],
)
def test_a_name_that_is_none_is_told_the_nearest(name, beginning):
    assert calendar_mistake(name).startswith(beginning)


def test_the_list_is_that_of_the_library():
    library = pytest.importorskip("exchange_calendars")
    names = set(library.get_calendar_names(include_aliases=False))
    assert names - LIBRARY_CALENDARS == set(SHIPPED_CALENDARS)
    assert names >= LIBRARY_CALENDARS
    assert {name: library.resolve_alias(name) for name in ALIASES} == dict(ALIASES)
    every = set(library.get_calendar_names(include_aliases=True))
    assert every == names | set(ALIASES)


def test_without_the_library_a_wrong_name_is_told_how_to_install_it():
    script = (
        "import sys; sys.modules['exchange_calendars'] = None\n"
        "import importlib.util; importlib.util.find_spec = lambda name: None\n"
        "from backtrail.data.calendar_names import calendar_mistake\n"
        "print(calendar_mistake('XLON'), calendar_mistake('NOWHERE'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("None ")
    assert "(pip install 'backtrail[calendars]')" in done.stdout


def test_a_known_name_costs_no_import_of_the_library():
    script = (
        "import sys; from backtrail.data.calendar_names import calendar_mistake\n"
        "calendar_mistake('XTKS'); calendar_mistake('CME'); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert {"exchange_calendars", "pandas", "polars"} & set(done.stdout.split()) == set()
