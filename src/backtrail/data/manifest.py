"""What a dataset says about itself, and which dataset a bundle's name means now."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from backtrail.canonical import pretty_json, sha256_json
from backtrail.errors import DatasetError

__all__ = [
    "ADJUSTMENTS_FILE",
    "BARS_FILE",
    "HEAD_FILE",
    "LEFTOVER",
    "MANIFEST_FILE",
    "RECEIPT_FILE",
    "SESSIONS_FILE",
    "TABLE_FILES",
    "UNIVERSE_FILE",
    "DatasetManifest",
    "SourceRecord",
    "SymbolRecord",
    "manifest_checksum",
    "read_head",
    "read_receipt",
]

BARS_FILE: Final = "bars.parquet"
ADJUSTMENTS_FILE: Final = "adjustments.parquet"
SESSIONS_FILE: Final = "sessions.parquet"
UNIVERSE_FILE: Final = "universe.parquet"
TABLE_FILES: Final[Mapping[str, str]] = {
    "bars": BARS_FILE,
    "adjustments": ADJUSTMENTS_FILE,
    "sessions": SESSIONS_FILE,
    "universe": UNIVERSE_FILE,
}
"""File of each table; a dataset has those that its `content` names."""
MANIFEST_FILE: Final = "manifest.json"
HEAD_FILE: Final = "HEAD.json"
RECEIPT_FILE: Final = "receipt.json"
LEFTOVER: Final = ".building~"
"""How hidden folders of a bundle end that are not whole datasets; the next ingest removes them."""
_VERSION: Final = 1
_LATER: Final = frozenset(
    {"derived", "sessions", "survival", "universe"}
)  # not in the first manifests of this version


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One file the prices came from.

    Attributes:
        path: As configured; inside the project relative to its root.
        sha256: Checksum of its bytes.
        size: Bytes.
        symbol: Symbol of the file; None when a column says it.
        blank_lines: Lines without any character, skipped.
        comment_lines: Comment lines among the rows, skipped.
    """

    path: str
    sha256: str
    size: int
    symbol: str | None = None
    blank_lines: int = 0
    comment_lines: int = 0


@dataclass(frozen=True, slots=True)
class SymbolRecord:
    """What a dataset holds of one symbol.

    Attributes:
        rows: Number of bars.
        first: Timestamp of the first bar, ISO 8601, UTC.
        last: Timestamp of the last bar.
        missing_sessions: Sessions of the calendar between first and last bar without any bar;
            None where the calendar's table does not reach.
        off_session_bars: Bars in no session of the calendar; None as above.
    """

    rows: int
    first: str
    last: str
    missing_sessions: int | None
    off_session_bars: int | None


