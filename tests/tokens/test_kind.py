"""A JWT of another kind is no access token, whatever its signature is worth (RFC 8725 §2.8)."""

from typing import Any

import pytest

from watchword.errors import ClaimInvalid, ConfigurationError, TypeNotAllowed
from watchword.tokens.kind import TOKEN_KINDS, kind_of

LOGOUT = {"http://schemas.openid.net/event/backchannel-logout": {}}

# name → (header typ, the claims that make it what it is, the kind)
OTHERS: dict[str, tuple[str | None, dict[str, Any], str]] = {
    "ID token with a nonce": ("JWT", {"nonce": "n-0S6"}, "id_token"),
    "ID token with at_hash": ("JWT", {"at_hash": "MTIz"}, "id_token"),
    "ID token with c_hash": (None, {"c_hash": "MTIz"}, "id_token"),
    "ID token with s_hash": (None, {"s_hash": "MTIz"}, "id_token"),
    "ID token of Firebase": (
        "JWT",
        {"firebase": {"sign_in_provider": "password"}, "user_id": "42"},
        "id_token",
    ),
    "ID token of Keycloak": ("JWT", {"typ": "ID", "azp": "posts"}, "id_token"),
    "ID token of Cognito": (None, {"token_use": "id"}, "id_token"),
    "logout token by type": ("logout+jwt", {"events": LOGOUT}, "logout_token"),
    "logout token by claims": ("JWT", {"events": LOGOUT}, "logout_token"),
    "logout token of Keycloak": ("JWT", {"typ": "Logout"}, "logout_token"),
    "security event by type": ("secevent+jwt", {"events": {"urn:x": {}}}, "security_event"),
    "security event by claims": (None, {"events": {"urn:x": {}}}, "security_event"),
    "events that are no object": (None, {"events": "urn:x"}, "security_event"),
    "refresh token of Keycloak": ("JWT", {"typ": "Refresh"}, "refresh_token"),
    "offline token of Keycloak": ("JWT", {"typ": "Offline"}, "refresh_token"),
    "refresh token of Simple JWT": ("JWT", {"token_type": "refresh"}, "refresh_token"),
    "refresh token of Flask-JWT-Extended": ("JWT", {"type": "refresh"}, "refresh_token"),
    "action token of Keycloak": ("JWT", {"typ": "reset-credentials"}, "other"),
    "unknown use": (None, {"token_use": "device"}, "other"),
    "payload typ that is no text": (None, {"typ": ["Bearer"]}, "other"),
    "payload typ null": (None, {"typ": None}, "other"),
    "client assertion by type": ("client-authentication+jwt", {"iss": "c", "sub": "c"}, "client_assertion"),
    "client assertion by claims": ("JWT", {"sub": "https://id.example"}, "client_assertion"),
    "request object by type": ("oauth-authz-req+jwt", {"response_type": "code"}, "request_object"),
    "request object with response_type": (None, {"response_type": "code"}, "request_object"),
    "request object with redirect_uri": (None, {"redirect_uri": "https://a.example"}, "request_object"),
    "request object with code_challenge": (None, {"code_challenge": "E9"}, "request_object"),
    "introspection response by type": ("token-introspection+jwt", {}, "introspection_response"),
    "introspection response by claims": (
        "JWT",
        {"token_introspection": {"active": True}},
        "introspection_response",
    ),
    "DPoP proof by type": ("dpop+jwt", {"htm": "GET", "htu": "https://a.example"}, "dpop_proof"),
    "DPoP proof by htm": ("JWT", {"htm": "GET"}, "dpop_proof"),
    "DPoP proof by htu": ("JWT", {"htu": "https://a.example"}, "dpop_proof"),
    "JWT-SVID": ("JWT", {"sub": "spiffe://example.org/posts"}, "jwt_svid"),
    "two names that disagree": ("JWT", {"typ": "Bearer", "token_use": "id"}, "id_token"),
    "two names that disagree, otherwise": ("JWT", {"type": "access", "typ": "Refresh"}, "refresh_token"),
}


@pytest.mark.threat(47, 113)
@pytest.mark.parametrize("name", OTHERS)
def test_another_kind_of_token_is_told_by_type_and_claims(forge: Any, name: str) -> None:
    typ, marks, kind = OTHERS[name]
    assert kind_of(typ.lower() if typ else None, forge.claims(**marks)) == kind


