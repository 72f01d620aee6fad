"""What of the reports is a choice: which are made, theme, parts, templates of one's own.

Nothing here enters the identity of a run: pages are derived from sealed files.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from backtrail.canonical import canonical_json
from backtrail.errors import ConfigError, Problem

__all__ = ["ADVANCED_SECTIONS", "REPORT_FILES", "STORE_REPORTS", "ReportConfig"]

REPORT_FILES: Final[Mapping[str, str]] = {
    "basic": "basic_report.html",
    "advanced": "advanced_report.html",
    "pdf": "basic_report.pdf",
    "search": "search_report.html",
}
"""File of each kind of report in `results/reports/`; `search` is that of runs that search."""

STORE_REPORTS: Final = (
    "pipeline-summary.json",
    "best-configurations.json",
    "risk-analysis.json",
)
"""What the searches of a store came to, beside its comparison page."""

ADVANCED_SECTIONS: Final = (
    "validation",
    "returns",
    "rolling",
    "exposure",
    "trades",
    "costs",
    "attribution",
    "metrics",
    "code",
)
"""Parts of the advanced report after its chart, in their order; a run may lack the first."""


@dataclass(frozen=True, slots=True)
class ReportConfig:
    """How the pages of a run are made.

    Attributes:
        kinds: Reports that a chain makes: `basic`, `advanced`, `pdf`; shards make the basic one.
        theme: `auto` follows the reader's system; `light` and `dark` are what a page opens with.
        sections: Parts of the advanced report after its chart.
        templates: Folder whose files take the place of ours of the same name; None for none.
    """

    kinds: tuple[str, ...] = ("basic", "advanced")
    theme: str = "auto"
    sections: tuple[str, ...] = ADVANCED_SECTIONS
    templates: Path | None = None

    @classmethod
    def of(cls, section: Mapping[str, Any], root: Path = Path()) -> "ReportConfig":
        """Return the settings of the section `reports` of a config whose defaults are filled in.

        Args:
            section: The section.
            root: Project folder, from which the folder of templates counts.

        Raises:
            ConfigError: If the folder of templates does not exist, or a PDF is asked for that
                cannot be made here.
        """
        if "pdf" in section["kinds"] and find_spec("typst") is None:
            problem = "a PDF is asked for, and the package typst that sets it is not installed"
            remedy = "pip install 'backtrail[pdf]', or leave pdf out"
            raise ConfigError([Problem("reports.kinds", problem, remedy)])
        folder = section.get("templates")
        templates = None
        if folder is not None:
            if not (root / folder).is_dir():
                problem = f"the folder of templates {root / folder} does not exist"
                remedy = "make it, name another one, or leave the key out"
                raise ConfigError([Problem("reports.templates", problem, remedy)])
            # Kept as it is written where that will do, so that a moved project stays the same.
            in_place = root.resolve() == Path.cwd()
            templates = Path(folder) if in_place else root / folder
        return cls(
            kinds=tuple(kind for kind in REPORT_FILES if kind in section["kinds"]),
            theme=section["theme"],
            sections=tuple(name for name in ADVANCED_SECTIONS if name in section["sections"]),
            templates=templates,
        )

    @classmethod
    def from_dict(cls, kind: str, values: object) -> "ReportConfig":
        """Return the settings of one page that `reports.json` keeps; ours where it keeps none.

        Templates whose folder is gone are left out.
        """
        if not isinstance(values, Mapping):
            return cls(kinds=(kind,))
        folder = values.get("templates")
        templates = None if folder is None or not Path(folder).is_dir() else Path(folder)
        return cls((kind,), str(values["theme"]), tuple(values["sections"]), templates)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that a chain makes."""
        return tuple(REPORT_FILES[kind] for kind in self.kinds)

    def to_dict(self) -> dict[str, Any]:
        """Return what has to be known to make the same pages again, as `reports.json` keeps it."""
        templates = None if self.templates is None else str(self.templates)
        return {"theme": self.theme, "sections": list(self.sections), "templates": templates}

    def fingerprint(self) -> str:
        """Return the sha256 of all that is chosen here, with the contents of the templates."""
        digest = hashlib.sha256(canonical_json([self.theme, list(self.sections)]).encode())
        for path in _files_of(self.templates):
            content = path.read_bytes()
            digest.update(f"{path.name}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()


def _files_of(folder: Path | None) -> Sequence[Path]:
    if folder is None:
        return ()
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
