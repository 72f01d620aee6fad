"""The page and the picture of the speed table."""

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from pathlib import Path
from typing import Any, Final

from benchmarks.engines.environments import HERE, PEERS
from benchmarks.engines.rows import ROWS, SWEEPS, Row

__all__ = ["COLUMNS", "SWEEP_COLUMNS", "printed", "printed_sweeps", "write"]

DOCS: Final = HERE.parents[1] / "docs"
COLUMNS: Final = ("daily", "empty handler", "50 symbols", "minutes", "memory MB")
SWEEP_COLUMNS: Final = ("sets per second", "backtrail is faster by", "memory MB")

Results = Mapping[str, Mapping[str, Mapping[str, Any]]]


def per_bar(found: Mapping[str, Any] | None, symbols: int = 1) -> float | None:
    """Return microseconds per bar and symbol."""
    if found is None or "error" in found:
        return None
    return 1e6 * float(found["cpu_seconds"]) / (int(found["bars"]) * symbols)


def figures(row: Row, results: Results) -> list[float | None]:
    """Return the figures of a row in the order of `COLUMNS`, memory last."""
    found = results.get(row.key, {})
    minutes = found.get("min1") or found.get("min100k")
    sizes = [one["max_rss_mb"] for one in found.values() if "error" not in one]
    return [
        per_bar(found.get("daily1")),
        per_bar(found.get("daily1 empty")),
        per_bar(found.get("daily50"), 50),
        per_bar(minutes),
        max(sizes, default=None),
    ]


def printed(results: Results) -> list[list[str]]:
    """Return the rows of the table as text."""
    rows = (row for row in ROWS if row.key in results)
    return [[row.key, *(_number(value) for value in figures(row, results))] for row in rows]


def printed_sweeps(results: Results) -> list[list[str]]:
    """Return the rows of the sweep table as text."""
    found = []
    own = _sets_per_second(SWEEPS[0], results)
    for row in SWEEPS:
        speed = _sets_per_second(row, results)
        if speed is not None:
            ratio = "–" if own is None or row.peer is None else f"{own / speed:.0f} ×"
            size = results[row.key]["daily1"]["max_rss_mb"]
            found.append([row.key, f"{speed:,.0f}", ratio, f"{size:,.0f}"])
    return found


