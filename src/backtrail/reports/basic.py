"""The basic report of a run: one page with its numbers, its assumptions, its chart and trades."""

from pathlib import Path

from backtrail.reports.contents import read_contents
from backtrail.reports.looks import NO_LOOKS, HoldoutLooks
from backtrail.reports.pages import write_page
from backtrail.reports.settings import ReportConfig

__all__ = ["render_basic_report"]


def render_basic_report(
    run_dir: Path,
    *,
    bundles_dir: Path,
    out: Path,
    grade: str | None = None,
    trials: str | None = None,
    looks: HoldoutLooks = NO_LOOKS,
    config: ReportConfig | None = None,
) -> Path:
    """Write the basic report of a finished run.

    The same run and dataset give the same bytes. Metric values are those of the `summary` artifact.

    Args:
        run_dir: The run directory.
        bundles_dir: The central bundle storage with the run's dataset.
        out: The HTML file to write.
        grade: Provenance grade to show when it was raised after the run was sealed.
        trials: How much was tried on the dataset, in words; None when it was not counted.
        looks: Looks at the holdout of its dataset by its strategy file.
        config: Theme and templates of one's own.

    Returns:
        `out`.

    Raises:
        ArtifactManagerError: If an artifact is missing or not of its declared schema.
        DatasetError: If the run's dataset is not in `bundles_dir`.
        ReportTemplateError: If a template of the user's own cannot be rendered.
    """
    contents = read_contents(run_dir, bundles_dir)
    return write_page(
        out,
        "basic.html.j2",
        data=contents.data,
        scripts=("report.js",),
        config=config,
        **contents.values(grade=grade, trials=trials, looks=looks),
    )
