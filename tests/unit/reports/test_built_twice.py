"""The same run gives the same bytes, in another process, zone and order, on every page."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from . import runs

ROOT = Path(__file__).resolve().parents[3]
BUILD = """
import json, sys
from pathlib import Path
from backtrail.reports.advanced import render_advanced_report
from backtrail.reports.basic import render_basic_report
from backtrail.reports.failed import render_failed_page
from backtrail.reports.looks import HoldoutLooks
from backtrail.reports.pdf import render_pdf_report
from backtrail.reports.search import render_search_report
from tests.unit.reports.test_index import Code, made, row

store, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir()
(run_dir,) = (store / "backtests").iterdir()
looks = HoldoutLooks(2, contaminated=True)
for name, render in (("basic.html", render_basic_report), ("advanced.html", render_advanced_report),
                     ("search.html", render_search_report), ("failed.html", render_failed_page),
                     ("basic.pdf", render_pdf_report)):
    render(run_dir, bundles_dir=store / "bundles", out=out / name, looks=looks)
code = Code(_998={"s.py": b"a = 1\\n", "t.py": b"t"}, _999={"s.py": b"a = 2\\n", "t.py": b"t"})
rows = [row(number, looks=looks, tags=["x"]) for number in range(450)]  # more than a page holds
rows += code.rows()
made(rows if sys.argv[3] == "as they are" else rows[::-1], out / "index.html", code=code)
"""


def built(store: runs.Store, out: Path, seed: str, zone: str, order: str) -> dict[str, str]:
    """Build every page in a process of its own; return the sha256 of each file."""
    environment = os.environ | {
        "PYTHONHASHSEED": seed,
        "TZ": zone,
        "PYTHONPATH": str(ROOT),
        "LC_ALL": "C",
    }
    subprocess.run(
        [sys.executable, "-c", BUILD, str(store.root), str(out), order],
        check=True,
        env=environment,
        cwd=store.root,
    )
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def test_every_page_is_the_same_bytes_in_another_process_zone_and_folder(tmp_path):
    holdout = {"holdout": {"start": "2018-01-02", "warm_up": 20}}
    store = runs.search_run(tmp_path / "store", validate=holdout)
    runs.write_validation(store)
    runs.write_code(store, {"s.py": "x = 1\n"})
    first = built(store, tmp_path / "first", "1", "UTC", "as they are")
    second = built(store, tmp_path / "second", "2", "Asia/Tokyo", "turned around")
    assert first == second, json.dumps([first, second], indent=2)
    names = {"basic.html", "advanced.html", "search.html", "failed.html", "basic.pdf", "index.html"}
    assert names <= set(first)
    kinds = {name.partition("-")[0] for name in first if name.startswith(".index/")}
    assert kinds == {".index/runs", ".index/curves", ".index/code", ".index/file"}
