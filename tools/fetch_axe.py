"""Bring axe-core, which tests of accessibility run in the pages, from npm: for developers alone.

    .venv/bin/python tools/fetch_axe.py

Needs npm. The script is compared with the checksum below and kept in `tests/.vendor/`, which git
ignores; without it the tests are skipped. It is under the Mozilla Public License 2.0.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

__all__ = ["SCRIPT", "fetch"]

VERSION = "4.10.3"
SHA256 = "880970c081707360e64f34cea25ff91892f5bc95675b0776925b9709dd8a68bb"
SCRIPT = Path(__file__).resolve().parents[1] / f"tests/.vendor/axe-core-{VERSION}.min.js"


def fetch(script: Path = SCRIPT) -> Path:
    """Return the path of the script after npm has brought it, unless it is there.

    Raises:
        SystemExit: If npm fails, or the script is another one than was looked at.
    """
    if script.is_file() and _checksum(script.read_bytes()) == SHA256:
        return script
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", f"axe-core@{VERSION}", "--silent"]
        try:
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(f"npm could not bring axe-core {VERSION}: {error}") from error
        with tarfile.open(Path(folder) / f"axe-core-{VERSION}.tgz") as package:
            stream = package.extractfile("package/axe.min.js")
            data = b"" if stream is None else stream.read()
    if _checksum(data) != SHA256:
        raise SystemExit(f"axe-core {VERSION} has sha256 {_checksum(data)}, not {SHA256}")
    script.parent.mkdir(exist_ok=True)
    script.write_bytes(data)
    return script


def _checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(f"{fetch()}\n")
