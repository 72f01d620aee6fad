"""Workers of one session share what pytest makes of the asserts of the test files.

Every worker collects every file. Rewriting the asserts is half of that, and where Python is told
to write no bytecode, each worker would do all of it in each session.
"""

from pathlib import Path

import pytest
from _pytest.assertion import rewrite

TESTS = Path(__file__).parent


def rewrite_share(config: pytest.Config, number: int, count: int) -> None:
    """Rewrite every `count`-th test file whose bytecode is not there; the others are others'."""
    state = config.stash.get(rewrite.assertstate_key, None)
    if state is None or state.mode != "rewrite":
        return
    for path in sorted(TESTS.rglob("test_*.py"))[number::count]:
        kept = rewrite.get_cache_dir(path) / f"{path.stem}{rewrite.PYC_TAIL}"
        if rewrite.try_makedirs(kept.parent) and rewrite._read_pyc(path, kept) is None:
            source, code = rewrite._rewrite_test(path, config)
            rewrite._write_pyc(state, code, source, kept)
