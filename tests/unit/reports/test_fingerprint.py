import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import backtrail.reports
from backtrail.reports import (
    ReportConfig,
    describe_reports,
    page_fingerprint,
    report_fingerprint,
)
from backtrail.reports.settings import ADVANCED_SECTIONS

PACKAGE = Path(backtrail.reports.__file__).parent


def copy_of_package(tmp_path: Path) -> Path:
    ignore = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PACKAGE, tmp_path / "reports", ignore=ignore))


def test_a_copy_elsewhere_has_the_same_fingerprint_and_compiled_files_do_not_count(tmp_path):
    copy = copy_of_package(tmp_path)
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "basic.cpython-311.pyc").write_bytes(b"x")
    assert report_fingerprint(copy) == report_fingerprint()
    assert len(report_fingerprint()) == 64


def test_a_change_of_module_template_style_or_vendored_script_changes_the_fingerprint(tmp_path):
    copy = copy_of_package(tmp_path)
    seen = {report_fingerprint(copy)}
    vendored = "vendor/lightweight-charts/lightweight-charts.standalone.production.js"
    for name in ("basic.py", "templates/basic.html.j2", "templates/style.css", vendored):
        with (copy / name).open("a", encoding="utf-8") as stream:
            stream.write(" ")
        seen.add(report_fingerprint(copy))
    (copy / "templates" / "report.js").rename(copy / "templates" / "renamed.js")
    seen.add(report_fingerprint(copy))
    assert len(seen) == 6


def test_reports_are_described_by_name_checksum_and_fingerprint(tmp_path):
    (tmp_path / "b.html").write_bytes(b"second")
    (tmp_path / "a.html").write_bytes(b"first")
    paths = [tmp_path / "b.html", tmp_path / "a.html"]
    assert describe_reports(paths, grade="A", trials="3 parameter sets") == [
        {
            "name": name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "fingerprint": page_fingerprint(ReportConfig()),
            "grade": "A",
            "holdout": "not looked at",
            "trials": "3 parameter sets",
            "config": {
                "theme": "auto",
                "sections": list(ADVANCED_SECTIONS),
                "templates": None,
            },
        }
        for name, content in (("a.html", b"first"), ("b.html", b"second"))
    ]


def test_the_fingerprint_is_had_without_importing_what_makes_pages():
    code = (
        "import sys; from backtrail.reports.fingerprint import report_fingerprint as f; f();"
        "print(sorted({'jinja2', 'polars', 'numpy', 'pyarrow', 'markupsafe'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_a_config_chooses_is_part_of_the_fingerprint_of_a_page(tmp_path):
    (tmp_path / "theme.css").write_text("a {}")
    configs = [
        ReportConfig(),
        ReportConfig(theme="dark"),
        ReportConfig(sections=("costs",)),
        ReportConfig(templates=tmp_path),
    ]
    seen = {page_fingerprint(config) for config in configs}
    assert len(seen) == 4
    assert page_fingerprint(ReportConfig(kinds=("basic",))) in seen, "which pages shapes none"
    (tmp_path / "theme.css").write_text("b {}")
    assert page_fingerprint(configs[-1]) not in seen
