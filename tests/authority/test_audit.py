"""No token without its event, no event without its token, and nothing leaves that is not written down."""

from collections.abc import Sequence

import pytest

from watchword.audit.event import AuditEvent
from watchword.authority.build import build
from watchword.authority.requests import TokenAnswer, TokenRequest
from watchword.errors import (
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    OAuthError,
    StoreUnavailable,
    TemporarilyUnavailable,
    TokenExpired,
    UnsupportedGrantType,
)
from watchword.grants.stores import Consumption, IssuedToken
from watchword.keys.issuer import Issuer
from watchword.keys.keyring import Keyring
from watchword.keystores.memory import MemoryKeyStore
from watchword.tokens.private_key import PrivateKey

from .conftest import ISSUER, START, World, payload_of

pytestmark = pytest.mark.anyio


@pytest.mark.threat(203)
async def test_an_exchange_is_written_down_with_everybody_in_it(world: World) -> None:
    answer = await world.exchange("posts", world.staff_token(), "users")
    token = payload_of(answer.access_token)
    assert await world.events() == [
        AuditEvent(
            type="token.exchanged",
            time=START,
            actor="service|posts",
            client="posts",
            subject="staff|john_doe",
            audience="users",
            jti=token["jti"],
            parent_jti="staff|staff-1",
            txn="story-1",
            kid=world.issuer.keyring.active.kid,
            reason="services.users.allow[0]; derived users:read",
            request_id="request-1",
        )
    ]


@pytest.mark.threat(203)
async def test_a_token_of_a_service_is_written_down_without_an_actor(world: World) -> None:
    answer = await world.ask(grant_type="client_credentials", audience="billing", **world.asserted())
    token = payload_of(answer.access_token)
    event = await world.last_event()
    assert (event.type, event.actor, event.subject) == ("token.issued", None, "service|users")
    assert (event.jti, event.txn) == (token["jti"], token["txn"])
    assert event.reason == "services.billing.allow[1]"


async def test_the_answer_tells_what_the_token_says(world: World) -> None:
    answer = await world.exchange("posts", world.staff_token(), "users", scope="users:read users:write")
    assert answer.token_type == "Bearer"
    assert answer.expires_in == 120
    assert answer.scope == "users:read"
    assert answer.issued_token_type == "urn:ietf:params:oauth:token-type:access_token"
    token = payload_of(answer.access_token)
    assert token["exp"] - token["iat"] == 120
    assert token["scope"] == "users:read"
    assert "nbf" not in token
    assert answer.access_token not in repr(answer)


