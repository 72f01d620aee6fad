"""What the ledger counts against a result: parameter sets that were tried, looks at holdouts.

A record lies in the folder of its dataset. A bar more or one price mended makes another dataset,
and what was learned from the former one is not forgotten by that: records of a strategy file count
on every dataset of a bundle where the dates overlap. Records that say neither bundle nor dates,
which those of older versions do not, are looked up by the run spec that their key leads to, or by
what else lies in their folder; where the dates stay unknown they count.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from backtrail.artifacts.rundir import read_record
from backtrail.errors import ArtifactManagerError

__all__ = ["find_records"]

Record = dict[str, Any]
_FIRST: Final = "0000-00-00"
_LAST: Final = "9999-99-99"


def find_records(
    folder: Path,
    dataset_id: str,
    family: str,
    *,
    bundle: str | None,
    window: tuple[str, str] | None,
    spec_of: Callable[[str], Path],
) -> tuple[list[Record], list[Record]]:
    """Return the records of a strategy file: those on a dataset, and those on its bundle's others.

    Args:
        folder: Of one kind of records, with a folder for each dataset.
        dataset_id: The dataset.
        family: Strategy file, relative to the project.
        bundle: Name of its bundle; None where that is not known, and then only what else lies in
            the dataset's folder may say it.
        window: First and last date; records on other datasets count where theirs overlap. None
            takes all. On the dataset itself every record is returned.
        spec_of: Returns the path of a run spec by run key, there or not.

    Raises:
        ArtifactManagerError: If a record is unreadable.
    """
    records = _read(folder / dataset_id)
    own = [record for record in records if record["family"] == family]
    names = {bundle} | {_said(record, spec_of).get("bundle") for record in records[:1] + own}
    names -= {None}
    if not names:
        return own, []
    first, last = (_FIRST, _LAST) if window is None else window
    others = [
        record
        for path in _folders(folder)
        if path.name != dataset_id
        for record in _of_family(path, family, names, spec_of)
        if record.get("start", _FIRST) <= last and first <= record.get("end", _LAST)
    ]
    return own, others


def _folders(folder: Path) -> list[Path]:
    return sorted({path.parent for path in folder.glob("*/*.json")})


def _read(folder: Path) -> list[Record]:
    return [read_record(path) for path in sorted(folder.glob("*.json"))]


def _of_family(
    folder: Path, family: str, names: Iterable[Any], spec_of: Callable[[str], Path]
) -> Iterator[Record]:
    """Yield the records of a family in a folder that are of the bundles, with what is known."""
    records = _read(folder)
    found = [
        {**record, **_said(record, spec_of)} for record in records if record["family"] == family
    ]
    if not found:
        return
    known = {record.get("bundle") for record in [*records, *found]}
    if known == {None}:  # perhaps another strategy's run says whose dataset it is
        known = {_said(record, spec_of).get("bundle") for record in records}
    for record in found:
        if record.get("bundle") in names or ("bundle" not in record and known & set(names)):
            yield record


def _said(record: Mapping[str, Any], spec_of: Callable[[str], Path]) -> dict[str, str]:
    """Return bundle and dates of a record, as far as it or its run spec says them."""
    names = ("bundle", "start", "end")
    said = {name: str(record[name]) for name in names if record.get(name) is not None}
    if "bundle" in said or not spec_of(str(record["run_key"])).exists():
        return said
    with suppress(ArtifactManagerError, KeyError):  # a damaged spec says nothing
        spec = read_record(spec_of(str(record["run_key"])))
        identity = spec["identity"]
        dates = {"start": identity["start"], "end": identity["end"]}
        return {"bundle": spec["labels"]["bundle"], **dates, **said}
    return said
