"""The shortest way from target weights to fills, for the plainest kind of run.

Between an order and its fill at the next bar nothing else happens, so orders are filled as soon as
they are placed; amounts are whole numbers of the smallest unit of money, or floats. Anything that
asks for more goes through `backtrail.engine.rebalancing`, with the same results.
"""

from backtrail.engine.settling.settlement import Settlement, settle

__all__ = ["Settlement", "settle"]
