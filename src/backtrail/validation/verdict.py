"""Whether to believe a result: gates with thresholds, and a sentence that says why.

A gate whose figure could not be computed is not passed. The gates together are judged by how often
they let a search without any skill through: `dsr` and `spa` each let at most one in twenty through,
so all of them together let no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from backtrail.validation.checks import Check

__all__ = ["DEFAULT_GATES", "Gate", "Verdict", "judge"]

# Names of the figures, in the order in which gates are told, with thresholds; None is no gate.
DEFAULT_GATES: Final[Mapping[str, float | None]] = MappingProxyType(
    {
        "psr": 0.95,
        "dsr": 0.95,
        "pbo": 0.5,  # a family of equally good sets is near it even with an edge
        "reality_check": None,
        "spa": 0.05,
        "walk_forward_efficiency": 0.5,
        "ruin": 0.05,
        "parameter_noise": 0.5,
        "price_noise": 0.5,
        "break_even": None,
        "look_ahead": 0.0,
        "warm_up": 0.0,
        "noise": 0.0,
        "costs": 0.0,
        "random_entries": 0.05,
    }
)
_AT_MOST: Final = frozenset({"pbo", "reality_check", "ruin", "spa"})
_LUCK: Final = frozenset({"dsr", "reality_check", "spa"})  # what takes the search into account
_FAULTS: Final = ("look_ahead", "warm_up", "noise", "costs")
_SUPERB: Final = 0.99
_GOOD: Final = 0.95


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition of the verdict.

    Attributes:
        name: Of the figure.
        figure: What was found; None when it could not be computed.
        threshold: What it was compared with.
        passed: Whether it is good enough.
        words: The finding as a clause, without a full stop.
    """

    name: str
    figure: float | None
    threshold: float
    passed: bool
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All gates, and what they mean together.

    Attributes:
        gates: In the order of `DEFAULT_GATES`.
        passed: Whether every gate is passed, and one of them takes the search into account: `dsr`,
            `reality_check` or `spa`.
        judged: Whether there is a verdict at all: a gate is not passed, or one takes the search
            into account. Checks that found nothing prove no edge.
        summary: In plain words.
    """

    gates: tuple[Gate, ...]
    passed: bool
    judged: bool
    summary: str


def judge(
    figures: Mapping[str, float | None],
    checks: Mapping[str, Check],
    *,
    sets: int,
    trials: int,
    benchmark: str,
    metric: str = "Sharpe ratio",
    cost_unit: str = "basis points of the value of each fill",
    gates: Mapping[str, float | None] = DEFAULT_GATES,
    reasons: Mapping[str, str] = MappingProxyType({}),
) -> Verdict:
    """Judge what was measured.

    Args:
        figures: What was measured, by names of `DEFAULT_GATES`: probabilities, p-values, the
            efficiency of the walk forward, shares of variants that kept half of the figure, and the
            greatest cost with a profit.
            Names without a gate are not judged, and a gate whose figure was not asked for is left
            out. None is a figure that was asked for and could not be computed: it does not pass.
        checks: Of bias, by name; their own thresholds hold, but for `random_entries`.
        sets: Number of sets the chosen one is the best of.
        trials: Number of trials ever made, for the words.
        benchmark: What `spa` is against, in words such as `holding SPX`.
        metric: What noise is measured by, in words.
        cost_unit: What the break-even cost is counted in, in words.
        gates: Thresholds; None is no gate, and so is a name that is missing.
        reasons: Why figures could not be computed, as clauses, as far as it is known.

    Raises:
        ValueError: If a gate has a name that nothing can be measured for.
    """
    unknown = sorted(set(gates) - set(DEFAULT_GATES))
    if unknown:
        raise ValueError(f"there is no gate {unknown[0]!r}; use {', '.join(DEFAULT_GATES)}")
    clauses = _Words(sets, trials, benchmark, metric, cost_unit, reasons)
    found = []
    for name in DEFAULT_GATES:
        threshold = gates.get(name)
        if threshold is None:
            continue
        if name in checks:
            found.append(_check_gate(checks[name], threshold))
        elif name in figures:
            figure = figures[name]
            at_most = name in _AT_MOST
            passed = figure is not None and (
                figure <= threshold if at_most else figure >= threshold
            )
            found.append(
                Gate(name, figure, threshold, passed, clauses.of(name, figure, threshold, passed))
            )
    knows_luck = any(gate.name in _LUCK for gate in found)
    fails = not all(gate.passed for gate in found)
    passed = knows_luck and not fails
    words = _summary(found, figures, sets, passed)
    return Verdict(tuple(found), passed, knows_luck or fails, words)


def _check_gate(check: Check, threshold: float) -> Gate:
    passed = check.passed is True
    if check.name == "random_entries":
        passed = check.figure is not None and check.figure <= threshold
    else:
        threshold = 0.0 if check.threshold is None else check.threshold
    clause = check.words.rstrip(".")
    return Gate(check.name, check.figure, threshold, passed, clause[:1].lower() + clause[1:])


@dataclass(frozen=True, slots=True)
class _Words:
    sets: int
    trials: int
    benchmark: str
    metric: str
    cost_unit: str
    reasons: Mapping[str, str]

    def of(self, name: str, figure: float | None, threshold: float, passed: bool) -> str:
        if figure is None:
            why = f" ({self.reasons[name]})" if name in self.reasons else ""
            return f"{_TITLES[name]} could not be computed{why}"
        return str(getattr(self, f"_{name}")(figure, threshold, passed))

    def _psr(self, figure: float, threshold: float, passed: bool) -> str:
        verb = "is" if passed else "is not"
        return (
            f"taken alone its Sharpe ratio {verb} surely above zero "
            f"(PSR {_number(figure)}, asked {threshold:g})"
        )

    def _dsr(self, figure: float, threshold: float, passed: bool) -> str:
        verb = "stands out from" if passed else "does not stand out from"
        return (
            f"it {verb} the luck of {self.trials:,} trials (DSR {_number(figure)}, asked "
            f"{threshold:g})"
        )

    def _pbo(self, figure: float, threshold: float, passed: bool) -> str:
        verb = "tells something" if passed else "tells nothing"
        return (
            f"choosing in one half of the history {verb} about the other half "
            f"(PBO {_number(figure)}, at most {threshold:g})"
        )

    def _spa(self, figure: float, threshold: float, passed: bool) -> str:
        subject = "the best of them" if passed else "none of them surely"
        return (
            f"{subject} beats {self.benchmark} (SPA p-value {_number(figure)}, at most "
            f"{threshold:g})"
        )

    def _reality_check(self, figure: float, threshold: float, passed: bool) -> str:
        subject = "the best of them" if passed else "none of them surely"
        return (
            f"{subject} beats {self.benchmark}, not studentized (Reality Check p-value "
            f"{_number(figure)}, at most {threshold:g})"
        )

    def _ruin(self, figure: float, threshold: float, passed: bool) -> str:
        return f"{figure:.1%} of other orders of its trades end in ruin (at most {threshold:.0%})"

    def _walk_forward_efficiency(self, figure: float, threshold: float, passed: bool) -> str:
        start = "what was chosen earned" if figure >= 0.0 else "what was chosen lost"
        return (
            f"{start} {abs(figure):.0%} of its in-sample return on the bars that followed "
            f"(asked {threshold:.0%})"
        )

    def _parameter_noise(self, figure: float, threshold: float, passed: bool) -> str:
        return (
            f"{figure:.0%} of the neighboring sets keep half of its {self.metric} "
            f"(asked {threshold:.0%})"
        )

    def _price_noise(self, figure: float, threshold: float, passed: bool) -> str:
        return (
            f"{figure:.0%} of histories with slightly other prices keep half of its {self.metric} "
            f"(asked {threshold:.0%})"
        )

    def _break_even(self, figure: float, threshold: float, passed: bool) -> str:
        if not figure:
            return f"there is no profit even without costs (asked up to {threshold:g})"
        return f"its profit lasts up to {figure:,.4g} {self.cost_unit} (asked {threshold:g})"


_TITLES: Final = {
    "psr": "the probabilistic Sharpe ratio",
    "dsr": "the deflated Sharpe ratio",
    "pbo": "the probability of backtest overfitting",
    "reality_check": "the Reality Check",
    "spa": "the test against the benchmark",
    "ruin": "the share of orders that end in ruin",
    "walk_forward_efficiency": "the efficiency of the walk forward",
    "parameter_noise": "the share of neighbors that keep the result",
    "price_noise": "the share of disturbed histories that keep the result",
    "break_even": "the break-even cost",
}


def _number(value: float) -> str:
    return f"{value:.3f}" if value > _SUPERB or value < 1.0 - _SUPERB else f"{value:.2f}"


def _summary(
    gates: list[Gate], figures: Mapping[str, float | None], sets: int, passed: bool
) -> str:
    start = f"The best of {sets:,} sets" if sets > 1 else "The strategy"
    if not gates:
        return f"{start} was not judged: no gate was set or measured."
    psr = figures.get("psr")
    if "psr" not in figures:
        opening = f"{start} was not compared with luck"
    elif psr is None:
        opening = f"{start} has no Sharpe ratio"
    elif psr >= _SUPERB:
        opening = f"{start} looks superb by itself (PSR {_number(psr)})"
    elif psr >= _GOOD:
        opening = f"{start} looks good by itself (PSR {_number(psr)})"
    else:
        opening = f"{start} does not even look good by itself (PSR {_number(psr)})"
    if passed:
        return f"{opening}, and passes all {len(gates)} gates: an edge that no test took away."
    failed = [gate for gate in gates if not gate.passed and gate.name != "psr"]
    clauses = "; ".join(gate.words for gate in failed)
    faulty = any(gate.name in _FAULTS for gate in failed)
    end = "the result cannot be trusted" if faulty else "no edge"
    if not clauses and all(gate.passed for gate in gates):
        held = "its gate" if len(gates) == 1 else f"all {len(gates)} gates"
        return f"{opening}; it passes {held}, none of which takes the search into account."
    if not clauses:
        return f"{opening}: {end}."
    joint = ", but " if psr is not None and psr >= _GOOD else ", and "
    return f"{opening}{joint}{clauses}: {end}."
