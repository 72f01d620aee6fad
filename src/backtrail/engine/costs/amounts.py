"""Numbers of the user as exact decimals."""

from decimal import Decimal, InvalidOperation

from backtrail.errors import ConfigError, Problem

__all__ = ["exact"]


def exact(where: str, value: object) -> Decimal:
    """Return a number as a decimal; a float enters by `repr`.

    Raises:
        ConfigError: If it is no number.
    """
    if not isinstance(value, bool) and isinstance(value, (int, float, str, Decimal)):
        try:
            return Decimal(repr(value) if isinstance(value, float) else value)
        except InvalidOperation:
            pass
    raise ConfigError([Problem(where, repr(value), "a number")])
