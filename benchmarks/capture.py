"""What capturing a strategy costs: finding its files, and copying them, beside parsing them.

Processor time, without the import of our own modules, which `imports.py` shows.
"""

import argparse
import json
import random
import sys
from pathlib import Path

from common import run_command, save, show, work_folder

WAYS = {
    "read and parse every file": """
        for path in sorted(root.rglob("*.py")):
            ast.parse(path.read_bytes())
    """,
    "find the files by their imports": """
        found = capture_closure(root / "strategies/s.py", root).files
        assert len(found) == files, len(found)
    """,
    "find the files by strategy.yaml": """
        found = capture_closure(root / "strategies/s.py", root, strategy_yaml=listing).files
        assert len(found) == files + 1, len(found)
    """,
    "find and copy them": """
        code = root.parent / f"code-{time.time_ns()}"
        capture = StrategyCodeCapture(root / "strategies/s.py", code, strategy_root=root)
        capture.copy_files(capture.detect_strategy_files())
        assert len(list(code.rglob("*.py"))) == files
    """,
    "find those of a notebook": """
        found = capture_closure(root / "strategies/s.ipynb", root).files
        assert len(found) == files, len(found)
    """,
}
PROGRAM = """
import ast, json, sys, time
from pathlib import Path
from backtrail.provenance.capture import StrategyCodeCapture, capture_closure
root, files = Path(sys.argv[1]).resolve(), int(sys.argv[2])
listing = root / "listing.yaml"
taken = []
for _ in range({repeats} + 1):
    started = time.process_time()
{body}
    taken.append(time.process_time() - started)
print("taken", *taken)
"""


def source_of(generator: random.Random, lines: int) -> str:
    """Return functions of indicators, as a strategy's helpers are."""
    parts = []
    while sum(part.count("\n") for part in parts) < lines:
        name, window = f"indicator_{len(parts)}", generator.randrange(2, 200)
        parts.append(
            f"def {name}(closes, window={window}):\n"
            f'    """Return a mean of the last {window} closes above a level."""\n'
            "    if len(closes) < window:\n"
            "        return None\n"
            "    total = sum(value for value in closes[-window:] if value > 0.0)\n"
            f"    return total / window, closes[-1] * {generator.random():.3f}\n\n\n"
        )
    return "".join(parts)


def make_project(root: Path, files: int, lines: int) -> None:
    """Write a strategy and packages of modules that import each other, relatively and by name."""
    generator = random.Random(7)
    names = [f"lib{number % 5}.module_{number}" for number in range(files - 6)]
    texts = {f"strategies/lib{number}/__init__.py": "" for number in range(5)}
    for index, name in enumerate(names):
        others = [names[position] for position in (index + 1, 2 * index) if position < len(names)]
        head = "import math\n\nimport numpy as np\nfrom backtrail.engine.api import order\n"
        head += "".join(f"from {other} import indicator_0\n" for other in others)
        texts[f"strategies/{name.replace('.', '/')}.py"] = head + source_of(generator, lines)
    texts["strategies/s.py"] = f"import {names[0]}\nfrom lib0 import module_0\n"
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "listing.yaml").write_text("files: ['strategies/**/*.py']\n")
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [{**cell, "source": texts["strategies/s.py"]}]
    notebook = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}
    (root / "strategies/s.ipynb").write_text(json.dumps(notebook))


def measure(root: Path, files: int, body: str, repeats: int) -> tuple[float, float]:
    """Return milliseconds of a process's first call, and of its fastest later one."""
    lines = [line.removeprefix("    ") for line in body.strip("\n").splitlines()]
    program = PROGRAM.format(repeats=repeats, body="\n".join(lines))
    command = [sys.executable, "-c", program, str(root), str(files)]
    output = run_command(command, root).output
    line = next(line for line in output.splitlines() if line.startswith("taken "))
    first, *others = (float(value) * 1000 for value in line.split()[1:])
    return first, min(others)


def main(arguments: argparse.Namespace) -> None:
    with work_folder(arguments.keep) as folder:
        root = folder / "project"
        make_project(root, arguments.files, arguments.lines)
        size = sum(path.stat().st_size for path in root.rglob("*.py")) / 1000
        found = {way: [] for way in WAYS}
        for _ in range(arguments.processes):  # in turns, so that a busy moment hits all of them
            for way, body in WAYS.items():
                found[way].append(measure(root, arguments.files, body, arguments.repeats))
    rows = {way: (min(a for a, _ in each), min(b for _, b in each)) for way, each in found.items()}
    base = rows["read and parse every file"][0]
    show(
        f"{arguments.files} files, {size:.0f} kB; least of {arguments.processes} processes",
        ["what", "first ms", "then ms", "x parsing"],
        [[way, first, then, first / base] for way, (first, then) in rows.items()],
    )
    save(
        "capture",
        {
            "files": arguments.files,
            "kilobytes": size,
            "milliseconds": {
                way: {"first": first, "then": then, "ratio_to_parsing": first / base}
                for way, (first, then) in rows.items()
            },
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=sys.modules[__name__].__doc__)
    parser.add_argument("--files", type=int, default=50)
    parser.add_argument("--lines", type=int, default=120, help="lines of a file")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--processes", type=int, default=7)
    parser.add_argument("--keep", help="work in this folder and leave it")
    main(parser.parse_args())
