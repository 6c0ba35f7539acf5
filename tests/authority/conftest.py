"""A whole token service in memory: its clients, its trusted issuers, and what it wrote down."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from watchword.audit.event import AuditEvent
from watchword.authority.build import Authority, build
from watchword.authority.client_assertion import ASSERTION_TYPE
from watchword.authority.requests import TokenAnswer, TokenRequest
from watchword.errors import KeysUnavailable
from watchword.grants.token_exchange import ACCESS_TOKEN, GRANT_TYPE
from watchword.keys.issuer import Issuer
from watchword.keystores.memory import MemoryKeyStore
from watchword.storage.memory import MemoryLedger
from watchword.tokens import base64url, strict_json
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.private_key import PrivateKey
from watchword.tokens.verified import VerifiedToken
from watchword.tokens.verify import verify
from watchword.trust.model import Rule, Service, TrustDocument, TrustedIssuer

ISSUER = "https://tokens.example"
START = 1_800_000_000.0


class HandClock:
    """A clock that moves when a test says so."""

    def __init__(self, now: float = START) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class KeysByUri:
    """Key sets by their URI; remembers every URI that somebody looked for."""

    def __init__(self) -> None:
        self.sets: dict[str, JWKSet] = {}
        self.asked: list[str] = []

    async def keys(self, jwks_uri: str, kid: str | None) -> JWKSet:
        self.asked.append(jwks_uri)
        if jwks_uri not in self.sets:
            raise KeysUnavailable(f"nothing is published at {jwks_uri}")
        return self.sets[jwks_uri]


def signed(
    key: PrivateKey,
    payload: Mapping[str, Any],
    *,
    typ: str | None = "at+jwt",
    kid: str | None = "own",
    alg: str | None = None,
) -> str:
    """A compact JWS of anything; `kid="own"` names the key, `None` leaves the member out."""
    header: dict[str, Any] = {"alg": alg or key.alg}
    if typ is not None:
        header["typ"] = typ
    if kid is not None:
        header["kid"] = key.kid if kid == "own" else kid
    signing_input = b".".join(base64url.encode(strict_json.encode(part)) for part in (header, dict(payload)))
    return (signing_input + b"." + base64url.encode(key.sign(signing_input))).decode()


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def rule(caller: str, *scopes: str, **members: Any) -> Rule:
    return Rule(
        name=members.pop("name", "services.users.allow[0]"),
        caller=caller,
        scopes=frozenset(scopes),
        on_behalf_of=members.pop("on_behalf_of", "any"),
        **members,
    )


class World:
    """posts (with a secret) may call users (with a key) for people of `staff`; users may call billing."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.issuer = Issuer(ISSUER, MemoryKeyStore(), clock=self.clock)
        self.ledger = MemoryLedger()
        self.published = KeysByUri()
        self.staff_key = PrivateKey.generate("ES256")
        self.users_key = PrivateKey.generate("ES256")
        self.published.sets["https://keys.example/staff"] = JWKSet([self.staff_key.public])
        self.services = {
            "posts": self._with_secret("posts", "posts:read"),
            "users": Service(
                client_id="users",
                audience="users",
                url="https://users.example",
                scopes=frozenset({"users:read", "users:write"}),
                claims=frozenset({"roles"}),
                jwks=JWKSet([self.users_key.public]),
                allow=(rule("posts", "users:read", when_subject_has=frozenset({"posts:read"})),),
            ),
            "billing": self._with_secret(
                "billing",
                "billing:read",
                allow=(
                    rule(
                        "users",
                        "billing:read",
                        name="services.billing.allow[0]",
                        when_subject_has=frozenset({"users:read"}),
                    ),
                    rule("users", "billing:read", name="services.billing.allow[1]", on_behalf_of="service"),
                ),
            ),
        }
        self.issuers = {
            "staff": TrustedIssuer(
                alias="staff",
                issuer="https://staff.example",
                jwks_uri="https://keys.example/staff",
                asserts="people",
                algorithms=frozenset({"ES256"}),
                scopes=frozenset({"posts:read"}),
                roles=frozenset({"editor"}),
            )
        }
        self.authority: Authority = self.restarted()

    @staticmethod
    def _with_secret(client_id: str, *scopes: str, allow: tuple[Rule, ...] = ()) -> Service:
        return Service(
            client_id=client_id,
            audience=client_id,
            url=f"https://{client_id}.example",
            scopes=frozenset(scopes),
            secret_sha256=(hashed(f"{client_id}-secret"),),
            allow=allow,
        )

    @property
    def document(self) -> TrustDocument:
        return TrustDocument(
            services=MappingProxyType(dict(self.services)), issuers=MappingProxyType(dict(self.issuers))
        )

    def restarted(self, ledger: Any = None) -> Authority:
        """A new process over the same keys, document and ledger."""
        return build(
            self.issuer, self.document, ledger or self.ledger, keys=self.published, clock=self.clock, leeway=0
        )

    def change(self, client_id: str, **members: Any) -> None:
        self.services[client_id] = replace(self.services[client_id], **members)
        self.authority.trust.replace(self.document)

    def change_issuer(self, alias: str, **members: Any) -> None:
        self.issuers[alias] = replace(self.issuers[alias], **members)
        self.authority.trust.replace(self.document)

    def staff_token(
        self, key: PrivateKey | None = None, header_type: str | None = "at+jwt", **claims: Any
    ) -> str:
        now = int(self.clock.now())
        payload = {
            "iss": "https://staff.example",
            "sub": "john_doe",
            "aud": "posts",
            "exp": now + 300,
            "iat": now,
            "jti": "staff-1",
            "client_id": "web",
            "scope": "posts:read",
            "txn": "story-1",
            "sid": "session-1",
            "roles": ["editor", "root"],
        } | claims
        return signed(
            key or self.staff_key, {k: v for k, v in payload.items() if v is not None}, typ=header_type
        )

    def assertion(
        self,
        client_id: str = "users",
        key: PrivateKey | None = None,
        typ: str | None = "JWT",
        kid: str | None = "own",
        alg: str | None = None,
        **claims: Any,
    ) -> str:
        payload = {
            "iss": client_id,
            "sub": client_id,
            "aud": ISSUER,
            "exp": int(self.clock.now()) + 60,
            "jti": "assertion-1",
        } | claims
        return signed(
            key or self.users_key,
            {k: v for k, v in payload.items() if v is not None},
            typ=typ,
            kid=kid,
            alg=alg,
        )

    def asserted(self, assertion: str | None = None, **form: str) -> dict[str, str]:
        return {
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion or self.assertion(),
        } | form

    async def ask(
        self, client: str | None = None, *, pairs: list[tuple[str, str]] | None = None, **form: str
    ) -> TokenAnswer:
        """Send a form; `client` authenticates with its secret."""
        authorization = None if client is None else basic(client, f"{client}-secret")
        request = TokenRequest([*form.items(), *(pairs or [])], authorization, "request-1")
        return await self.authority.tokens.token(request)

    async def exchange(
        self, client: str | None, subject_token: str, audience: str, **form: str
    ) -> TokenAnswer:
        return await self.ask(
            client,
            **{
                "grant_type": GRANT_TYPE,
                "subject_token": subject_token,
                "subject_token_type": ACCESS_TOKEN,
                "audience": audience,
            }
            | form,
        )

    async def introspect(self, client: str | None = None, **form: str) -> dict[str, Any]:
        authorization = None if client is None else basic(client, f"{client}-secret")
        return await self.authority.introspection.introspect(
            TokenRequest(list(form.items()), authorization, "request-1")
        )

    def read(self, token: str, audience: str) -> VerifiedToken:
        """Verify a token as the service with this audience would."""
        policy = VerificationPolicy(ISSUER, audience, ["ES256"])
        return verify(token, self.issuer.jwk_set(), policy, self.clock.now())

    async def events(self) -> list[AuditEvent]:
        return [event for _, event in await self.ledger.events(limit=10_000)]

    async def last_event(self) -> AuditEvent:
        return (await self.events())[-1]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def rsa_key() -> PrivateKey:
    return PrivateKey.generate("RS256")


def payload_of(token: str) -> dict[str, Any]:
    segment = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return decoded
