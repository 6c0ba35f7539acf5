"""The issuer: what its tokens say, with which key, and what it will not sign."""

import asyncio
import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.errors import (
    ConfigurationError,
    KeyRejected,
    KeyringConflict,
    KeyringError,
    KeyUnknown,
    NoActiveKey,
    SignatureInvalid,
)
from watchword.keys.issuer import DEFAULT_LIFETIME, MAX_LIFETIME, RELOAD_SECONDS, Issuer, new_token_id
from watchword.keys.keyring import Keyring, KeyState
from watchword.keystores.files import FileKeyStore
from watchword.keystores.memory import MemoryKeyStore
from watchword.tokens import base64url, strict_json
from watchword.tokens.claims import AccessTokenClaims, Actor
from watchword.tokens.jws import split
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.private_key import PrivateKey
from watchword.tokens.verify import verify

URL = "https://users.example"
NOW = 1_800_000_000.75
ALGORITHMS = ["ES256", "ES384", "EdDSA", "Ed25519", "RS256", "PS256"]
ALWAYS = ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "txn"]


class SetClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def issuer(clock: SetClock) -> Issuer:
    return Issuer(URL, MemoryKeyStore(), clock=clock)


def policy(alg: str = "ES256", audience: str = "posts") -> VerificationPolicy:
    return VerificationPolicy(URL, audience, [alg])


def payload(token: str) -> dict:
    return strict_json.decode_object(base64url.decode(split(token).payload))


def header(token: str) -> dict:
    return strict_json.decode_object(base64url.decode(split(token).header))


# --- what a token says ----------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_an_issued_token_passes_the_strict_verifier_under_every_algorithm(alg: str) -> None:
    clock = SetClock()
    issuer = Issuer(URL, MemoryKeyStore(), algorithm=alg, clock=clock)
    token = issuer.issue("john_doe", "posts", scope={"posts:read", "posts:write"}, roles={"editor", "author"})
    verified = verify(token, issuer.jwk_set(), policy(alg), NOW)
    assert verified.subject == (URL, "john_doe")
    assert verified.scope == {"posts:read", "posts:write"}
    assert verified.roles == {"author", "editor"}
    assert verified.key_id == issuer.keyring.active.kid
    assert header(token) == {"alg": alg, "kid": issuer.keyring.active.kid, "typ": "at+jwt"}


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_another_library_verifies_what_is_issued(alg: str) -> None:
    issuer = Issuer(URL, MemoryKeyStore(), algorithm=alg)
    token = issuer.issue("john_doe", "posts")
    key = jwt.PyJWK.from_dict(issuer.jwk_set().to_dict()["keys"][0])
    assert jwt.decode(token, key, algorithms=[alg], audience="posts", issuer=URL)["sub"] == "john_doe"
    assert jwt.decode(token, issuer.public_pem(), algorithms=[alg], audience="posts")["aud"] == "posts"


@pytest.mark.threat(228)
def test_a_token_always_says_these_claims_in_this_order_and_nothing_else(issuer: Issuer) -> None:
    said = payload(issuer.issue("john_doe", "posts"))
    assert list(said) == ALWAYS
    assert (said["exp"], said["iat"]) == (math.floor(NOW) + DEFAULT_LIFETIME, math.floor(NOW))
    assert (said["client_id"], said["scope"]) == (URL, "")


def test_claims_that_are_known_are_said(issuer: Issuer) -> None:
    token = issuer.issue(
        "john_doe",
        "posts",
        client_id="web",
        scope=["b", "a", "a"],
        lifetime=60,
        roles=[],
        session_id="sid-1",
        story_id="txn-1",
        claims={"auth_time": 1_799_999_000, "amr": ["pwd"], "acr": "1", "may_act": {"sub": "service|posts"}},
    )
    said = payload(token)
    assert said["client_id"] == "web"
    assert said["scope"] == "a b"
    assert said["exp"] - said["iat"] == 60
    assert (said["sid"], said["txn"], said["roles"]) == ("sid-1", "txn-1", [])
    assert (said["auth_time"], said["amr"], said["acr"]) == (1_799_999_000, ["pwd"], "1")
    assert said["may_act"] == {"sub": "service|posts"}
    assert verify(token, issuer.jwk_set(), policy(), NOW).session_id == "sid-1"


