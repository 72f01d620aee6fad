"""Time of the default batch from a fresh copy, of the second call, and where the time goes."""

import argparse

from common import (
    copy_project,
    job_seconds,
    manifests,
    options,
    require_no_op,
    save,
    show,
    snakemake,
    work_folder,
)


def main(arguments: argparse.Namespace) -> None:
    with work_folder(arguments.keep) as folder:
        project = copy_project(folder / "project")
        first = snakemake(project, cores=arguments.cores)
        second = require_no_op(snakemake(project, cores=arguments.cores))
        runs, jobs = manifests(project), job_seconds(project)
    engine = sum(run["timings"]["execute_seconds"] for run in runs)
    in_jobs = sum(seconds for _, seconds in jobs.values())
    capacity = first.wall * arguments.cores
    show(
        f"Default batch: {len(runs)} runs, {arguments.cores} cores",
        ["call", "wall s", "cpu s", "max rss MB"],
        [
            ["first, everything", first.wall, first.cpu, first.max_rss_mb],
            ["second, nothing to do", second.wall, second.cpu, second.max_rss_mb],
        ],
    )
    rows = [
        [rule, count, seconds, seconds / count, seconds / capacity]
        for rule, (count, seconds) in sorted(jobs.items(), key=lambda item: -item[1][1])
    ]
    show(
        "Where the first call spent it (share of wall x cores)",
        ["rule", "jobs", "sum s", "mean s", "share"],
        [
            *rows,
            ["all jobs", sum(count for count, _ in jobs.values()), in_jobs, "", in_jobs / capacity],
            ["of that: strategy children", len(runs), engine, "", engine / capacity],
        ],
    )
    save(
        "default_batch",
        {
            "runs": len(runs),
            "cores": arguments.cores,
            "first": {"wall": first.wall, "cpu": first.cpu, "max_rss_mb": first.max_rss_mb},
            "second": {"wall": second.wall, "cpu": second.cpu, "max_rss_mb": second.max_rss_mb},
            "child_seconds": engine,
            "job_seconds": {rule: {"jobs": n, "seconds": s} for rule, (n, s) in jobs.items()},
        },
    )


if __name__ == "__main__":
    main(options(__doc__, cores=2))
