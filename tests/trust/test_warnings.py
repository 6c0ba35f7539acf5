"""What a faultless document hardly means."""

from collections.abc import Callable
from typing import Any

from watchword.trust.document import warnings
from watchword.trust.model import TrustDocument

from .conftest import POSTS, RULE, STAFF, USERS, inline

ReadText = Callable[[str], TrustDocument]

DERIVED = RULE + 'when_subject_has = ["posts:read"]\n'


def test_a_document_that_means_what_it_says_is_not_nagged_about(read_text: ReadText) -> None:
    assert warnings(read_text(USERS + DERIVED + POSTS + STAFF)) == ()


def test_a_rule_that_can_never_yield_a_scope_is_told(read_text: ReadText) -> None:
    (told,) = warnings(read_text(USERS + RULE + POSTS))
    assert told == (
        "services.users.allow[0]: it can never yield a scope: without when_subject_has it gives what the "
        "subject token holds itself, and no token for posts can hold users:read"
    )


def test_a_condition_that_no_token_can_meet_is_told(read_text: ReadText) -> None:
    (told,) = warnings(read_text(USERS + RULE + 'when_subject_has = ["posts:raed"]\n' + POSTS))
    assert (
        told == "services.users.allow[0]: it can never yield a scope: no token for posts can hold posts:raed"
    )


def test_a_rule_without_scopes_is_told(read_text: ReadText) -> None:
    (told,) = warnings(read_text(USERS + RULE.replace('"users:read"', "") + POSTS))
    assert told == "services.users.allow[0]: it can never yield a scope: scopes is empty"


def test_a_rule_that_yields_a_part_names_the_rest(read_text: ReadText) -> None:
    own = POSTS.replace('["posts:read"]', '["posts:read", "users:read"]')
    (told,) = warnings(read_text(USERS + RULE.replace('"users:read"', '"users:read", "users:write"') + own))
    assert told.startswith("services.users.allow[0]: it can never yield users:write: ")


def test_what_a_foreign_token_can_bring_counts(read_text: ReadText) -> None:
    staff = STAFF.replace("posts:read", "users:read")
    assert warnings(read_text(USERS + RULE + POSTS + staff)) == ()
    for useless in (staff + 'audiences = { x = "users" }\n', staff.replace("people", "services")):
        told = warnings(read_text(USERS + RULE + POSTS + useless))
        assert any("can never yield" in text for text in told), told


def test_a_service_in_its_own_name_needs_no_subject(read_text: ReadText) -> None:
    assert warnings(read_text(USERS + RULE.replace("person", "service") + POSTS)) == ()


def test_a_caller_that_cannot_authenticate_is_told_and_a_pure_callee_is_not(read_text: ReadText) -> None:
    posts = POSTS[: POSTS.index("secret_sha256")] + "jwks = { keys = [] }\n"
    (told,) = warnings(read_text(USERS + DERIVED + posts))
    assert told == (
        "services.posts: it cannot authenticate, no key is registered: no rule with it as caller works yet"
    )


def test_an_issuer_that_nobody_can_use_is_told(read_text: ReadText) -> None:
    (told,) = warnings(read_text(USERS + DERIVED.replace("person", "service") + POSTS + STAFF))[-1:]
    assert told == (
        "issuers.staff: nobody can use it: no service that can authenticate may bring its tokens and is let "
        "in somewhere on behalf of a person"
    )
    mapped = STAFF + 'audiences = { x = "users" }\n'
    assert any("nobody can use it" in told for told in warnings(read_text(USERS + DERIVED + POSTS + mapped)))


def test_an_issuer_whose_tokens_bring_nothing_is_told(read_text: ReadText) -> None:
    told = warnings(read_text(USERS + DERIVED + POSTS + STAFF.replace('["posts:read"]', "[]")))
    assert "issuers.staff: its tokens bring no scope, so no exchange of one succeeds: scopes is empty" in told


def test_a_url_in_clear_is_told(read_text: ReadText) -> None:
    (told,) = warnings(read_text(USERS.replace("127.0.0.1", "users.internal") + DERIVED + POSTS))
    assert told.startswith("services.users.url: plain http off loopback")


def test_one_key_or_secret_in_two_hands_is_told(read_text: ReadText, jwk: dict[str, Any]) -> None:
    web = POSTS.replace("posts", "web").replace(":5002/", ":5003/")
    (told,) = warnings(read_text(USERS + DERIVED + POSTS + web))
    assert told == "services.web: shares a key or secret with services.posts: each can act as the other"
    users = USERS.replace("keys = []", f"keys = [{inline(jwk)}]")
    other = (USERS.replace("version = 1", "").replace("users", "web").replace(":5001", ":5004")).replace(
        "keys = []", f"keys = [{inline(jwk | {'kid': 'other'})}]"
    )
    (told,) = warnings(read_text(users + DERIVED + POSTS + other))
    assert told == "services.web: shares a key or secret with services.users: each can act as the other"


def test_an_audience_that_is_the_name_of_another_service_is_told(read_text: ReadText) -> None:
    (told,) = warnings(
        read_text(
            USERS
            + DERIVED
            + POSTS.replace("posts-api", "x")
            + POSTS.replace("services.posts", "services.x")
            .replace(":5002/", ":5003/")
            .replace('["5f', '["6f')
        )
    )
    assert told == "services.x: its client_id is the audience of another service, services.posts"


def test_a_listed_claim_that_the_server_alone_writes_is_told(read_text: ReadText) -> None:
    (told,) = warnings(read_text(USERS.replace('["roles"]', '["roles", "email", "sub"]') + DERIVED + POSTS))
    assert told == "services.users.claims: no effect: the server alone decides about sub"
