"""`run_algorithm`: one backtest from a script or a notebook, through the stages of a batch."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtrail.backtest.default import DEFAULT, Default
from backtrail.engine.strategy import LOADING, EntryReached

if TYPE_CHECKING:
    from backtrail.backtest.result import BacktestResult

__all__ = ["run_algorithm"]


def run_algorithm(
    strategy_file: str | Path | None = None,
    *,
    start: str | date | datetime,
    end: str | date | datetime,
    bundle: str | None = None,
    symbols: str | Sequence[str] | None = None,
    initialize: Callable[..., Any] | None = None,
    handle_data: Callable[..., Any] | None = None,
    analyze: Callable[..., Any] | None = None,
    before_trading_start: Callable[..., Any] | None = None,
    algorithm: type[Any] | None = None,
    params: Mapping[str, Any] | None = None,
    optimize: Mapping[str, Any] | None = None,
    where: str | None = None,
    validate: Mapping[str, Any] | None = None,
    capital_base: float | Decimal | Default = DEFAULT,
    commission: Mapping[str, Any] | Default = DEFAULT,
    slippage: Mapping[str, Any] | Default = DEFAULT,
    benchmark: str | Default | None = DEFAULT,
    risk_free_rate: float | Decimal | Default = DEFAULT,
    ledger: str | Default = DEFAULT,
    fill: str | Default = DEFAULT,
    size_at: str | Default = DEFAULT,
    shares: str | Default = DEFAULT,
    cash_policy: str | Default = DEFAULT,
    margin: Mapping[str, Any] | Default | None = DEFAULT,
    instruments: Mapping[str, Any] | Default = DEFAULT,
    name: str | None = None,
    config: Mapping[str, Any] | str | Path | None = None,
    base_dir: str | Path | None = None,
    backtest_id: str | None = None,
    code_capture_mode: str | Default | None = DEFAULT,
    enabled: bool | Default = DEFAULT,
) -> "BacktestResult":
    """Run one backtest and return its results; equal content is run once.

    The strategy is one of: a file or notebook; functions; a class. Of functions and classes, the
    file they were defined in is what runs, in a process of its own, from a captured copy; in a
    kernel without a file it is what they use of the executed cells. A script may therefore call
    this function at its top level: loading it as a strategy ends at that call.

    A search is one run, made on one core; a batch evaluates its chunks on all.

    The project folder is found by its marker files (`config/config.yaml`, `Snakefile`,
    `pyproject.toml`, `.git`) at or above the strategy's file; without any it is the file's own
    folder. What an argument leaves open by `DEFAULT`, the project's `config/config.yaml` says, then
    the schema's defaults; so a strategy has one run key from here and from Snakemake.

    Args:
        strategy_file: A Python file or a notebook.
        start: First session, as text, a date, or a moment at midnight.
        end: Last session.
        bundle: Name of the data; it is ingested when the project defines it and it is not yet. None
            is the project's only bundle.
        symbols: Symbols to trade; all of the bundle when None.
        initialize: Called once before the first bar.
        handle_data: Called at every bar.
        analyze: Called after the last bar.
        before_trading_start: Called before the first bar of every session.
        algorithm: A subclass of `TradingAlgorithm`.
        params: Values of the strategy's `Params`.
        optimize: A search, as in a config: `{"space": {"fast": [5, 10, 20], "slow": {"min": 50,
            "max": 200, "step": 10}}, "objective": "sharpe_ratio"}`. Every set is evaluated, one is
            selected, and the run is of that set.
        where: A condition that sets have to meet: `"fast < slow"`.
        validate: How the search is judged, as in a config: `{"walk_forward": {...}, ...}`.
        capital_base: Cash at the start.
        commission: As in a config: `{"model": "per_dollar", "cost": 0.001}`.
        slippage: As in a config: `{"model": "fixed_bps", "basis_points": 5}`.
        benchmark: Symbol that returns are compared with; None for no benchmark.
        risk_free_rate: What money without risk earns in a year; 0.02 is two percent.
        ledger: `decimal` or `float64`.
        fill: `next_open`, `next_close` or `same_close`.
        size_at: `signal_close` or `fill`.
        shares: `whole` or `fractional`.
        cash_policy: `clip`, `reject` or `overdraw`.
        margin: As in a config: `{"initial": 0.5, "maintenance": 0.25}`.
        instruments: As in a config: `{"BTC": {"tick": 0.01, "lot": 0.001}}`.
        name: What the run is called in lists; the strategy's name when None.
        config: A config file in place of the project's, or values over those of the project's.
        base_dir: Folder of the runs, in place of the config's; relative to the project.
        backtest_id: Id of a new run, in place of the moment in UTC. A run of equal content that
            exists keeps its id.
        code_capture_mode: `import_analysis`, `strategy_yaml`, or None: then the strategy runs in
            this process, its run has no code, is never reused, and has grade D.
        enabled: False runs in this process, and writes nothing.

    Returns:
        Metrics, tables, and where the run lies.

    Raises:
        StrategyError: If the strategy cannot be meant, or not be found again in a copy.
        CodeCaptureError: If its files cannot be captured.
        ConfigError: With every mistake in arguments and config.
        DatasetError: If the bundle does not exist.
        RunFailedError: If the strategy fails; the run is kept and catalogued.
        ArtifactManagerError: If the run directory cannot be made or written.
    """
    if LOADING.get():
        raise EntryReached
    from backtrail.backtest.call import run_call  # a strategy that is loaded needs none of it

    settings = {
        "capital_base": capital_base,
        "commission": commission,
        "slippage": slippage,
        "benchmark": benchmark,
        "risk_free_rate": risk_free_rate,
        "ledger": ledger,
        "fill": fill,
        "size_at": size_at,
        "shares": shares,
        "cash_policy": cash_policy,
        "margin": margin,
        "instruments": instruments,
    }
    named = {
        "initialize": initialize,
        "handle_data": handle_data,
        "analyze": analyze,
        "before_trading_start": before_trading_start,
    }
    return run_call(
        strategy_file,
        named,
        algorithm,
        name=name,
        bundle=bundle,
        window=(start, end),
        symbols=symbols,
        params=params,
        settings=settings,
        search={"optimize": optimize, "where": where, "validate": validate},
        config=config,
        base_dir=base_dir,
        backtest_id=backtest_id,
        code_capture_mode=code_capture_mode,
        enabled=enabled,
    )
