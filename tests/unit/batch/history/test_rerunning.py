"""How far results move on a newer dataset: equal to real runs on it, and nothing in the store."""

import shutil

import pytest

from backtrail.batch.execution.sandbox import Limits
from backtrail.batch.history.impact import open_revision, trace_revision
from backtrail.batch.history.rerunning import MAIN_METRICS, rerun_affected, revised_spec
from backtrail.batch.holdout import open_holdout
from backtrail.data.inventory import find_dataset
from backtrail.data.manifest import DatasetManifest, read_head
from backtrail.errors import QueryError
from tests.projects import PRICES
from tests.unit.batch.support import Project, batch_config, entry, functions, shared_sandbox

from .revised import BATCH, ingest_all, make_derived, middle, read, restate, seal_search, trace

DICE = "from backtrail.engine.api import order, symbol\n"
DICE += "if data.can_trade('AAA'):\n    order(symbol('AAA'), int(context.rng.integers(1, 50)))"
# Refuses a price that only the newer data have.
PICKY = "if data.current('AAA', 'volume') == 77:\n    raise ValueError('volume of 77')"
RUNS = {
    **{name: BATCH[name] for name in ("early", "late", "against")},
    "dice": entry(strategy="strategies/dice.py"),
    "picky": entry(strategy="strategies/picky.py"),
}
CHANGED = ("2020-02-10", "2020-02-18")


def measure(project, bundle="prices", **options):
    return rerun(project, trace(project, bundle), **options)


def rerun(project, impact, **options):
    given = {"sandbox": shared_sandbox(), **options}
    return rerun_affected(project.store, project.bundles, Limits(), impact, **given)


def moves(impact):
    return {run.name: run.movement for run in impact.runs if run.movement is not None}


def tree(project):
    """Return every file of the store with its bytes; locks say nothing."""
    files = (path for path in project.store.base_dir.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if path.name != ".lock"}


def run_of(project, name, bundle="prices"):
    """Return the manifest of the run of a name on the dataset that the bundle means now."""
    (found,) = (
        manifest
        for run in project.store.run_dirs()
        for manifest in [run.read_manifest()]
        if manifest["labels"]["names"] == [name]
        and manifest["identity"]["dataset"]["dataset_id"] == read_head(project.bundles, bundle)
    )
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    project = Project.make(tmp_path_factory.mktemp("rerun") / "project", batch_config(batch=RUNS))
    project.write("strategies/dice.py", functions(handle_data=DICE))
    project.write("strategies/picky.py", functions(handle_data=PICKY))
    assert project.run()[1] == []
    return project


@pytest.fixture
def made(model, tmp_path):
    return Project(shutil.copytree(model.root, tmp_path / "project", symlinks=True))


@pytest.fixture
def derived(tmp_path):
    return make_derived(tmp_path / "project")


def revise(project):
    for day in CHANGED:
        restate(project, "AAA", day, close=middle(project, "AAA", day))
    project.ingest()


def test_moved_metrics_are_those_of_a_real_run_and_the_store_stays_as_it_is(made):
    olds = {name: run_of(made, name)["metrics"] for name in RUNS}
    revise(made)
    before = tree(made)
    found = moves(measure(made))
    assert tree(made) == before
    assert set(found) == {"late", "against", "dice", "picky"}
    assert {name: item.run for name, item in found.items()} == dict.fromkeys(found)
    _, failed = made.run()
    assert failed == []
    for name, movement in found.items():
        real = run_of(made, name)["metrics"]
        assert set(movement.metrics) == set(MAIN_METRICS) | {
            metric for metric in real if real[metric] != olds[name][metric]
        }
        for metric, move in movement.metrics.items():
            assert (move.before, move.after) == (olds[name][metric], real[metric]), metric
            both = None not in (move.before, move.after)
            assert move.difference == (move.after - move.before if both else None)
    assert {name: item.state for name, item in found.items()} == {
        "late": "moved",
        "against": "moved",
        "dice": "moved",
        "picky": "equal",
    }
    assert found["late"].trade.table == "trades"
    assert found["late"].trade.before != found["late"].trade.after
    assert found["late"].remarks == ()
    assert [found["against"].metrics[name].difference for name in MAIN_METRICS] == [0, 0, 0, 0]
    assert "alpha" in found["against"].metrics, "it only moves against its benchmark"