def test_every_token_has_an_id_and_a_story_of_its_own(issuer: Issuer) -> None:
    said = [payload(issuer.issue("john_doe", "posts")) for _ in range(500)]
    names = [claims[name] for claims in said for name in ("jti", "txn")]
    assert len(set(names)) == 1000
    assert {len(name) for name in names} == {22}
    assert len({new_token_id() for _ in range(500)}) == 500
    assert {len(new_token_id()) for _ in range(50)} == {22}


@pytest.mark.threat(228)
@given(now=st.floats(min_value=1, max_value=4e9), lifetime=st.integers(min_value=1, max_value=MAX_LIFETIME))
@settings(max_examples=50, deadline=None)
def test_a_token_is_never_from_the_future_and_always_ends(now: float, lifetime: int) -> None:
    clock = SetClock()
    issuer = Issuer(URL, STORE, clock=clock)
    clock.time = now
    said = payload(issuer.issue("john_doe", "posts", lifetime=lifetime))
    assert isinstance(said["iat"], int)
    assert isinstance(said["exp"], int)
    assert now - 1 < said["iat"] <= now
    assert said["exp"] - said["iat"] == lifetime


STORE = MemoryKeyStore()


@given(
    subject=st.text(min_size=1, max_size=40).filter(str.isprintable),
    audience=st.text(min_size=1, max_size=40).filter(str.isprintable),
    scope=st.sets(st.text(alphabet="abc:./-_~!#[]", min_size=1, max_size=9), max_size=4),
)
@settings(max_examples=80, deadline=None)
def test_whatever_is_issued_verifies_and_says_what_was_meant(
    subject: str, audience: str, scope: set[str]
) -> None:
    issuer = Issuer(URL, STORE)
    token = issuer.issue(subject, audience, scope=scope)
    verified = verify(token, issuer.jwk_set(), policy(audience=audience), payload(token)["iat"])
    assert verified.subject.id == subject
    assert verified.audience == (audience,)
    assert verified.scope == scope


