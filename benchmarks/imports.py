"""What importing costs: the jobs of a run, the child, the Snakefile, beside common libraries."""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile

from common import REPOSITORY, save, show

CHILD = """
import resource, sys, json
before = len(sys.modules)
{statements}
usage = resource.getrusage(resource.RUSAGE_SELF)
names = sorted({{name.partition(".")[0] for name in sys.modules}})
print(json.dumps([usage.ru_utime + usage.ru_stime, len(sys.modules) - before, names]))
"""
HEAVY = ("SQLAlchemy", "arch", "jinja2", "numba", "pandas", "polars", "pyarrow", "scipy")


def statements_of(path: str) -> str:
    """Return the import statements of a file that are executed when it is (not TYPE_CHECKING)."""
    text = (REPOSITORY / path).read_text()
    return "\n".join(re.findall(r"^(?:import|from backtrail|from snakemake) ?.*$", text, re.M))


def cases() -> dict[str, str]:
    """Return what to import, by name."""
    parse = [
        "workflow/Snakefile",
        *sorted(
            path.relative_to(REPOSITORY).as_posix()
            for path in (REPOSITORY / "workflow" / "rules").glob("*.smk")
        ),
    ]
    # Snakemake itself has been imported before a Snakefile is parsed; only ours counts here.
    ours = "\n".join(
        line
        for path in parse
        for line in statements_of(path).splitlines()
        if line.startswith("from backtrail")
    )
    return {
        "interpreter alone": "",
        "scripts/run_backtest.py": statements_of("scripts/run_backtest.py"),
        "scripts/execute_shard.py": statements_of("scripts/execute_shard.py"),
        "scripts/capture_code.py": statements_of("scripts/capture_code.py"),
        "backtrail.batch.child": "import backtrail.batch.child",
        "Snakefile, ours": ours,
        "numpy": "import numpy",
        "polars": "import polars",
        "pandas": "import pandas",
    }


def measure(statements: str, repeats: int) -> tuple[float, int, list[str]] | None:
    """Return median processor seconds, modules loaded and the heavy ones; None if not there."""
    code = CHILD.format(statements=statements)
    found = []
    for _ in range(repeats + 1):  # the first fills caches and is dropped
        with tempfile.TemporaryDirectory() as folder:
            result = subprocess.run(
                [sys.executable, "-c", code], cwd=folder, capture_output=True, check=False
            )
        if result.returncode != 0:
            if b"ModuleNotFoundError" in result.stderr:
                return None
            raise SystemExit(result.stderr.decode())
        found.append(json.loads(result.stdout))
    heavy = [name for name in HEAVY if name.lower() in found[-1][2]]
    return statistics.median(item[0] for item in found[1:]), found[-1][1], heavy


def main(arguments: argparse.Namespace) -> None:
    measured = {name: measure(text, arguments.repeats) for name, text in cases().items()}
    interpreter = measured["interpreter alone"]
    base = measured["numpy"]
    assert interpreter is not None
    assert base is not None
    rows, values = [], {}
    for name, found in measured.items():
        if found is None:
            rows.append([name, "not installed", "", "", ""])
            continue
        seconds = found[0] - (0.0 if name == "interpreter alone" else interpreter[0])
        ratio = seconds / (base[0] - interpreter[0])
        rows.append([name, seconds, ratio, found[1], ", ".join(found[2])])
        values[name] = {
            "seconds": seconds,
            "ratio_to_numpy": ratio,
            "modules": found[1],
            "heavy": found[2],
        }
    show(
        f"Imports: processor time, median of {arguments.repeats}, interpreter subtracted",
        ["what", "cpu s", "x numpy", "modules", "heavy ones among them"],
        rows,
    )
    save("imports", {"repeats": arguments.repeats, "imports": values})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=sys.modules[__name__].__doc__)
    parser.add_argument("--repeats", type=int, default=11)
    main(parser.parse_args())
