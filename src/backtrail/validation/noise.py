"""How a result stands on its parameters and on its prices: what a little of either moves."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.engine import Bars
from backtrail.validation.histories import disturbed_bars

__all__ = ["Sensitivity", "parameter_noise", "price_noise"]

FloatArray = npt.NDArray[np.float64]
Measure = Callable[[Bars], float | None]

_KEPT: Final = 0.5


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """A figure beside the same figure where something small is different.

    Attributes:
        observed: The figure itself.
        samples: The figure in each variant, sorted; variants without one are left out.
        undefined: How many had none.
        mean: Mean of the samples; None without one, as the rest.
        median: Their median.
        low: Their lowest.
        kept: Share of all variants, those without a figure counted as lost, that keep at least
            half of a positive figure; None where the observed one is not positive.
    """

    observed: float
    samples: FloatArray
    undefined: int
    mean: float | None
    median: float | None
    low: float | None
    kept: float | None


def parameter_noise(observed: float, neighbors: npt.ArrayLike) -> Sensitivity:
    """Return how a figure stands among those of the parameter sets beside the chosen one.

    A peak among poor neighbors is luck or will be missed; a plateau can be hit again.

    Args:
        observed: Figure of the chosen set.
        neighbors: Figures of the sets one step away, shape (m,); NaN where a set has none.
    """
    return _sensitivity(observed, np.asarray(neighbors, dtype=np.float64))


def price_noise(
    measure: Measure,
    bars: Bars,
    *,
    samples: int,
    scale: float,
    generator: np.random.Generator,
) -> Sensitivity:
    """Return how a figure moves when every price is a little off.

    Args:
        measure: Runs the chosen set on bars and returns the figure; None where it is undefined.
        bars: What happened.
        samples: Number of disturbed histories.
        scale: Size of the noise in usual moves of a bar; see `disturbed_bars`.
        generator: Source of the noise.

    Raises:
        ValueError: If the figure is undefined on the bars themselves, or a number out of its range.
    """
    observed = measure(bars)
    if observed is None or samples < 1:
        raise ValueError(
            f"the figure is {observed} on the bars themselves, samples are {samples}; pass a "
            "measure that is defined there, and one sample or more"
        )
    found = [measure(disturbed_bars(bars, generator, scale=scale)) for _ in range(samples)]
    return _sensitivity(observed, np.array([math.nan if x is None else x for x in found]))


def _sensitivity(observed: float, values: FloatArray) -> Sensitivity:
    samples = np.sort(values[~np.isnan(values)])
    undefined = len(values) - len(samples)
    if not len(samples):
        return Sensitivity(observed, samples, undefined, None, None, None, None)
    kept = None
    if observed > 0.0:
        kept = int(np.count_nonzero(samples >= _KEPT * observed)) / len(values)
    return Sensitivity(
        observed,
        samples,
        undefined,
        float(samples.mean()),
        float(np.median(samples)),
        float(samples[0]),
        kept,
    )
