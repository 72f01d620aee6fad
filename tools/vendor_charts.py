"""Take a version of the chart library from npm into the package: its script, licence, checksums.

    .venv/bin/python tools/vendor_charts.py 5.2.1

Needs npm; nothing at install or run time does. NOTICE stays as it is: the npm package leaves it
out, it stands in the project's repository and has to be looked at when the version changes.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

__all__ = ["fetch_package", "vendor"]

PACKAGE = "lightweight-charts"
FOLDER = Path(__file__).resolve().parents[1] / "src/backtrail/reports/vendor" / PACKAGE
SCRIPT = "lightweight-charts.standalone.production.js"
MEMBERS = {f"package/dist/{SCRIPT}": SCRIPT, "package/LICENSE": "LICENSE"}
NAMES = (SCRIPT, "LICENSE", "NOTICE")


def fetch_package(version: str, folder: Path) -> Path:
    """Return the package's archive after npm has brought it into a folder."""
    subprocess.run(
        ["npm", "pack", f"{PACKAGE}@{version}", "--silent"],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return folder / f"{PACKAGE}-{version}.tgz"


def vendor(archive: Path, folder: Path = FOLDER) -> str:
    """Take script and licence out of an archive and write their checksums; return those."""
    with tarfile.open(archive) as package:
        for member, name in MEMBERS.items():
            stream = package.extractfile(member)
            if stream is None:
                raise SystemExit(f"{archive} has no {member}; the package is built otherwise now")
            (folder / name).write_bytes(stream.read())
    checksums = "".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in NAMES
    )
    (folder / "CHECKSUMS").write_text(checksums, encoding="utf-8")
    return checksums


def main(arguments: list[str]) -> None:
    """Vendor the version that is named."""
    if len(arguments) != 1:
        raise SystemExit("name one version, as in: tools/vendor_charts.py 5.2.1")
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(vendor(fetch_package(arguments[0], Path(folder))))


if __name__ == "__main__":
    main(sys.argv[1:])
