"""The command `run`: one strategy, without a batch config."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtrail.canonical import pretty_json

if TYPE_CHECKING:
    from backtrail.backtest.result import BacktestResult

__all__ = ["add_run_command"]

_TEXT = "run one strategy; equal content is run once"
_SETTINGS = ("ledger", "fill", "size_at", "shares", "cash_policy")
_SHOWN = ("total_return", "cagr", "sharpe_ratio", "max_drawdown", "total_trades")


def add_run_command(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "run", help=_TEXT, description=f"{_TEXT[0].upper()}{_TEXT[1:]}."
    )
    parser.add_argument("strategy", help="strategy file or notebook; its project is found by it")
    parser.add_argument("--start", required=True, metavar="DATE", help="first session")
    parser.add_argument("--end", required=True, metavar="DATE", help="last session")
    parser.add_argument("--bundle", help="name of the data; the project's only one when left out")
    parser.add_argument(
        "--symbols",
        type=lambda text: text.split(","),
        metavar="A,B",
        help="symbols to trade; all of the bundle when left out",
    )
    parser.add_argument(
        "--param",
        action="append",
        type=_parameter,
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the strategy; may be given again",
    )
    parser.add_argument("--capital-base", type=float, metavar="MONEY", help="cash at the start")
    parser.add_argument(
        "--commission",
        type=float,
        metavar="FRACTION",
        help="cost of a fill as a fraction of its value; 0 for none",
    )
    parser.add_argument(
        "--benchmark", metavar="SYMBOL", help="symbol that returns are compared with"
    )
    parser.add_argument(
        "--risk-free-rate",
        type=float,
        metavar="FRACTION",
        help="what money without risk earns in a year; 0.02 is two percent",
    )
    for name in _SETTINGS:
        parser.add_argument(f"--{name.replace('_', '-')}", help=f"as `{name}` in a config")
    parser.add_argument("--name", help="what the run is called; the strategy's name when left out")
    parser.add_argument("--base-dir", metavar="FOLDER", help="folder of the runs")
    parser.add_argument("--id", metavar="ID", help="id of a new run, in place of the moment")
    parser.add_argument(
        "--configfile", metavar="FILE", help="config in place of the project's config/config.yaml"
    )
    parser.add_argument("--report", action="store_true", help="render the run's page, too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=_run)


def _parameter(text: str) -> tuple[str, Any]:
    """Return name and value of `fast=10`; the value is read as a config would."""
    import yaml

    from backtrail.batch.planning.config_files import load_strictly

    name, found, value = text.partition("=")
    if not found or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    try:
        return name, load_strictly(value)
    except (yaml.YAMLError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def _run(options: argparse.Namespace) -> int:
    from backtrail.backtest import run_algorithm

    named = (*_SETTINGS, "capital_base", "benchmark", "risk_free_rate")
    settings = {name: getattr(options, name) for name in named}
    if options.commission is not None:
        model = {"model": "per_dollar", "cost": options.commission}
        settings["commission"] = model if options.commission else {"model": "none"}
    result = run_algorithm(
        options.strategy,
        start=options.start,
        end=options.end,
        bundle=options.bundle,
        symbols=options.symbols,
        params=dict(options.param),
        name=options.name,
        base_dir=options.base_dir,
        backtest_id=options.id,
        config=None if options.configfile is None else Path(options.configfile).absolute(),
        **{name: value for name, value in settings.items() if value is not None},
    )
    report = result.render_report() if options.report else None
    if options.json:
        print(pretty_json(_facts(result, report)), end="")
    else:
        print(_text(result, report), end="")
    return 0


def _facts(result: "BacktestResult", report: Path | None) -> dict[str, Any]:
    return {
        "backtest_id": result.backtest_id,
        "output_dir": result.output_dir,
        "reused": result.reused,
        "grade": result.grade,
        "gaps": list(result.gaps),
        "metrics": result.metrics,
        "report": report,
    }


def _text(result: "BacktestResult", report: Path | None) -> str:
    from backtrail.batch.history.finding import metric_words

    state = "taken as it is: it was run before" if result.reused else "new"
    lines = [
        f"run         {result.backtest_id}  {state}",
        f"grade       {result.grade}",
        *(f"            {gap}" for gap in result.gaps),
        f"folder      {result.output_dir}",
    ]
    if report is not None:
        lines.append(f"report      {report}")
    for name in _SHOWN:
        lines.append(f"  {name:<28} {metric_words(name, result.metrics.get(name)) or 'undefined'}")
    return "\n".join([*lines, ""])
