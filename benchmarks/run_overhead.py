"""What a run costs above its engine: as chains, in shards, and stage by stage in one process."""

import argparse
import cProfile
import functools
import io
import json
import pstats
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import (
    grid_project,
    job_seconds,
    manifests,
    model_strategy,
    options,
    save,
    show,
    snakemake,
    work_folder,
)

LEAN = {"artifacts": "lean"}


def child_seconds(project: Path) -> float:
    """Return the summed wall time of the children: fork, import of the strategy, engine."""
    return sum(run["timings"]["execute_seconds"] for run in manifests(project))


def engine_seconds(project: Path, sample: int) -> float:
    """Return the mean seconds of the engine itself over some runs of a store, in this process."""
    from datetime import date

    from backtrail.batch.execution.evaluation import engine_config
    from backtrail.data.arrays import load_bars
    from backtrail.data.datasets import Dataset
    from backtrail.engine import run_event

    runs = manifests(project)
    chosen = runs[:: max(1, len(runs) // sample)][:sample]
    identity = chosen[0]["identity"]
    home = project / "bundles" / chosen[0]["labels"]["bundle"] / identity["dataset"]["dataset_id"]
    window = (date.fromisoformat(identity["start"]), date.fromisoformat(identity["end"]))
    bars = load_bars(Dataset.open(home), identity["symbols"], *window)
    strategy, taken = model_strategy(project, "sma_cross"), 0.0
    for number, run in enumerate([chosen[0], *chosen]):
        identity = run["identity"]
        config = engine_config(identity, identity["seed"])
        started = time.perf_counter()
        run_event(
            strategy, bars, config, benchmark=identity["benchmark"], params=identity["params"]
        )
        if number:  # the first warms up
            taken += time.perf_counter() - started
    return taken / len(chosen)


def sealed_targets(project: Path) -> list[str]:
    """Return what to ask for so that every planned run is sealed and none reported."""
    path = next((project / "backtests" / ".plans").glob("*/plan.json"))
    plan = json.loads(path.read_bytes())
    home = path.parent.relative_to(project)
    if plan["shards"] is None:
        return [f"backtests/{run['backtest_id']}/_SUCCESS" for run in plan["runs"]]
    return [f"{home}/runs/{shard}.json" for shard in plan["shards"]]


def through_snakemake(project: Path, runs: int, cores: int, sample: int) -> dict[str, Any]:
    """Run a batch without its reports, then with them; return seconds per run."""
    # What to ask for without reports is known once the checkpoint has run.
    # A call that leaves runs unfinished ends with status 1, as it should.
    plan = snakemake(project, "--until", "plan_batch", cores=cores, fails=True)
    bare = snakemake(project, *sealed_targets(project), cores=cores)
    jobs = job_seconds(project)
    rest = snakemake(project, cores=cores)
    full = job_seconds(project)
    if len(manifests(project)) != runs:
        raise SystemExit("the library changed while it was measured: there are runs of two kinds")
    engine, child = engine_seconds(project, sample), child_seconds(project) / runs
    stages = ("capture_code", "run_backtest", "seal_run", "execute_shard")
    inside = sum(jobs.get(rule, (0, 0.0))[1] for rule in stages) / runs
    reports = sum(full.get(rule, (0, 0.0))[1] for rule in ("render_report", "report_shard")) / runs
    return {
        "runs": runs,
        "engine": engine,
        "child": child,
        "jobs_without_reports": inside,
        "reports": reports,
        "plan": jobs["plan_batch"][1],
        "catalog": full["link_catalog"][1] / runs,
        "wall_plan": plan.wall,
        "wall_without_reports": bare.wall,
        "wall_rest": rest.wall,
        "above_engine_without_reports": inside - engine,
        "above_engine_with_reports": inside + reports - engine,
        "wall_above_engine_without_reports": bare.wall * cores / runs - engine,
        "wall_above_engine_with_reports": (bare.wall + rest.wall) * cores / runs - engine,
    }


class Clock:
    """Wall seconds per named part, taken by wrapping functions; parts inside parts count twice."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    @contextmanager
    def wrap(self, owner: Any, name: str, part: str) -> Iterator[None]:
        """Time a function under a name while the block runs."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def timed(*given: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return original(*given, **named)
            finally:
                self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - started
                self.calls[part] = self.calls.get(part, 0) + 1

        setattr(owner, name, timed)
        try:
            yield
        finally:
            setattr(owner, name, original)

    def measure(self, part: str, call: Callable[[], Any]) -> Any:
        """Call, add the time to a part, return the result."""
        started = time.perf_counter()
        result = call()
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - started
        self.calls[part] = self.calls.get(part, 0) + 1
        return result


def stage_by_stage(project: Path, clock: Clock, profile: cProfile.Profile | None) -> dict[str, Any]:
    """Plan a batch and take it through every stage in this process, without Snakemake."""
    from contextlib import ExitStack

    from backtrail.artifacts.store import RunStore
    from backtrail.batch import stages
    from backtrail.batch.execution import executor as execution
    from backtrail.batch.execution import results
    from backtrail.batch.planning import plan
    from backtrail.batch.planning.loading import open_batch
    from backtrail.batch.stages import sealing
    from backtrail.data.ingest import ingest_bundle

    batch = open_batch([Path("config/config.yaml")], root=project)
    ingest_bundle(batch.bundle("prices"), root=project, bundles_dir=project / "bundles")
    inner = [
        (RunStore, "claim", "  claim of the directory"),
        (execution.Sandbox, "run", "  child: fork, strategy, engine, metrics"),
        (execution.Executor, "_bars_of", "  bars"),
        (results, "build_table", "  tables: frames"),
        (results, "write_tables", "  tables: Parquet and checksum"),
        (sealing, "inventory", "  inventory: sha256 of every file"),
        (sealing, "seal", "  manifest and seal, flushed"),
    ]
    with ExitStack() as stack:
        for owner, name, part in inner:
            stack.enter_context(clock.wrap(owner, name, part))
        store = batch.places.store
        planned = clock.measure("plan", lambda: plan.make_plan(batch))
        executor = stack.enter_context(
            execution.Executor(project / "bundles", batch.limits, csv_twins=False)
        )
        ids = [run.backtest_id for run in planned.runs]
        stages_of = {
            "capture": lambda run: stages.capture_code(store, run),
            "execute": lambda run: stages.run_backtest(store, run, executor),
            "seal": lambda run: stages.seal_run(store, run),
        }
        if profile is not None:
            profile.enable()
        for backtest_id in ids:
            for name, call in stages_of.items():
                clock.measure(name, lambda: call(backtest_id))  # noqa: B023
        if profile is not None:
            profile.disable()
        for backtest_id in ids:
            clock.measure(
                "report",
                lambda: stages.render_report(store, backtest_id, project / "bundles"),  # noqa: B023
            )
    return {"runs": len(ids)}


def print_profile(profile: cProfile.Profile, lines: int) -> None:
    for key in ("tottime", "cumulative"):
        stream = io.StringIO()
        pstats.Stats(profile, stream=stream).sort_stats(key).print_stats(lines)
        print(stream.getvalue())


SNAKEMAKE_ROWS = {
    "engine": "engine alone, in process",
    "child": "child process around it (run.json)",
    "jobs_without_reports": "jobs: capture, execute, seal",
    "reports": "jobs: report",
    "catalog": "jobs: catalog",
    "above_engine_without_reports": "ABOVE THE ENGINE, in jobs, no reports",
    "above_engine_with_reports": "above the engine, in jobs, with reports",
    "wall_above_engine_without_reports": "above the engine, wall x cores, no reports",
    "wall_above_engine_with_reports": "above the engine, wall x cores, all",
}


def stage_table(clock: Clock, runs: int, engine: float) -> dict[str, float]:
    """Print and return milliseconds per run of every stage and its parts."""
    order = ["plan", "  claim of the directory", "capture", "execute"]
    order += ["  bars", "  child: fork, strategy, engine, metrics", "  tables: frames"]
    order += ["  tables: Parquet and checksum", "seal", "  inventory: sha256 of every file"]
    order += ["  manifest and seal, flushed", "report"]
    each = {part: 1e3 * clock.seconds.get(part, 0.0) / runs for part in order}
    run = sum(each[part] for part in ("capture", "execute", "seal"))
    rows: list[list[Any]] = [[part, each[part], clock.calls.get(part, 0)] for part in order]
    rows.append(["capture + execute + seal", run, ""])
    rows.append(["engine alone, in process", 1e3 * engine, ""])
    rows.append(["ABOVE THE ENGINE, no reports", run - 1e3 * engine, ""])
    show(f"One process, {runs:,} runs, no Snakemake", ["stage", "ms per run", "calls"], rows)
    return {part.strip(): value for part, value in each.items()}


def main(arguments: argparse.Namespace) -> None:
    values: dict[str, Any] = {}
    with work_folder(arguments.keep) as folder:
        batches = {
            "chains": (arguments.chains, {**LEAN}),
            "shards": (arguments.shards, {**LEAN, "runs_per_job": arguments.runs_per_job}),
        }
        for name, (runs, execution) in batches.items():
            if runs:
                project = grid_project(folder / name, runs, execution=execution)
                values[name] = through_snakemake(project, runs, arguments.cores, arguments.sample)
        if values:
            show(
                f"Through snakemake --cores {arguments.cores}, S&P 500, milliseconds per run",
                ["part", *(f"{name}, {found['runs']:,} runs" for name, found in values.items())],
                [
                    [text, *(1e3 * found[key] for found in values.values())]
                    for key, text in SNAKEMAKE_ROWS.items()
                ],
            )
        if arguments.stages:
            project = grid_project(folder / "stages", arguments.stages, execution={**LEAN})
            clock = Clock()
            profile = cProfile.Profile() if arguments.profile else None
            found = stage_by_stage(project, clock, profile)
            engine = engine_seconds(project, arguments.sample)
            values["stages_ms"] = stage_table(clock, found["runs"], engine)
            values["stages_engine_ms"] = 1e3 * engine
            if profile is not None:
                print_profile(profile, arguments.profile)
    save("run_overhead", values)


if __name__ == "__main__":
    main(
        options(
            __doc__,
            cores=2,
            chains={"type": int, "default": 32, "help": "runs as chains (0: leave out)"},
            shards={"type": int, "default": 1000, "help": "runs in shards (0: leave out)"},
            runs_per_job={
                "type": lambda text: text if text == "auto" else int(text),
                "default": "auto",
                "help": "size of a shard; up to 32 runs, auto makes chains",
            },
            stages={"type": int, "default": 100, "help": "runs in one process (0: none)"},
            sample={"type": int, "default": 20, "help": "runs whose engine time is taken"},
            profile={"type": int, "default": 0, "metavar": "LINES", "help": "print cProfile"},
        )
    )
