"""What a search run keeps between its stages, in `.search/`: chunks, and what each stage used.

These are working files: they are no results, and the seal removes them. Every file is written by a
rename, so one that is there is whole.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from backtrail.artifacts.rundir import RunDir
from backtrail.batch.execution.outcome import Outcome
from backtrail.canonical import sha256_file
from backtrail.errors import SealError
from backtrail.files import write_json

__all__ = ["WorkingFiles", "close_parts"]


class WorkingFiles:
    """The working files of one search run.

    Args:
        run: The run.
    """

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.path = run.working

    @property
    def numbers(self) -> Path:
        """The combinations of a sample, once they have been found."""
        return self.path / "numbers.bin"

    def rows(self, chunk: str) -> Path:
        """Return the rows of a chunk; they are written last."""
        return self.path / f"{chunk}.parquet"

    def lock(self, chunk: str) -> Path:
        """Return the lease of a chunk: chunks of one run are evaluated at the same time."""
        return self.path / f"{chunk}.lock"

    def logs(self, chunk: str) -> Path:
        """Return the folder of what the strategy printed while a chunk was evaluated."""
        return self.path / "logs" / chunk

    def record(self, chunk: str) -> Path:
        """Return the record of what a chunk took and used."""
        return self.path / f"{chunk}.json"

    def chunks(self) -> list[str]:
        """Return the names of the chunks that have rows, in order."""
        return sorted(path.stem for path in self.path.glob("*.parquet"))

    def read_record(self, chunk: str) -> dict[str, Any]:
        """Return what a chunk took and used."""
        record: dict[str, Any] = json.loads(self.record(chunk).read_bytes())
        return record

    def part(self, name: str) -> Path:
        """Return the record of a stage between the chunks and the seal."""
        return self.path / "parts" / f"{name}.json"

    def add_part(
        self,
        name: str,
        outcome: Outcome,
        contents: Mapping[str, str],
        files: Sequence[str],
        *,
        timed_as: str | None = None,
        timings: Mapping[str, Any] | None = None,
    ) -> None:
        """Record that a stage is done: what it made, what it used, how long it took.

        Args:
            name: The rule's name.
            outcome: How its children ended.
            contents: Content checksum of its tables, by path inside the run.
            files: Every file that it made, relative to the run.
            timed_as: How the manifest names what the children took; as the rule when None.
            timings: Further figures for the manifest.
        """
        timed = timed_as or name
        record = {
            "contents": dict(contents),
            "files": {file: sha256_file(self.run.path / file) for file in files},
            "timings": {
                f"{timed}_seconds": round(outcome.seconds, 6),
                f"{timed}_cpu_seconds": round(outcome.cpu_seconds, 6),
                f"{timed}_max_rss_mb": round(outcome.max_rss_mb, 3),
                **(timings or {}),
            },
            "usage": dict(outcome.usage or {}),
        }
        write_json(self.part(name), record)

    def is_done(self, name: str) -> bool:
        """Say whether a stage is done and all that it made is there."""
        if not self.part(name).exists():
            return False
        files = json.loads(self.part(name).read_bytes())["files"]
        return all((self.run.path / file).exists() for file in files)

    def parts(self) -> Iterator[dict[str, Any]]:
        """Yield the record of every stage that is done."""
        for path in sorted((self.path / "parts").glob("*.json")):
            yield json.loads(path.read_bytes())

    def remove(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.path, ignore_errors=True)


def close_parts(run: RunDir, record: Mapping[str, Any], keep_usage: Any) -> dict[str, Any]:
    """Return the manifest of an executed search run with what its other stages made and used.

    Args:
        run: The run.
        record: Its manifest.
        keep_usage: Keeps what a stage used, and returns how the manifest says it.

    Raises:
        SealError: If a file that a stage made is another now.
    """
    closed = {key: record[key] for key in ("contents", "timings", "usage")}
    for part in WorkingFiles(run).parts():
        for file, sha256 in part["files"].items():
            path = run.path / file
            if not path.exists() or sha256_file(path) != sha256:
                raise SealError(
                    f"{file} of run {run.backtest_id} was altered before the seal; delete "
                    f"{run.path} and run again"
                )
        closed["contents"] = {**closed["contents"], **part["contents"]}
        closed["timings"] = {**closed["timings"], **part["timings"]}
        if part["usage"]:
            closed["usage"] = _joined(closed["usage"], keep_usage(part["usage"]))
    return {**record, **closed}


def _joined(known: Mapping[str, Any], further: Mapping[str, Any]) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for name, items in known.items():
        if isinstance(items, Mapping):
            joined[name] = {**further.get(name, {}), **items}
        else:
            joined[name] = [*items, *(item for item in further.get(name, ()) if item not in items)]
    return joined
