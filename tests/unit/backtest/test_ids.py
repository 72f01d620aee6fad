"""Ids are unique among threads, processes and time zones (known-defects.md, 6 and 7)."""

import json
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backtrail.backtest import BacktestArtifactManager

ZONES = ("Asia/Tokyo", "America/New_York", "UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago")
MAKE = """
import json, sys, time
from backtrail.backtest import BacktestArtifactManager
base_dir, count = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
managers = [BacktestArtifactManager(base_dir) for _ in range(count)]
for manager in managers:
    manager.initialize()
    manager.save_metadata({"backtest_id": manager.backtest_id, "zone": time.tzname[0]})
print(json.dumps({manager.backtest_id: str(manager.output_dir) for manager in managers}))
"""


def make_together(base_dir: Path, processes: int, each: int) -> list[dict[str, str]]:
    """Let processes in different zones make managers at the same moment; return id and folder."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE, str(base_dir), str(each)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"TZ": ZONES[number % len(ZONES)], "PATH": "/usr/bin:/bin"},
        )
        for number in range(processes)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:  # all of them wait for this line
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    made = [json.loads(process.communicate()[0]) for process in started]
    assert [process.returncode for process in started] == [0] * processes
    return made


def moment_of(backtest_id: str) -> datetime:
    return datetime.strptime(f"{backtest_id}000", "%Y%m%d_%H%M%S_%f").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("processes", "each"), [(4, 10), pytest.param(32, 50, marks=pytest.mark.slow)]
)
def test_processes_in_different_zones_never_share_an_id(tmp_path, processes, each):
    base_dir = tmp_path / "backtests"
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    made = make_together(base_dir, processes, each)
    # A busy millisecond pushes ids ahead, by no more than there are ids.
    after = datetime.now(UTC) + timedelta(milliseconds=processes * each)
    counts = Counter(name for one in made for name in one)
    assert len(counts) == processes * each
    assert set(counts.values()) == {1}
    zones = set()
    for one in made:
        for name, folder in one.items():
            assert folder == str(base_dir / name)
            assert sorted(path.name for path in Path(folder).iterdir()) == [
                "code", "metadata", "results",
            ]  # fmt: skip
            metadata = json.loads((Path(folder) / "metadata/backtest_metadata.json").read_text())
            assert metadata["backtest_id"] == name, "another process wrote here"
            zones.add(metadata["zone"])
            assert before <= moment_of(name) <= after, "ids are moments in UTC in every zone"
    assert len(zones) > 3, "the processes did live in different zones"
    assert sorted(counts) == sorted(path.name for path in base_dir.iterdir())


def test_threads_never_share_an_id(tmp_path):
    ids: list[str] = []

    def make() -> None:
        ids.append(BacktestArtifactManager(base_dir=tmp_path).backtest_id)

    threads = [threading.Thread(target=make) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 100
    assert sorted(ids) == sorted(path.name for path in tmp_path.iterdir())
