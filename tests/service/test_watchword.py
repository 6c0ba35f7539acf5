"""The one object of a service: useful alone, with any issuer, across forks, and light."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import watchword
from watchword import IssuerSettings, Watchword
from watchword.clock import SYSTEM_CLOCK
from watchword.errors import (
    AlgorithmNotAllowed,
    ConfigurationError,
    IssuerNotTrusted,
    KeyRejected,
    KeysUnavailable,
    TokenExpired,
    TypeNotAllowed,
)
from watchword.testing.peers import IssuingPeer, Peer, Reply
from watchword.tokens import base64url, strict_json
from watchword.tokens.jws import encode_header
from watchword.tokens.shared_secret import SharedSecret

GUARD = 30.0


def test_a_service_that_only_verifies_needs_an_issuer_and_an_audience(
    issuer: IssuingPeer, tmp_path: Path
) -> None:
    ww = Watchword(issuer=issuer.url, audience="posts", environ={}, folder=tmp_path)
    assert ww.verify(issuer.token()).subject.id == "john_doe"
    assert asyncio.run(ww.averify(issuer.token())).subject.id == "john_doe"
    ww.close()


def test_making_one_needs_no_network(tmp_path: Path) -> None:
    Watchword(issuer="https://nowhere.invalid", audience="posts", environ={}, folder=tmp_path)


def test_tokens_of_other_trusted_issuers_are_accepted_by_their_own_rules(
    issuer: IssuingPeer, start: Callable[[Peer], Peer], tmp_path: Path
) -> None:
    people, strange = IssuingPeer(), IssuingPeer()
    start(people)
    start(strange)
    ww = Watchword(
        issuer=issuer.url,
        audience="posts",
        trusted_issuers={"people": IssuerSettings(people.url, token_types=["JWT"], algorithms=["ES256"])},
        environ={},
        folder=tmp_path,
    )
    ww.verify(issuer.token())
    with pytest.raises(TypeNotAllowed):
        ww.verify(people.token())
    with pytest.raises(IssuerNotTrusted):
        ww.verify(strange.token())
    assert strange.requests == []


def test_every_public_key_algorithm_is_verified_by_default(
    start: Callable[[Peer], Peer], tmp_path: Path
) -> None:
    for algorithm in ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"):
        peer = IssuingPeer(algorithm)
        start(peer)
        ww = Watchword(issuer=peer.url, audience="posts", environ={}, folder=tmp_path)
        assert ww.verify(peer.token()).issuer == peer.url


SECRET = bytes(range(40, 80))


def by_secret(secret: bytes, issuer: str) -> str:
    now = SYSTEM_CLOCK.now()
    claims = {
        "iss": issuer, "sub": "john", "aud": "posts",
        "exp": now + 60, "iat": now, "jti": "1", "client_id": "c",
    }  # fmt: skip
    signing_input = (
        encode_header("HS256", "x", "at+jwt") + b"." + base64url.encode(strict_json.encode(claims))
    )
    signature = SharedSecret(secret).sign(signing_input)
    return (signing_input + b"." + base64url.encode(signature)).decode()


@pytest.mark.threat(226)
def test_hs256_is_verified_only_with_the_argument_that_says_what_it_is(
    issuer: IssuingPeer, tmp_path: Path
) -> None:
    opted = Watchword(
        issuer=issuer.url, audience="posts", insecure_shared_secret=SECRET, environ={}, folder=tmp_path
    )
    assert opted.verify(by_secret(SECRET, issuer.url)).subject.id == "john"
    with pytest.raises(AlgorithmNotAllowed):
        opted.verify(issuer.token())
    plain = Watchword(issuer=issuer.url, audience="posts", environ={}, folder=tmp_path)
    with pytest.raises(AlgorithmNotAllowed):
        plain.verify(by_secret(SECRET, issuer.url))


@pytest.mark.threat(4, 5, 226, 232)
def test_a_weak_secret_or_one_beside_public_keys_is_refused(issuer: IssuingPeer, tmp_path: Path) -> None:
    for secret in (b"", b"your_secret_key", issuer.issuer.public_pem()):
        with pytest.raises(KeyRejected):
            Watchword(
                issuer=issuer.url,
                audience="posts",
                insecure_shared_secret=secret,
                environ={},
                folder=tmp_path,
            )
    with pytest.raises(ConfigurationError):
        Watchword(
            issuer=issuer.url,
            audience="posts",
            trusted_issuers={"a": "https://a.example"},
            insecure_shared_secret=SECRET,
            environ={},
            folder=tmp_path,
        )


def test_acting_for_an_expired_token_is_refused_at_the_door(posts: Watchword, issuer: IssuingPeer) -> None:
    class Later:
        def now(self) -> float:
            return SYSTEM_CLOCK.now() + 10_000

        monotonic = staticmethod(SYSTEM_CLOCK.monotonic)

    posts._verifier._clock = Later()
    with pytest.raises(TokenExpired), posts.acting_for(issuer.token()):
        pytest.fail("nobody may act here")


@pytest.mark.threat(230)
def test_a_guarded_burst_costs_one_fetch_and_later_none(posts: Watchword, issuer: IssuingPeer) -> None:
    token = issuer.token()

    async def burst() -> None:
        for _ in range(4):
            await asyncio.gather(*(posts.averify(token) for _ in range(500)))

    asyncio.run(burst())
    assert sum(target == "/.well-known/jwks.json" for target, _ in issuer.requests) == 1


def test_the_lifespan_begins_to_fetch_keys_and_ends_every_thread(issuer: IssuingPeer, tmp_path: Path) -> None:
    fetched = threading.Event()
    plain = issuer.routes["/.well-known/jwks.json"]

    def answer(headers: Mapping[str, str], body: bytes) -> Reply:
        fetched.set()
        return plain(headers, body)

    issuer.routes["/.well-known/jwks.json"] = answer
    before = {thread for thread in threading.enumerate() if thread.name == "watchword"}
    ours: set[threading.Thread] = set()

    async def life() -> None:
        ww = Watchword(issuer=issuer.url, audience="posts", environ={}, folder=tmp_path)
        async with ww.lifespan(object()):
            assert await asyncio.to_thread(fetched.wait, GUARD)
            await ww.averify(issuer.token())
            ours.update({t for t in threading.enumerate() if t.name == "watchword"} - before)

    asyncio.run(life())
    for thread in ours:
        thread.join(GUARD)
        assert not thread.is_alive()


def test_the_lifespan_does_not_wait_for_an_issuer_that_is_down(tmp_path: Path) -> None:
    async def life() -> None:
        ww = Watchword(issuer="http://127.0.0.1:9", audience="posts", environ={}, folder=tmp_path)
        async with ww.lifespan():
            with pytest.raises(KeysUnavailable):
                await ww.averify("eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6ImEifQ.e30.AA")

    asyncio.run(life())


def test_one_object_serves_several_event_loops(posts: Watchword, issuer: IssuingPeer) -> None:
    async def call() -> str:
        async with asyncio.timeout(GUARD):
            with posts.acting_for(issuer.token()):
                client = posts.client("users")
            with posts.acting_for(issuer.token()):
                answer = await client.get("/users")
            await posts.aclose()
        return str(answer.json()["authorization"])

    assert all(asyncio.run(call()).startswith("Bearer ") for _ in range(3))


FORKING = """
import os, sys
from watchword import Watchword
from watchword.client.authentication import SecretAuthentication
issuer, users, token = sys.argv[1:]
client = SecretAuthentication("posts", "x")
ww = Watchword(issuer=issuer, audience="posts", client=client, urls={"users": users})
def work():
    with ww.acting_for(token):
        assert ww.session("users").get("/users").json()["authorization"].startswith("Bearer ")
