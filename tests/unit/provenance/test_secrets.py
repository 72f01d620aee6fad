"""Every secret here is put together when the test runs: no scanner shall find one in this file."""

import random
import string
from pathlib import Path

import pytest

from backtrail.errors import CodeCaptureError
from backtrail.provenance.closure import SecretWaiver
from backtrail.provenance.secrets import find_secrets, refuse_secrets

ROOT = Path(__file__).resolve().parents[3]
LETTERS = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits


def made(length, alphabet=LETTERS, seed=1):
    """Return an invented secret with more than one digit and one letter."""
    generator = random.Random(seed)
    body = [generator.choice(alphabet) for _ in range(length - 4)]
    return "".join([alphabet[-1], alphabet[0], *body, alphabet[-2], alphabet[1]])


KEY = made(40)
BEGIN, END = "-----BEGIN {}PRIVATE " + "KEY-----", "-----END {}PRIVATE " + "KEY-----"
HOOKS = "https://hooks.sl" + "ack.com/services"
SECRETS = [
    ("a private key", f"{BEGIN.format('RSA ')}\n{made(64)}\n{made(30)}\n{END.format('RSA ')}"),
    ("a private key", f"{BEGIN.format('')}\n{made(64)}\n{END.format('')}"),
    ("a private key", f'KEY = "{BEGIN.format("EC ")}\\n{made(64)}\\n"'),
    ("a private key", f'KEY = (\n    "{BEGIN.format("")}\\n"\n    "{made(64)}"\n)'),
    ("a private key", f"{BEGIN.format('OPENSSH ')}\n{made(70)}"),
    ("an AWS access key", f"x = '{'AK' + 'IA'}{made(16, UPPER)}'"),
    ("a GitHub token", f"x = '{'gh' + 'p_'}{made(36)}'"),
    ("a GitHub token", f"clone {'github' + '_pat_'}{made(22)}_{made(59)}"),
    ("a GitLab token", f"{'gl' + 'pat-'}{made(20)}"),
    ("a Slack token", f"{'xo' + 'xb-'}{made(12, string.digits)}-{made(24)}"),
    ("a Slack address", f"{HOOKS}/T{made(8, UPPER)}/B{made(8, UPPER)}/{made(24)}"),
    ("a Google key", f"{'AI' + 'za'}{made(35)}"),
    ("a Stripe key", f"{'sk' + '_live_'}{made(24)}"),
    ("an API key", f"{'sk-' + 'ant-'}{made(30)}"),
    ("a signed token", f"{'ey' + 'J'}{made(20)}.{'ey' + 'J'}{made(30)}.{made(40)}"),
    ("a password in an address", f"create_engine('postgresql://me:{made(12)}@db.local/x')"),
    ("a key or password", f'api_key = "{KEY}"'),
    ("a key or password", f"API_SECRET='{KEY}'"),
    ("a key or password", f'{{"access_token": "{KEY}"}}'),
    ("a key or password", f'api_key: str = "{KEY}"'),
    ("a key or password", f'os.environ["API_TOKEN"] = "{KEY}"'),
    ("a key or password", f'os.getenv("API_TOKEN", "{KEY}")'),
    ("a key or password", f"Client(secret_key=b'{KEY}')"),
    ("a key or password", f"password: {KEY}"),
    ("a key or password", f"API_KEY={KEY}\n"),
    ("a key or password", f'private_key = "0x{made(64, "0123456789abcdef")}"'),
]  # fmt: skip
HARMLESS = [
    'api_key = os.environ["API_KEY"]',
    'api_key = ""',
    'api_key = "your-api-key-goes-here-1234567890"',
    f'key = "{KEY}"',
    f'checksum = "{made(64, "0123456789abcdef")}"',
    f'api_version = "2024-01-01-preview-{made(10)}"',
    f'api_url = "{KEY}"',
    'token_type = "urn-ietf-params-oauth-token-type-jwt"',
    'secret_name = "projects_of_the_whole_team"',
    'password = "correct_horse_battery_staple"',
    'api = "aaaaaaaaaaaaaaaaaaaaaaaa11"',
    f"{BEGIN.format('')} is how such a file begins",
    f"{'AK' + 'IA'}IOSFODNN7EXAMPLE",
    "postgresql://user:password@localhost/db",
    "postgresql+pg8000://me:{password}@db/prices",
    "https://example.com:8080/@me",
    "from backtrail.engine.api import order_target_percent, data_file",
    "token = tokenize(text, maximum_length_of_a_token=20)",
    "sk_test_" + made(24),
    "eyJ is how a token begins",
]


