"""The answer of a validation child to the checks of bias."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.batch.execution.laboratory import Laboratory, VariantFailedError
from backtrail.engine import run_signal
from backtrail.validation import (
    Check,
    check_costs,
    check_look_ahead,
    check_noise,
    check_random_entries,
    check_warm_up,
    cuts_between,
    still_bars,
)

__all__ = ["bias_answer"]

FloatArray = npt.NDArray[np.float64]

_CUTS: Final = 12
_STARTS: Final = (0.02, 0.05, 0.1)  # of the bars, where later histories begin


def bias_answer(lab: Laboratory) -> dict[str, Any]:
    """Return what each check that is asked for has found."""
    options = lab.options["bias"]
    asked: list[tuple[str, Callable[[], Check]]] = []
    if options["look_ahead"]:
        asked.append(("look_ahead", lambda: _look_ahead(lab)))
    if options["warm_up"] is not None:
        asked.append(("warm_up", lambda: _warm_up(lab, options["warm_up"])))
    if options["random_entries"]:
        asked.append(("random_entries", lambda: _random_entries(lab, options["random_entries"])))
    if options["noise"]:
        asked.append(("noise", lambda: _noise(lab, options)))
    if options["costs"]:
        asked.append(("costs", lambda: _costs(lab)))
    return {"checks": [asdict(_asked(lab, name, check)) for name, check in asked]}


def _asked(lab: Laboratory, name: str, check: Callable[[], Check]) -> Check:
    """Return what a check found; one that the strategy does not survive has found nothing.

    Memory that ran out, and a fault that is not the strategy's, end the step.
    """
    try:
        return check()
    except Exception as error:
        if not lab.is_of_strategy(error):
            raise
        kind = "" if isinstance(error, VariantFailedError) else f"{type(error).__name__}: "
        words = f"The strategy failed on a part or a variant of its history: {kind}{error}"
        return Check(name, None, None, None, 0.0, words)


def _random_entries(lab: Laboratory, samples: int) -> Check:
    return check_random_entries(
        lab.held(lab.bars, lab.result)[:-1],
        lab.moved(lab.bars),
        samples=samples,
        generator=lab.generator("random entries"),
    )


def _noise(lab: Laboratory, options: Mapping[str, Any]) -> Check:
    return check_noise(
        lambda bars: lab.chosen(bars)[0],
        lab.bars,
        histories=options["noise"],
        generator=lab.generator("noise"),
        false_alarm_rate=options["false_alarm_rate"],
    )


def _look_ahead(lab: Laboratory) -> Check:
    first, last = lab.shared_rows()
    earliest = max(first, len(lab.bars.timestamps) // 4)
    cuts = cuts_between(last + 1, first=earliest, count=_CUTS)
    return check_look_ahead(
        lab.decisions, lab.bars, cuts=cuts, generator=lab.generator("look ahead")
    )


def _warm_up(lab: Laboratory, bars: int) -> Check:
    first, last = lab.shared_rows()
    starts = [first + round(share * (last - first)) for share in _STARTS]
    gives_weights = lab.strategy.gives_weights
    decide: Callable[..., FloatArray] = lab.weights
    if not gives_weights:
        decide = lambda later: lab.held(later, lab.run(later))  # noqa: E731
    # In event form shares of the account are compared, and whole shares make them differ a little.
    return check_warm_up(
        decide,
        lab.bars,
        starts=[start for start in starts if start],
        warm_up=bars,
        tolerance=1e-9 if gives_weights else 0.02,
    )


def _costs(lab: Laboratory) -> Check:
    gives_weights = lab.strategy.gives_weights
    wanted = lab.weights(lab.bars) if gives_weights else lab.held(lab.bars, lab.result)
    tables = run_signal(lambda *_: wanted, still_bars(lab.bars), lab.config).tables
    value = tables["backtest_results"]["portfolio_value"]
    config = lab.config
    has_costs = bool(config.commission.cost) or config.slippage.model != "none"
    return check_costs(
        float(value[-1]) / float(config.capital_base) - 1.0,
        trades=len(tables["fills"]["fill_id"]),
        has_costs=has_costs,
    )
