import json
import shutil

import pytest

from backtrail.batch.why import error_words, preview_batch

from .support import batch_config, entry


def test_why_names_code_with_its_importers_parameters_and_settings(project):
    (first,) = preview_batch(project.ingest())
    assert (first.state, first.reasons) == ("new", ("no run of this name before",))
    plan, _ = project.run()
    (again,) = preview_batch(project.batch())
    assert (again.state, again.backtest_id, again.reasons) == (
        "reused",
        plan.runs[0].backtest_id,
        (),
    )
    project.write("strategies/lib/means.py", "def mean(x):\n    return sum(x) / len(x)\n")
    changes = {
        "batch": {"sma": {"params": {"fast": 2}}},
        "seed": 5,
        "defaults": {"commission": {"model": "per_dollar", "cost": 0.001}},
    }
    (changed,) = preview_batch(project.batch(**changes))
    assert changed.predecessor == plan.runs[0].backtest_id
    assert set(changed.reasons) == {
        "strategies/lib/means.py changed, imported by strategies/sma.py",
        "parameter fast changed: 3 -> 2",
        "seed changed: 20260101 -> 5",
        'commission model changed: "none" -> "per_dollar"',
        'commission cost changed: "0" -> "0.001"',
    }


def test_why_says_that_data_must_be_ingested_first_or_have_changed(project):
    (first,) = preview_batch(project.batch())
    assert (first.run_key, first.reasons) == (None, ("bundle prices was never ingested",))
    project.run()
    prices = project.root / "prices/AAA.csv"
    prices.write_text(prices.read_text().replace(",1000", ",1001"))
    (changed,) = preview_batch(project.batch())
    assert "prices" in changed.reasons[0]
    project.ingest()
    (changed,) = preview_batch(project.batch())
    assert changed.reasons[0].startswith("the data of bundle prices changed: dataset ")


def test_a_failed_run_tells_its_error_and_will_be_tried_again(project):
    project.write("strategies/sma.py", "import nowhere\n")
    _plan, failed = project.run()
    (preview,) = preview_batch(project.batch())
    assert (preview.state, preview.backtest_id) == ("failed", failed[0])
    assert preview.reasons == (
        "ModuleNotFoundError: No module named 'nowhere'",
        "attempt 1 failed; it will be tried again",
    )
    project.run()
    assert preview_batch(project.batch())[0].reasons[1].startswith("attempt 2 failed")


def test_an_open_run_tells_how_far_it_came(project):
    project.plan()
    before = sorted(path for path in project.root.rglob("*"))
    (preview,) = preview_batch(project.batch())
    assert (preview.state, preview.reasons) == ("open", ("planned, not begun",))
    assert sorted(path for path in project.root.rglob("*")) == before, "looking writes nothing"
    plan, _ = project.run()
    run = project.store.run(plan.runs[0].backtest_id)
    run.success.unlink()
    manifest = run.read_manifest()
    for status, reason in (
        ("executed", "executed, not sealed; begun at 2026-01-01T00:00:00Z"),
        ("running", "begun at 2026-01-01T00:00:00Z, not finished"),
    ):
        begun = {**manifest, "status": status, "started_at": "2026-01-01T00:00:00Z"}
        run.manifest.write_text(json.dumps(begun))
        (preview,) = preview_batch(project.batch())
        assert (preview.state, preview.reasons) == ("open", (reason,))
    shutil.rmtree(run.path)
    (preview,) = preview_batch(project.batch())
    assert (preview.state, preview.backtest_id) == ("open", run.backtest_id)
    assert preview.reasons == ("its folder was deleted; it will be made again under the same id",)


@pytest.fixture
def sealed(project):
    plan, _ = project.run()
    run = project.store.run(plan.runs[0].backtest_id)

    def look():
        (preview,) = preview_batch(project.batch())
        assert preview.backtest_id == run.backtest_id
        return preview.state, preview.reasons

    assert look() == ("reused", ())
    return run, look


def test_a_sealed_run_with_missing_files_names_them_and_will_be_restored(sealed):
    run, look = sealed
    for name in ("trades", "fills"):
        (run.results / f"{name}.parquet").unlink()
    assert look() == (
        "restore",
        (
            "results/fills.parquet is missing",
            "results/trades.parquet is missing",
            "the next call makes it again and compares the bytes",
        ),
    )


def test_a_sealed_run_with_altered_files_is_damaged(sealed):
    run, look = sealed
    (run.results / "trades.parquet").write_bytes(b"")
    (run.results / "fills.parquet").unlink()
    state, reasons = look()
    assert (state, reasons[:2]) == (
        "damaged",
        ("results/trades.parquet was altered after the seal", "results/fills.parquet is missing"),
    )
    assert "delete what was altered" in reasons[2]


def test_a_sealed_run_whose_manifest_is_altered_or_gone_is_damaged(sealed):
    run, look = sealed
    run.manifest.write_text(run.manifest.read_text() + " ")
    state, reasons = look()
    assert (state, reasons[0]) == ("damaged", "run.json is not the one that was sealed")
    run.manifest.unlink()
    state, reasons = look()
    assert (state, reasons[0]) == ("damaged", "run.json is missing")
    assert "delete the run's folder" in reasons[1]
    run.success.unlink()
    run.manifest.write_text("{")
    state, reasons = look()
    assert state == "damaged"
    assert "run.json is not valid JSON" in reasons[0]


def test_a_second_name_of_a_run_says_whose_it_is(project):
    project.configure(batch_config(batch={"sma": entry(), "twin": {"extends": "sma"}}))
    plan, _ = project.run()
    first, second = preview_batch(project.batch())
    assert (first.state, first.reasons) == ("reused", ())
    assert (second.state, second.reasons) == ("reused", ("the same run as sma",))
    assert second.backtest_id == plan.runs[0].backtest_id
    _, second = preview_batch(project.batch(seed=5))
    assert second.reasons == ("seed changed: 20260101 -> 5", "the same run as sma")


def test_an_error_is_shown_in_one_line_that_no_terminal_obeys():
    assert (
        error_words("ValueError", "\n  no \x1b[31mluck\tat\nall") == "ValueError: no  [31mluck at"
    )
    assert error_words("ValueError", "ValueError") == "ValueError"
    assert error_words("timeout", "") == error_words("timeout", None) == "timeout"


def test_a_module_that_is_new_or_gone_is_named(project):
    project.run()
    text = (project.root / "strategies/sma.py").read_text()
    project.write("strategies/sma.py", text.replace("from lib.means", "from means"))
    project.write("strategies/means.py", "def mean(x):\n    return sum(x) / len(x)\n")
    (preview,) = preview_batch(project.batch())
    assert set(preview.reasons) == {
        "strategies/means.py is new, imported by strategies/sma.py",
        "strategies/sma.py changed",
        "strategies/lib/__init__.py is no longer imported",
        "strategies/lib/means.py is no longer imported",
    }
