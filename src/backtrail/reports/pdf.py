"""The basic report on paper: a PDF of a few pages, set by the `typst` wheel.

The same run and dataset give the same bytes with the same version of typst: the file holds no date,
the typeface is our own, and no font or package of the machine is looked at.
"""

import json
from pathlib import Path
from typing import Any

import polars as pl

from backtrail import files
from backtrail.canonical import sha256_file
from backtrail.errors import ReportTemplateError, SealError
from backtrail.reports import formatting
from backtrail.reports.contents import RunContents, read_contents
from backtrail.reports.looks import NO_LOOKS, HoldoutLooks
from backtrail.reports.paper_chart import paper_chart
from backtrail.reports.settings import ReportConfig

__all__ = ["paper_data", "render_pdf_report"]

_TEMPLATES = Path(__file__).parent / "templates"
_FONTS = Path(__file__).parent / "vendor" / "dejavu"
_TRADES = 40


def render_pdf_report(
    run_dir: Path,
    *,
    bundles_dir: Path,
    out: Path,
    grade: str | None = None,
    trials: str | None = None,
    looks: HoldoutLooks = NO_LOOKS,
    config: ReportConfig | None = None,
) -> Path:
    """Write the basic report of a finished run as a PDF.

    Args:
        run_dir: The run directory.
        bundles_dir: The central bundle storage with the run's dataset.
        out: The PDF file to write.
        grade: Provenance grade to show when it was raised after the run was sealed.
        trials: How much was tried on the dataset, in words; None when it was not counted.
        looks: Looks at the holdout of its dataset by its strategy file.
        config: Templates of one's own: `basic.typ` takes the place of ours.

    Returns:
        `out`.

    Raises:
        ArtifactManagerError: If an artifact is missing or not of its declared schema.
        DatasetError: If the run's dataset is not in `bundles_dir`.
        ReportTemplateError: If typst is not installed or the template cannot be set.
        SealError: If a vendored font differs from its recorded checksum.
    """
    try:
        import typst
    except ModuleNotFoundError as error:
        raise ReportTemplateError(
            "a PDF needs the package typst, which is not installed; pip install 'backtrail[pdf]', "
            "or leave pdf out of reports.kinds"
        ) from error
    _check_fonts()
    contents = read_contents(run_dir, bundles_dir)
    own = None if config is None or config.templates is None else config.templates / "basic.typ"
    template = own if own is not None and own.is_file() else _TEMPLATES / "basic.typ"
    data = paper_data(contents, grade=grade, trials=trials, looks=looks)
    try:
        pdf = typst.compile(
            template,
            font_paths=[_FONTS],
            ignore_system_fonts=True,
            sys_inputs={
                "data": json.dumps(data, allow_nan=False),
                "chart": paper_chart(contents.results),
            },
        )
    except typst.TypstError as error:
        raise ReportTemplateError(
            f"{template} cannot be set: {error}; mend it or leave out reports.templates"
        ) from error
    files.write_bytes(out, pdf)
    return out


def _check_fonts() -> None:
    for line in (_FONTS / "CHECKSUMS").read_text(encoding="utf-8").splitlines():
        expected, name = line.split(maxsplit=1)
        if sha256_file(_FONTS / name) != expected:
            raise SealError(
                f"{_FONTS / name} is not the file that CHECKSUMS names; reinstall the package"
            )


def paper_data(
    contents: RunContents,
    *,
    grade: str | None = None,
    trials: str | None = None,
    looks: HoldoutLooks = NO_LOOKS,
) -> dict[str, Any]:
    """Return all that the pages on paper say, as texts; the template only sets them.

    Args:
        contents: The run.
        grade: Provenance grade to show when it was raised after the run was sealed.
        trials: How much was tried on the dataset, in words; None when it was not counted.
        looks: Looks at the holdout of its dataset by its strategy file.
    """
    values = contents.values(grade=grade, trials=trials, looks=looks)
    header = values["header"]
    return {
        "title": header.title,
        "lead": header.lead,
        "grade": header.grade or "not stated",
        "meaning": header.grade_meaning,
        "backtest_id": header.backtest_id,
        "notes": _notes(header, contents.trades.height),
        "facts": [[fact.name, fact.value] for fact in header.facts],
        "cards": [
            [
                formatting.metric_label(row["metric"]),
                formatting.metric_text(row["value"], row["unit"]),
                formatting.metric_tone(row["metric"], row["value"]),
            ]
            for row in values["cards"]
        ],
        "benchmark": values["chart"]["benchmark"],
        "years": [
            {
                "year": str(row.year),
                "months": [_month(value) for value in row.months],
                "total": _month(row.total),
            }
            for row in values["years"]
        ],
        "episodes": [
            [
                formatting.day_text(row.peak),
                formatting.day_text(row.valley),
                "open" if row.recovered is None else formatting.day_text(row.recovered),
                f"{formatting.percent_text(row.depth)}%",
                f"{row.days:,}",
            ]
            for row in values["episodes"]
        ],
        "trades": _trades(contents),
        "trade_count": contents.trades.height,
        "metrics": [
            [
                row["metric"],
                formatting.metric_text(row["value"], row["unit"]),
                row["unit"],
                row["assumption"] or "",
            ]
            for row in values["summary"]
        ],
    }


def _notes(header: Any, trades: int) -> list[str]:
    notes = list(header.notes)
    if header.synthetic:
        notes.append(
            "Synthetic data: these prices were generated, not observed in any market; the numbers "
            "say nothing about a real one."
        )
    notes += [f"Beyond the captured code: {gap}" for gap in header.gaps]
    return notes


def _month(value: float | None) -> dict[str, Any]:
    """Return a return as text and its strength, from -100 to 100, ten percent being full."""
    if value is None:
        return {"text": "", "heat": 0}
    heat = max(-100, min(100, round(value * 1000)))
    return {"text": formatting.percent_text(value), "heat": heat}


def _trades(contents: RunContents) -> list[list[str]]:
    """Return the trades that moved the most money, in their order."""
    ranked = contents.trades.with_row_index().sort(
        pl.col("pnl").abs(), descending=True, maintain_order=True
    )
    rows = ranked.head(_TRADES).sort("index").iter_rows(named=True)
    intraday = contents.run.intraday
    return [
        [
            str(row["trade_id"]),
            row["symbol"],
            row["side"],
            _moment(row["entry_at"], intraday=intraday),
            "open" if row["is_open"] else _moment(row["exit_at"], intraday=intraday),
            f"{row['pnl']:,.2f}",
            "–" if row["return"] is None else f"{row['return'] * 100:,.2f}%",
            f"{row['bars_held']:,}",
        ]
        for row in rows
    ]


def _moment(value: Any, *, intraday: bool) -> str:
    return str(value.strftime("%Y-%m-%d %H:%M" if intraday else "%Y-%m-%d"))
