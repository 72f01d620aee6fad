"""What a job asks a cluster for: time and memory, from the limits that a config gives one run."""

import math

from backtrail.batch.execution.sandbox import Limits

__all__ = ["LONGEST_SHARD_MINUTES", "job_megabytes", "job_minutes", "report_minutes"]

LONGEST_SHARD_MINUTES = 12 * 60
"""A shard asks for no more, unless one run may take longer: few partitions grant days."""

_START_MINUTES = 10  # two starts of Snakemake on a cold file system, and the files of a run
_REPORTS_PER_MINUTE = 10  # a basic report takes well below a second, or a few where a disk is slow
_STAGE_MEGABYTES = 1000  # Snakemake twice, and the stage that writes what the run returns


def job_megabytes(limits: Limits) -> int:
    """Return the memory of a job that executes runs one after another, in MB.

    Args:
        limits: What one run may use.
    """
    return _STAGE_MEGABYTES + math.ceil(limits.memory_bytes / 10**6)


def job_minutes(limits: Limits, runs: int = 1) -> int:
    """Return the time of a job that executes runs one after another, in minutes.

    Args:
        limits: What one run may use.
        runs: Number of runs. Together they get `LONGEST_SHARD_MINUTES` at most, or what one run
            may take if that is more: as a rule a run takes a small part of its limit, and what a
            cluster cuts off is sealed run by run and goes on with the next call.
    """
    one = math.ceil(limits.seconds / 60)
    return _START_MINUTES + max(one, min(one * runs, LONGEST_SHARD_MINUTES))


def report_minutes(runs: int) -> int:
    """Return the time of a job that renders the basic reports of some runs, in minutes."""
    return _START_MINUTES + math.ceil(runs / _REPORTS_PER_MINUTE)