def test_a_run_that_the_store_has_on_the_newer_dataset_is_taken_and_not_executed_again(made):
    revise(made)
    executed = moves(measure(made))
    made.configure(batch_config(batch={name: RUNS[name] for name in ("late", "dice")}))
    assert made.run()[1] == []
    found = moves(measure(made))
    for name in ("late", "dice"):
        assert found[name].run == run_of(made, name)["backtest_id"]
        assert found[name].metrics == executed[name].metrics
        assert found[name].trade == executed[name].trade
    assert found["against"].run is None
    altered = made.store.run(found["late"].run).results / "trades.parquet"
    altered.chmod(0o644)
    altered.write_bytes(altered.read_bytes() + b" ")
    assert moves(measure(made))["late"].run is None, "what was altered proves nothing"


def test_worst_comes_first_and_failures_before_all(made):
    revise(made)
    restate(made, "AAA", "2020-02-19", volume=77)
    made.ingest()
    before, after = open_revision(made.bundles, "prices", run_dataset(made, "late"))
    impact = trace_revision(made.store, made.bundles, before, after)
    told = []
    found = rerun(made, impact, tell=told.append)
    names = [run.name for run in found.runs]
    assert names[0] == "picky"
    assert moves(found)["picky"].state == "failed"
    assert moves(found)["picky"].problems == ("ValueError: volume of 77",)
    sizes = [abs(moves(found)[name].metrics["total_return"].difference) for name in names[1:4]]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[1] > sizes[2] == 0.0, "against its benchmark only"
    assert names[4:] == ["early"]
    assert sorted(run.name for run in told) == sorted(names[:4])
    by_alpha = rerun(made, impact, metric="alpha")
    assert [run.name for run in by_alpha.runs][1] == "against", "the others have no alpha"
    with pytest.raises(QueryError, match="no affected run has the metric 'alfa'; there are alpha"):
        rerun(made, impact, metric="alfa")


def run_dataset(project, name):
    """Return the dataset that the first run of a name read."""
    for run in project.store.run_dirs():
        manifest = run.read_manifest()
        if name in manifest["labels"]["names"]:
            return manifest["identity"]["dataset"]["dataset_id"]
    raise AssertionError(name)


def test_what_makes_no_difference_to_a_run_is_said_to(made):
    restate(made, "AAA", "2020-02-10", volume=78)
    made.ingest()
    found = moves(measure(made))
    assert (found["late"].state, found["late"].trade) == ("equal", None)
    assert {move.difference for move in found["late"].metrics.values()} == {0.0}


def test_an_altered_run_and_a_damaged_dataset_are_not_executed_and_named(made):
    revise(made)
    late = made.store.run(run_of_first(made, "late"))
    (late.results / "trades.parquet").chmod(0o644)
    (late.results / "trades.parquet").write_bytes(b"x")
    found = moves(measure(made))
    assert found["late"].state == "not executed"
    assert found["late"].problems == ("results/trades.parquet is not what the manifest says",)
    assert found["dice"].state == "moved"
    bars = made.bundles / "prices" / read_head(made.bundles, "prices") / "bars.parquet"
    bars.chmod(0o644)
    impact = trace(made)
    data = bytearray(bars.read_bytes())
    data[-1] ^= 1
    bars.write_bytes(data)
    broken = moves(rerun(made, impact))
    assert broken["dice"].state == "not executed"
    assert broken["dice"].problems[0].startswith(f"the newer dataset is damaged: {bars} has sha256")


def run_of_first(project, name):
    for run in project.store.run_dirs():
        if name in run.read_manifest()["labels"]["names"]:
            return run.backtest_id
    raise AssertionError(name)


def test_a_run_whose_symbol_is_gone_fails_by_name(made):
    (made.root / "prices/AAA.csv").unlink()
    made.configure(batch_config(batch={"other": BATCH["other"]}))
    made.ingest()
    found = moves(measure(made))
    assert set(found) == set(RUNS)
    assert {item.state for item in found.values()} == {"failed"}
    assert "has no AAA" in found["early"].problems[0]


SEARCH = {
    "optimize": {"space": {"fast": [2, 3, 5], "slow": [8, 13]}},
    "validate": {
        "holdout": {"start": "2020-02-17", "warm_up": 5},
        "overfitting": {"against": "cash", "blocks": 4},
    },
}


