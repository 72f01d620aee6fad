"""Which bundle a run means, and its dataset on disk."""

import difflib
import logging

from backtrail.backtest.settings import ProjectConfig
from backtrail.batch.planning.bundles import bundle_config, bundle_definition
from backtrail.data.manifest import HEAD_FILE, read_head, read_receipt
from backtrail.data.sources import is_made_of_another, source_checksum
from backtrail.errors import ConfigError, DatasetError, Problem

__all__ = ["choose_bundle", "ensure_bundle"]

_log = logging.getLogger(__name__)


def choose_bundle(project: ProjectConfig, wanted: str | None) -> str:
    """Return the bundle a call means: the one it names, or the project's only one.

    Raises:
        ConfigError: If there is no such bundle, or none was named and there is not exactly one.
    """
    ingested = {path.parent.name for path in project.places.bundles.glob(f"*/{HEAD_FILE}")}
    known: list[str] = sorted({*project.values["bundles"], *ingested})
    listed = ", ".join(known) or "none"
    if wanted is not None:
        if wanted in known:
            return wanted
        near = difflib.get_close_matches(wanted, known, n=1)
        found = f"there is no bundle {wanted!r} in {project.root}"
        remedy = f"did you mean {near[0]!r}?" if near else _remedy(project, listed)
    elif len(known) == 1:
        return known[0]
    else:
        found, remedy = "no bundle was named", _remedy(project, listed)
    raise ConfigError([Problem("run_algorithm: bundle", found, remedy)])


def _remedy(project: ProjectConfig, listed: str) -> str:
    return (
        f"its bundles are: {listed}; define one under `bundles` of {project.root}/config/"
        "config.yaml, or pass it in config"
    )


def ensure_bundle(project: ProjectConfig, name: str) -> None:
    """Ingest a bundle that the project defines, unless its dataset is that of its source now.

    A bundle that is ingested and not defined is taken as it is; so is one that names its dataset,
    and one whose source is gone, with a warning.

    Raises:
        DatasetError: If its source cannot be read and it was never ingested.
        DataValidationError: If rows of the source break a rule.
    """
    bundles = project.places.bundles
    if name not in project.values["bundles"]:
        read_head(bundles, name)
        return
    if "dataset" in project.values["bundles"][name]:
        return
    bundle = bundle_config(name, bundle_definition(name, project.values["bundles"]))
    for parent in bundle.parents:
        ensure_bundle(project, parent.bundle.name)
    receipt = read_receipt(bundles, name)
    try:
        checksum = source_checksum(bundle, project.root)
    except DatasetError as error:
        if receipt is None:
            raise
        dataset = read_head(bundles, name)
        _log.warning("bundle %s stays at dataset %s: %s", name, dataset, error)
        return
    if (
        receipt is None
        or receipt["source_checksum"] != checksum
        or is_made_of_another(bundle, bundles, receipt)
    ):
        from backtrail.data.ingest import ingest_bundle

        manifest = ingest_bundle(bundle, root=project.root, bundles_dir=bundles)
        _log.info("ingested bundle %s as dataset %s", name, manifest.dataset_id)
