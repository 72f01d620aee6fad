"""Costs of fills by Zipline's names: the modules `commission` and `slippage`."""

from backtrail.engine.costs import commission, slippage

__all__ = ["commission", "slippage"]
