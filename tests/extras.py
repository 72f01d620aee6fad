"""Libraries that only some tests need: whether they are there, without importing them.

Every worker of the suite imports every test file; a library that takes a second to import is
imported by the test that uses it.
"""

from importlib.util import find_spec

import pytest


def needs(module: str, extra: str) -> pytest.MarkDecorator:
    """Skip tests where the library of an extra is not installed."""
    reason = f"the extra `{extra}` is not installed"
    return pytest.mark.skipif(find_spec(module) is None, reason=reason)
