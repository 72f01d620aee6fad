import gzip
import subprocess
import sys
from importlib.resources import files

import pytest


@pytest.mark.slow
def test_shipped_table_is_what_the_generator_makes(tmp_path):
    pytest.importorskip("exchange_calendars")
    command = [sys.executable, "-m", "backtrail.data.generate_sessions", str(tmp_path)]
    subprocess.run(command, check=True)
    shipped = files("backtrail.data").joinpath("session_tables/XNYS.csv.gz").read_bytes()
    made = (tmp_path / "XNYS.csv.gz").read_bytes()
    assert gzip.decompress(made) == gzip.decompress(shipped)
    assert len(shipped) < 30_000
