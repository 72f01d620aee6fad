"""The vendored chart library, given out only when its files are what they were when vendored."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from backtrail.canonical import sha256_bytes
from backtrail.errors import SealError

__all__ = ["ChartLibrary", "chart_library"]

_FOLDER = Path(__file__).parent / "vendor" / "lightweight-charts"
_SCRIPT = "lightweight-charts.standalone.production.js"


@dataclass(frozen=True, slots=True)
class ChartLibrary:
    """TradingView Lightweight Charts as a page needs it.

    Attributes:
        script: The source of the standalone build, with its banner comment.
        notice: The attribution text that has to stand on every page.
    """

    script: str
    notice: str


@lru_cache(maxsize=4)
def chart_library(folder: Path = _FOLDER) -> ChartLibrary:
    """Return the chart library after comparing its files with `CHECKSUMS`.

    Raises:
        SealError: If a vendored file differs from its recorded checksum.
    """
    contents: dict[str, bytes] = {}
    for line in (folder / "CHECKSUMS").read_text(encoding="utf-8").splitlines():
        expected, name = line.split(maxsplit=1)
        contents[name] = (folder / name).read_bytes()
        found = sha256_bytes(contents[name])
        if found != expected:
            raise SealError(
                f"{folder / name} has sha256 {found}, CHECKSUMS says {expected}; "
                "reinstall the package or vendor the file again"
            )
    return ChartLibrary(
        script=contents[_SCRIPT].decode("utf-8"), notice=contents["NOTICE"].decode("utf-8").strip()
    )
