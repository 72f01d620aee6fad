"""Stage `render_report`: the pages of a finished run, derived from it and outside its seal."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backtrail.artifacts.manifest import inspect_run, is_sealed, require_intact
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.stages.trials import TrialCounts
from backtrail.errors import ArtifactManagerError
from backtrail.files import remove_stale, write_json
from backtrail.reports.looks import HoldoutLooks
from backtrail.reports.settings import REPORT_FILES, ReportConfig

__all__ = ["find_openings", "render_report", "render_report_again", "render_run"]

_BASIC = ReportConfig(kinds=("basic",))


def render_report(
    store: RunStore,
    backtest_id: str,
    bundles_dir: Path,
    *,
    config: ReportConfig = _BASIC,
    only_stale: bool = False,
    trials: TrialCounts | None = None,
) -> tuple[Path, ...]:
    """Render the pages of a sealed run; they are derived and stand outside the seal.

    Pages of other kinds that the run has from before are left as they are.

    Args:
        store: The run store.
        backtest_id: The run.
        bundles_dir: Folder of the bundles, for the price chart.
        config: Which pages, and how they look.
        only_stale: Leave pages that present templates made from this run. How much was tried by
            then, and in how many runs withheld dates were seen, stands on a page as of its making:
            a trial more makes no page anew, but the first that shows such dates does.
        trials: What the ledger counts, where one job renders many pages; counted when None.

    Returns:
        The pages that were asked for.

    Raises:
        SealError: If a result was altered: nothing is rendered from it.
    """
    from backtrail.provenance.attestation import graded_manifest
    from backtrail.reports.fingerprint import describe_reports

    run = store.run(backtest_id)
    pages = tuple(run.reports / name for name in config.files)
    record = run.reports / "reports.json"
    with run.lease():
        require_intact(run, inspect_run(run))
        manifest = graded_manifest(run)
        grade = None if manifest is None else manifest.get("grade")
        trials = trials or TrialCounts(store)
        looks = trials.looks(run)
        known = {} if not record.exists() else _by_name(json.loads(record.read_bytes()))
        if only_stale and all(page.exists() for page in pages):
            wanted = describe_reports(pages, grade=grade, looks=looks, config=config)
            if all(_is_same(item, known.get(str(item["name"]))) for item in wanted):
                return pages
        run.reports.mkdir(parents=True, exist_ok=True)
        remove_stale(run.reports)
        tried = trials.words(run)
        shown: dict[str, Any] = {"grade": grade, "looks": looks, "trials": tried, "config": config}
        for kind in config.kinds:
            _renderer(kind)(
                run.path, bundles_dir=bundles_dir, out=run.reports / REPORT_FILES[kind], **shown
            )
        others = {name: item for name, item in known.items() if (run.reports / name).exists()}
        made = _by_name(describe_reports(pages, **shown))
        write_json(record, [item for _, item in sorted({**others, **made}.items())])
    return pages


def _by_name(records: Sequence[dict[str, object]]) -> dict[str, dict[str, object]]:
    return {str(record["name"]): record for record in records}


def _is_same(wanted: Mapping[str, object], known: Mapping[str, object] | None) -> bool:
    """Say whether a page is up to date; what it says of trials is as of its making."""
    return known is not None and wanted == {**known, "trials": wanted["trials"]}


def _renderer(kind: str) -> Callable[..., Path]:
    # Each kind of page has libraries of its own, which the others do without.
    if kind == "advanced":
        from backtrail.reports.advanced import render_advanced_report

        return render_advanced_report
    if kind == "search":
        from backtrail.reports.search import render_search_report

        return render_search_report
    if kind == "pdf":
        from backtrail.reports.pdf import render_pdf_report

        return render_pdf_report
    from backtrail.reports.basic import render_basic_report

    return render_basic_report


def find_openings(store: RunStore, run: RunDir) -> HoldoutLooks:
    """Return how often the run's strategy file opened holdouts with dates from its start on.

    That is what the page of a failed run tells: it has no results, and a store in which ten
    thousand fail does not read the ledger of trials for each.

    Args:
        store: The run store, whose ledger counts the looks.
        run: The run; it has a run spec.
    """
    spec = run.read_spec()
    identity, bundle = spec["identity"], spec["labels"]["bundle"]
    family, dataset = identity["strategy"]["entry"], identity["dataset"]["dataset_id"]
    start = identity["start"]
    return HoldoutLooks.of(store.find_looks(dataset, family, start, "9999-12-31", bundle=bundle))


def render_report_again(store: RunStore, backtest_id: str, bundles_dir: Path) -> tuple[Path, ...]:
    """Render the pages that a run has, as they were chosen, where they are out of date.

    A folder of templates that is gone is done without.

    Raises:
        SealError: If a result was altered: nothing is rendered from it.
    """
    run = store.run(backtest_id)
    record = run.reports / "reports.json"
    known = {} if not record.exists() else _by_name(json.loads(record.read_bytes()))
    pages: list[Path] = []
    for kind, name in REPORT_FILES.items():
        if not (run.reports / name).exists():
            continue
        config = ReportConfig.from_dict(kind, known.get(name, {}).get("config"))
        pages += render_report(store, backtest_id, bundles_dir, config=config, only_stale=True)
    return tuple(pages)


def render_run(
    store: RunStore, backtest_id: str, bundles_dir: Path, *, config: ReportConfig
) -> tuple[Path, ...]:
    """Render the pages of a finished run anew: its reports, or the page of its failure.

    Raises:
        ArtifactManagerError: If the run is not finished.
        SealError: If a result was altered: nothing is rendered from it.
    """
    run = store.run(backtest_id)
    if is_sealed(run):
        return render_report(store, backtest_id, bundles_dir, config=config)
    if not run.failed.exists():
        raise ArtifactManagerError(
            f"{backtest_id} is not finished and has nothing to report; "
            "the next call of snakemake goes on with it"
        )
    from backtrail.reports.failed import render_failed_page

    with run.lease():
        out = run.errors / "failed_run.html"
        looks = find_openings(store, run)
        page = render_failed_page(
            run.path, bundles_dir=bundles_dir, out=out, looks=looks, config=config
        )
        return (page,)
