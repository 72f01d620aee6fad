"""What config files say of the pages of runs."""

from collections.abc import Sequence
from pathlib import Path

from backtrail.batch.planning.config import read_config, schema_problems, with_defaults
from backtrail.errors import ConfigError
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
    values = read_config([root / file for file in files])
    known = {"reports": values["reports"]} if "reports" in values else {}
    source = " + ".join(map(str, files))
    problems = [
        problem
        for problem in schema_problems(known, source)
        if problem.where.startswith(f"{source}: reports")
    ]
    if problems:
        raise ConfigError(problems)
    return ReportConfig.of(with_defaults({**known, "defaults": {}})["reports"], root)
