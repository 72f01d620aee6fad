"""How far a measured Sharpe ratio can be trusted: its error, and the data it takes to be sure.

Two conventions are in use and must not be mixed. Bailey and Lopez de Prado (2012), The Sharpe Ratio
Efficient Frontier, take the variance of the estimate at the measured ratio and n - 1 observations.
Lopez de Prado, Lipton and Zoonekynd, Sharpe Ratio Inference (SSRN 5520741), take it at the ratio of
the null hypothesis and n observations. The first one is the default; the second is `null_variance`.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from backtrail.metrics._series import FloatArray, checked, spread

__all__ = ["SharpeConvention", "SharpeEstimate"]

SharpeConvention = Literal["bailey_2012", "null_variance"]


@dataclass(frozen=True, slots=True)
class SharpeEstimate:
    """A Sharpe ratio per bar, and what its error depends on.

    Attributes:
        ratio: Mean over standard deviation (ddof 1) of the returns per bar; not annual.
        observations: Number of returns, two or more.
        skewness: Third standardized moment, population form; 0 for a normal distribution.
        kurtosis: Fourth standardized moment, population form and not in excess; 3 for a normal one.
    """

    ratio: float
    observations: int
    skewness: float = 0.0
    kurtosis: float = 3.0

    def __post_init__(self) -> None:
        if self.observations < 2:
            raise ValueError(f"{self.observations} observations; a Sharpe ratio needs two or more")

    @classmethod
    def of(
        cls, returns: npt.ArrayLike, risk_free_per_period: float = 0.0
    ) -> "SharpeEstimate | None":
        """Estimate from returns per bar, shape (n,); None without variance.

        Args:
            returns: The returns.
            risk_free_per_period: Rate per bar that is taken from them.

        Raises:
            EmptySeriesError: If there is no return.
            ValueError: If one is not finite.
        """
        series = checked(returns) - risk_free_per_period
        deviation = spread(series)
        if not deviation:
            return None
        centered = series - np.mean(series)
        return cls(
            float(np.mean(series)) / deviation,
            len(series),
            _standardized(centered, 3),
            _standardized(centered, 4),
        )

    def deviation(
        self, at: float | None = None, *, convention: SharpeConvention = "bailey_2012"
    ) -> float | None:
        """Return the standard error of the ratio; None where the moments allow no variance.

        sqrt((1 - g3 SR + (g4 - 1)/4 SR^2) / (n - 1)), and with `null_variance` over n.

        Args:
            at: The Sharpe ratio SR of the formula; the measured one when None.
            convention: See the module.
        """
        variance = self._variance(self.ratio if at is None else at)
        if variance is None:
            return None
        return math.sqrt(variance / (self.observations - (convention == "bailey_2012")))

    def probability_above(
        self, benchmark: float = 0.0, *, convention: SharpeConvention = "bailey_2012"
    ) -> float | None:
        """Return the probabilistic Sharpe ratio: Phi((SR - SR*) / standard error).

        Args:
            benchmark: SR*, per bar, not annual.
            convention: See the module.

        Returns:
            Near 1 when the true ratio is surely above the benchmark; None as `deviation`.
        """
        at = None if convention == "bailey_2012" else benchmark
        error = self.deviation(at, convention=convention)
        return None if error is None else NormalDist().cdf((self.ratio - benchmark) / error)

    def least_observations(
        self,
        benchmark: float = 0.0,
        *,
        confidence: float = 0.95,
        convention: SharpeConvention = "bailey_2012",
    ) -> float | None:
        """Return the minimum track record length, in bars.

        1 + (1 - g3 SR + (g4 - 1)/4 SR^2) (z / (SR - SR*))^2, and with `null_variance` the same at
        SR* and without the leading 1.

        Args:
            benchmark: SR*, per bar.
            confidence: How sure one wants to be that the true ratio is above it.
            convention: See the module.

        Returns:
            Bars, not rounded; infinite when the ratio is not above the benchmark; None as
            `deviation`.
        """
        if not 0.5 < confidence < 1.0:
            raise ValueError(f"confidence is {confidence}; it lies between 0.5 and 1")
        if self.ratio <= benchmark:
            return math.inf
        is_2012 = convention == "bailey_2012"
        variance = self._variance(self.ratio if is_2012 else benchmark)
        if variance is None:
            return None
        score = NormalDist().inv_cdf(confidence) / (self.ratio - benchmark)
        return is_2012 + variance * score**2

    def _variance(self, ratio: float) -> float | None:
        variance = 1.0 - self.skewness * ratio + (self.kurtosis - 1.0) / 4.0 * ratio**2
        return variance if variance > 0.0 else None


def _standardized(centered: FloatArray, order: int) -> float:
    return float(np.mean(centered**order) / np.mean(centered**2) ** (order / 2.0))
