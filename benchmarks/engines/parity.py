"""Runs the peers on the workload and writes what they got to `tests/golden/parity.json`.

    .venv/bin/python -m benchmarks.engines.parity            # every peer, some minutes
    .venv/bin/python -m benchmarks.engines.parity zipline    # one peer; the others stay as they are

The tests hold backtrail against that file, so they need no peer.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.engines import workload
from benchmarks.engines.environments import HERE, PEERS, PeerError, install, run

GOLDEN: Final = HERE.parents[1] / "tests" / "golden" / "parity.json"
PAGE: Final = HERE.parents[1] / "docs" / "explanation" / "engines-agree.md"
CASES: Final = HERE / ".cases"
EVERY: Final = 500  # bars between two values of equity that are kept


@dataclass(frozen=True)
class Pair:
    """A peer that follows one rule of the table.

    Attributes:
        rule: `R1` to `R7`; `peers/run_backtrail.py` says which settings each is here.
        peer: Who.
        variant: Of the peer's script.
        cases: On which bars.
        unit: What the peer rounds money to; 0 for not at all.
        keeps_fills: Whether the golden file has every fill.
        earlier: Figures measured before this command existed, for where it cannot be installed.
    """

    rule: str
    peer: str
    variant: str
    cases: tuple[str, ...]
    unit: float = 0.0
    keeps_fills: bool = False
    earlier: tuple[tuple[str, float], ...] = ()


SINGLE: Final = ("daily1", "sp500")
_R1: Final = (("daily1", 433742.4175), ("sp500", 1140763.8437))
PAIRS: Final = (
    Pair("R1", "vectorbt", "single", SINGLE, keeps_fills=True, earlier=_R1),
    Pair("R1", "raptorbt", "arrays", SINGLE, earlier=_R1),
    Pair("R1", "backtrader", "at open", SINGLE, earlier=_R1),
    Pair("R1", "bt", "weights", SINGLE, earlier=_R1),
    Pair("R1", "vectorbt", "shared", ("daily50",), earlier=(("daily50", 1423983.5683),)),
    Pair("R2", "backtesting", "look-up", SINGLE, keeps_fills=True,
         earlier=(("daily1", 433758.4576), ("sp500", 1147817.4476))),
    Pair("R3", "zipline", "history", ("daily1", "sp500", "daily50"),
         earlier=(("daily1", 435444.7181), ("daily50", 1420920.3628))),
    Pair("R3", "backtrader", "at close", ("daily50",), earlier=(("daily50", 1420920.3628),)),
    Pair("R3", "pybroker", "history", ("daily50",), unit=0.01,
         earlier=(("daily50", 1420920.36),)),
    Pair("R4", "nautilus", "history", SINGLE, unit=0.01, keeps_fills=True,
         earlier=(("daily1", 443965.89), ("sp500", 1120192.80))),
    Pair("R5", "pybroker", "history", SINGLE, unit=0.01,
         earlier=(("daily1", 434771.03), ("sp500", 1139890.66))),
    Pair("R6", "backtrader", "at close", SINGLE, keeps_fills=True),
    Pair("R7", "raptorbt", "look-up", SINGLE, earlier=(("daily1", 427890.6156),)),
)  # fmt: skip


def main() -> None:
    """Ask the peers and write the golden file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peers", nargs="*", help="only these")
    wanted = set(parser.parse_args().peers) or set(PEERS)
    kept = json.loads(GOLDEN.read_text())["results"] if GOLDEN.exists() else []
    results = [one for one in kept if one["peer"] not in wanted]
    for name in sorted(wanted):
        results += _ask(name)
    order = {(pair.rule, pair.peer, pair.variant): place for place, pair in enumerate(PAIRS)}
    results.sort(key=lambda one: (order[one["rule"], one["peer"], one["variant"]], one["case"]))
    checksums = {
        case: workload.checksum(workload.make(case)) for case in ("daily1", "daily50", "sp500")
    }
    GOLDEN.write_text(_text({"about": _ABOUT, "checksums": checksums, "results": results}))
    PAGE.write_text(page(results), encoding="utf-8")
    print(f"written: {GOLDEN} and {PAGE}")


def _ask(name: str) -> Iterator[dict[str, Any]]:
    failure = None
    try:
        install(PEERS[name])
    except PeerError as error:
        failure = str(error)
        print(failure, file=sys.stderr)
    for pair in (pair for pair in PAIRS if pair.peer == name):
        for case in pair.cases:
            entry = {"rule": pair.rule, "case": case, "peer": name, "variant": pair.variant}
            entry["unit"] = pair.unit
            if failure is None:
                yield {**entry, **_measured(pair, case)}
            elif case in dict(pair.earlier):
                final = dict(pair.earlier)[case]
                yield {**entry, "final": final, "digits": 4, "measured": f"earlier; {failure}"}


def _measured(pair: Pair, case: str) -> dict[str, Any]:
    options = ["--seconds", "0", "--details"]
    path, rate = workload.write(case, CASES), workload.RATES[case]
    found = run(PEERS[pair.peer], path, pair.variant, rate=rate, options=options)
    print(f"{pair.rule}  {pair.peer:<12} {case:<8} {found['final']:.6f} {found['fills']} fills")
    equity = found.get("equity")
    return {
        "final": found["final"],
        "fills": found["fills"],
        "equity": None if equity is None else {
            str(row): equity[row] for row in range(EVERY, len(equity), EVERY)
        },
        "trades": found.get("trades") if pair.keeps_fills else None,
        "measured": "by this command",
        "python": found["python"],
        "versions": found["versions"],
    }  # fmt: skip


