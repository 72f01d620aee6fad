"""No figure of a run may forget the run's risk-free rate: two Sharpe ratios would disagree."""

import ast
from pathlib import Path

import backtrail.batch

_ROOT = Path(backtrail.batch.__file__).parent
# What makes ratios of returns, and which of its arguments is the rate.
_RATED = {
    "Sweep": "risk_free",
    "bootstrap_intervals": "risk_free_per_period",
    "summarize": "risk_free",
    "summarize_tables": "risk_free",
}


def calls_in(text):
    """Yield the name and the keywords of every call of something that makes ratios."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) in _RATED:
            yield node.func.id, {keyword.arg for keyword in node.keywords}


def test_whoever_makes_ratios_of_a_run_says_over_which_rate():
    forgotten, found = [], set()
    for path in sorted(_ROOT.rglob("*.py")):
        for name, keywords in calls_in(path.read_text(encoding="utf-8")):
            found.add(name)
            if _RATED[name] not in keywords:
                forgotten.append(f"{path.relative_to(_ROOT)}: {name}")
    assert forgotten == []
    assert found == {"Sweep", "bootstrap_intervals", "summarize_tables"}