@pytest.mark.threat(228)
async def test_every_token_says_who_for_whom_and_until_when(world: World) -> None:
    always = {"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "txn"}
    exchanged = await world.exchange("posts", world.staff_token(), "users")
    issued = await world.ask(grant_type="client_credentials", audience="billing", **world.asserted())
    for answer in (exchanged, issued):
        payload = payload_of(answer.access_token)
        assert always <= payload.keys()
        assert type(payload["aud"]) is str
    assert payload_of(issued.access_token).keys() == always


async def test_a_refused_client_is_written_down_with_the_reason(world: World) -> None:
    with pytest.raises(InvalidTarget):
        await world.exchange("billing", world.staff_token(aud="billing"), "users")
    event = await world.last_event()
    assert (event.type, event.outcome) == ("token.refused", "refused")
    assert (event.client, event.subject, event.audience) == ("billing", "staff|john_doe", "users")
    assert (event.txn, event.parent_jti) == ("story-1", "staff|staff-1")
    assert event.reason is not None
    assert event.reason.startswith("invalid_target: no rule of users lets billing")


async def test_the_reason_names_the_innermost_cause(world: World) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await world.exchange("posts", world.staff_token(exp=1), "users")
    assert type(caught.value.__cause__) is TokenExpired
    reason = (await world.last_event()).reason
    assert reason is not None
    assert reason.startswith("token_expired: subject_token")
    with pytest.raises(InvalidScope):
        await world.exchange("posts", world.staff_token(), "users", scope="users:write")
    reason = (await world.last_event()).reason
    assert reason is not None
    assert reason.startswith("invalid_scope: services.users.allow[0]")


async def test_an_unknown_grant_type_is_refused_by_its_name(world: World) -> None:
    for grant_type in ("password", "authorization_code", "client_credentials ", "CLIENT_CREDENTIALS", "\x00"):
        with pytest.raises(UnsupportedGrantType):
            await world.ask("posts", grant_type=grant_type)
    with pytest.raises(InvalidRequest, match="grant_type"):
        await world.ask("posts")


@pytest.mark.threat(202)
async def test_no_token_and_no_secret_is_ever_written_down(world: World) -> None:
    token = world.staff_token()
    answers: list[TokenAnswer] = [await world.exchange("posts", token, "users")]
    for form in (
        {"audience": token},
        {"audience": "users", "scope": f"{token} posts-secret"},
        {"audience": "users", "requested_token_type": token},
        {"audience": "users", "subject_token_type": token},
        {"audience": "users", "grant_type": token},
    ):
        with pytest.raises(OAuthError):
            await world.exchange("posts", token, **form)
    written = "".join(map(repr, await world.events()))
    assert token.split(".")[1][:20] not in written
    assert token.split(".")[2] not in written
    assert answers[0].access_token.split(".")[2] not in written
    assert "posts-secret" not in written


class FullDisk:
    """A ledger that cannot write."""

    async def record(
        self, event: AuditEvent, *, consume: Sequence[Consumption] = (), issued: IssuedToken | None = None
    ) -> None:
        raise StoreUnavailable("no space left")

    async def count_refusal(self, reason: str, *, sample: AuditEvent) -> None:
        raise StoreUnavailable("no space left")


@pytest.mark.threat(203)
async def test_what_cannot_be_written_down_does_not_leave(world: World) -> None:
    assertion = world.assertion()
    remembering = world.authority
    world.authority = world.restarted(FullDisk())
    with pytest.raises(TemporarilyUnavailable):
        await world.exchange("posts", world.staff_token(), "users")
    with pytest.raises(TemporarilyUnavailable):
        await world.ask(grant_type="client_credentials", audience="billing", **world.asserted(assertion))
    with pytest.raises(TemporarilyUnavailable):  # a refusal that cannot be kept is no answer either
        await world.exchange("posts", world.staff_token(), "nowhere")
    with pytest.raises(TemporarilyUnavailable):
        await world.introspect("posts", token="x")
    with pytest.raises(OAuthError) as caught:  # but strangers are refused as ever
        await world.ask(client_id="posts", client_secret="guess")
    assert caught.value.error == "invalid_client"
    world.authority = remembering
    assert await world.ask(
        grant_type="client_credentials", audience="billing", **world.asserted(assertion)
    )  # nothing was used up


@pytest.mark.threat(171)
async def test_without_a_key_to_sign_with_the_service_is_unavailable(world: World) -> None:
    store = MemoryKeyStore()
    store.save(Keyring().prepare(PrivateKey.generate(), START))
    keyless = Issuer(ISSUER, store, clock=world.clock)
    world.authority = build(
        keyless, world.document, world.ledger, keys=world.published, clock=world.clock, leeway=0
    )
    with pytest.raises(TemporarilyUnavailable):
        await world.exchange("posts", world.staff_token(), "users")
    reason = (await world.last_event()).reason
    assert reason is not None
    assert reason.startswith("no_active_key")


async def test_claims_that_would_make_an_endless_token_are_refused(world: World) -> None:
    world.change("users", claims=frozenset({"note"}))
    world.change_issuer("staff", claims={"note": "note"})
    assert await world.exchange("posts", world.staff_token(note="x" * 1_000), "users")
    with pytest.raises(InvalidRequest, match="at most"):
        await world.exchange("posts", world.staff_token(note="x" * 11_900), "users")


async def test_a_document_applied_while_running_decides_the_next_request(world: World) -> None:
    del world.services["posts"]
    world.authority.trust.replace(world.document)
    request = TokenRequest([("grant_type", "client_credentials"), ("audience", "users")], None, None)
    with pytest.raises(OAuthError):
        await world.authority.tokens.token(request)
    with pytest.raises(OAuthError) as caught:
        await world.exchange("posts", world.staff_token(), "users")
    assert caught.value.error == "invalid_client"
