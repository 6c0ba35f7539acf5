"""Subject tokens of trusted issuers: each under its own policy, none brings more than it may."""

from typing import Any

import pytest

from watchword.errors import InvalidRequest, InvalidScope, InvalidTarget, TemporarilyUnavailable
from watchword.grants.token_exchange import ACCESS_TOKEN, ID_TOKEN, JWT
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.private_key import PrivateKey
from watchword.tokens.verified import VerifiedToken
from watchword.trust.model import TrustedIssuer

from .conftest import ISSUER, World, payload_of, rule, signed

pytestmark = pytest.mark.anyio


async def exchanged(world: World, token: str, **form: str) -> VerifiedToken:
    return world.read((await world.exchange("posts", token, "users", **form)).access_token, "users")


async def test_a_person_of_a_trusted_issuer_is_named_by_alias_and_id(world: World) -> None:
    token = await exchanged(world, world.staff_token(auth_time=1_799_999_990, acr="2", amr=["pwd"]))
    assert token.subject == (ISSUER, "staff|john_doe")
    assert token.actors == ("service|posts",)
    assert token.story_id == "story-1"
    assert token.session_id == "staff|session-1"
    assert token.roles == {"editor"}  # not root: the issuer may not assert it
    assert token.scope == {"users:read"}
    assert token.claims["auth_time"] == 1_799_999_990
    assert (token.claims["acr"], token.claims["amr"]) == ("2", ["pwd"])
    assert (await world.last_event()).parent_jti == "staff|staff-1"


@pytest.mark.threat(123)
async def test_a_token_of_an_unknown_issuer_is_refused_without_looking_anywhere(world: World) -> None:
    stranger = PrivateKey.generate("ES256")
    for iss in (
        "https://evil.example",
        "https://staff.example/",
        "https://staff.example.evil",
        "https://STAFF.example",
        "staff",
        f"{ISSUER}/",
        "",
        5,
        ["https://staff.example"],
        None,
    ):
        with pytest.raises(InvalidRequest):
            await exchanged(world, world.staff_token(stranger, iss=iss))
    assert world.published.asked == []


@pytest.mark.threat(57, 121, 123)
async def test_a_key_of_one_issuer_signs_for_no_other(world: World) -> None:
    partner_key = PrivateKey.generate("ES256")
    world.published.sets["https://partner.example/jwks"] = JWKSet([partner_key.public])
    world.issuers["partner"] = TrustedIssuer(
        alias="partner",
        issuer="https://partner.example",
        jwks_uri="https://partner.example/jwks",
        asserts="people",
        algorithms=frozenset({"ES256"}),
        scopes=frozenset({"posts:read"}),
    )
    world.authority.trust.replace(world.document)
    with pytest.raises(InvalidRequest, match="kid"):
        await exchanged(world, world.staff_token(partner_key))
    with pytest.raises(InvalidRequest):
        await exchanged(world, world.staff_token(partner_key, iss=ISSUER))
    with pytest.raises(InvalidRequest):
        await exchanged(world, world.staff_token(iss="https://partner.example"))
    own_key = world.issuer.keyring.active.key
    with pytest.raises(InvalidRequest, match="kid"):
        await exchanged(world, world.staff_token(own_key))
    theirs = await exchanged(world, world.staff_token(partner_key, iss="https://partner.example"))
    ours = await exchanged(world, world.staff_token())
    assert (theirs.subject.id, ours.subject.id) == ("partner|john_doe", "staff|john_doe")


@pytest.mark.threat(121)
@pytest.mark.parametrize("sub", ["service|posts", "local|alice", "staff|x", "|", "a|b"])
async def test_no_foreign_sub_leaves_its_name_space(world: World, sub: str) -> None:
    token = await exchanged(world, world.staff_token(sub=sub))
    assert token.subject.id == f"staff|{sub}"


@pytest.mark.parametrize("sub", ["", "x" * 256, "john\n", "a\x00b", "a\u202eb", 7, None])
async def test_a_sub_that_no_log_should_see_is_refused(world: World, sub: Any) -> None:
    with pytest.raises(InvalidRequest, match="sub"):
        await exchanged(world, world.staff_token(sub=sub))


