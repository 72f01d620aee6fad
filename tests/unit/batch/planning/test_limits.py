from pathlib import Path

import pytest

from backtrail.batch.execution.sandbox import Limits
from backtrail.batch.planning.limits import parse_bytes, read_limits, show_bytes
from backtrail.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "size"), [("800MB", 800_000_000), ("50GB", 50 * 10**9), ("1.5TB", 1_500 * 10**9)]
)
def test_an_amount_of_memory_is_read_in_powers_of_ten(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "50", "50 GB", "50gb", "-1GB", "1KB", "1.GB"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match="write it like 800MB"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(999, "999 bytes"), (1_250_000, "1.2 MB"), (50 * 10**9, "50.0 GB"), (3 * 10**12, "3.0 TB")],
)
def test_a_size_is_shown_in_the_largest_unit_that_fits(size, text):
    assert show_bytes(size) == text


def test_limits_are_read_from_any_config_that_names_them(tmp_path):
    (tmp_path / "a.yaml").write_text("execution: {time_limit: 2h}\nnonsense: 1\n")
    (tmp_path / "b.yaml").write_text("execution: {memory_limit: 500MB}\n")
    files = [Path("a.yaml"), Path("b.yaml")]
    assert read_limits(files, tmp_path) == Limits(7200.0, 500_000_000)
    (tmp_path / "none.yaml").write_text("seed: 1\n")
    assert read_limits([Path("none.yaml")], tmp_path) == Limits(600.0, 2 * 10**9)
    (tmp_path / "bad.yaml").write_text("execution: {time_limit: soon}\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml: execution\.time_limit"):
        read_limits([Path("bad.yaml")], tmp_path)
