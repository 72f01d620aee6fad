"""A search for secrets in what is about to be captured: a short list of forms, few false alarms.

Each form is one of: a block with a private key; a token whose issuer marks it (AWS, GitHub,
GitLab, Slack, Google, Stripe, OpenAI, Anthropic, JSON web tokens); a password in an address; a
random text of twenty characters or more that is given to a name with `api`, `secret`, `token`,
`passw`, `access_key` or `private_key` in it.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from backtrail.errors import CodeCaptureError
from backtrail.provenance.closure import SecretWaiver

__all__ = ["Secret", "find_secrets", "refuse_secrets"]


class Secret(NamedTuple):
    """Something that looks like a secret; the text itself is not kept.

    Attributes:
        line: Its line, from 1.
        kind: What it looks like.
    """

    line: int
    kind: str


# What has to stand in a file before its pattern is tried; looking for it costs next to nothing.
# Patterns are compiled when they are first needed: every parse of the Snakefile imports this.
_MARKED: tuple[tuple[str, tuple[bytes, ...], bytes], ...] = (
    (
        "a private key",
        (b"PRIVATE KEY",),
        rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\\[nr]|[\s\"'+])*"
        rb"(?:[A-Za-z-]+: [^\n\\]*(?:\\[nr]|\s)+)*[A-Za-z0-9+/=]{30}",
    ),
    (
        "an AWS access key",
        (b"AKIA", b"ASIA"),
        rb"(?<![A-Za-z0-9+/])A[KS]IA(?![A-Z0-9]*EXAMPLE)[A-Z0-9]{16}(?![A-Za-z0-9+/])",
    ),
    (
        "a GitHub token",
        (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"),
        rb"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255})",
    ),
    ("a GitLab token", (b"glpat-",), rb"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{20,}"),
    (
        "a Slack token",
        (b"xox", b"xapp-"),
        rb"(?<![A-Za-z0-9])(?:xox[a-z]|xapp)-(?=[A-Za-z-]*[0-9])[A-Za-z0-9-]{20,}",
    ),
    (
        "a Slack address",
        (b"hooks.slack.com",),
        rb"hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20,}",
    ),
    ("a Google key", (b"AIza",), rb"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    ("a Stripe key", (b"k_live_",), rb"(?<![A-Za-z0-9])[rs]k_live_[A-Za-z0-9]{20,}"),
    (
        "an API key",
        (b"sk-ant-", b"sk-proj-"),
        rb"(?<![A-Za-z0-9])sk-(?:ant|proj)-[A-Za-z0-9_-]{20,}",
    ),
    (
        "a signed token",
        (b"eyJ",),
        rb"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",
    ),
)
_WORDS = (b"api", b"secret", b"token", b"passw", b"access", b"private")
_ASSIGNED = (
    rb"(?im)"
    rb"""((?:api|secret|token|passw|(?:access|private)[_-]?key)[A-Za-z0-9_-]{0,40})["'\])]{0,3}"""
    rb"""\s{0,4}(?::\s?[A-Za-z]{1,12}\s?=|[:=,])\s{0,4}"""
    rb"""(?:[A-Za-z]{0,2}(["'])([A-Za-z0-9+/_=.~-]{20,200})\2|([A-Za-z0-9+/_=~-]{20,200})\s*$)"""
)
_HARMLESS = rb"(?i)(?:version|url|uri|endpoint|host|path|file|name|type|class)$"
_ADDRESS = (
    rb"(?<![A-Za-z0-9+.-])[a-z][a-z0-9+.-]{1,20}://[A-Za-z0-9_.-]{1,60}:"
    rb"([^\s:/@'\"{}$<>%()\[\]*]{6,100})@[A-Za-z0-9]"
)
_PLACEHOLDERS = (
    rb"(?i)pass|secret|example|change|your|placeholder|dummy|sample|test|token|key"
    rb"|1234|abcd|xxxx|\.\.\."
)
_LEAST_BITS = 3.5  # per character: random letters and digits have 4 and more, words less
_LEAST_HEX_BITS = 3.0


def refuse_secrets(
    contents: Mapping[str, bytes], waivers: Sequence[SecretWaiver]
) -> tuple[dict[str, Any], ...]:
    """Search files for secrets and refuse what no waiver covers.

    Args:
        contents: The bytes of each file by its path.
        waivers: Files whose findings are accepted.

    Returns:
        The accepted findings, each with `file`, `line`, `kind` and `reason`.

    Raises:
        CodeCaptureError: If another file has a finding; each is named with file, line and kind,
            never with the secret itself.
    """
    reasons = {waiver.file: waiver.reason for waiver in waivers}
    waived: list[dict[str, Any]] = []
    refused: list[str] = []
    for path, data in sorted(contents.items()):
        for secret in find_secrets(data):
            if path in reasons:
                waived.append(
                    {
                        "file": path,
                        "line": secret.line,
                        "kind": secret.kind,
                        "reason": reasons[path],
                    }
                )
            else:
                refused.append(f"{path}:{secret.line} holds what looks like {secret.kind}")
    if refused:
        raise CodeCaptureError(
            f"{'; '.join(refused)}. Captured code is kept in every run, so nothing was captured. "
            "Take it out of the file: a backtest needs no access to anything. If it is no secret, "
            "say so in the config: backtest_output.secret_waivers with file and reason"
        )
    return tuple(waived)


def find_secrets(data: bytes) -> list[Secret]:
    """Return what looks like a secret in the bytes of a text file.

    Args:
        data: The file. One that is binary has no lines to name and is not searched.

    Returns:
        The findings by line, one for each.
    """
    if b"\0" in data[:8192]:
        return []
    found: dict[int, str] = {}
    for position, kind in _findings(data):  # what an issuer marks comes first, and says more
        found.setdefault(data.count(b"\n", 0, position) + 1, kind)
    return [Secret(line, found[line]) for line in sorted(found)]


def _findings(data: bytes) -> Iterator[tuple[int, str]]:
    for kind, marks, pattern in _MARKED:
        if any(mark in data for mark in marks):
            for match in re.finditer(pattern, data):
                yield match.start(), kind
    if b"://" in data:
        for match in re.finditer(_ADDRESS, data):
            if not re.search(_PLACEHOLDERS, match[1]):
                yield match.start(), "a password in an address"
    lowered = data.lower()
    if any(word in lowered for word in _WORDS):
        for match in re.finditer(_ASSIGNED, data):
            if not re.search(_HARMLESS, match[1]) and _is_random(match[3] or match[4]):
                yield match.start(), "a key or password"


def _is_random(text: bytes) -> bool:
    """Say whether a text has digits, letters and no more order than a generated one."""
    if re.search(_PLACEHOLDERS, text):
        return False
    letters, digits = sum(map(_is_letter, text)), sum(48 <= byte <= 57 for byte in text)
    if digits < 2 or letters < 2:
        return False
    counts = Counter(text).values()
    bits = -sum(count / len(text) * math.log2(count / len(text)) for count in counts)
    is_hex = all(byte in b"0123456789abcdefABCDEF-" for byte in text)
    return bits >= (_LEAST_HEX_BITS if is_hex else _LEAST_BITS)


def _is_letter(byte: int) -> bool:
    return 65 <= byte <= 90 or 97 <= byte <= 122
