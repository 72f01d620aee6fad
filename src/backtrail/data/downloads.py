"""Pages of a download on disk, so that one that was cut goes on where it stopped.

They lie in `bundles/<bundle>/.downloads/<request>/<symbol>/<number>.json` until the dataset is
made of them, and nowhere else.
"""

import json
import logging
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from backtrail.canonical import sha256_json
from backtrail.files import lease, remove_stale, write_json

__all__ = ["DOWNLOADS_FOLDER", "Download", "ProgressLine", "open_download"]

DOWNLOADS_FOLDER: Final = ".downloads"
_REQUEST_FILE: Final = "request.json"
_REST: Final = timedelta(days=1)

_log = logging.getLogger(__name__)


class Download:
    """One download: what was asked for, and the pages that have come.

    Args:
        folder: Where its pages lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def page(self, symbol: str, number: int) -> dict[str, Any] | None:
        """Return a page that came before, or None."""
        path = self._path(symbol, number)
        if not path.is_file():
            return None
        page: dict[str, Any] = json.loads(path.read_bytes())
        return page

    def keep(self, symbol: str, number: int, page: Mapping[str, Any]) -> None:
        """Write a page, whole or not at all."""
        write_json(self._path(symbol, number), dict(page))

    def pages(self, symbol: str) -> Iterator[dict[str, Any]]:
        """Yield the pages of a symbol in their order."""
        number = 0
        while (page := self.page(symbol, number)) is not None:
            yield page
            number += 1

    def note(self, name: str, value: Any) -> None:
        """Write what a later attempt is to know."""
        write_json(self.folder / f"{name}.json", value)

    def noted(self, name: str) -> Any:
        """Return what was noted under a name, or None."""
        path = self.folder / f"{name}.json"
        return json.loads(path.read_bytes()) if path.is_file() else None

    def discard(self) -> None:
        """Remove the pages, once a dataset was made of them."""
        shutil.rmtree(self.folder)
        with suppress(OSError):
            self.folder.parent.rmdir()

    def _path(self, symbol: str, number: int) -> Path:
        return self.folder / sha256_json(symbol)[:16] / f"{number:06d}.json"


@contextmanager
def open_download(
    bundle_folder: Path, request: Mapping[str, Any], *, is_open: bool
) -> Iterator[Download]:
    """Hold the download of a request, with the pages that an earlier attempt left.

    Args:
        bundle_folder: `bundles/<bundle>`; made when absent, and removed again when it stays empty.
        request: What is asked for; another request is another download.
        is_open: Whether the request ends at the present. Such a download is begun anew when it
            rested for more than a day.
    """
    bundle_folder.mkdir(parents=True, exist_ok=True)
    try:
        with lease(bundle_folder / ".download.lock"):
            folder = bundle_folder / DOWNLOADS_FOLDER / sha256_json(dict(request))[:16]
            if is_open and _rested(folder):
                _log.info("an unfinished download rested for more than a day; beginning anew")
                shutil.rmtree(folder)
            if folder.is_dir():
                remove_stale(folder, recursive=True)
                count = sum(1 for _ in folder.glob("*/*.json"))
                _log.info("going on with a download of which %d pages are there", count)
            write_json(folder / _REQUEST_FILE, dict(request))
            try:
                yield Download(folder)
            finally:
                _remove_without_pages(folder)
    finally:
        with suppress(OSError):
            bundle_folder.rmdir()


def _rested(folder: Path) -> bool:
    pages = [path.stat().st_mtime for path in folder.rglob("*.json")]
    if not pages:
        return False
    newest = datetime.fromtimestamp(max(pages), tz=UTC)
    return datetime.now(UTC) - newest > _REST


def _remove_without_pages(folder: Path) -> None:
    if not any(folder.glob("*/*.json")):
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.parent.rmdir()


class ProgressLine:
    """A line that is written over again while a download goes on; only on a terminal.

    Args:
        total: Symbols in all.
    """

    _EVERY: Final = 0.1

    def __init__(self, total: int) -> None:
        self._total = total
        self._live = sys.stderr.isatty()
        self._written = 0.0

    def show(self, index: int, symbol: str, share: float, bars: int) -> None:
        """Show how far a symbol is.

        Args:
            index: Its number from 1.
            symbol: Its name.
            share: Part of it that has come, from 0 to 1.
            bars: Bars that have come.
        """
        if self._live and time.monotonic() - self._written > self._EVERY:
            self._written = time.monotonic()
            text = f"{symbol} ({index} of {self._total}): {share:4.0%}, {bars:,} bars"
            sys.stderr.write(f"\r\x1b[2K{text}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._live and self._written:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
