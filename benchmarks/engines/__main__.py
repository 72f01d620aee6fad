"""Measures backtrail and its peers on the same workload and writes `docs/explanation/how-fast.md`.

    .venv/bin/python -m benchmarks.engines                    # everything, half an hour
    .venv/bin/python -m benchmarks.engines --quick            # no minute bars of slow engines
    .venv/bin/python -m benchmarks.engines --only raptorbt    # one peer, and no page

Every figure is processor time of one process, the best of several calls in it, data in memory.
Peers are installed into `.venvs/` by pip; one that cannot be is named with the reason.
"""

import argparse
import os
import platform
import sys
from pathlib import Path
from typing import Any

from benchmarks.common import save, show
from benchmarks.engines import page, workload
from benchmarks.engines.environments import HERE, PEERS, Peer, PeerError, install, run
from benchmarks.engines.rows import EARLIER, ROWS, SWEEPS, Row

CASES = HERE / ".cases"


def main() -> None:
    """Install, measure in turns, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=sorted(PEERS), help="these peers, no page")
    parser.add_argument("--quick", action="store_true", help="no minute bars of slow engines")
    parser.add_argument("--rounds", type=int, default=1, help="best of so many processes")
    options = parser.parse_args()
    absent = _install(options.only or list(PEERS))
    wanted = {None, *(options.only or PEERS)} - set(absent)
    load = os.getloadavg()[0]
    results: dict[str, dict[str, Any]] = {}
    for _ in range(options.rounds):
        for row in (*ROWS, *SWEEPS):
            if row.peer in wanted:
                _measure(row, results, quick=options.quick)
    show("CPU time", ["engine", *page.COLUMNS], page.printed(results))
    show("Sweep", ["engine", *page.SWEEP_COLUMNS], page.printed_sweeps(results))
    save("engines", {"results": results, "absent": absent, "load_at_start": load})
    if not options.only:
        for path in page.write(results, absent, EARLIER, _machine(load)):
            print(f"written: {path}")


def _install(names: list[str]) -> dict[str, str]:
    absent = {}
    for name in names:
        try:
            install(PEERS[name])
        except PeerError as error:
            absent[name] = str(error)
            print(error, file=sys.stderr)
    return absent


def _measure(row: Row, results: dict[str, dict[str, Any]], *, quick: bool) -> None:
    peer: Peer | None = None if row.peer is None else PEERS[row.peer]
    for case, variant in row.variants.items():
        if quick and row.is_slow and case.startswith("min"):
            continue
        data = workload.write(case.partition(" ")[0], CASES)
        rate = workload.RATES[case.partition(" ")[0]]
        try:
            found = run(peer, data, variant, rate=rate, options=["--seconds", "2"])
        except PeerError as error:
            print(error, file=sys.stderr)
            found = {"error": str(error)}
        known = results.setdefault(row.key, {})
        best = known.get(case, found)
        failed = "error" in found
        if "error" in best or (not failed and found["cpu_seconds"] < best["cpu_seconds"]):
            best = found
        known[case] = best
        said = found.get("cpu_seconds")
        print(f"{row.key:<44} {case:<16}", "failed" if said is None else f"{said:10.4f} s")


def _machine(load: float) -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor()
    return f"{model}, {os.cpu_count()} cores, load {load:.1f} at the start"


if __name__ == "__main__":
    main()