def write(
    results: Results,
    absent: Mapping[str, str],
    earlier: Mapping[str, tuple[float | None, ...]],
    machine: str,
) -> list[Path]:
    """Write page and picture, and return their paths."""
    picture = DOCS / "pictures" / "how-fast.svg"
    picture.write_text(_picture(results), encoding="utf-8")
    path = DOCS / "explanation" / "how-fast.md"
    lines = [
        *_HEAD,
        "| engine | how the strategy is written | daily | empty handler | 50 symbols | minutes |"
        " memory, MB |",
        "|---|---|---|---|---|---|---|",
        *(_line(row, results) for row in ROWS if row.key in results),
        *_earlier_lines(earlier, absent),
        "",
        *_NOTES,
        *(f"- {reason}; its figures are the earlier ones." for reason in absent.values()),
        f"- Measured on {machine}.",
        f"- Versions: {_versions(results)}.",
        "",
        *_SWEEP_HEAD,
        "| engine | what each set gives | sets per second | backtrail is faster by | memory, MB |",
        "|---|---|---|---|---|",
        *(
            f"| {row.title} | {row.form} | " + " | ".join(cells[1:]) + " |"
            for row in SWEEPS
            for cells in printed_sweeps(results)
            if cells[0] == row.key
        ),
        "",
        *_TAIL,
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [path, picture]


def _line(row: Row, results: Results) -> str:
    cells = [_number(value) for value in figures(row, results)]
    if "min100k" in row.variants and cells[3] != "–":
        cells[3] += " ¹"
    note = f" ({row.note})" if row.note else ""
    return f"| {row.title} | {row.form}{note} | " + " | ".join(cells) + " |"


def _earlier_lines(
    earlier: Mapping[str, tuple[float | None, ...]], absent: Mapping[str, str]
) -> list[str]:
    wanted = [name for name in earlier if name not in PEERS or name in absent]
    return [
        f"| {PEERS[name].title if name in PEERS else name} ² | event | "
        + " | ".join(_number(value) for value in earlier[name])
        + " | – |"
        for name in wanted
    ]


def _sets_per_second(row: Row, results: Results) -> float | None:
    found = results.get(row.key, {}).get("daily1")
    if found is None or "error" in found:
        return None
    return float(found["fills"]) / float(found["cpu_seconds"])


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _versions(results: Results) -> str:
    found: dict[str, str] = {}
    for cases in results.values():
        for one in cases.values():
            for name, version in one.get("versions", {}).items():
                if name not in ("numpy", "pandas", "numba", "ffn"):
                    found[name] = version
    return ", ".join(f"{name} {version}" for name, version in sorted(found.items()))


def _picture(results: Results) -> str:
    """Draw microseconds per daily bar, each step of the scale ten times the one before."""
    bars = []
    for row in ROWS:
        value = figures(row, results)[0] if row.key in results else None
        if value is not None:
            bars.append((row.key.replace("**", "").replace("`", ""), value, row.peer is None))
    bars.sort(key=lambda bar: bar[1])
    left, width, step = 330, 420, 24
    scale = width / 5.0  # from 0.01 to 1,000 and a little more
    height = step * len(bars) + 46
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 80} {height}"'
        ' font-family="sans-serif" font-size="12" role="img">',
        "<title>Microseconds of processor time per daily bar</title>",
        f'<rect width="100%" height="{height}" fill="#ffffff"/>',
    ]
    for power in range(-2, 4):
        x = left + (power + 2) * scale
        parts.append(f'<path d="M{x:.0f} 10V{height - 30}" stroke="#dddddd"/>')
        parts.append(
            f'<text x="{x:.0f}" y="{height - 14}" text-anchor="middle" fill="#555555">'
            f"{10.0**power:g} µs</text>"
        )
    for place, (label, value, is_own) in enumerate(bars):
        y = 16 + step * place
        length = max(2.0, (log10(value) + 2) * scale)
        color = "#0b6e4f" if is_own else "#9aa5b1"
        parts.append(
            f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{left}" y="{y}" width="{length:.0f}" height="16" fill="{color}"/>'
            f'<text x="{left + length + 6:.0f}" y="{y + 12}">{_number(value)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


_HEAD: Final[Sequence[str]] = (
    "# How fast",
    "",
    "Written by `.venv/bin/python -m benchmarks.engines`; run it to get the table of your machine.",
    "One strategy on the same bars in every engine: SMA 10/50, long or flat, decided at the close,",
    "filled at the next open where the engine can, commission 0.1 %, capital 1,000,000. Figures",
    "are microseconds of processor time per bar and symbol, for the whole backtest with data in",
    "memory; compilation is not counted.",
    "",
    "- *daily*: 5,000 bars of one symbol; *empty handler*: the same bars, nothing done at them.",
    "- *50 symbols*: 5,000 bars each, sharing cash; every entry takes 2 % of the portfolio.",
    "- *minutes*: 1,000,000 bars of one symbol, commission 0.001 % (0.1 % would ruin the account).",
    "",
    "![microseconds per daily bar](../pictures/how-fast.svg)",
    "",
)
_NOTES: Final[Sequence[str]] = (
    "¹ The first 100,000 of the minute bars.",
    "",
    "² Measured earlier on another machine of two cores; not by this command.",
    "",
    "- backtrail's rows include everything a run directory's tables are made from: orders, fills,",
    "  positions, round trips with their excursions, the equity curve. raptorbt's array form and",
    "  vectorbt return less.",
    "- What each engine's rules are, and that our engine gives its result under them, is in",
    "  `tests/golden/parity.json` and [Engines agree](engines-agree.md).",
)
_SWEEP_HEAD: Final[Sequence[str]] = (
    "## Sweeps",
    "",
    "9,275 pairs of SMA lengths (5 to 60, 20 to 200) on the 5,000 daily bars, on one core; the",
    "averages are computed within the time. backtrail's sweep goes through the public API:",
    "`target_weights` in plain NumPy, or a `step` that is asked at each bar; the account compiled,",
    "metrics equal to the event engine's.",
    "",
)
_TAIL: Final[Sequence[str]] = (
    "## Reading the tables",
    "",
    "Compare rows that write the strategy in the same way. Ratios within a column hold on other",
    "machines; single figures do not.",
    "",
    "An engine's licence may matter more than its speed. None is a dependency of backtrail.",
    "",
    *(f"- {peer.title}: {peer.licence}" for peer in PEERS.values()),
)
