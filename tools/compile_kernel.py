"""Compile what sweeps run through and keep it beside its sources, so no search waits for it."""

import numpy as np

from backtrail.engine import Bars, EngineConfig, SignalBars, Strategy
from backtrail.optimization.sweep import Sweep

_ROWS = 4


def make_bars(symbols: tuple[str, ...]) -> Bars:
    """Return a few bars of ones: the compiled code depends on types alone."""
    ones = np.ones((_ROWS, len(symbols)))
    days = np.arange(_ROWS, dtype=np.int64) * 86_400_000_000
    dividends, delisted = np.zeros_like(ones), np.full(len(symbols), -1)
    return Bars(
        symbols, days, ones, ones, ones, ones, ones, ones, dividends, delisted, "XNYS", "1d"
    )


def in_parts(bars: SignalBars, _: object) -> np.ndarray:
    """Hold everything in equal parts."""
    return np.full(bars.close.shape, 1.0 / bars.close.shape[1])


def whole(bars: SignalBars, _: object) -> np.ndarray:
    """Hold everything wholly, as flags; of one symbol they have a way of their own."""
    return np.ones(bars.close.shape, dtype=np.bool_)


def main() -> None:
    """Run the smallest sweeps there are, for one symbol and for several."""
    for symbols, weights in ((("A",), in_parts), (("A",), whole), (("A", "B"), in_parts)):
        strategy = Strategy("hold", "signal", None, target_weights=weights)
        sweep = Sweep(
            strategy, make_bars(symbols), EngineConfig(), periods_per_year=252, compiled=True
        )
        for keep_returns in (False, True):
            result = sweep.evaluate([{}], keep_returns=keep_returns)
            if result.errors != (None,):
                raise SystemExit(f"the kernel does not run: {result.errors[0]}")


if __name__ == "__main__":
    main()
