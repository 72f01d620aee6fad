"""What the spec of a run decides before it is executed: its captured code, its metadata."""

import json
from collections.abc import Mapping
from typing import Any

from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.stages.captured import CapturedFiles
from backtrail.canonical import sha256_file
from backtrail.files import write_json
from backtrail.provenance.metadata import BacktestMetadataGenerator
from backtrail.provenance.objects import ObjectStore

__all__ = ["materialize_code", "write_metadata"]


def materialize_code(store: RunStore, spec: Mapping[str, Any], target: RunDir) -> None:
    """Put the captured files and their manifest into a run, or into a scratch directory.

    Files that stand there with the right content are left as they are. An object that is missing
    or damaged is stored anew, where the project or another run has the same content.

    Raises:
        CodeCaptureError: If an object is missing or damaged, and nothing has its content.
    """
    objects, captured = ObjectStore(store.objects), CapturedFiles(store)
    for file in spec["code"]["files"]:
        path, sha256 = target.code / file["path"], file["sha256"]
        if not path.exists() or sha256_file(path) != sha256:
            objects.materialize(sha256, path, captured.sources(file["path"], sha256))
    strategy, code = spec["identity"]["strategy"], dict(spec["code"])
    write_json(
        target.code_manifest,
        {
            # Runs of earlier versions have less in it, and are restored byte for byte.
            "capture_mode": code.pop("mode", "import_analysis"),
            "code_hash": strategy["code_hash"],
            "entry": strategy["entry"],
            **code,
        },
    )
    git = spec["origin"]["git"]
    if git is not None and git["diff_sha256"] is not None:
        objects.materialize(git["diff_sha256"], target.git_diff)


def write_metadata(
    target: RunDir, spec: Mapping[str, Any], record: Mapping[str, Any], **changed: Any
) -> None:
    """Write the run's metadata as its manifest stands, or will stand with some keys changed."""
    environment = json.loads(target.environment.read_bytes())
    generator = BacktestMetadataGenerator(spec["backtest_id"], target.metadata.parent)
    generator.generate_for_run(spec, {**record, **changed}, environment)
