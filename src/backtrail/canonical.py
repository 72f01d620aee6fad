"""Canonical JSON, checksums and derived seeds: the bottom of every identity."""

import hashlib
import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

__all__ = [
    "canonical_json",
    "derive_seed",
    "pretty_json",
    "sha256_bytes",
    "sha256_file",
    "sha256_json",
    "utc_iso",
]

_CHUNK = 1 << 20
_SIMPLE = frozenset({bool, int, str, type(None)})


def utc_iso(moment: datetime) -> str:
    """Return an aware moment as ISO 8601 in UTC, ending in `Z`.

    Raises:
        ValueError: If `moment` has no timezone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no timezone; pass an aware datetime")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}; canonical JSON has no NaN and no infinity")
        return value + 0.0 if value else 0.0  # −0.0 and 0.0 are one number
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{where} is {value}; canonical JSON has no NaN and no infinity")
        return _plain_decimal(value)
    if isinstance(value, datetime):
        return utc_iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}; canonical JSON keys are strings")
        return {
            key: item if type(item) in _SIMPLE else _plain(item, f"{where}.{key}")
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            item if type(item) in _SIMPLE else _plain(item, f"{where}[{index}]")
            for index, item in enumerate(value)
        ]
    raise TypeError(f"{where} is a {type(value).__name__}, which has no canonical JSON form")


def _plain_decimal(value: Decimal) -> str:
    text = format(value, "f") if value else "0"  # exact: `normalize` would round to 28 digits
    return text.rstrip("0").rstrip(".") if "." in text else text


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, floats by `repr`.

    Decimals become strings, dates ISO 8601, aware datetimes UTC; −0.0 equals 0.0.

    Raises:
        ValueError: If a number is not finite.
        TypeError: If a value has no canonical form.
    """
    return json.dumps(_plain(value, "$"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def pretty_json(value: Any) -> str:
    """Return JSON for people and files: sorted keys, indented by 2, final newline, no NaN."""
    return json.dumps(_plain(value, "$"), sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def sha256_bytes(data: bytes) -> str:
    """Return the sha256 of bytes as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_json(value: Any) -> str:
    """Return the sha256 of a value's canonical JSON as 64 hex digits."""
    return sha256_bytes(canonical_json(value).encode())


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's bytes as 64 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def derive_seed(seed: int, run_key: str, purpose: str) -> int:
    """Return a 63-bit seed that depends on nothing but its three arguments."""
    text = canonical_json([seed, run_key, purpose])
    return int(sha256_bytes(text.encode())[:16], 16) >> 1
