import json
import re
from html import unescape

import pytest

from backtrail.errors import ArtifactManagerError
from backtrail.reports import sources
from backtrail.reports.rundata import read_run
from backtrail.reports.sources import captured_code, highlighted

from . import runs

TEXT = 'def f(x):\n\tif x < 2:  # "no" & <b>\n        return "é😀</pre>" + str(0x1F)\n'


def plain(markup: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", markup))


@pytest.mark.parametrize("text", [TEXT, runs.SMA_CODE, "", "x = '''a\n\x0cb'''\r\ny = 1\n"])
def test_highlighting_changes_no_character(text):
    assert plain(highlighted(text, python=True)) == text
    assert plain(highlighted(text, python=False)) == text


def test_parts_of_python_are_marked_and_markup_is_text():
    markup = str(highlighted(runs.SMA_CODE, python=True))
    assert '<span class="tk">def</span> <span class="td">handle_data</span>' in markup
    assert '<span class="tc"># a tie counts as below</span>' in markup
    assert '<span class="ts">&#34;&lt;/script&gt;&lt;b&gt;&amp;&#34;</span>' in markup
    assert '<span class="tn">10</span>' in markup


def test_code_that_is_no_python_is_shown_unmarked():
    assert str(highlighted("def (:\n  '''<", python=True)) == "def (:\n  &#39;&#39;&#39;&lt;"


def test_the_strategy_comes_first_and_what_the_page_cannot_hold_is_named(tmp_path, monkeypatch):
    store = runs.write_small_run(tmp_path)
    runs.write_code(store, {"z.py": "Z = 1\n", "big.py": "#" * 500, "a.csv": "1,2\n"})
    (store.run_dir / "code" / "a.csv").write_bytes(b"\xff\xfe\x00")
    monkeypatch.setattr(sources, "_SHOWN_BYTES", 300)
    files = captured_code(read_run(store.run_dir))
    assert [(file.path, file.is_entry, file.markup is None) for file in files] == [
        ("z.py", True, False),
        ("a.csv", False, True),
        ("big.py", False, True),
    ]
    listed = json.loads((store.run_dir / "metadata" / "code_manifest.json").read_bytes())
    assert {file.path: file.sha256 for file in files} == {
        file["path"]: file["sha256"] for file in listed["files"]
    }


def test_a_missing_captured_file_is_an_error_and_no_capture_is_no_code(tmp_path):
    store = runs.write_small_run(tmp_path)
    assert captured_code(read_run(store.run_dir)) == []
    runs.write_code(store, {"s.py": "pass\n"})
    (store.run_dir / "code" / "s.py").unlink()
    with pytest.raises(ArtifactManagerError, match=r"s\.py is missing"):
        captured_code(read_run(store.run_dir))