# --- what is not signed ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"subject": ""}, "sub: expected one text"),
        ({"subject": 7}, "sub: .* found int"),
        ({"subject": None}, "sub: .* found NoneType"),
        ({"subject": "a\nb"}, "sub: .* printable"),
        ({"subject": "\ud800"}, "sub: .* printable"),
        ({"subject": "x" * 513}, "sub: .* found 513 characters"),
        ({"audience": ""}, "aud: expected one text"),
        ({"audience": ["posts"]}, "aud: .* found list"),
        ({"audience": "a\x00"}, "aud: "),
        ({"client_id": ""}, "client_id: "),
        ({"session_id": ""}, "sid: "),
        ({"story_id": "x\r\n"}, "txn: "),
        ({"scope": "posts:read"}, "scope: .* found one text"),
        ({"scope": ["a b"]}, "scope: "),
        ({"scope": ["a b", "c", "c"]}, "scope: "),
        ({"scope": [""]}, "scope: "),
        ({"scope": ["a", ""]}, "scope: "),
        ({"scope": ['"']}, "scope: "),
        ({"scope": ["é"]}, "scope: "),
        ({"scope": [1]}, "scope: "),
        ({"scope": ["a", 1]}, "scope: "),
        ({"roles": "admin"}, "roles: .* found one text"),
        ({"roles": [1]}, "roles: "),
        ({"lifetime": 0}, "lifetime: expected 1 to 3600"),
        ({"lifetime": -5}, "lifetime: "),
        ({"lifetime": 3601}, "lifetime: "),
        ({"lifetime": 1.5}, "lifetime: "),
        ({"lifetime": True}, "lifetime: "),
        ({"lifetime": None}, "lifetime: "),
        ({"lifetime": math.inf}, "lifetime: "),
    ],
)
def test_a_value_that_no_verifier_should_see_is_named_and_not_signed(
    issuer: Issuer, wrong: dict, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        issuer.issue(**({"subject": "john_doe", "audience": "posts"} | wrong))


@pytest.mark.threat(234)
@pytest.mark.parametrize("name", ["username", "email", "password", "name", "tenant"])
def test_claims_outside_the_list_are_refused(issuer: Issuer, name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"expected only acr, amr, auth_time, may_act, found '{name}'"
    ):
        issuer.issue("john_doe", "posts", claims={name: "x"})


@pytest.mark.parametrize("name", [*ALWAYS, "nbf", "act", "cnf", "sid", "roles"])
def test_further_claims_cannot_replace_what_the_issuer_says(issuer: Issuer, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        issuer.issue("john_doe", "posts", claims={name: "x"})


@pytest.mark.parametrize("wrong", [{"auth_time": "yesterday"}, {"amr": "pwd"}, {"may_act": "posts"}])
def test_further_claims_have_their_types(issuer: Issuer, wrong: dict) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        issuer.issue("john_doe", "posts", claims=wrong)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "users.example",
        "https://users.example/",
        "http://users.example",
        "ftp://users.example",
        "https://",
        "https://users.example?x",
        "https://users.example#x",
        "https://me@users.example",
        "https://users.example:port",
        "https://us ers.example",
        "https://üsers.example",
        "http://127.0.0.1.example",
        "http://[::1",
        None,
    ],
)
def test_an_issuer_is_an_exact_https_url(url: str) -> None:
    with pytest.raises(ConfigurationError, match="issuer: expected"):
        Issuer(url, MemoryKeyStore())


@pytest.mark.parametrize(
    "url",
    ["https://users.example/realms/x", "http://127.0.0.1:5001", "http://[::1]:5001", "http://localhost"],
)
def test_an_issuer_may_have_a_path_and_plain_http_on_loopback(url: str) -> None:
    assert payload(Issuer(url, MemoryKeyStore()).issue("a", "b"))["iss"] == url


# --- claims that somebody else made: the token server ---------------------------------------------


def made(**changed) -> AccessTokenClaims:
    members = {
        "iss": URL,
        "sub": "service|posts",
        "aud": "users",
        "exp": 1120,
        "iat": 1000,
        "jti": "j",
        "client_id": "posts",
        "scope": "",
        "txn": "t",
    }
    return AccessTokenClaims(**(members | changed))


def test_complete_claims_are_signed_as_they_are(issuer: Issuer) -> None:
    claims = made(act=Actor(sub="service|posts"), sid="s")
    said = payload(issuer.sign(claims))
    assert said == strict_json.decode_object(strict_json.encode(claims))
    assert verify(issuer.sign(claims), issuer.jwk_set(), policy(audience="users"), 1000).actors == (
        "service|posts",
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://other.example"},
        {"aud": ["users"]},
        {"exp": 1000},
        {"exp": 999},
        {"exp": 1000 + MAX_LIFETIME + 1},
        {"exp": 1100.5},
        {"iat": 1000.5},
        {"nbf": 1000},
        {"exp": None},
        *({name: None} for name in ("sub", "jti", "client_id", "scope", "txn")),
    ],
)
def test_incomplete_claims_are_not_signed(issuer: Issuer, changed: dict) -> None:
    for deed in (issuer.sign, issuer.prepare):
        with pytest.raises(ConfigurationError, match=f"{next(iter(changed))}.*: expected"):
            deed(made(**changed))


