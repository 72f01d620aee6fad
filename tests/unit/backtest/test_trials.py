import json
import sqlite3
from contextlib import closing

import pytest

from backtrail.backtest import record_trials
from backtrail.catalog.catalog import Catalog
from backtrail.errors import CodeCaptureError
from tests.unit.batch.support import Project, batch_config, entry

SETS = [{"fast": fast, "slow": 8} for fast in (2, 3, 4)]


@pytest.fixture
def project(tmp_path, monkeypatch):
    project = Project.make(tmp_path / "project")
    (project.root / "Snakefile").touch()
    monkeypatch.chdir(project.root)
    project.ingest()
    return project


def dataset_of(project):
    return json.loads((project.bundles / "prices/HEAD.json").read_bytes())["dataset_id"]


def test_what_a_script_evaluated_counts_in_every_later_run(project):
    dataset = dataset_of(project)
    counted = {"strategy": "strategies/sma.py", "dataset_id": dataset}
    assert record_trials(SETS, **counted) == 3
    assert record_trials([*SETS[::-1], SETS[0]], **counted) == 3  # the same sets once more
    assert record_trials([{"fast": 5, "slow": 9}], **counted) == 4
    project.write("strategies/lib/means.py", "def mean(x):\n    return sum(x) / len(x)\n")
    assert record_trials(SETS, **counted) == 7  # of other code
    assert record_trials(SETS, strategy="strategies/lib/means.py", dataset_id=dataset) == 3
    assert record_trials(SETS, strategy="strategies/sma.py", dataset_id="0" * 16) == 3
    search = entry(optimize={"space": {"fast": [2, 3]}})
    project.configure(batch_config(batch={"s": search}))
    (planned,) = project.plan().runs
    assert project.store.run(planned.backtest_id).read_spec()["trials_before"] == 7


def test_what_a_script_evaluated_stands_in_the_catalog(project):
    dataset = dataset_of(project)
    record_trials(SETS, strategy="strategies/sma.py", dataset_id=dataset)
    project.run()
    file = project.root / "c.sqlite"
    with Catalog(f"sqlite:///{file}", project.store, project.bundles) as catalog:
        assert catalog.sync().unreadable == {}
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("select family, run_type, sets from trials order by sets")
        assert rows.fetchall() == [
            ("strategies/sma.py", "backtest", 1),
            ("strategies/sma.py", "script", 3),
        ]


def test_what_cannot_be_counted_is_refused(project):
    dataset = dataset_of(project)
    with pytest.raises(ValueError, match="there is no parameter set to count"):
        record_trials([], strategy="strategies/sma.py", dataset_id=dataset)
    with pytest.raises(ValueError, match="'prices' is no dataset id of 16 hex digits"):
        record_trials(SETS, strategy="strategies/sma.py", dataset_id="prices")
    with pytest.raises(CodeCaptureError, match=r"gone\.py does not exist"):
        record_trials(SETS, strategy="strategies/gone.py", dataset_id=dataset)
    assert not (project.root / "backtests/.ledger").exists()
