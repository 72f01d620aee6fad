"""Projects whose prices are restated, and what the revision does to their runs."""

import csv

from backtrail.batch import stages
from backtrail.batch.history.impact import open_revision, trace_revision
from backtrail.batch.planning.validation_steps import validation_steps
from backtrail.data import ingest_bundle
from tests.projects import PRICES, write_prices
from tests.unit.batch.support import Project, batch_config, entry

EARLY = {"end": "2020-01-31"}
LATE = {"start": "2020-02-03"}
BATCH = {
    "early": entry(**EARLY),
    "late": entry(**LATE),
    "other": entry(symbols=["BBB"]),
    "pair": entry(symbols=["AAA", "BBB"]),
    "against": entry(symbols=["BBB"], benchmark="AAA", **LATE),
}


def read(project, symbol):
    with (project.root / f"prices/{symbol}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def write(project, symbol, rows):
    with (project.root / f"prices/{symbol}.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def restate(project, symbol, day, **cells):
    """Change cells of one bar."""
    rows = read(project, symbol)
    (row,) = (row for row in rows if row["date"] == day)
    row.update({name: str(value) for name, value in cells.items()})
    write(project, symbol, rows)


def with_column(project, symbol, name, usual, **special):
    """Give every bar of a symbol a value of a column, and some days another one."""
    rows = read(project, symbol)
    write(project, symbol, [{**row, name: special.get(row["date"], usual)} for row in rows])


def middle(project, symbol, day):
    """Return a close that the bar of a day may have, and has not."""
    (row,) = (row for row in read(project, symbol) if row["date"] == day)
    return round((float(row["high"]) + float(row["low"])) / 2 + 0.01, 2)


def trace(project, bundle="prices", **options):
    before, after = open_revision(project.bundles, bundle)
    return trace_revision(project.store, project.bundles, before, after, **options)


def seal_search(project, plan):
    (run,) = plan.runs
    (chunks,) = plan.searches.values()
    with project.executor() as executor:
        stages.capture_code(project.store, run.backtest_id)
        for chunk in chunks:
            stages.evaluate_chunk(project.store, run.backtest_id, chunk, executor)
        stages.select_parameters(project.store, run.backtest_id, executor)
        stages.run_backtest(project.store, run.backtest_id, executor)
        identity = project.store.read_spec(run.backtest_id)["identity"]
        for step in validation_steps(identity):
            stages.validate_run(project.store, run.backtest_id, step, executor)
    stages.seal_run(project.store, run.backtest_id)


WEEKS = {"adapter": "bundle", "source": "prices", "calendar": "24/5", "timeframe": "1w"}
JOINED = {"adapter": "bundle", "source": ["prices", "more"], "calendar": "24/5", "timeframe": "1d"}


def ingest_all(project, *names):
    batch = project.batch()
    sources_first = sorted(batch.ingested_bundles, key=lambda name: name in ("weeks", "joined"))
    for name in names or sources_first:
        ingest_bundle(batch.bundle(name), root=project.root, bundles_dir=project.bundles)


def make_derived(root):
    """Return a project with runs on longer bars and on a join of a bundle."""
    weekly = entry(bundle="weeks", start="2020-01-06", end="2020-02-21", params={"slow": 4})
    batch = {"weekly": weekly, "one": entry(bundle="joined"),
             "two": entry(bundle="joined", symbols=["DDD"])}  # fmt: skip
    more = {**PRICES, "path": "more"}
    bundles = {"prices": PRICES, "more": more, "weeks": WEEKS, "joined": JOINED}
    project = Project.make(root)
    write_prices(project.root / "more", symbols=("DDD",), sessions=40)
    project.configure(batch_config(bundles=bundles, batch=batch))
    ingest_all(project)
    assert project.run()[1] == []
    return project
