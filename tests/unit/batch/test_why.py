from backtrail.batch.why import preview_batch


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


def test_a_failed_run_will_be_tried_again(project):
    project.write("strategies/sma.py", "import nowhere\n")
    _plan, failed = project.run()
    (preview,) = preview_batch(project.batch())
    assert (preview.state, preview.backtest_id) == ("failed", failed[0])


def test_looking_why_writes_nothing(project):
    project.plan()
    before = sorted(path for path in project.root.rglob("*"))
    (preview,) = preview_batch(project.batch())
    assert preview.state == "open"
    assert sorted(path for path in project.root.rglob("*")) == before


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