work()
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        try:
            for _ in range(5):
                work()
            ww.verify(token)
            try:
                ww.verify("eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6ImEifQ.e30.AA")  # fetches anew
            except Exception as error:
                os._exit(0 if type(error).__name__ == "KeyUnknown" else 3)
        except BaseException:
            os._exit(2)
        os._exit(1)
    children.append(pid)
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children])
"""


@pytest.mark.threat(78)
def test_workers_forked_from_a_used_process_verify_exchange_and_fetch_on_their_own(
    issuer: IssuingPeer, users: Peer, tmp_path: Path
) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, issuer.url, users.url, issuer.token()],
        capture_output=True,
        text=True,
        timeout=GUARD,
        check=False,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("WATCHWORD_")},
    )
    assert ran.stdout.strip() == "[0, 0, 0, 0]", ran.stderr


def loaded_by(code: str) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=GUARD,
    )
    return set(ran.stdout.split())


VERIFY = "from watchword import Watchword; Watchword(issuer='https://a.example', audience='x', environ={})"


@pytest.mark.threat(218)
def test_verifying_loads_neither_an_http_library_nor_a_framework_nor_issuing_code() -> None:
    loaded = loaded_by(VERIFY)
    assert not loaded & {"requests", "httpx", "httpx2", "flask", "fastapi", "starlette", "urllib3", "uvicorn"}
    rooms = {name.split(".")[1] for name in loaded if name.startswith("watchword.")}
    assert not rooms & {
        "grants",
        "storage",
        "keystores",
        "authority",
        "server",
        "app",
        "cli",
        "trust",
        "keys",
    }


def test_the_package_itself_loads_next_to_nothing_until_a_name_is_used() -> None:
    assert {name for name in loaded_by("import watchword") if name.startswith("watchword.")} == set()
    assert "watchword.keys.issuer" in loaded_by("from watchword import Issuer")


def test_the_public_names_are_those_and_no_others() -> None:
    assert dir(watchword) == ["Issuer", "IssuerSettings", "VerifiedToken", "Watchword", "errors"]
    assert all(getattr(watchword, name) for name in watchword.__all__)
    with pytest.raises(AttributeError):
        watchword.verify  # type: ignore[attr-defined]  # noqa: B018