@pytest.mark.parametrize(
    ("kind", "text"), SECRETS, ids=[f"{k}-{i}" for i, (k, _) in enumerate(SECRETS)]
)
def test_a_secret_is_found_with_its_line_and_kind(kind, text):
    found = find_secrets(f"import os\n\n{text}\n".encode())
    assert [(secret.line, secret.kind) for secret in found][:1] == [
        (4 if text.startswith("KEY = (") else 3, kind)
    ]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_is_not_found(text):
    assert find_secrets(f"{text}\n".encode()) == []


def test_several_are_found_in_the_order_of_lines():
    text = f"a\n{SECRETS[6][1]}\n{SECRETS[5][1]}\nb\n{SECRETS[6][1]}".encode()
    assert find_secrets(text) == [
        (2, "a GitHub token"),
        (3, "an AWS access key"),
        (5, "a GitHub token"),
    ]


def test_binary_files_are_not_searched():
    assert find_secrets(b"\x00\x01" + SECRETS[6][1].encode()) == []


def test_random_keys_of_usual_lengths_are_found_with_few_misses():
    for length, alphabet in ((32, LETTERS), (40, LETTERS), (32, "0123456789abcdef")):
        texts = [f'api_key = "{made(length, alphabet, seed)}"'.encode() for seed in range(500)]
        assert sum(bool(find_secrets(text)) for text in texts) >= 450


@pytest.mark.parametrize("folder", ["numpy", "this project"])
def test_nothing_is_found_where_there_is_nothing(folder):
    if folder == "numpy":
        import numpy as np

        files = list(Path(np.__file__).parent.rglob("*.py"))
    else:
        tops = ("src", "tests", "strategies", "scripts", "workflow", "docs", "config", "tools")
        files = [path for top in tops for path in (ROOT / top).rglob("*") if path.is_file()]
        files += [path for path in ROOT.iterdir() if path.is_file()]
    found = {
        str(path): secrets
        for path in files
        if "__pycache__" not in path.parts and (secrets := find_secrets(path.read_bytes()))
    }
    assert len(files) > 100
    assert found == {}


def test_a_refusal_names_every_place_and_no_secret():
    contents = {"b.py": SECRETS[6][1].encode(), "a.py": f"\n{SECRETS[5][1]}".encode(), "c.py": b""}
    with pytest.raises(CodeCaptureError) as caught:
        refuse_secrets(contents, [])
    text = str(caught.value)
    first, second, *_ = text.split("; ")
    assert first == "a.py:2 holds what looks like an AWS access key"
    assert second.startswith("b.py:1 holds what looks like a GitHub token. Captured code is kept")
    assert "backtest_output.secret_waivers" in text
    for kind, secret in (SECRETS[5], SECRETS[6]):
        assert secret.split("'")[1] not in text, kind


def test_a_waiver_holds_for_its_file_alone_and_is_recorded():
    contents = {"a.py": SECRETS[6][1].encode(), "b.py": SECRETS[6][1].encode()}
    waiver = SecretWaiver("a.py", "revoked")
    with pytest.raises(CodeCaptureError, match=r"^b\.py:1 holds") as caught:
        refuse_secrets(contents, [waiver])
    assert "a.py" not in str(caught.value)
    del contents["b.py"]
    assert refuse_secrets(contents, [waiver]) == (
        {"file": "a.py", "line": 1, "kind": "a GitHub token", "reason": "revoked"},
    )
