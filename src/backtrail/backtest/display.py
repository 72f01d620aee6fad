"""A finished run as a notebook shows it: its curve, and its main figures with their assumptions."""

from html import escape
from typing import TYPE_CHECKING

from backtrail.reports.formatting import metric_label, metric_text
from backtrail.reports.paper_chart import paper_chart

if TYPE_CHECKING:
    from backtrail.backtest.result import BacktestResult

__all__ = ["result_html"]

_SHOWN = (
    "total_return",
    "cagr",
    "sharpe_ratio",
    "max_drawdown",
    "annual_volatility",
    "total_trades",
    "total_commission",
    "total_slippage",
    "benchmark_total_return",
)


def result_html(result: "BacktestResult") -> str:
    """Return a run as a piece of HTML: id and grade, equity and drawdown, the main figures.

    The figures are those of the table `summary`; one that is undefined is left out. The piece
    holds all it shows. Gray is the benchmark, bought and held without costs.
    """
    rows = {row["metric"]: row for row in result.summary.iter_rows(named=True)}
    shown = [rows[name] for name in _SHOWN if name in rows and rows[name]["value"] is not None]
    figures = "".join(
        f"<tr><td>{escape(metric_label(row['metric']))}</td>"
        f'<td style="text-align: right">{escape(metric_text(row["value"], row["unit"]))}</td>'
        f'<td style="text-align: left">{escape(row["assumption"])}</td></tr>'
        for row in shown
    )
    said = [result.backtest_id or "not kept"]
    said += [] if result.grade is None else [f"grade {result.grade}"]
    said += ["reused"] if result.reused else []
    folder = "" if result.output_dir is None else escape(str(result.output_dir))
    drawn = result.performance
    chart = "" if drawn.is_empty() else paper_chart(drawn)
    return (
        f"<div><b>{escape(', '.join(said))}</b><br><small>{folder}</small>"
        f'<div style="max-width: 800px; background: #fff">{chart}</div>'
        f"<table>{figures}</table></div>"
    )
