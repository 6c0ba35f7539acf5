"""P3: a token that was verified before, beside PyJWT verifying it again; and what remembering it takes.

The verifier is the one of a service: its keys are fetched, and every hit looks at their age, at the token's
times and at its whole text.
"""

import time
import tracemalloc
from collections.abc import Iterator

from benchmarks.peers import AUDIENCE, ISSUER, pyjwt, pyjwt_by_kid
from benchmarks.race import Ratio, calling, race
from benchmarks.row import Goal, Row
from watchword.errors import TokenError
from watchword.fetch import Transport
from watchword.keys.issuer import Issuer
from watchword.keystores.memory import MemoryKeyStore
from watchword.resource.jwks import JWKSClient
from watchword.resource.metadata import IssuerMetadata
from watchword.resource.verifier import AcceptedIssuer, TokenVerifier
from watchword.testing.peers import Peer, Reply
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.verify import verify

P3 = Goal(30, 60, True)
P3_MEMORY = Goal(2.0, 1.5)
TOKENS = 2_000


def remembering(name: str, alg: str, seconds: float) -> Iterator[Row]:
    issuer = Issuer(ISSUER, MemoryKeyStore(), algorithm=alg)
    issuer.prepare_key()
    keys, policy = issuer.jwk_set(), VerificationPolicy(ISSUER, AUDIENCE, [alg])
    peer = Peer(Reply(200, keys.to_dict()))
    with peer.running():
        source = JWKSClient(IssuerMetadata(ISSUER, jwks_uri=f"{peer.url}/keys"), Transport())
        verifier = TokenVerifier([AcceptedIssuer(policy, source)])
        token = _issue(issuer, 0)
        verifier.verify(token)
        _demand_refused(verifier, token)
        given, chosen = pyjwt(keys, alg), pyjwt_by_kid(keys, alg)
        runners = {
            "ours": calling(lambda: verifier.verify(token)),
            "cold": calling(lambda: verify(token, keys, policy, time.time())),
            "PyJWT": calling(lambda: given(token)),
            "PyJWT by kid": calling(lambda: chosen(token)),
        }
        result = race(runners, seconds)
        took = result.median("ours") * 1e6
        for other, goal in (("PyJWT", P3), ("PyJWT by kid", None), ("cold", None)):
            yield Row("P3", f"{other} / remembered", name, result.ratio(other, "ours"), took, goal)
        each = memory(verifier, issuer) / 1024
        yield Row("P3", "KiB per remembered token", name, Ratio(each, each, each), None, P3_MEMORY)
        verifier.close()


def memory(verifier: TokenVerifier, issuer: Issuer) -> float:
    """Return how many bytes a remembered token takes, the tables around it included."""
    tokens = [_issue(issuer, number) for number in range(1, TOKENS + 1)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for token in tokens:
            verifier.verify(token)
        return (tracemalloc.get_traced_memory()[0] - before) / TOKENS
    finally:
        tracemalloc.stop()


def _issue(issuer: Issuer, number: int) -> str:
    return issuer.issue(
        f"local|{number:08d}",
        AUDIENCE,
        client_id="web",
        scope={"posts:read", "posts:write"},
        session_id="a" * 22,
    )


def _demand_refused(verifier: TokenVerifier, token: str) -> None:
    try:
        verifier.verify(token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:])
    except TokenError:
        return
    raise RuntimeError("a warm verifier accepted a forged token: this race would compare nothing")
