"""Report pages of runs and of the store: self-contained HTML files, derived and outside the seal.

Only what the Snakefile needs while it is parsed is here; it imports neither Jinja nor Polars. The
pages are made by `backtrail.reports.basic`, `advanced`, `failed` and `index`.
"""

from backtrail.reports.fingerprint import describe_reports, page_fingerprint, report_fingerprint
from backtrail.reports.settings import REPORT_FILES, ReportConfig

__all__ = [
    "REPORT_FILES",
    "ReportConfig",
    "describe_reports",
    "page_fingerprint",
    "report_fingerprint",
]