def page(results: list[dict[str, Any]]) -> str:
    """Return the page that shows every rule beside the engines that follow it."""
    lines = [*_PAGE_HEAD]
    for rule, (meaning, ours) in RULES.items():
        found = [one for one in results if one["rule"] == rule]
        cells = " | ".join(_cell(found, case) for case in ("daily1", "sp500", "daily50"))
        lines.append(f"| {rule} | {meaning} | {ours} | {cells} |")
    return "\n".join([*lines, *_PAGE_TAIL, ""])


def _cell(found: list[dict[str, Any]], case: str) -> str:
    """Name the engines of a rule and what they got, those that got the same together."""
    finals: dict[str, list[str]] = {}
    for one in found:
        if one["case"] == case:
            digits = 2 if one["unit"] else 4
            title = PEERS[one["peer"]].title.partition(" ")[0]
            mark = "" if one["measured"] == "by this command" else " (earlier)"
            finals.setdefault(f"{one['final']:,.{digits}f}", []).append(title + mark)
    return "<br>".join(f"{final}: {', '.join(names)}" for final, names in finals.items()) or "–"


def _text(golden: dict[str, Any]) -> str:
    """One line for each result, so that a difference in git shows which one moved."""
    lines = ",\n".join(f"    {json.dumps(one)}" for one in golden["results"])
    head = json.dumps({**golden, "results": []}, indent=2)
    return head.replace('"results": []', f'"results": [\n{lines}\n  ]') + "\n"


_ABOUT: Final = [
    "What other engines got on the seeded workload (benchmarks/engines/workload.py) and on the"
    " S&P 500 of the package arch. Computed by those engines, each in an environment of its own,"
    " and written by `python -m benchmarks.engines.parity`; nothing here is computed by backtrail.",
    "SMA 10/50, long or flat, decided at the close; commission 0.1 %; capital 1,000,000.",
    "R1: filled at the next open and sized there, fractional, commission inside the size.",
    "R2: as R1 in whole shares; the first decision falls one bar after the slow window is full.",
    "R3: sized at the close, whole shares, filled at the next open, cash may become negative.",
    "R4: filled at the close that decided, whole shares, within the cash.",
    "R5: sized at the close, whole shares, cut to what cash buys at the open without commission.",
    "R6: sized at the close, whole shares, refused where it costs more than the cash, tried again.",
    "R7: as R1, decided with the holding of the bar before: a fill is seen one bar late.",
    "unit: what the peer rounds money to; trades: [bar, signed quantity, price].",
]


RULES: Final = {
    "R1": (
        "filled at the next open and sized there, fractional, commission inside the size",
        "`size_at: fill`, `shares: fractional`",
    ),
    "R2": (
        "the same in whole shares; first decision one bar after the slow window is full",
        "`size_at: fill`; the strategy waits a bar",
    ),
    "R3": (
        "sized at the close, whole shares, filled at the next open, cash may become negative",
        "`cash_policy: overdraw`",
    ),
    "R4": ("filled at the close that decided, whole shares, within the cash", "`fill: same_close`"),
    "R5": (
        "sized at the close, whole, cut to what cash buys at the open without the commission",
        "`size_at: fill`, `cash_policy: overdraw`; a risk hook cuts to the size at the close",
    ),
    "R6": (
        "sized at the close, whole, refused where it costs more than the cash, tried again",
        "`cash_policy: reject`",
    ),
    "R7": (
        "as R1, but a decision sees the holding of the bar before: a fill is known one bar late",
        "`size_at: fill`, `shares: fractional`; the strategy looks at what it held a bar ago",
    ),
}
_PAGE_HEAD: Final = (
    "# Engines agree",
    "",
    "Written by `.venv/bin/python -m benchmarks.engines.parity`. One strategy (SMA 10/50, long",
    "or flat, decided at the close, commission 0.1 %, capital 1,000,000) ends with other money",
    "in every engine, because each has execution rules of its own. They are settings here, so",
    "the result of each engine is the result of one combination. What is not said is our",
    "default: `next_open`, `signal_close`, `whole`, `clip`.",
    "",
    "| | rule | in backtrail | 5,000 seeded bars | S&P 500, 5,031 bars | 50 symbols, shared cash |",
    "|---|---|---|---|---|---|",
)
_PAGE_TAIL: Final = (
    "",
    "The test `tests/unit/engine/test_parity.py` holds our engine against every figure of this",
    "table, with both ledgers: the final value to 1e-9 relative, the number of fills, equity at",
    "every 500th bar, and for one engine of each of R1, R2, R4 and R6 every fill: bar, quantity",
    "and price. pybroker rounds what it reports to cents, nautilus the commission of every",
    "fill; they are held to that. The figures were computed by the engines themselves, in",
    "environments of their own; versions are in `tests/golden/parity.json`. The seeded workload",
    "has no bar at which the two averages are equal, so nothing hangs on how an engine adds.",
    "",
    "Things to know when comparing with these engines:",
    "",
    "- zipline's `order_target_percent` rounds an amount up that is within 1e-4 of a whole",
    "  share: one of the 6,911 fills of the 50 symbols. The strategy asks for whole shares",
    "  instead.",
    "- zipline stores prices in thousandths and volumes in 32 bits; 814 bars of the S&P 500",
    "  would be lost. Here it reads float64 from memory.",
    "- pybroker rounds fill prices to cents unless told otherwise (`round_fill_price=False`).",
    "- backtrader checks the cash when an order is placed, too, and then never goes all in; R6",
    "  is without that (`set_checksubmit(False)`).",
)


if __name__ == "__main__":
    main()
