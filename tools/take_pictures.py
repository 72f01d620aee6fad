"""Take the README's pictures: a report of the default batch, and the graph of rules."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["draw", "newest_report", "rule_graph", "take_screenshot"]

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
BIN = Path(sys.executable).parent
RUN_NAME = "sma-cross"
SIZE = "1280,1600"
_MADE_BY_RUNS = frozenset({"backtests", "bundles", "logs"})


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


def rule_graph(project: Path = ROOT) -> str:
    """Return the graph of rules of a project's batch, in dot, as of a batch with no run yet.

    A sealed search asks for no chunk, so the graph of a finished batch lacks what made it. The
    batch is therefore planned in a folder that is thrown away, where every run is still to do.

    Args:
        project: Folder of the project; it is read only.
    """
    with tempfile.TemporaryDirectory(prefix="backtrail-graph-") as folder:
        for path in project.iterdir():
            if path.name not in _MADE_BY_RUNS and not path.name.startswith("."):
                (Path(folder) / path.name).symlink_to(path)
        _snakemake(folder, "--cores", "2", "--until", "plan_batch")
        graph = _snakemake(folder, "--rulegraph")
    return graph[graph.index("digraph") :]


def _snakemake(folder: str, *arguments: str) -> str:
    command = [str(BIN / "snakemake"), *arguments]
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"snakemake {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def draw(graph: str, out: Path) -> None:
    """Draw a graph in dot as a picture."""
    out.parent.mkdir(parents=True, exist_ok=True)
    drawn = subprocess.run(
        [_program("dot"), "-Tsvg"], input=graph.encode(), check=True, capture_output=True
    )
    out.write_bytes(drawn.stdout)


def main() -> None:
    """Take both pictures."""
    take_screenshot(newest_report(RUN_NAME), PICTURES / "report.png")
    draw(rule_graph(), PICTURES / "dag.svg")


if __name__ == "__main__":
    main()
