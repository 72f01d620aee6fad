"""The chart of a report on paper: an SVG drawing made without a browser."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtrail.reports import charting

__all__ = ["paper_chart"]

_POINTS = 900
_WIDTH, _EQUITY, _DRAWDOWN, _LEFT, _BOTTOM = 1000.0, 300.0, 110.0, 62.0, 24.0


def _reduced(values: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the rows and values of a line of few points that keeps each stretch's extremes."""
    if values.size <= _POINTS:
        return np.arange(values.size), values
    edges = np.linspace(0, values.size, _POINTS // 2 + 1).astype(int)
    chosen: list[int] = []
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = values[start:stop]
        chosen += sorted({start + int(np.argmin(part)), start + int(np.argmax(part))})
    rows = np.unique([0, *chosen, values.size - 1])
    return rows, values[rows]


def paper_chart(results: pl.DataFrame) -> str:
    """Return equity, benchmark and drawdown of a run as an SVG drawing.

    A line of many bars keeps the lowest and highest value of each of its stretches.

    Args:
        results: The artifact `backtest_results`, with a row at least.
    """
    moments = results["timestamp"].to_physical().to_numpy()
    equity = results["portfolio_value"].to_numpy()
    benchmark = charting.benchmark_equity(results)
    drawdown = results["drawdown"].fill_null(0.0).to_numpy()
    lines = [equity] if benchmark is None else [equity, benchmark]
    low, high = (float(bound([bound(line) for line in lines])) for bound in (np.min, np.max))
    span = (high - low) or 1.0
    deepest = min(float(drawdown.min()), -1e-9)
    count = max(moments.size - 1, 1)
    top = 8.0

    def path(values: NDArray[np.float64], y: Any) -> str:
        rows, kept = _reduced(values)
        xs = _LEFT + rows / count * (_WIDTH - _LEFT)
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(xs, y(kept), strict=True))

    def money(values: Any) -> Any:
        return top + (high - values) / span * (_EQUITY - top)

    def fall(values: Any) -> Any:
        return _EQUITY + 16 + values / deepest * _DRAWDOWN

    bottom = _EQUITY + 16 + _DRAWDOWN
    falling = path(drawdown, fall)
    right = _WIDTH if moments.size > 1 else _LEFT
    parts = [
        *_axes(moments, count, bottom),
        *_levels([(money(value), _amount(value)) for value in np.linspace(low, high, 5)]),
        *_levels([(fall(deepest), f"{deepest * 100:.0f}%"), (fall(0.0), "0%")]),
        f'<polygon points="{_LEFT},{fall(0.0):.1f} {falling} {right},{fall(0.0):.1f}" '
        'fill="#d9480f" fill-opacity="0.22"/>',
        f'<polyline points="{falling}" fill="none" stroke="#d9480f" stroke-width="1"/>',
    ]
    if benchmark is not None:
        line = path(benchmark, money)
        parts.append(f'<polyline points="{line}" fill="none" stroke="#8a919e" stroke-width="1.1"/>')
    line = path(equity, money)
    parts.append(f'<polyline points="{line}" fill="none" stroke="#1f5fd6" stroke-width="1.8"/>')
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {_WIDTH:.0f} {bottom + _BOTTOM:.0f}" '
        f'font-family="DejaVu Sans" font-size="13">{"".join(parts)}</svg>'
    )


def _amount(value: float) -> str:
    size = abs(value)
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):,.{0 if unit == 'k' else 1}f}{unit}"
    return f"{value:,.0f}"


def _levels(levels: Sequence[tuple[float, str]]) -> list[str]:
    return [
        f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e1e5ea"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4.5:.1f}" text-anchor="end" fill="#566070">{text}</text>'
        for y, text in levels
    ]


def _axes(moments: NDArray[np.int64], count: int, bottom: float) -> list[str]:
    """Return lines and labels of years, or of months and days where a run is shorter."""
    times = moments.astype("datetime64[us]")
    parts: list[str] = []
    for unit, letters in (("Y", 4), ("M", 7), ("D", 10)):
        keys = times.astype(f"datetime64[{unit}]").astype(np.int64)
        starts = np.flatnonzero(np.diff(keys)) + 1
        if starts.size >= 3 or unit == "D":
            every = -(-starts.size // 10) or 1
            for row in starts[::every].tolist():
                x = _LEFT + row / count * (_WIDTH - _LEFT)
                text = str(times[row])[:letters]
                parts.append(
                    f'<line x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="{bottom}" stroke="#eef0f3"/>'
                    f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle" fill="#566070">'
                    f"{text}</text>"
                )
            return parts
    return parts
