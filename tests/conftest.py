"""Settings of the whole suite."""

import os

import pytest
from hypothesis import settings

# No timed assertions: a busy machine is no fault of the code.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores: tests of workflows and pages wait for other programs."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)
