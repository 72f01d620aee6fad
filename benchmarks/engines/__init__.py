"""Backtrail beside other engines: the same workload, each in its own process."""
