"""Time and memory of a call that has nothing to do, over stores of sealed runs."""

import argparse
from functools import partial
from pathlib import Path

from common import (
    Timed,
    bare_project,
    grid_project,
    in_turns,
    manifests,
    middle,
    options,
    require_no_op,
    save,
    show,
    snakemake,
    work_folder,
)


def sealed_store(folder: Path, runs: int, cores: int) -> tuple[Path, float]:
    """Really run so many tiny backtests, unless the kept folder has them; return the time too."""
    project = folder / f"runs-{runs}"
    taken = 0.0
    if not (project / "Snakefile").exists():
        grid_project(project, runs, tiny=True, execution={"artifacts": "lean"})
    done = sum(1 for _ in (project / "backtests").glob("2*/_SUCCESS"))
    if done < runs or not (project / "backtests" / "index.html").exists():
        taken = snakemake(project, cores=cores).wall
    sealed = sum(1 for run in manifests(project) if run["status"] == "completed")
    if sealed != runs:
        raise SystemExit(f"{project} has {sealed} sealed runs, not {runs}")
    return project, taken


def no_op(project: Path, cores: int) -> Timed:
    """Call snakemake on a project that has nothing to do."""
    return require_no_op(snakemake(project, cores=cores))


def main(arguments: argparse.Namespace) -> None:
    counts = arguments.runs
    with work_folder(arguments.keep) as folder:
        bare = folder / "bare"
        if not bare.exists():
            bare_project(bare)
        stores = {runs: sealed_store(folder, runs, arguments.cores) for runs in counts}
        calls = {"bare workflow of one rule": lambda: require_no_op(snakemake(bare))}
        for runs in counts:
            calls[f"{runs:,} sealed runs"] = partial(no_op, stores[runs][0], arguments.cores)
        found = in_turns(calls, arguments.repeats)
    figures = {name: middle(calls) for name, calls in found.items()}
    base = figures["bare workflow of one rule"]
    sizes = [0, *counts]
    rows = []
    for size, (name, (wall, cpu, rss)) in zip(sizes, figures.items(), strict=True):
        each = 1e3 * (wall - base[0]) / size if size else ""
        rows.append([name, wall, cpu, rss, wall / base[0], each])
    show(
        f"snakemake --cores {arguments.cores} with nothing to do, median of {arguments.repeats}",
        ["store", "wall s", "cpu s", "max rss MB", "x bare", "ms per run"],
        rows,
    )
    for runs, (_, taken) in stores.items():
        if taken:
            each = 1e3 * taken / runs
            print(f"making {runs:,} runs, reports included: {taken:,.1f} s, {each:,.1f} ms each")
    save(
        "no_op",
        {
            "how_the_stores_were_made": "every run was executed through shards",
            "making_seconds": {str(runs): taken for runs, (_, taken) in stores.items()},
            "calls": {
                name: {"wall": w, "cpu": c, "max_rss_mb": m, "ratio_to_bare": w / base[0]}
                for name, (w, c, m) in figures.items()
            },
        },
    )


if __name__ == "__main__":
    main(
        options(
            __doc__,
            repeats=5,
            cores=2,
            runs={"type": int, "nargs": "+", "default": [1000, 10000], "help": "sizes of stores"},
        )
    )