@pytest.mark.threat(111, 112)
@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "users"},
        {"aud": ["users", "billing"]},
        {"aud": None},
        {"aud": "Posts"},
        {"exp": 1_800_000_000},
        {"exp": None},
        {"nbf": 1_800_000_030},
        {"iat": 1_800_000_030},
        {"cnf": {"jkt": "x"}},
    ],
)
async def test_a_foreign_token_is_held_to_every_check(world: World, claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="subject_token"):
        await exchanged(world, world.staff_token(**claims))


async def test_of_a_list_of_audiences_one_match_suffices(world: World) -> None:
    assert await exchanged(world, world.staff_token(aud=["https://api.example", "posts"]))


@pytest.mark.parametrize("auth_time", [1e300, -1, "now", True])
async def test_a_sign_in_at_no_possible_time_is_refused(world: World, auth_time: Any) -> None:
    with pytest.raises(InvalidRequest, match="auth_time"):
        await exchanged(world, world.staff_token(auth_time=auth_time))


@pytest.mark.threat(116, 117)
async def test_a_foreign_act_is_never_copied(world: World) -> None:
    token = await exchanged(world, world.staff_token(act={"sub": "service|billing"}))
    assert token.actors == ("service|posts",)


@pytest.mark.threat(118)
async def test_a_foreign_may_act_must_name_the_client_in_our_words(world: World) -> None:
    assert await exchanged(world, world.staff_token(may_act={"sub": "service|posts"}))
    for may_act in ({"sub": "posts"}, {"sub": "service|users"}, {"sub": "service|posts", "iss": "https://x"}):
        with pytest.raises(InvalidRequest, match="may_act"):
            await exchanged(world, world.staff_token(may_act=may_act))


@pytest.mark.parametrize("txn", ["x" * 129, "a b", "ä", None])
async def test_a_foreign_story_that_cannot_be_kept_gets_a_new_name(world: World, txn: str | None) -> None:
    story = (await exchanged(world, world.staff_token(txn=txn))).story_id
    assert story is not None
    assert story != txn
    assert story.isascii()


@pytest.mark.threat(123)
@pytest.mark.parametrize("algorithm", ["ES384", "RS256"])
async def test_only_the_issuers_configured_algorithms_count(world: World, algorithm: str) -> None:
    key = PrivateKey.generate(algorithm)
    world.published.sets["https://keys.example/staff"] = JWKSet([key.public])
    with pytest.raises(InvalidRequest, match="alg"):
        await exchanged(world, world.staff_token(key))
    world.change_issuer("staff", algorithms=frozenset({algorithm}))
    assert await exchanged(world, world.staff_token(key))


async def test_a_missing_kid_is_accepted_only_from_a_set_with_one_usable_key(world: World) -> None:
    payload = payload_of(world.staff_token())
    assert await exchanged(world, signed(world.staff_key, payload, kid=None))
    second = PrivateKey.generate("ES256")
    world.published.sets["https://keys.example/staff"] = JWKSet([world.staff_key.public, second.public])
    with pytest.raises(InvalidRequest, match="kid"):
        await exchanged(world, signed(world.staff_key, payload, kid=None))


@pytest.mark.threat(123)
async def test_scopes_are_capped_and_a_missing_claim_is_no_scope(world: World) -> None:
    with pytest.raises(InvalidScope):
        await exchanged(world, world.staff_token(scope="users:read admin"))
    with pytest.raises(InvalidScope):
        await exchanged(world, world.staff_token(scope=None))
    world.change_issuer("staff", default_scopes=frozenset({"posts:read"}))
    assert await exchanged(world, world.staff_token(scope=None))
    with pytest.raises(InvalidScope):
        await exchanged(world, world.staff_token(scope=""))
    world.change_issuer("staff", scopes=frozenset())
    with pytest.raises(InvalidScope):
        await exchanged(world, world.staff_token())


