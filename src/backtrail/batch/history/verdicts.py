"""The searches of a store in one table: what every stage of their validation found, and a rank."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.history.listing import shortened
from backtrail.batch.stages.trials import TrialCounts
from backtrail.wording import risk_free_words

__all__ = ["RANK_RULE", "JudgedRun", "judged_runs", "verdict_lines"]

RANK_RULE: Final = (
    "runs that pass every gate come first, then by the share of gates passed, then by the deflated "
    "Sharpe ratio, then by the probabilistic one"
)
_SHOWN: Final = ("psr", "dsr", "pbo", "spa", "walk_forward_efficiency")
_TITLES: Final = ("PSR", "DSR", "PBO", "SPA", "WF eff.")
_LONGEST_NAME: Final = 28


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """A search with its verdict.

    Attributes:
        backtest_id: The run.
        name: Its first name.
        sets: How many sets the selected one is the best of.
        params: The selected set.
        passed: Whether it passed every gate.
        gates: Of each gate figure, threshold and whether it is passed.
        gates_passed: How many are.
        summary: In plain words.
        holdout: Figures of the look at its holdout, with the number of the look, how many other
            runs had shown its dates before, and whether they were contaminated by then; None when
            it was not opened.
        risk_free_rate: What its ratios and probabilities are over, as text.
    """

    backtest_id: str
    name: str
    sets: int
    params: Mapping[str, Any]
    passed: bool
    gates: Mapping[str, Mapping[str, Any]]
    gates_passed: int
    summary: str
    holdout: Mapping[str, Any] | None
    risk_free_rate: str = "0"

    def figure(self, gate: str) -> float | None:
        """Return what a gate was held against; None when it was not asked, or not computed."""
        found: float | None = self.gates.get(gate, {}).get("figure")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def judged_runs(store: RunStore, runs: Sequence[RunDir] | None = None) -> list[JudgedRun]:
    """Return the judged searches among sealed runs, by `RANK_RULE`.

    Args:
        store: The run store.
        runs: Which runs; all of the store when None.
    """
    looks = _looks(store)
    found = [
        _judged(run, looks)
        for run in (store.run_dirs() if runs is None else runs)
        if run.success.exists() and (run.results / "validation/verdict.json").exists()
    ]
    return sorted(found, key=_rank)


def _rank(run: JudgedRun) -> tuple[Any, ...]:
    share = run.gates_passed / len(run.gates) if run.gates else 0.0
    return (
        not run.passed,
        -share,
        -(run.figure("dsr") or 0.0),
        -(run.figure("psr") or 0.0),
        run.backtest_id,
    )


def _judged(run: RunDir, looks: Mapping[str, Mapping[str, Any]]) -> JudgedRun:
    verdict = json.loads((run.results / "validation/verdict.json").read_bytes())
    spec = run.read_spec()
    gates = {
        gate["name"]: {name: gate[name] for name in ("figure", "threshold", "passed")}
        for gate in verdict["gates"]
    }
    return JudgedRun(
        run.backtest_id,
        spec["labels"]["names"][0],
        run.read_selection()["sets"],
        verdict["params"],
        verdict["passed"],
        gates,
        sum(gate["passed"] for gate in gates.values()),
        verdict["summary"],
        looks.get(spec["run_key"]),
        spec["identity"].get("risk_free_rate", "0"),
    )


def _looks(store: RunStore) -> dict[str, dict[str, Any]]:
    """Return what looks at holdouts found, by the run key of the search; sealed ones only."""
    found, counts = {}, TrialCounts(store)
    for path in sorted((store.ledger / "holdout").glob("*/*.json")):
        look = json.loads(path.read_bytes())
        backtest_id = store.find(look["run_key"])
        if backtest_id is None:
            continue
        run = store.run(backtest_id)
        results = run.results / "validation/holdout/validation-results.json"
        if run.success.exists() and results.exists():
            told = json.loads(results.read_bytes())
            before = counts.seen_before(look)
            found[look["parent"]] = {
                "backtest_id": backtest_id,
                **told,
                "seen_before": before,
                "contaminated": told["contaminated"] or before > 0,
            }
    return found


def verdict_lines(runs: Sequence[JudgedRun]) -> Iterator[str]:
    """Yield the table for people, best first, with the words of each verdict below it."""
    if not runs:
        yield "no sealed search was validated; give an entry `optimize` and `validate`"
        return
    titles = "".join(f"{title:>9}" for title in _TITLES)
    yield f"{'':4}{'name':<{_LONGEST_NAME}}{'sets':>9}{titles}{'gates':>8}{'holdout':>9}"
    for number, run in enumerate(runs, 1):
        figures = "".join(f"{_shown(run.figure(name)):>9}" for name in _SHOWN)
        gates = f"{run.gates_passed}/{len(run.gates)}"
        yield (
            f"{number:<4}{shortened(run.name, _LONGEST_NAME - 1):<{_LONGEST_NAME}}{run.sets:>9,}"
            f"{figures}{gates:>8}{_holdout(run.holdout):>9}"
        )
        over = "" if run.risk_free_rate == "0" else f"over {risk_free_words(asdict(run))}  "
        yield f"    {run.backtest_id}  {over}{run.summary}"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _holdout(look: Mapping[str, Any] | None) -> str:
    """Return the Sharpe ratio on the holdout, marked when the dates were looked at before."""
    if look is None:
        return "-"
    return f"{_shown(look['holdout']['sharpe_ratio'])}{'!' if look['contaminated'] else ''}"
