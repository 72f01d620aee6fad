"""What parsing the Snakefile costs: a dry run beside a bare workflow, and opening a batch."""

import argparse
import shutil
import statistics
import sys
from pathlib import Path

from common import (
    bare_project,
    copy_project,
    in_turns,
    middle,
    options,
    require_no_op,
    run_command,
    save,
    show,
    snakemake,
    work_folder,
)

OPEN = """
import json, sys, time
from pathlib import Path
from backtrail.batch.planning.loading import open_batch
taken = []
for _ in range({repeats} + 1):
    started = time.perf_counter()
    open_batch([Path("config/config.yaml")], root=Path.cwd())
    taken.append(time.perf_counter() - started)
print("taken", *taken)
"""


def open_times(project: Path, repeats: int) -> tuple[float, float]:
    """Return the seconds of the first `open_batch` of a process and the median of the others."""
    code = OPEN.format(repeats=repeats)
    output = run_command([sys.executable, "-c", code], project).output
    line = next(line for line in output.splitlines() if line.startswith("taken "))
    first, *others = (float(value) for value in line.split()[1:])
    return first, statistics.median(others)


def main(arguments: argparse.Namespace) -> None:
    with work_folder(arguments.keep) as folder:
        bare = bare_project(folder / "bare")
        project = copy_project(folder / "project")
        unplanned = open_times(project, arguments.repeats)
        if arguments.store is None:
            snakemake(project)
        else:
            for name in ("backtests", "bundles", "resources"):
                shutil.copytree(Path(arguments.store) / name, project / name, dirs_exist_ok=True)
        require_no_op(snakemake(project))
        planned = open_times(project, arguments.repeats)
        calls = {
            "bare workflow of one rule, -n": lambda: snakemake(bare, "-n"),
            "planned batch, -n": lambda: snakemake(project, "-n"),
            "planned batch, --list-rules": lambda: snakemake(project, "--list-rules"),
            "bare workflow, --list-rules": lambda: snakemake(bare, "--list-rules"),
        }
        found = in_turns(calls, arguments.repeats)
    rows = {name: middle(timed) for name, timed in found.items()}
    base = rows["bare workflow of one rule, -n"][0]
    show(
        f"snakemake, median of {arguments.repeats}",
        ["call", "wall s", "cpu s", "max rss MB", "x bare -n"],
        [[name, *figures, figures[0] / base] for name, figures in rows.items()],
    )
    show(
        "open_batch alone, in a process that has imported it",
        ["batch", "first s", "then s"],
        [["not planned yet (full check)", *unplanned], ["planned before", *planned]],
    )
    save(
        "parse",
        {
            "snakemake": {
                name: {"wall": w, "cpu": c, "max_rss_mb": m, "ratio_to_bare": w / base}
                for name, (w, c, m) in rows.items()
            },
            "open_batch": {
                "unplanned": {"first": unplanned[0], "then": unplanned[1]},
                "planned": {"first": planned[0], "then": planned[1]},
            },
        },
    )


if __name__ == "__main__":
    main(
        options(
            __doc__,
            repeats=5,
            store={"help": "project folder whose finished default batch is copied"},
        )
    )