def searched(project):
    """Seal the search of the only entry, open its holdout, and return both runs."""
    plan = project.plan()
    seal_search(project, plan)
    run = project.store.run(plan.runs[0].backtest_id)
    look = open_holdout(project.store, run, project.bundles, Limits())
    return run, project.store.run(look.backtest_id)


def test_a_search_selects_again_as_a_real_one_and_a_look_is_never_taken(project):
    project.configure(batch_config(batch={"search": entry(**SEARCH)}))
    first, look = searched(project)
    for row in read(project, "AAA")[8:24:3]:
        restate(project, "AAA", row["date"], close=middle(project, "AAA", row["date"]))
    project.ingest()
    found = moves(measure(project))
    assert found["search-holdout"].state == "not executed"
    assert "each look at a holdout is counted" in found["search-holdout"].problems[0]
    newer = DatasetManifest.load(find_dataset(project.bundles, "prices"))
    spec = first.read_spec()
    made = revised_spec(project.store, spec, newer, spec["identity"]["library"])
    second, later = searched(project)
    real = [run.read_manifest()["metrics"] for run in (first, second)]
    movement = found["search"]
    assert (movement.state, movement.run) == ("moved", None)
    for name, move in movement.metrics.items():
        assert (move.before, move.after) == (real[0][name], real[1][name]), name
    assert movement.selected == ({"fast": 5, "slow": 13}, {"fast": 2, "slow": 13})
    assert second.read_selection()["params"] == movement.selected[1]
    found = moves(measure(project))
    assert found["search"].run == second.backtest_id
    assert found["search-holdout"].state == "not executed", "that look was at another set"
    assert later != look
    real_spec = second.read_spec()
    assert made["trials_before"] == real_spec["trials_before"] == 7, "six sets and a look"
    changing = ("backtest_id", "origin")
    assert {**made, **{key: real_spec[key] for key in changing}} == real_spec


def test_a_look_that_was_taken_at_the_same_set_on_the_newer_dataset_is_compared(project):
    space = {"fast": [2, 3], "slow": [6]}  # short enough to trade within the holdout
    keys = {**SEARCH, "optimize": {"space": space}}
    project.configure(batch_config(batch={"search": entry(**keys)}))
    searched(project)
    restate(project, "AAA", "2020-02-12", volume=77)
    restate(project, "AAA", "2020-02-18", high=150, close=149)
    second, later = searched(project)
    found = moves(measure(project))
    assert (found["search"].state, found["search"].run) == ("equal", second.backtest_id)
    assert found["search"].selected is None
    held = found["search-holdout"]
    assert (held.state, held.run) == ("moved", later.backtest_id)
    assert held.metrics["total_return"].after == later.read_manifest()["metrics"]["total_return"]


def test_a_run_on_longer_bars_is_taken_to_those_made_of_the_newer_ones(derived):
    restate(derived, "AAA", "2020-02-14", close=middle(derived, "AAA", "2020-02-14"))
    ingest_all(derived)
    found = moves(measure(derived))
    assert set(found) == {"weekly", "one"}
    ingest_all(derived)
    assert derived.run()[1] == []
    for name, bundle in (("weekly", "weeks"), ("one", "joined")):
        real = run_of(derived, name, bundle)["metrics"]
        for metric, move in found[name].metrics.items():
            assert move.after == real[metric]


def test_a_run_on_equal_data_of_another_bundle_is_taken_to_the_newer_ones_of_this(project):
    bundles = {"prices": PRICES, "copy": PRICES}
    project.configure(batch_config(bundles=bundles, batch={"mine": entry(bundle="copy")}))
    assert project.run()[1] == []
    project.configure(batch_config(bundles=bundles, batch={"sma": entry()}))
    project.ingest()
    revise(project)
    impact = trace(project)
    assert [(run.name, run.bundle) for run in impact.of("affected")] == [("mine", "copy")]
    found = moves(rerun(project, impact))
    assert (found["mine"].state, found["mine"].run) == ("moved", None)
    assert project.run()[1] == []
    real = run_of(project, "sma")["metrics"]
    assert all(move.after == real[name] for name, move in found["mine"].metrics.items())
