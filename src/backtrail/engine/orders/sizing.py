"""From what an order asks for to a number of shares."""

from backtrail.engine.ledger import Amount, Ledger

__all__ = ["sized"]


def sized(
    ledger: Ledger,
    column: int,
    sizing: str,
    amount: float,
    price: float,
    equity: Amount,
    held: Amount,
    pending: Amount,
) -> tuple[Amount, Amount]:
    """Return the signed quantity of an order, and for a target order the target in shares.

    Args:
        ledger: Computes and rounds.
        column: Of what.
        sizing: Unit of `amount`, one of `SIZINGS` in `orders`.
        amount: As asked.
        price: At which money becomes shares.
        equity: Portfolio value; used by the percent sizings alone.
        held: Shares held now.
        pending: Shares that waiting orders will add.
    """
    number = ledger.number(amount)
    if sizing in ("shares", "target"):
        quantity = ledger.round_quantity(column, number)
    elif sizing in ("value", "target_value"):
        quantity = ledger.size(column, number, price)
    else:
        quantity = ledger.size(column, ledger.multiply(number, equity), price)
    if not sizing.startswith("target"):
        return quantity, None
    expected = ledger.add(held, pending) if pending else held
    return ledger.subtract(quantity, expected), quantity
