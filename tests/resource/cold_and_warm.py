"""A pytest plugin: whatever the tests of the token floor verify, a verifier with a cache verifies too, twice.

`COLD_AND_WARM_REPORT` names the file for the outcome.
"""

import json
import os
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from watchword.errors import ConfigurationError
from watchword.resource.verifier import AcceptedIssuer, TokenVerifier
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.verify import verify

FACTS = (
    "subject", "issuer", "client_id", "audience", "scope", "roles", "actors", "token_id", "story_id",
    "session_id", "issued_at", "expires_at", "key_id",
)  # fmt: skip


class Moment:
    """The clock of every warm verifier: the moment at which a test verifies."""

    value: Any = 0.0

    def now(self) -> float:
        return self.value  # type: ignore[no-any-return]

    def monotonic(self) -> float:
        return 0.0


clock = Moment()
counts: Counter[str] = Counter()
disagreements: list[str] = []
verifiers: dict[tuple[object, ...], tuple[TokenVerifier, object]] = {}


def verdict(deed: Any) -> object:
    try:
        token = deed()
    except Exception as error:  # noqa: BLE001  # whatever it is: it must be the same
        return type(error).__name__, str(error)
    return [getattr(token, fact) for fact in FACTS], dict(token.claims)


def compare(token: Any, keys: Any, policy: VerificationPolicy, now: Any) -> None:
    configuration = (id(keys), *(getattr(policy, name) for name in VerificationPolicy.__slots__))
    if configuration not in verifiers:
        try:
            made = TokenVerifier([AcceptedIssuer(policy, keys)], clock=clock)
        except (ConfigurationError, TypeError):
            counts["other configurations"] += 1
            return
        verifiers[configuration] = made, keys
    verifier, _ = verifiers[configuration]
    clock.value = now
    cold = verdict(lambda: verify(token, keys, policy, now))
    before = len(verifier._cache)
    for time in ("first", "second"):
        warm = verdict(lambda: verifier.verify(token))
        if repr(warm) != repr(cold):
            disagreements.append(f"{time} time: cold {cold!r:.300}, warm {warm!r:.300}")
    refused = isinstance(cold, tuple) and isinstance(cold[0], str)
    counts["refused" if refused else "accepted"] += 1
    if refused and len(verifier._cache) > before:
        disagreements.append(f"a refusal was kept: {cold!r:.300}")


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any) -> Generator[None, Any, Any]:
    forge = yield
    if fixturedef.argname == "forge":
        plain = forge.verify

        def both(token: Any, *, keys: Any = None, policy: Any = None, now: Any = forge.now) -> Any:
            compare(token, forge.jwk_set if keys is None else keys, policy or forge.policy(), now)
            return plain(token, keys=keys, policy=policy, now=now)

        forge.verify = both
    return forge


def pytest_sessionfinish() -> None:
    report = {"counts": dict(counts), "disagreements": disagreements, "verifiers": len(verifiers)}
    Path(os.environ["COLD_AND_WARM_REPORT"]).write_text(json.dumps(report))
