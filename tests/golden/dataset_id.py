"""Ids of datasets, computed with struct, hashlib and json alone: no NumPy, no Polars, none of ours.

Run it to see the figures of `dataset_id.json`. It follows the description in the docstring of
`backtrail.data.identity`, not its code.
"""

import hashlib
import json
import struct

FIELDS = ("open", "high", "low", "close", "volume")


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def text_column(name, values):
    known = sorted(set(values), key=lambda item: item.encode())
    yield f"{name}|text|{len(values)}\n{canonical(known)}\n".encode()
    for value in values:
        yield struct.pack("<I", known.index(value))


def number_column(name, values):
    yield f"{name}|float64|{len(values)}\n".encode()
    for value in values:
        yield struct.pack("<d", 0.0 if value == 0 else value)


def time_column(name, values):
    yield f"{name}|int64|{len(values)}\n".encode()
    for value in values:
        yield struct.pack("<q", value)


def checksum(columns):
    digest = hashlib.sha256()
    for column in columns:
        for part in column:
            digest.update(part)
    return digest.hexdigest()


def bars_checksum(rows):
    """Return the checksum of rows (symbol, microseconds since 1970, open … volume)."""
    rows = sorted(rows, key=lambda row: (row[0].encode(), row[1]))
    symbols, stamps, *values = zip(*rows, strict=True)
    numbers = (number_column(name, cells) for name, cells in zip(FIELDS, values, strict=True))
    return checksum([text_column("symbol", symbols), time_column("timestamp", stamps), *numbers])


def adjustments_checksum(rows):
    """Return the checksum of rows (symbol, microseconds since 1970, kind, value)."""
    rows = sorted(rows, key=lambda row: (row[0].encode(), row[1], row[2]))
    symbols, stamps, kinds, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    return checksum(
        [
            text_column("symbol", symbols),
            time_column("timestamp", stamps),
            text_column("kind", kinds),
            number_column("value", values),
        ]
    )


def identity(bars, adjustments, calendar, timeframe):
    content = {"bars": bars_checksum(bars), "adjustments": adjustments_checksum(adjustments)}
    whole = {"calendar": calendar, "content": content, "format": 1, "timeframe": timeframe}
    return {"content": content, "id": hashlib.sha256(canonical(whole).encode()).hexdigest()[:16]}


def many_rows():
    """Return 300,000 bars of three symbols, whose names sort apart by bytes and by letters."""
    rows = []
    for at, symbol in enumerate(("Zeta", "alpha", "Ärger")):
        for step in range(100_000):
            price = 50 + at + step * 7919 % 10007 / 64
            stamp = -86_400_000_000 * 3650 + step * 60_000_000
            rows.append((symbol, stamp, price, price + 0.5, price - 0.25, price, step % 977 / 8))
    return rows


def few_adjustments():
    """Return splits, dividends and a delisting, two of them on one day."""
    return [
        ("Zeta", 60_000_000, "split", 7.0),
        ("Zeta", 60_000_000, "dividend", 0.25),
        ("alpha", 0, "split", 0.1),
        ("Ärger", 120_000_000, "delisting", 3.5),
    ]


def figures():
    return {
        "300,000 bars": identity(many_rows(), [], "24/7", "1m"),
        "300,000 bars, adjusted": identity(many_rows(), few_adjustments(), "24/7", "1m"),
        "one bar": identity([("A", 0, 1.0, 1.0, 1.0, 1.0, -0.0)], [], "XNYS", "1d"),
    }


if __name__ == "__main__":
    print(json.dumps(figures(), indent=2, sort_keys=True))
