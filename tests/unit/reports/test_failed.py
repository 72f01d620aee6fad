import numpy as np

from backtrail.reports.failed import render_failed_page

from . import runs
from .test_basic import visible


def failed_page(tmp_path, *, with_dataset=True, **manifest):
    store = runs.Store(tmp_path)
    store.write_spec(runs.spec(names=["<b>bad</b>"]))
    if with_dataset:
        late = runs.moments(3)
        store.write_dataset(runs.bars_of("SPX", late, np.arange(1.0, 4.0)))
    store.write_manifest(**manifest)
    out = tmp_path / "failed.html"
    render_failed_page(store.run_dir, bundles_dir=store.bundles_dir, out=out)
    return store, out.read_text(encoding="utf-8")


def test_a_failed_run_shows_its_exception_traceback_and_last_lines(tmp_path):
    error = {
        "exception": "ZeroDivisionError",
        "message": "division by <zero>",
        "traceback": 'File "strategy.py", line 42\n  1 / 0',
        "log": ["bar 41", "bar 42"],
    }
    _, page = failed_page(tmp_path, status="failed", attempt=2, error=error)
    text = visible(page)
    assert "it failed (attempt 2)" in text
    assert "ZeroDivisionError : division by <zero>" in text
    assert 'File "strategy.py", line 42 1 / 0' in text
    assert "bar 41 bar 42" in text
    assert "0.0005 per dollar traded" in text
    assert "<b>bad</b>" not in page
    assert len(page.encode()) < 60_000


def test_the_code_that_failed_and_the_spec_are_on_its_page(tmp_path):
    store, page = failed_page(tmp_path, status="failed", error={"exception": "E"})
    assert "The code of this run was not captured." in page
    assert "&#34;fast&#34;: 10" in page
    runs.write_code(store, {"strategies/bad.py": 'LIMIT = "</pre><script>"\n'})
    out = tmp_path / "failed.html"
    render_failed_page(store.run_dir, bundles_dir=store.bundles_dir, out=out)
    assert "LIMIT = " in visible(out.read_text(encoding="utf-8"))
    assert '"</pre><script>"' not in out.read_text(encoding="utf-8")
    (store.run_dir / "code/strategies/bad.py").unlink()
    render_failed_page(store.run_dir, bundles_dir=store.bundles_dir, out=out)
    assert "The code of this run was not captured." in out.read_text(encoding="utf-8")


def test_a_run_stopped_from_outside_has_a_page_without_dataset_or_error(tmp_path):
    _, page = failed_page(tmp_path, with_dataset=False, status="failed", error=None)
    text = visible(page)
    assert "No exception was recorded" in text
    assert "The strategy wrote nothing." in text


def test_without_lines_in_the_manifest_the_end_of_stderr_is_shown(tmp_path):
    logs = runs.Store(tmp_path).run_dir / "logs"
    logs.mkdir(parents=True)
    lines = "\n".join(f"line {n}" for n in range(100))
    (logs / "stderr.txt").write_text(lines, encoding="utf-8")
    _, page = failed_page(tmp_path, status="failed", error={"kind": "timeout"})
    text = visible(page)
    assert "timeout" in text
    assert "line 99" in text
    assert "line 60" in text
    assert "line 59" not in text
