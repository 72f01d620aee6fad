"""What importing costs: the jobs of a run, the child, the Snakefile, beside common libraries."""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

from common import REPOSITORY, options, save, show

CHILD = """
import resource, sys, json
before = len(sys.modules)
{statements}
usage = resource.getrusage(resource.RUSAGE_SELF)
names = sorted({{name.partition(".")[0] for name in sys.modules}})
print(json.dumps([usage.ru_utime + usage.ru_stime, len(sys.modules) - before, names]))
"""
HEAVY = ("SQLAlchemy", "arch", "jinja2", "numba", "numpy", "pandas", "polars", "pyarrow", "scipy")
# What a job loads once it finds that a run has to be executed, while its zygote starts.
EXECUTING = "\nimport backtrail.batch.execution.results, backtrail.data.windows"


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
        "scripts/run_backtest.py": statements_of("scripts/run_backtest.py") + EXECUTING,
        "scripts/execute_shard.py": statements_of("scripts/execute_shard.py") + EXECUTING,
        "run_backtest, all sealed": statements_of("scripts/run_backtest.py"),
        "scripts/capture_code.py": statements_of("scripts/capture_code.py"),
        "zygote of a run job": "from backtrail.batch.execution import child, zygote",
        "Snakefile, ours": ours,
        "numpy": "import numpy",
        "polars": "import polars",
        "pandas": "import pandas",
    }


def compile_sources() -> None:
    """Compile the package as its installation does, so that no import compiles it again."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "compileall", "-qq", str(REPOSITORY / "src")]
    subprocess.run(command, env=environment, check=True)


def measure(statements: str) -> tuple[float, int, list[str]] | None:
    """Return processor seconds, modules loaded and the heavy ones; None if one is not there."""
    code = CHILD.format(statements=statements)
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, capture_output=True, check=False
        )
    if result.returncode != 0:
        if b"ModuleNotFoundError" in result.stderr:
            return None
        raise SystemExit(result.stderr.decode())
    seconds, modules, names = json.loads(result.stdout)
    return seconds, modules, [name for name in HEAVY if name.lower() in names]


def measure_in_turns(repeats: int) -> dict[str, tuple[float, int, list[str]] | None]:
    """Return `measure` of every case, the seconds being a median; a busy moment hits all."""
    found: dict[str, list[tuple[float, int, list[str]] | None]] = {name: [] for name in cases()}
    for _ in range(repeats + 1):  # the first fills caches and is dropped
        for name, statements in cases().items():
            found[name].append(measure(statements))
    medians = {}
    for name, (_, *calls) in found.items():
        known = [call for call in calls if call is not None]
        medians[name] = (statistics.median(c[0] for c in known), *known[0][1:]) if known else None
    return medians


def main(arguments: argparse.Namespace) -> None:
    compile_sources()
    measured = measure_in_turns(arguments.repeats)
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
    main(options(__doc__, repeats=11, keep=False))