def test_extra_claims_of_a_server_never_replace_known_ones(issuer: Issuer) -> None:
    prepared = issuer.prepare(made(), extra={"sub": "root", "roles": ["admin"], "tenant": "north"})
    said = payload(prepared.finish(issuer.keyring.active.key.sign(prepared.signing_input)))
    assert said["sub"] == "service|posts"
    assert "roles" not in said
    assert said["tenant"] == "north"


def test_a_signature_made_elsewhere_finishes_a_prepared_token(issuer: Issuer) -> None:
    prepared = issuer.prepare(made())
    token = prepared.finish(issuer.keyring.active.key.sign(prepared.signing_input))
    assert (prepared.kid, prepared.alg) == (issuer.keyring.active.kid, "ES256")
    assert verify(token, issuer.jwk_set(), policy(audience="users"), 1000).token_id == "j"


# --- keys that sign elsewhere ---------------------------------------------------------------------


class Elsewhere:
    """A signer that does not show its key; `answers` may be another key."""

    def __init__(self, key: PrivateKey, answers: PrivateKey | None = None) -> None:
        self._answers = answers or key
        self.public = key.public
        self.alg = key.alg

    async def asign(self, signing_input: bytes) -> bytes:
        return await asyncio.to_thread(self._answers.sign, signing_input)


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_any_signer_can_issue(clock: SetClock, alg: str) -> None:
    key = PrivateKey.generate(alg)
    issuer = Issuer(URL, MemoryKeyStore(), clock=clock)
    token = asyncio.run(issuer.aissue("john_doe", "posts", signer=Elsewhere(key), scope=["a"], lifetime=30))
    assert header(token) == {"alg": alg, "kid": key.kid, "typ": "at+jwt"}
    assert list(payload(token)) == ALWAYS
    parts = split(token)
    key.public.check(alg)(base64url.decode(parts.signature), parts.signing_input)


def test_a_signer_that_answers_with_another_key_is_noticed(issuer: Issuer) -> None:
    signer = Elsewhere(PrivateKey.generate(), answers=PrivateKey.generate())
    with pytest.raises(KeyRejected, match="does not verify"):
        asyncio.run(issuer.aissue("john_doe", "posts", signer=signer))


def test_a_signer_whose_algorithm_is_not_its_keys_is_noticed(issuer: Issuer) -> None:
    signer = Elsewhere(PrivateKey.generate())
    signer.alg = "ES384"
    with pytest.raises(KeyRejected):
        asyncio.run(issuer.aissue("john_doe", "posts", signer=signer))


# --- keys change ----------------------------------------------------------------------------------


def test_the_first_key_is_made_once_and_kept(clock: SetClock) -> None:
    store = MemoryKeyStore()
    first = Issuer(URL, store, algorithm="RS256", clock=clock).keyring
    assert [entry.state for entry in first.entries] == [KeyState.ACTIVE]
    assert first.active.key.alg == "RS256"
    assert Issuer(URL, store, clock=clock).keyring == first


def test_a_key_change_by_hand_refuses_no_token_on_the_way(issuer: Issuer) -> None:
    old_kid = issuer.keyring.active.kid
    old = issuer.issue("john_doe", "posts")
    kid = issuer.prepare_key()
    assert kid in issuer.jwk_set()
    assert header(issuer.issue("john_doe", "posts"))["kid"] == old_kid
    issuer.activate_key(kid)
    new = issuer.issue("john_doe", "posts")
    assert header(new)["kid"] == kid
    for token in (old, new):
        assert verify(token, issuer.jwk_set(), policy(), NOW).subject.id == "john_doe"
    issuer.remove_key(old_kid)
    with pytest.raises(KeyUnknown):
        verify(old, issuer.jwk_set(), policy(), NOW)
    assert verify(new, issuer.jwk_set(), policy(), NOW).key_id == kid


def test_the_algorithm_can_change_with_the_key(issuer: Issuer) -> None:
    kid = issuer.prepare_key("EdDSA")
    issuer.activate_key(kid)
    assert header(issuer.issue("a", "b"))["alg"] == "EdDSA"
    assert header(issuer.issue("a", "b"))["kid"] == kid


