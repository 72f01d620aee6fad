"""The base class of strategies that scripts and notebooks run themselves."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtrail import engine
from backtrail.engine.strategy import LOADING, EntryReached
from backtrail.errors import StrategyError

if TYPE_CHECKING:
    from backtrail.backtest.result import BacktestResult

__all__ = ["TradingAlgorithm"]


class TradingAlgorithm(engine.TradingAlgorithm):
    """Base class of a strategy in class form, with `run`.

    A run makes an instance of its own, without arguments, from a copy of the file: what a strategy
    needs is set in `initialize` or handed over in `params`.

    Attributes:
        params: The strategy's `Params` instance; None without a `Params` class.
        artifact_manager: The run's folders: inside of a run its own, after `run` those of that run.
        output_dir: The run's directory; None when there is none.
    """

    output_dir: Path | None = None
    artifact_manager: Any = None

    def run(self, **arguments: Any) -> "BacktestResult":
        """Run this class; the arguments are those of `run_algorithm`, without the strategy.

        Returns:
            The result; afterwards `artifact_manager` and `output_dir` are those of the run.

        Raises:
            StrategyError: If attributes were set on the instance: a run would not have them.
        """
        if LOADING.get():
            raise EntryReached
        own = sorted(set(vars(self)) - {"artifact_manager", "output_dir"})
        if own:
            raise StrategyError(
                f"{', '.join(own)} was set on the instance, and a run makes one of its own; "
                "set it in initialize, or declare it in Params and pass params"
            )
        from backtrail.backtest.running import run_algorithm

        result: BacktestResult = run_algorithm(algorithm=type(self), **arguments)
        self.artifact_manager = result.artifact_manager
        self.output_dir = result.output_dir
        return result