@pytest.mark.threat(47, 113)
@pytest.mark.parametrize("name", OTHERS)
def test_another_kind_of_token_is_no_access_token(forge: Any, name: str) -> None:
    typ, marks, kind = OTHERS[name]
    marks = {claim: value for claim, value in marks.items() if claim != "iss"}
    header = forge.header(typ=typ) if typ else forge.header(without=("typ",))
    token = forge.sign(header, forge.claims(**marks))
    forge.refused(token, TypeNotAllowed)  # by typ
    # by claims, where a policy has to accept JWT, and even where it lists that very type
    for types in (["JWT"], ["JWT", typ or "JWT"], [typ or "JWT"]):
        policy = forge.policy(token_types=types)
        forge.refused(forge.sign(header, forge.claims(**marks)), TypeNotAllowed, policy=policy)
    listed = forge.policy(token_types=["JWT", typ or "JWT"], token_kinds=[kind])
    assert forge.verify(forge.sign(header, forge.claims(**marks)), policy=listed)


@pytest.mark.threat(47)
@pytest.mark.parametrize(
    "marks",
    [
        {"typ": "Bearer"}, {"typ": "bearer", "nonce": "n"}, {"typ": "DPoP"}, {"typ": "JWT"},
        {"token_use": "access"},
        {"token_type": "access"}, {"type": "access"}, {"type": "anything"}, {"token_type": 7},
        {"azp": "posts", "sid": "s"}, {},
    ],
)  # fmt: skip
def test_an_access_token_of_another_issuer_is_one(forge: Any, marks: dict[str, Any]) -> None:
    policy = forge.policy(token_types=["JWT"])
    for header in (forge.header(typ="JWT"), forge.header(without=("typ",))):
        assert forge.verify(forge.sign(header, forge.claims(**marks)), policy=policy)
    assert kind_of(None, forge.claims(**marks)) == kind_of("jwt", forge.claims(**marks)) == "access_token"


@pytest.mark.threat(47)
def test_an_explicit_type_decides_and_a_strange_one_leaves_it_to_the_claims(forge: Any) -> None:
    assert kind_of("at+jwt", forge.claims(nonce="n")) == "access_token"
    assert kind_of("acme+jwt", forge.claims()) == "access_token"
    assert kind_of("acme+jwt", forge.claims(nonce="n")) == "id_token"


@pytest.mark.threat(47)
@pytest.mark.parametrize("kinds", [[], ["access"], ["access_token", "everything"], ["id_token"]])
def test_a_policy_names_kinds_that_exist_and_fit_its_types(forge: Any, kinds: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="token_kinds"):
        forge.policy(token_kinds=kinds)
    with pytest.raises(TypeError, match="expected token_kinds as a list"):
        forge.policy(token_kinds="access_token")
    assert "access_token" in TOKEN_KINDS


@pytest.mark.threat(47)
def test_a_foreign_token_says_at_least_who_for_whom_and_until_when(forge: Any) -> None:
    policy = forge.policy(token_types=["JWT"])
    least = forge.claims(without=("iat", "jti", "client_id", "scope", "txn"))
    assert forge.verify(forge.sign(forge.header(typ="JWT"), least), policy=policy)
    both = forge.policy(token_types=["JWT", "at+jwt"])
    forge.refused(forge.sign(forge.header(), least), ClaimInvalid, policy=both)
    assert forge.verify(forge.sign(forge.header(typ="JWT"), least), policy=both)


@pytest.mark.threat(47)
def test_every_kind_may_be_listed_and_none_may_not(forge: Any) -> None:
    assert forge.policy(token_kinds=TOKEN_KINDS).token_kinds == TOKEN_KINDS
    with pytest.raises(ConfigurationError, match="token_kinds"):
        forge.policy(token_types=["JWT"], token_kinds=[])


@pytest.mark.threat(47)
@pytest.mark.parametrize(
    ("typ", "kind"),
    [
        ("at+jwt", "access_token"),
        ("logout+jwt", "logout_token"),
        ("secevent+jwt", "security_event"),
        ("dpop+jwt", "dpop_proof"),
        ("client-authentication+jwt", "client_assertion"),
        ("oauth-authz-req+jwt", "request_object"),
        ("token-introspection+jwt", "introspection_response"),
    ],
)
def test_a_type_that_names_the_kind_needs_no_claim_for_it(forge: Any, typ: str, kind: str) -> None:
    assert kind_of(typ, forge.claims()) == kind
    assert kind_of(typ, forge.claims(nonce="n")) == kind


@pytest.mark.threat(47)
@pytest.mark.parametrize(
    "named",
    [
        {"typ": "Bearer"},
        {"token_use": "access"},
        {"token_type": "access"},
        {"type": "access"},
        {"typ": "DPoP"},
    ],
)
def test_a_token_that_names_itself_may_carry_marks_of_a_sign_in(forge: Any, named: dict[str, str]) -> None:
    assert kind_of("jwt", forge.claims(nonce="n", **named)) == "access_token"
    assert (
        kind_of("jwt", forge.claims(nonce="n", **named | {"token_type": "Bearer"} | named)) == "access_token"
    )
    assert kind_of("jwt", forge.claims(nonce="n", **{"type": "of our own"} | named)) == "access_token"