def test_key_changes_out_of_order_are_refused(issuer: Issuer) -> None:
    active = issuer.keyring.active.kid
    with pytest.raises(KeyringError, match="found one that is active"):
        issuer.activate_key(active)
    with pytest.raises(KeyringError, match="found one that is active"):
        issuer.remove_key(active)
    with pytest.raises(KeyringError, match="found one that is prepared"):
        issuer.remove_key(issuer.prepare_key())
    with pytest.raises(KeyUnknown):
        issuer.activate_key("nobody")
    with pytest.raises(KeyUnknown):
        issuer.remove_key("nobody")
    with pytest.raises(KeyRejected):
        issuer.prepare_key("none")
    assert issuer.keyring.active.kid == active


def test_a_change_by_another_process_is_not_lost(issuer: Issuer, clock: SetClock) -> None:
    store = MemoryKeyStore()
    here, there = Issuer(URL, store, clock=clock), Issuer(URL, store, clock=clock)
    theirs = there.prepare_key()
    ours = here.prepare_key()  # with a keyring that is out of date: it reads again and decides anew
    assert {theirs, ours} < {entry.kid for entry in here.keyring.entries}
    there.activate_key(ours)
    with pytest.raises(KeyringError, match="found one that is active"):
        here.activate_key(ours)


def test_a_change_by_another_process_is_seen_within_seconds(clock: SetClock) -> None:
    store = MemoryKeyStore()
    here, there = Issuer(URL, store, clock=clock), Issuer(URL, store, clock=clock)
    kid = there.prepare_key()
    assert kid not in here.jwk_set()
    clock.time += RELOAD_SECONDS
    assert kid in here.jwk_set()
    there.activate_key(kid)
    clock.time += RELOAD_SECONDS
    assert header(here.issue("a", "b"))["kid"] == kid
    second = there.prepare_key()
    here.reload()
    assert second in here.jwk_set()


class Slow(MemoryKeyStore):
    """A memory store where something happens between reading and handing over."""

    meanwhile: Callable[[], object] | None = None

    def load(self) -> Keyring:
        keyring, meanwhile = super().load(), self.meanwhile
        if meanwhile is not None:
            self.meanwhile = None
            meanwhile()
        return keyring


def test_a_slow_reader_does_not_take_back_a_change(clock: SetClock) -> None:
    store = Slow()
    issuer = Issuer(URL, store, clock=clock)
    clock.time += RELOAD_SECONDS
    store.meanwhile = issuer.prepare_key
    assert len(issuer.jwk_set()) == 2
    assert len(issuer.keyring.entries) == 2


class Fickle(MemoryKeyStore):
    """A memory store that can be made to fail, as a disk does."""

    broken: KeyringError | None = None

    def load(self) -> Keyring:
        if self.broken:
            raise self.broken
        return super().load()

    def save(self, keyring: Keyring, *, by: str | None = None) -> Keyring:
        if self.broken:
            raise self.broken
        return super().save(keyring, by=by)


def test_a_store_that_cannot_be_read_stops_nothing_and_is_told(clock: SetClock) -> None:
    store = Fickle()
    issuer = Issuer(URL, store, clock=clock)
    store.broken = KeyringError("cannot read")
    clock.time += RELOAD_SECONDS
    assert verify(issuer.issue("a", "posts"), issuer.jwk_set(), policy(), clock.time)
    assert issuer.store_problem is store.broken
    with pytest.raises(KeyringError):
        issuer.prepare_key()
    with pytest.raises(KeyringError):
        issuer.reload()
    assert len(issuer.keyring.entries) == 1
    store.broken = None
    clock.time += RELOAD_SECONDS
    assert issuer.keyring.active
    assert issuer.store_problem is None


