"""What stands on top of a run's page: what was run, on what, and under which assumptions."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from backtrail.artifacts.timings import warning_words
from backtrail.provenance.attestation import GRADE_MEANINGS
from backtrail.provenance.git import git_words
from backtrail.reports.cost_grid import break_even_words
from backtrail.reports.formatting import params_text, plain_text
from backtrail.reports.looks import NO_LOOKS, HoldoutLooks
from backtrail.reports.looks_notes import looks_notes
from backtrail.reports.rundata import RunRecord
from backtrail.wording import counted, risk_free_words

__all__ = ["Fact", "Header", "header_of", "selection_words", "verdict_words"]

_SHOWN_GAPS = 8
_AGREEMENT = 1e-3  # of the account's growth


@dataclass(frozen=True, slots=True)
class Fact:
    """One assumption or identity of a run: its name, its value, and whether it is a code."""

    name: str
    value: str
    code: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """The head of a run's page.

    Attributes:
        title: The run's first name.
        other_names: Its further names in the batch config.
        backtest_id: Name of the run directory.
        lead: The run in one sentence.
        facts: Every assumption behind the numbers.
        grade: Provenance grade; None when the manifest states none.
        grade_meaning: What that grade says, in words; empty when there is none.
        gaps: What was used beyond the captured code, in the manifest's words.
        synthetic: Whether the prices were made up; None when nothing is known.
        notes: What a reader has to know before the numbers.
        looks: Looks at the holdout of its dataset by its strategy file.
    """

    title: str
    other_names: tuple[str, ...]
    backtest_id: str
    lead: str
    facts: tuple[Fact, ...]
    grade: str | None
    grade_meaning: str
    gaps: tuple[str, ...]
    synthetic: bool | None
    notes: tuple[str, ...]
    looks: HoldoutLooks = NO_LOOKS


def _cost_text(model: Mapping[str, Any]) -> str:
    if model.get("model") == "per_dollar":
        return f"{plain_text(model.get('cost'))} per dollar traded"
    settings = {key: value for key, value in model.items() if key != "model"}
    name = plain_text(model.get("model"))
    return f"{name} ({params_text(settings)})" if settings and name != "none" else name


def _money_text(value: object) -> str:
    """Return an amount with its thousands grouped, digits unchanged."""
    try:
        return f"{Decimal(str(value)):,f}"
    except InvalidOperation:
        return plain_text(value)


def _packages(run: RunRecord) -> tuple[Fact, ...]:
    found = run.manifest.get("usage", {}).get("packages", {})
    listed = ", ".join(f"{name} {version}" for name, version in sorted(found.items()))
    return (Fact("Packages", listed),) if listed else ()


def _commit(run: RunRecord) -> tuple[Fact, ...]:
    said = git_words(run.spec.get("origin", {}).get("git"))
    return () if said is None else (Fact("Commit", said, code=True),)


def _warnings(run: RunRecord) -> tuple[Fact, ...]:
    # How long it took stands in `run.json` alone: equal runs have equal pages.
    said = warning_words(run.manifest.get("warnings", {}))
    return () if said is None else (Fact("Warnings", said),)


def _gaps(run: RunRecord) -> tuple[str, ...]:
    gaps = [str(gap) for gap in run.manifest.get("gaps", ())]
    if len(gaps) > _SHOWN_GAPS:
        further = len(gaps) - _SHOWN_GAPS
        gaps[_SHOWN_GAPS:] = [f"{further} more of the kind, listed in run.json under gaps"]
    return tuple(gaps)


def _limits(identity: Mapping[str, Any]) -> tuple[Fact, ...]:
    found = []
    if identity.get("margin"):
        found.append(Fact("Margin", params_text(identity["margin"])))
    if identity.get("instruments"):
        steps = {name: params_text(item) for name, item in identity["instruments"].items()}
        found.append(Fact("Ticks and lots", params_text(steps)))
    return tuple(found)


def _rate(identity: Mapping[str, Any]) -> tuple[Fact, ...]:
    rate = risk_free_words(identity)
    if rate is None:
        return ()
    return (Fact("Risk-free rate", f"{rate}; the account's own cash earns nothing"),)


def _look_ahead(identity: Mapping[str, Any]) -> str:
    """Return what keeps decisions from knowing the bars after them."""
    if identity["strategy"]["form"] not in ("signal", "step"):
        return "none: data ends with the bar that is decided on"
    if (identity.get("validate") or {}).get("bias") is not None:
        return "checked, see Validation"
    return "not checked: this form gets whole columns; validate: {bias: {}} checks it"


def _facts(run: RunRecord, bars: int | None, costs: Mapping[str, str]) -> tuple[Fact, ...]:
    identity = run.identity
    strategy, dataset, rules = identity["strategy"], identity["dataset"], identity["execution"]
    period = f"{identity['start']} to {identity['end']}"
    return (
        Fact("Strategy", f"{strategy['entry']} ({strategy['form']} form)"),
        Fact("Look-ahead", _look_ahead(identity)),
        Fact("Parameters", params_text(identity["params"])),
        Fact("Symbols", plain_text(identity["symbols"])),
        Fact("Period", period if bars is None else f"{period}, {bars:,} bars"),
        Fact("Benchmark", costs.get("benchmark") or plain_text(identity["benchmark"] or "none")),
        *_rate(identity),
        Fact("Starting capital", _money_text(identity["capital_base"])),
        Fact("Commission", costs.get("commission") or _cost_text(identity["commission"])),
        Fact("Slippage", costs.get("slippage") or _cost_text(identity["slippage"])),
        *_limits(identity),
        Fact("Orders fill at", plain_text(rules["fill"]).replace("_", " ")),
        Fact("Sized at", plain_text(rules["size_at"]).replace("_", " ")),
        Fact("Shares", plain_text(rules["shares"])),
        Fact("When cash is short", plain_text(rules["cash_policy"])),
        Fact("Engine, ledger", f"{identity['engine']}, {identity['ledger']}"),
        Fact("Seed", plain_text(identity["seed"])),
        Fact("Bundle", plain_text(run.bundle)),
        Fact("Calendar, timeframe", f"{dataset['calendar']}, {dataset['timeframe']}"),
        Fact("Dataset", str(dataset["dataset_id"]), code=True),
        Fact("Backtest", run.backtest_id, code=True),
        Fact("Code", str(strategy["code_hash"]), code=True),
        *_commit(run),
        Fact("Library", plain_text(identity["library"]), code=True),
        *_packages(run),
        *_warnings(run),
    )


def _search_facts(run: RunRecord, looks: HoldoutLooks) -> tuple[Fact, ...]:
    found = []
    if run.selection is not None and run.selection["sets"] > 1:
        found.append(Fact("Search", selection_words(run.selection)))
    if run.holdout is not None:
        first, last = run.holdout
        found.append(Fact("Holdout", f"{first} to {last}, withheld; {looks.words}"))
    elif looks.is_told:
        found.append(Fact("Holdout of the dataset", looks.words))
    return tuple(found)


def _notes(run: RunRecord, looks: HoldoutLooks) -> tuple[str, ...]:
    """Return what a reader has to know before the numbers."""
    notes = []
    if run.identity["execution"]["fill"] == "same_close":
        notes.append("Orders fill at the close of the bar they were decided on (same close).")
    if run.selection is not None:
        if run.selection["sets"] > 1:
            sets = counted(run.selection["sets"], "parameter set")
            notes.append(
                f"These parameters were selected from {sets} on the same bars: every figure is in "
                "sample, and the best of many looks good by luck alone."
            )
        notes += _disagreements(run.selection, run.manifest.get("metrics", {}))
    if run.verdict is not None:
        scope = (
            f" Its PSR is of the bars after the first {run.left_out:,}, the warm-up; the PSR among "
            "the metrics is of all bars."
            if run.left_out
            else ""
        )
        notes.append(f"{verdict_words(run.verdict)} {run.verdict['summary']}{scope}")
    even = break_even_words(run.run_dir)
    if even is not None:
        notes.append(f"At other costs: {even[:1].lower()}{even[1:]}")
    if "look" in run.spec:
        notes.append(_look_words(run))
    return (*notes, *looks_notes(run, looks))


def selection_words(selection: Mapping[str, Any]) -> str:
    """Return what a search did, in words.

    Args:
        selection: The content of `selection.json`.
    """
    chosen = "best neighborhood" if selection["select"] == "plateau" else "best"
    text = f"{chosen} of {counted(selection['sets'], 'parameter set')} by {selection['method']}"
    if selection["failed"]:
        text += f", {selection['failed']:,} of which failed"
    text += f"; {selection['objective']['words']}"
    if selection["constraints"]:
        admissible = f"{selection['admissible']:,} sets meet"
        text += f"; {admissible} {' and '.join(selection['constraints'])}"
    return f"{text}; {selection['tie_rule']}"


def verdict_words(verdict: Mapping[str, Any]) -> str:
    """Return a verdict in a sentence of few words."""
    if not verdict.get("judged", True):
        return "Checked, and not judged."
    return "Validation passed." if verdict["passed"] else "Validation not passed."


def _look_words(run: RunRecord) -> str:
    window = run.identity["holdout"]
    dates = f"{window['start']} to {window['end']}"
    parent = run.spec["parent"]["backtest_id"]
    words = f"A look at the holdout from {dates}, with the set that {parent} selected; "
    look = run.spec["look"]
    which = "the first look" if look == 1 else f"look {look}: these dates are contaminated"
    return (
        f"{words}it was {which}. The figures here are of the whole account, which starts on "
        f"{run.identity['start']} to fill indicators; those of the holdout alone are under "
        "Validation in the advanced report."
    )


def _disagreements(
    selection: Mapping[str, Any], metrics: Mapping[str, float | None]
) -> tuple[str, ...]:
    """Return in words where the run of the selected set is not what the search measured.

    Whole shares may be rounded apart by the arithmetics of the two; more than that means that a set
    depends on the sets before it, or on chance.
    """
    swept, found = selection["metrics"]["total_return"], metrics.get("total_return")
    if swept is None or found is None or abs(found - swept) <= _AGREEMENT * (1.0 + abs(swept)):
        return ()
    return (
        f"The search measured a total return of {swept:.2%} for this set, and its own run has "
        f"{found:.2%}. The strategy may keep something from one set to the next, or use chance.",
    )


def header_of(
    run: RunRecord,
    *,
    dataset: Mapping[str, Any] | None,
    bars: int | None,
    grade: str | None = None,
    costs: Mapping[str, str] | None = None,
    trials: str | None = None,
    looks: HoldoutLooks = NO_LOOKS,
) -> Header:
    """Return the head of a run's page.

    Args:
        run: The run.
        dataset: Manifest of its dataset; None when the dataset could not be looked at.
        bars: How many bars the run has; None for a run without results.
        grade: Provenance grade that replaces the one of `run.json`.
        costs: `commission`, `slippage` and `benchmark` in words, where the strategy set them.
        trials: How much was tried on the dataset, in words; None when it was not counted.
        looks: Looks at the holdout of its dataset by its strategy file.
    """
    identity = run.identity
    costs = costs or {}
    symbols = [str(symbol) for symbol in identity["symbols"]]
    what = symbols[0] if len(symbols) == 1 else f"{len(symbols)} symbols"
    title, *others = run.names
    stated = grade or run.manifest.get("grade")
    return Header(
        title=title,
        other_names=tuple(others),
        backtest_id=run.backtest_id,
        lead=(
            f"{params_text(identity['params'])} on {what}, {identity['start']} to "
            f"{identity['end']}, {str(identity['execution']['fill']).replace('_', '-')} fills, "
            f"commission {costs.get('commission') or _cost_text(identity['commission'])}, "
            f"slippage {costs.get('slippage') or _cost_text(identity['slippage'])}"
        ),
        facts=(
            *_facts(run, bars, costs),
            *_search_facts(run, looks),
            *((Fact("Trials", trials),) if trials else ()),
        ),
        grade=None if stated is None else str(stated),
        grade_meaning=GRADE_MEANINGS.get(str(stated), ""),
        gaps=_gaps(run),
        synthetic=None if dataset is None else bool(dataset.get("synthetic", False)),
        notes=_notes(run, looks),
        looks=looks,
    )