@dataclass(frozen=True, slots=True)
class DatasetManifest:
    """The manifest of a dataset: identity, content, and where it came from.

    Attributes:
        dataset_id: 16 hex digits; see `backtrail.data.identity`.
        bundle: Bundle it was ingested for.
        calendar: Name of the trading calendar.
        timeframe: Length of a bar.
        symbols: What there is of each symbol, by name.
        rows: Bars of all symbols together.
        adjustments: Number of adjustments by kind.
        content: sha256 of the canonical columns of `bars` and of `adjustments`, and of `sessions`
            and `universe` where the dataset has these tables.
        files: sha256 and size of each Parquet file, for transport; no part of the identity.
        sources: Files the prices came from.
        dialect: How the sources were read: one entry per dialect met, with its files.
        waivers: Each waiver with its reason, what was done, and every row it touched.
        duplicates: Exact duplicates dropped: their number and the first of them.
        left_out: Split rows not applied because the prices already contain them.
        origin: Where the data come from, in words, when a `SOURCE.yaml` says so.
        licence: Under which terms, when a `SOURCE.yaml` says so.
        synthetic: Whether the prices were computed, not observed.
        survival: Which symbols are there at the end; see `backtrail.data.survival`. Empty in
            manifests from before it was asked.
        sessions: The sessions that bars were compared with, as a summary; see
            `backtrail.data.session_check`. Of a calendar that does not come with this package also
            what a usual `year` has, and the dates that the stored table reaches to.
        derived: From which bars these were made, if from finer ones: their timeframe and number,
            and the bars left out because their time was not over. Of a joined dataset, those that
            it was `joined` of, by bundle.
        universe: What the membership file says, as a summary; see `backtrail.data.survival`.
            Empty without one.
    """

    dataset_id: str
    bundle: str
    calendar: str
    timeframe: str
    symbols: Mapping[str, SymbolRecord]
    rows: int
    adjustments: Mapping[str, int]
    content: Mapping[str, str]
    files: Mapping[str, Mapping[str, Any]]
    sources: tuple[SourceRecord, ...] = ()
    dialect: tuple[Mapping[str, Any], ...] = ()
    waivers: tuple[Mapping[str, Any], ...] = ()
    duplicates: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[Mapping[str, Any], ...] = ()
    origin: str | None = None
    licence: str | None = None
    synthetic: bool = False
    survival: Mapping[str, Any] = field(default_factory=dict)
    sessions: Mapping[str, Any] = field(default_factory=dict)
    derived: Mapping[str, Any] = field(default_factory=dict)
    universe: Mapping[str, Any] = field(default_factory=dict)
    version: int = _VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as plain values for JSON."""
        return asdict(self)

    def to_json(self) -> str:
        """Return the text of `manifest.json`: the values, and a checksum over all of them."""
        values = self.to_dict()
        return pretty_json({**values, "checksum": manifest_checksum(values)})

    @classmethod
    def load(cls, path: Path) -> "DatasetManifest":
        """Read a manifest.

        Args:
            path: `manifest.json`, or the dataset directory that holds it.

        Raises:
            DatasetError: If there is none, or it is not one of this version.
        """
        file = path / MANIFEST_FILE if path.is_dir() else path
        values = _read_json(file, "dataset manifest")
        checksum = values.pop("checksum", None)
        known = {item.name for item in fields(cls)}
        if values.get("version") != _VERSION or not known - _LATER <= set(values) <= known:
            raise DatasetError(
                f"{file} is a manifest of version {values.get('version')!r}; this library reads "
                f"version {_VERSION}; ingest the bundle again"
            )
        if checksum != manifest_checksum(values):
            raise DatasetError(
                f"{file} was altered: "
                + ("the checksum" if checksum is None else "the right checksum")
                + " over its values is missing; put it back, or ingest the bundle again"
            )
        try:
            values["symbols"] = {
                name: SymbolRecord(**record) for name, record in values["symbols"].items()
            }
            values["sources"] = tuple(SourceRecord(**record) for record in values["sources"])
        except (AttributeError, TypeError) as error:
            raise DatasetError(f"{file} is damaged: {error}; ingest the bundle again") from error
        for name in ("dialect", "waivers", "left_out"):
            values[name] = tuple(values[name])
        return cls(**values)


def manifest_checksum(values: Mapping[str, Any]) -> str:
    """Return the sha256 over the values of a manifest, as `checksum` of its file states it."""
    return sha256_json(values)


def read_receipt(bundles_dir: Path, bundle: str) -> dict[str, Any] | None:
    """Return what the last ingest of a bundle was made from, or None when there was none.

    Raises:
        DatasetError: If the receipt is damaged.
    """
    path = bundles_dir / bundle / RECEIPT_FILE
    return _read_json(path, "bundle receipt") if path.is_file() else None


def read_head(bundles_dir: Path, bundle: str) -> str:
    """Return the id of the dataset that a bundle's name means now.

    Raises:
        DatasetError: If the bundle was never ingested, or its `HEAD.json` is damaged.
    """
    path = bundles_dir / bundle / HEAD_FILE
    if not path.is_file():
        there = sorted(item.parent.name for item in bundles_dir.glob(f"*/{HEAD_FILE}"))
        raise DatasetError(
            f"bundle {bundle!r} has no dataset below {bundles_dir}; ingested bundles: "
            f"{', '.join(there) or 'none'}; run its ingest first"
        )
    head = _read_json(path, "bundle head")
    if not isinstance(head.get("dataset_id"), str):
        raise DatasetError(f"{path} names no dataset_id; ingest the bundle again")
    return str(head["dataset_id"])


def _read_json(path: Path, what: str) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DatasetError(f"no {what} at {path}; ingest the bundle first") from None
    except ValueError as error:
        raise DatasetError(f"{what} {path} is damaged: {error}; ingest the bundle again") from error
    if not isinstance(values, dict):
        raise DatasetError(f"{what} {path} is not a JSON object; ingest the bundle again")
    return values