@pytest.mark.parametrize(
    ("required", "found", "allowed"),
    [
        (True, True, True),
        (True, 1, False),
        (True, "true", False),
        (True, None, False),
        (1, True, False),
        ("x", "x", True),
        ("x", "X", False),
        ("x", ["x"], False),
    ],
)
async def test_a_required_claim_has_exactly_the_required_value(
    world: World, required: Any, found: Any, allowed: bool
) -> None:
    world.change_issuer("staff", require={"email_verified": required})
    if allowed:
        assert await exchanged(world, world.staff_token(email_verified=found))
    else:
        with pytest.raises(InvalidRequest, match="email_verified"):
            await exchanged(world, world.staff_token(email_verified=found))


@pytest.mark.threat(113)
@pytest.mark.parametrize(
    ("typ", "marks", "declared", "allowed"),
    [
        ("at+jwt", {}, ACCESS_TOKEN, True),
        ("at+jwt", {}, JWT, True),
        ("at+jwt", {}, ID_TOKEN, False),
        ("JWT", {}, ACCESS_TOKEN, False),
        ("JWT", {}, JWT, True),
        (None, {}, JWT, True),
        ("JWT", {}, ID_TOKEN, False),
        ("JWT", {"nonce": "n"}, JWT, False),
        ("JWT", {"at_hash": "h"}, ACCESS_TOKEN, False),
        ("JWT", {"nonce": "n"}, ID_TOKEN, True),
        ("JWT", {"typ": "ID"}, JWT, False),
        ("JWT", {"typ": "Refresh"}, JWT, False),
        ("JWT", {"typ": "Offline"}, ID_TOKEN, False),
        ("JWT", {"events": {}}, JWT, False),
        ("dpop+jwt", {}, JWT, False),
        ("at+jwt", {}, "urn:ietf:params:oauth:token-type:refresh_token", False),
    ],
)
async def test_what_a_token_is_declared_to_be_is_proven(
    world: World, typ: str | None, marks: dict[str, Any], declared: str, allowed: bool
) -> None:
    world.change_issuer(
        "staff",
        token_types=frozenset({"at+jwt", "JWT"}),
        subject_token_types=frozenset({"access_token", "jwt", "id_token"}),
    )
    token = world.staff_token(header_type=typ, **marks)
    if allowed:
        assert await exchanged(world, token, subject_token_type=declared)
    else:
        with pytest.raises(InvalidRequest):
            await exchanged(world, token, subject_token_type=declared)


@pytest.mark.threat(113)
async def test_id_tokens_are_taken_only_where_the_issuer_lists_them(world: World) -> None:
    world.change_issuer("staff", token_types=frozenset({"JWT"}))
    with pytest.raises(InvalidRequest, match="subject_token_type"):
        await exchanged(world, world.staff_token(header_type="JWT"), subject_token_type=ID_TOKEN)


async def test_services_of_a_foreign_issuer_are_services_and_never_ours(world: World) -> None:
    world.change_issuer("staff", asserts="services")
    world.change("users", allow=(rule("posts", "posts:read", on_behalf_of="person"),))
    with pytest.raises(InvalidTarget):
        await exchanged(world, world.staff_token())
    world.change("users", allow=(rule("posts", "posts:read", on_behalf_of="service"),))
    token = await exchanged(world, world.staff_token(sub="posts"))
    assert token.subject.id == "staff|posts"


async def test_keys_that_cannot_be_had_are_our_fault_and_give_no_token(world: World) -> None:
    world.published.sets.clear()
    with pytest.raises(TemporarilyUnavailable):
        await exchanged(world, world.staff_token())
    event = await world.last_event()
    assert (event.type, event.outcome) == ("token.refused", "refused")
    assert event.reason is not None
    assert event.reason.startswith("keys_unavailable")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.", "ä.ö.ü", "." * 9_000, "A" * 20_000])
async def test_what_is_no_token_is_an_invalid_request(world: World, token: str) -> None:
    with pytest.raises(InvalidRequest):
        await exchanged(world, token)
    assert world.published.asked == []
