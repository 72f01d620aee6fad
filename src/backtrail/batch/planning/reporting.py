"""What config files say of the pages of runs."""

from collections.abc import Sequence
from pathlib import Path

from backtrail.batch.planning.config import read_sections
from backtrail.reports.settings import ReportConfig

__all__ = ["read_report_config"]


def read_report_config(files: Sequence[Path], root: Path) -> ReportConfig:
    """Return the section `reports` of config files; the rest of the config is not looked at.

    Args:
        files: Config files; later ones have more weight.
        root: Project folder, from which the folder of templates counts.

    Raises:
        ConfigError: If a file is absent or no YAML, or what it says of reports is wrong.
    """
    return ReportConfig.of(read_sections(files, root, "reports")["reports"], root)
