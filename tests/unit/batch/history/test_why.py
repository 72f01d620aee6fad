import json
import re
import shutil
from types import SimpleNamespace

import pytest

from backtrail.batch.history.sides import FileChange, value_changes
from backtrail.batch.history.why import explain_run, preview_batch
from backtrail.files import write_json
from tests.projects import SMA
from tests.unit.batch.support import batch_config, entry


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
        "strategies/lib/means.py changed in line 2, imported by strategies/sma.py",
        "parameter fast changed: 3 -> 2",
        "seed changed: 20260101 -> 5",
        'commission model changed: "none" -> "per_dollar"',
        'commission cost changed: "0" -> "0.001"',
    }


def test_of_nested_settings_only_what_changed_is_named():
    strategy = {"entry": "s.py", "functions": None}
    validate = {"walk_forward": {"in_sample": 1008, "warm_up": 260}, "bias": {"warm_up": 260}}
    other = {"walk_forward": {"in_sample": 1008, "warm_up": 26}, "overfitting": {"blocks": 8}}
    before, after = (
        SimpleNamespace(identity={"params": {}, "strategy": strategy, "validate": wanted})
        for wanted in (validate, other)
    )
    assert [str(change) for change in value_changes(before, after)] == [
        'validate bias changed: {"warm_up":260} -> nothing',
        'validate overfitting changed: nothing -> {"blocks":8}',
        "validate walk_forward warm_up changed: 260 -> 26",
    ]


def test_the_lines_of_a_changed_notebook_are_named(project):
    cells = [SMA, "RISK = 1\n"]
    study = {"sma": entry(strategy="strategies/study.ipynb")}
    project.configure(batch_config(batch=study))
    project.write("strategies/study.ipynb", notebook(*cells))
    project.run()
    project.write("strategies/study.ipynb", notebook(cells[0], "RISK = 2\n"))
    (preview,) = preview_batch(project.batch())
    (reason,) = preview.reasons
    text = (project.store.run(preview.predecessor).code / "strategies/study_ipynb.py").read_text()
    line = text.splitlines().index("RISK = 1") + 1
    assert reason == f"strategies/study_ipynb.py changed in line {line}"


def notebook(*sources):
    cells = [
        {"cell_type": "code", "metadata": {}, "execution_count": 1, "outputs": [], "source": source}
        for source in sources
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells})


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


def test_a_module_that_is_new_or_gone_is_named(project):
    project.run()
    text = (project.root / "strategies/sma.py").read_text()
    project.write("strategies/sma.py", text.replace("from lib.means", "from means"))
    project.write("strategies/means.py", "def mean(x):\n    return sum(x) / len(x)\n")
    (preview,) = preview_batch(project.batch())
    assert set(preview.reasons) == {
        "strategies/means.py is new, imported by strategies/sma.py",
        "strategies/sma.py changed in line 6",
        "strategies/lib/__init__.py is no longer used",
        "strategies/lib/means.py is no longer used",
    }


def why(project, number=-1):
    run = project.store.run_dirs()[number]
    return explain_run(project.store, run, project.bundles)


def change_prices(project):
    """Change a volume of AAA, drop a bar of it, add one to BBB after the window of the runs."""
    for symbol, change in (
        ("AAA", lambda rows: [*rows[:5], rows[5].replace(",1004", ",1005"), *rows[6:-1]]),
        ("BBB", lambda rows: [*rows, "2020-03-02,1,2,1,2,5"]),
    ):
        path = project.root / f"prices/{symbol}.csv"
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


def test_why_a_run_exists_names_lines_importers_parameter_bars_and_settings(project):
    project.run()
    project.write(
        "strategies/lib/means.py",
        "def mean(x):\n    total = float(sum(x))\n    return total / len(x)\n\n\nLATE = 1\n",
    )
    change_prices(project)
    project.configure(batch_config(batch={"sma": entry(params={"fast": 2})}, seed=5))
    project.run()
    first, second = (run.backtest_id for run in project.store.run_dirs())
    found = why(project)
    assert (found.backtest_id, found.names) == (second, ("sma",))
    assert (found.predecessor, found.relation) == (first, "name")
    old, new = (
        run.read_spec()["identity"]["dataset"]["dataset_id"] for run in project.store.run_dirs()
    )
    assert found.reasons == (
        "strategies/lib/means.py changed in lines 2-6, imported by strategies/sma.py",
        f"the data of bundle prices changed: dataset {old} -> {new}",
        "1 bar changed (volume 1): AAA 2020-01-08 volume 1004.0 -> 1005.0",
        "1 bar added: BBB 2020-03-02",
        "1 bar removed: AAA 2020-02-26",
        "of these, 2 lie in the symbols and dates of this run",
        "parameter fast changed: 3 -> 2",
        "seed changed: 20260101 -> 5",
    )
    assert found.unchanged == ("library",)


