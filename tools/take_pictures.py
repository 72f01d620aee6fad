"""Take the README's pictures: a report of the default batch, and the graph of rules."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["newest_report", "rule_graph", "take_screenshot"]

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
BIN = Path(sys.executable).parent
RUN_NAME = "sma-cross"
SIZE = "1280,1600"


def _program(*names: str) -> str:
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return found
    raise SystemExit(f"the pictures need {names[0]}, which is not installed")


def newest_report(name: str) -> Path:
    """Return the report of the newest completed run of a name in the default batch."""
    listed = subprocess.run(
        [BIN / "backtrail", "list", "--name", name, "--status", "completed", "--json"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    runs = json.loads(listed.stdout)
    if not runs:
        raise SystemExit(f"there is no completed run {name!r}; `make run` first")
    backtest_id: str = runs[-1]["backtest_id"]
    return ROOT / "backtests" / backtest_id / "results" / "reports" / "basic_report.html"


def take_screenshot(page: Path, out: Path) -> None:
    """Photograph a local page with a headless browser, without a network."""
    out.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            _program("chromium", "chromium-browser", "google-chrome"),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--virtual-time-budget=5000",
            f"--window-size={SIZE}",
            f"--screenshot={out}",
            page.as_uri(),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )


def rule_graph(out: Path) -> None:
    """Draw the graph of rules of the finished default batch."""
    out.parent.mkdir(parents=True, exist_ok=True)
    graph = subprocess.run(
        [BIN / "snakemake", "--rulegraph"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    start = graph.stdout.index(b"digraph")
    drawn = subprocess.run(
        [_program("dot"), "-Tsvg"], input=graph.stdout[start:], check=True, capture_output=True
    )
    out.write_bytes(drawn.stdout)


def main() -> None:
    """Take both pictures."""
    take_screenshot(newest_report(RUN_NAME), PICTURES / "report.png")
    rule_graph(PICTURES / "dag.svg")


if __name__ == "__main__":
    main()
