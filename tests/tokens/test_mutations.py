"""Taking out any one check of the verifier turns these tests red.

`make test` tries a part of the mutants, another part after each change of the verifier; all of them are tried
with WATCHWORD_SOAK=1. What survives must stand below with the reason why no input can tell the difference.
"""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TOKENS = HERE.parents[1] / "src" / "watchword" / "tokens"
PARTS = 20

EQUIVALENT = {
    "verify: never keys.known_headers.get(segment) in keys.known_headers.get(segment) "
    "if type(keys) is JWKSet else None": "the table of headers saves time and decides nothing",
    "verify: never '' in '' if claims.scope is UNSET else claims.scope": "UNSET is as empty as an empty text",
    "jwk: without not text in not isinstance(text, str) or not text or (not text.isascii())": (
        "an empty member is refused by its length or its value a few lines later"
    ),
    "jwk: boundary 0 of len(text) > (limit + 1) * 4 // 3 + 4": "a bound on work, generous by four characters",
    "jwk: without public.e < 3 in public.n % 2 == 0 or public.e < 3 or public.e % 2 == 0": (
        "cryptography makes no such key; ours is the second lock"
    ),
    "jwk: without public.e % 2 == 0 in public.n % 2 == 0 or public.e < 3 or public.e % 2 == 0": (
        "cryptography makes no such key; ours is the second lock"
    ),
    "jwk: never not MIN_RSA_BITS <= n.bit_length() <= MAX_RSA_BITS": (
        "the finished key is measured again; this one saves the making of a huge one"
    ),
    "strict_json: let ValueError through in: "
    "raise TokenMalformed('expected one JSON object in UTF-8') from None": (
        "msgspec has read the text before; no text is known that json refuses then"
    ),
    "claims: untyped iss: Text": "iss has been compared with the issuer's text before",
    "claims: boundary 0 of len(text) > _MAX_COMPACT": "both ways read a text of this length alike",
    "claims: never claims in claims if strict_json.encode(claims) == text else None": (
        "without the short way everything takes the long one, to the same end"
    ),
    "claims: never (value,) in (value,) if isinstance(value, str) else () if value is UNSET else value": (
        "the characters of a text, one by one, hold what the text holds"
    ),
}


def part() -> tuple[int, int]:
    """Which mutants to try: all, or every twentieth from a place that moves when the verifier changes."""
    if os.environ.get("WATCHWORD_SOAK") == "1":
        return 0, 1
    source = b"".join(path.read_bytes() for path in sorted(TOKENS.glob("*.py")))
    return sha256(source).digest()[0] % PARTS, PARTS


@pytest.mark.threat(52)
def test_every_check_that_is_taken_out_turns_the_tests_red(tmp_path: Path) -> None:
    first, step = part()
    run = subprocess.run(
        [
            sys.executable,
            str(HERE / "mutation" / "prove.py"),
            str(TOKENS),
            str(HERE),
            str(tmp_path / "mutants"),
            str(first),
            str(step),
        ],
        capture_output=True,
        text=True,
        timeout=1_800,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["broken"] == []
    assert report["all"] > 300
    assert [change for change in report["survivors"] if change not in EQUIVALENT] == []
    if step == 1:
        assert sorted(set(EQUIVALENT) - set(report["survivors"])) == [], "these are noticed now"
