import shutil
import tarfile
from pathlib import Path

import pytest
from test_packaging import load_tool

from backtrail.errors import SealError
from backtrail.reports import vendor


def test_the_chart_library_is_version_5_2_1_with_its_banner_and_notice():
    library = vendor.chart_library()
    assert "TradingView Lightweight Charts™ v5.2.1" in library.script[:200]
    assert "https://www.tradingview.com/" in library.notice
    assert "</script" not in library.script


@pytest.mark.parametrize(
    "name", ["lightweight-charts.standalone.production.js", "LICENSE", "NOTICE"]
)
def test_an_altered_vendored_file_is_refused_by_name(tmp_path, name):
    folder = shutil.copytree(vendor._FOLDER, tmp_path / "vendor")
    with (folder / name).open("ab") as stream:
        stream.write(b"\n")
    with pytest.raises(SealError, match=name):
        vendor.chart_library(folder)


def test_the_tool_takes_what_is_vendored_out_of_an_archive_of_npm(tmp_path):
    folder = Path(shutil.copytree(vendor._FOLDER, tmp_path / "vendor"))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    archive = tmp_path / "package.tgz"
    with tarfile.open(archive, "w:gz") as package:
        package.add(folder / vendor._SCRIPT, f"package/dist/{vendor._SCRIPT}")
        package.add(folder / "LICENSE", "package/LICENSE")
    for name in ("LICENSE", "CHECKSUMS", vendor._SCRIPT):
        (folder / name).write_text("old")
    load_tool("vendor_charts").vendor(archive, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    vendor.chart_library(folder)