def test_a_store_that_always_changes_is_given_up_in_the_end(clock: SetClock) -> None:
    store = Fickle()
    issuer = Issuer(URL, store, clock=clock)
    store.broken = None
    store.save = lambda *_, **__: (_ for _ in ()).throw(KeyringConflict("again"))  # type: ignore[method-assign]
    with pytest.raises(KeyringConflict, match="16 times"):
        issuer.prepare_key()


@pytest.mark.threat(171)
def test_without_an_active_key_nothing_is_issued_and_keys_are_still_published(clock: SetClock) -> None:
    store = MemoryKeyStore()
    store.save(Keyring().prepare(PrivateKey.generate(), 1))
    issuer = Issuer(URL, store, clock=clock)
    for deed in (lambda: issuer.issue("a", "b"), lambda: issuer.sign(made()), lambda: issuer.prepare(made())):
        with pytest.raises(NoActiveKey):
            deed()
    with pytest.raises(NoActiveKey):
        issuer.public_pem()
    assert len(issuer.jwk_set()) == 1


def test_threads_share_an_issuer_while_its_keys_change(tmp_path) -> None:
    issuer = Issuer(URL, FileKeyStore(tmp_path / "keys"))

    def change(_: int) -> None:
        issuer.prepare_key()

    def issue(_: int) -> None:
        token = issuer.issue("john_doe", "posts")
        verify(token, issuer.jwk_set(), policy(), payload(token)["iat"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: (change if n % 10 == 0 else issue)(n), range(200)))
    assert len(issuer.keyring.entries) == 21
    assert len(FileKeyStore(tmp_path / "keys").load().entries) == 21


# --- what is published ----------------------------------------------------------------------------


def test_the_public_key_is_published_as_pem_by_name(issuer: Issuer) -> None:
    kid = issuer.prepare_key("RS256")
    assert issuer.public_pem() == issuer.keyring.active.key.public.pem()
    assert issuer.public_pem(kid) == issuer.keyring.named(kid).key.public.pem()
    assert issuer.public_pem(kid).startswith(b"-----BEGIN PUBLIC KEY-----")
    with pytest.raises(KeyUnknown):
        issuer.public_pem("nobody")


def test_a_revoked_key_is_not_published(clock: SetClock) -> None:
    store = MemoryKeyStore()
    key, revoked = PrivateKey.generate(), PrivateKey.generate()
    keyring = Keyring().prepare(key, 1).activate(key.kid, 1).prepare(revoked, 1)
    entries = (keyring.entries[0], type(keyring.entries[1])(revoked, KeyState.REVOKED, 2))
    store.save(Keyring(entries))
    issuer = Issuer(URL, store, clock=clock)
    assert [k["kid"] for k in issuer.jwk_set().to_dict()["keys"]] == [key.kid]
    with pytest.raises(KeyUnknown):
        issuer.public_pem(revoked.kid)


def test_the_metadata_is_true_of_an_issuer_without_endpoints(issuer: Issuer) -> None:
    assert issuer.metadata() == {
        "issuer": URL,
        "jwks_uri": f"{URL}/.well-known/jwks.json",
        "response_types_supported": [],
        "grant_types_supported": [],
    }
    assert json.dumps(issuer.metadata())


def test_a_server_adds_its_endpoints_but_not_another_issuer(issuer: Issuer) -> None:
    said = issuer.metadata({"token_endpoint": f"{URL}/token", "issuer": "x", "jwks_uri": "y"})
    assert (said["issuer"], said["jwks_uri"]) == (URL, f"{URL}/.well-known/jwks.json")
    assert said["token_endpoint"] == f"{URL}/token"


def test_a_tampered_token_is_a_forgery(issuer: Issuer) -> None:
    head, body, signature = issuer.issue("john_doe", "posts").split(".")
    forged = strict_json.encode(strict_json.decode_object(base64url.decode(body.encode())) | {"sub": "root"})
    with pytest.raises(SignatureInvalid):
        verify(f"{head}.{base64url.encode(forged).decode()}.{signature}", issuer.jwk_set(), policy(), NOW)