def test_why_says_what_is_unchanged_and_when_no_bar_of_the_run_is_concerned(project):
    project.run()
    path = project.root / "prices/BBB.csv"
    path.write_text(re.sub(r",10(\d\d)$", r",20\1", path.read_text(), flags=re.MULTILINE))
    project.run()
    found = why(project)
    assert (
        "40 bars changed (volume 40): BBB 2020-01-02 volume 1000.0 -> 2000.0; "
        in (found.reasons[1])
    )
    assert found.reasons[1].endswith("; and 35 more")
    assert found.reasons[2:] == ("none of these lies in the symbols and dates of this run",)
    assert found.unchanged == ("code", "parameters", "settings", "library")


def test_why_is_told_also_when_a_dataset_or_the_code_of_the_predecessor_is_gone(project):
    project.run()
    (first,) = project.store.run_dirs()
    dataset = first.read_spec()["identity"]["dataset"]["dataset_id"]
    change_prices(project)
    project.write("strategies/lib/means.py", "def mean(x):\n    return sum(x) / len(x)\n")
    project.run()
    shutil.rmtree(project.bundles / "prices" / dataset)
    (first.code / "strategies/lib/means.py").unlink()
    assert why(project).reasons[0].startswith("strategies/lib/means.py changed in line 2, "), (
        "the object still has the text"
    )
    shutil.rmtree(project.store.objects)
    reasons = why(project).reasons
    assert reasons[0] == "strategies/lib/means.py changed, imported by strategies/sma.py"
    assert reasons[2].startswith(f"which bars changed cannot be said: no dataset {dataset} in ")


def test_the_first_run_of_all_has_no_predecessor(project):
    project.run()
    found = why(project)
    assert (found.predecessor, found.relation, found.unchanged) == (None, None, ())
    assert found.reasons == ("it is the first run of its name and of its strategy file",)


def test_a_run_of_a_new_name_is_compared_with_the_most_similar_one(project):
    grid = {"sma": entry(params={"fast": 2}), "slow": entry(params={"fast": 2, "slow": 9})}
    project.configure(batch_config(batch=grid, seed=5))
    project.run()
    alike = {"mine": entry(params={"fast": 4, "slow": 9})}
    project.configure(batch_config(batch=alike, seed=5))
    project.run()
    found = why(project)
    assert (found.relation, found.predecessor) == (
        "strategy",
        project.store.run_dirs()[1].path.name,
    )
    assert found.reasons == ("parameter fast changed: 2 -> 4",)


def test_a_name_that_a_later_plan_gave_a_reused_run_counts(project):
    project.run()
    project.configure(batch_config(batch={"renamed": entry()}))
    project.run()
    project.configure(batch_config(batch={"renamed": entry(params={"fast": 4})}))
    project.run()
    assert len(project.store.run_dirs()) == 2
    found = why(project)
    assert (found.relation, found.reasons) == ("name", ("parameter fast changed: 3 -> 4",))


def test_a_run_with_an_id_of_the_users_own_takes_its_place_by_when_it_began(project):
    project.run()
    project.configure(batch_config(seed=2))
    project.run()
    project.configure(batch_config(seed=3))
    project.run()
    first, middle, last = project.store.run_dirs()
    begun = json.loads(middle.manifest.read_bytes())["started_at"]
    custom = project.store.run("my-own")
    middle.path.rename(custom.path)
    write_json(custom.spec, {**custom.read_spec(), "backtest_id": "my-own"})
    assert explain_run(project.store, last, project.bundles).predecessor == "my-own"
    assert explain_run(project.store, custom, project.bundles).predecessor == first.backtest_id
    assert begun


@pytest.mark.parametrize(
    ("before", "after", "places"),
    [
        ("a\nb\nc\n", "a\nX\nc\n", ["line 2"]),
        ("a\nb\nc\n", "a\nX\nY\nc\n", ["lines 2-3"]),
        ("a\nc\n", "a\nb\nc\n", ["line 2 (new)"]),
        ("a\nb\nb\nc\n", "a\nc\n", ["former lines 2-3 (gone)"]),
        ("a\nb\nc\nd\n", "A\nb\nc\n", ["line 1", "former line 4 (gone)"]),
        (None, "a\n", []),
        ("a\n", None, []),
    ],
)
def test_places_of_a_change_are_lines_of_the_later_text(before, after, places):
    assert FileChange("a.py", "changed", (), before, after).lines() == places


def test_many_places_are_counted(project):
    def text(mark):
        return "".join(f"A{n} = {n}\nB{n} = {mark}\n" for n in range(20))

    project.write("strategies/lib/__init__.py", text(0))
    project.run()
    project.write("strategies/lib/__init__.py", text(1))
    (preview,) = preview_batch(project.batch())
    (reason,) = preview.reasons
    assert reason == (
        "strategies/lib/__init__.py changed in line 2, line 4, line 6, line 8, line 10, line 12 "
        "and 14 more places, imported by strategies/sma.py"
    )


def test_a_data_file_that_is_no_text_changes_without_lines(project):
    change = FileChange("x.bin", "changed", (), None, None)
    assert change.lines() == []
    assert change.unified("a", "b") == ["x.bin: changed; its text is not at hand"]
