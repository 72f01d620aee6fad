"""Measures report pages beside quantstats, jquantstats and a page of plotly, on the same bars.

    .venv/bin/python -m benchmarks.reports
    .venv/bin/python -m benchmarks.reports --only plotly --repeats 3

Size of the files, processor time to build them (imports not counted, best of several in one
process) and the time from opening a page to its second frame after loading, in a headless Chromium
that has shown it once, without a network. Peers are installed into `.venvs/` by pip; one that
cannot be is named with the reason. Last, the comparison page of a store of ten thousand runs.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtrail.reports.advanced import render_advanced_report
from backtrail.reports.basic import render_basic_report
from backtrail.reports.index import render_index
from backtrail.reports.looks import HoldoutLooks
from benchmarks.common import save, show
from benchmarks.engines.environments import Peer, PeerError, checked, install
from tests.unit.reports import runs
from tests.unit.reports.browser import CHROMIUM, Browser

HERE = Path(__file__).resolve().parent
PEERS = {
    peer.name: peer
    for peer in (
        Peer("quantstats", "quantstats", "Apache-2.0", home=HERE),
        Peer("jquantstats", "jquantstats", "MIT", home=HERE),
        Peer("plotly", "plotly, four charts", "MIT", home=HERE),
    )
}
RUNS = 10_000
BUDGETS = (
    "budgets: basic 40 ms; advanced 300 ms, 800 KB, paint 1.2 s; index of 10,000 runs paint 2 s"
)


def main() -> None:
    """Build every page, open it, print and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=sorted(PEERS), help="these peers")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="backtrail-bench-") as name:
        folder = Path(name)
        store = _store(folder / "run")
        pages = _own_pages(store, folder, options.repeats)
        returns = _returns_file(store, folder / "returns.csv")
        absent = {}
        for peer in options.only or PEERS:
            try:
                pages[PEERS[peer].title] = _peer_page(PEERS[peer], returns, folder, options.repeats)
            except PeerError as error:
                absent[peer] = str(error)
                print(error, file=sys.stderr)
        pages[f"index, {RUNS:,} runs"] = _index_page(folder / "store" / "index.html")
        painted = {title: _paint(page["file"], options.repeats) for title, page in pages.items()}
    rows = [
        [
            title,
            page["bytes"] / 1000,
            page["seconds"] * 1000,
            painted[title]["paint_ms"],
            painted[title]["asked"],
        ]
        for title, page in pages.items()
    ]
    columns = ["page", "KB", "build cpu ms", "paint ms", "requests of others"]
    show(f"S&P 500, 5,031 bars, 88 trades; {BUDGETS}", columns, rows)
    figures = {
        title: {"bytes": page["bytes"], "build_s": page["seconds"], **painted[title]}
        for title, page in pages.items()
    }
    save("reports", {"pages": figures, "absent": absent})


def _store(root: Path) -> runs.Store:
    import arch.data.sp500

    frame = arch.data.sp500.load()
    prices = {name.lower(): frame[name].to_numpy() for name in ("Open", "High", "Low", "Close")}
    days = [day.to_pydatetime().replace(tzinfo=UTC) for day in frame.index]
    return runs.sma_cross_run(root, {"timestamp": days, **prices})


def _own_pages(store: runs.Store, folder: Path, repeats: int) -> dict[str, dict[str, Any]]:
    renderers = {
        "backtrail, basic": render_basic_report,
        "backtrail, advanced": render_advanced_report,
    }
    pages = {}
    for title, render in renderers.items():
        out = folder / f"{title}.html"
        seconds = _best(
            lambda render=render, out=out: render(
                store.run_dir, bundles_dir=store.bundles_dir, out=out
            ),
            repeats,
        )
        pages[title] = {"file": out, "bytes": out.stat().st_size, "seconds": seconds}
    return pages


def _best(call: Callable[[], Any], repeats: int) -> float:
    taken = []
    for _ in range(repeats + 1):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return min(taken[1:])


def _returns_file(store: runs.Store, path: Path) -> Path:
    results = pl.read_parquet(store.run_dir / "results" / "backtest_results.parquet")
    equity = results["portfolio_value"].cast(pl.Float64).to_numpy()
    benchmark = results["benchmark_returns"].cast(pl.Float64).fill_null(0).to_numpy()
    own = np.concatenate([[0.0], equity[1:] / equity[:-1] - 1])
    dates = results["timestamp"].dt.date()
    pl.DataFrame({"date": dates, "strategy": own, "benchmark": benchmark}).write_csv(path)
    return path


def _peer_page(peer: Peer, returns: Path, folder: Path, repeats: int) -> dict[str, Any]:
    install(peer)
    out = folder / f"{peer.name}.html"
    script = HERE / "peers" / f"run_{peer.name}.py"
    command = [str(peer.python), str(script), str(returns), str(out), str(repeats)]
    found = json.loads(checked(command, peer.title).splitlines()[-1])
    return {"file": out, "bytes": out.stat().st_size, "seconds": found["cpu_seconds"]}


def _index_page(out: Path) -> dict[str, Any]:
    rng = np.random.Generator(np.random.PCG64(1))
    days = [str(day) for day in np.arange("2020-01-01", "2020-07-01", dtype="datetime64[D]")]
    names = ("total_return", "cagr", "sharpe_ratio", "max_drawdown", "annual_volatility")
    rows = [
        {
            "backtest_id": f"20260301_{number // 1000:06d}_{number % 1000:03d}",
            "name": f"grid/fast={number % 50} slow={number // 50}",
            "entry": "grid",
            "strategy": "strategies/sma_cross.py",
            "code_hash": "c0de" * 16,
            "params": {"fast": number % 50, "slow": number // 50},
            "bundle": "us-indices",
            "dataset_id": "d" * 16,
            "status": "completed",
            "grade": "B",
            "run_type": "backtest",
            "start": "2020-01-01",
            "end": "2020-06-30",
            "metrics": dict(zip(names, rng.normal(size=len(names)).tolist(), strict=True)),
            "error": None,
            "report": "r.html",
            "advanced": None,
            "search": None,
            "risk_free": None,
            "synthetic": False,
            "looks": HoldoutLooks(),
            "tags": [],
            "version": str(number),
        }
        for number in range(RUNS)
    ]
    curve = list(zip(days, np.linspace(1, 2, len(days)).tolist(), strict=True))
    out.parent.mkdir(parents=True)
    started = time.process_time()
    render_index(rows, out, equity=lambda _: curve)
    seconds = time.process_time() - started
    written = [out, *(out.parent / ".index").iterdir()]
    return {
        "file": out,
        "bytes": sum(path.stat().st_size for path in written),
        "seconds": seconds,
    }


def _paint(page: Path, repeats: int) -> dict[str, Any]:
    if CHROMIUM is None:
        raise SystemExit("no chromium on this machine; install it, as .ci/run does")
    taken, asked = [], set()
    for _ in range(repeats):
        browser = Browser()
        try:
            browser.open(page)
            taken.append(browser.paint_ms(page))
            asked = {
                address
                for address in browser.requests()
                if not address.startswith((page.parent.as_uri(), "data:", "blob:"))
            }
        finally:
            browser.close()
    return {"paint_ms": statistics.median(taken), "asked": len(asked)}


if __name__ == "__main__":
    main()
