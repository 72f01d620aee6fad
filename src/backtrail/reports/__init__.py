"""Report pages of runs and of the store: self-contained HTML files, derived and outside the seal.

Only what the Snakefile needs while it is parsed is here; it imports neither Jinja nor Polars. The
pages are made by `backtrail.reports.basic` and `backtrail.reports.index`.
"""

from backtrail.reports.fingerprint import describe_reports, report_fingerprint

__all__ = ["describe_reports", "report_fingerprint"]
