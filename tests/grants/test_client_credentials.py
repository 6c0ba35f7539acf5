"""A service in its own name."""

from collections.abc import Callable

import pytest
from msgspec import UNSET

from watchword.errors import InvalidScope, InvalidTarget
from watchword.grants.base import Granted
from watchword.trust.model import TrustDocument

from .conftest import ISSUER, document, rule, service

Decide = Callable[..., Granted]


def test_a_service_gets_a_token_about_itself_that_starts_a_story(decide: Decide) -> None:
    granted = decide("billing", audience="users")
    claims = granted.claims
    assert granted.event == "token.issued"
    assert (claims.iss, claims.sub, claims.aud) == (ISSUER, "service|billing", "users")
    assert (claims.client_id, claims.jti, claims.txn) == ("billing", "new-1", "story-new")
    assert claims.scope == "users:read users:write"
    assert claims.act is UNSET
    assert claims.roles is UNSET
    assert (claims.iat, claims.exp) == (1_800_000_000, 1_800_000_120)
    assert granted.issued_token_type is None


@pytest.mark.threat(109)
def test_without_a_rule_of_the_callee_there_is_no_token(decide: Decide) -> None:
    with pytest.raises(InvalidTarget):
        decide("users", audience="posts")


@pytest.mark.threat(242)
def test_a_rule_for_people_or_one_that_derives_gives_a_service_nothing(decide: Decide) -> None:
    with pytest.raises((InvalidTarget, InvalidScope)):
        decide("posts", audience="users")
    people_only = document(
        service("posts"),
        service("users", "users:read", allow=(rule("posts", "users:read", on_behalf_of="person"),)),
    )
    with pytest.raises(InvalidTarget):
        decide("posts", trust=people_only, audience="users")


@pytest.mark.threat(101)
def test_a_scope_partly_allowed_is_cut_and_told(decide: Decide) -> None:
    assert decide("billing", audience="users", scope="users:write admin").claims.scope == "users:write"
    with pytest.raises(InvalidScope):
        decide("billing", audience="users", scope="admin")


@pytest.mark.threat(107)
@pytest.mark.parametrize("client_id", ["local|alice", "staff|john_doe", "service|billing", "alice"])
def test_a_client_named_like_a_person_is_still_a_service(decide: Decide, client_id: str) -> None:
    trust: TrustDocument = document(
        service(client_id), service("users", "users:read", allow=(rule(client_id, "users:read"),))
    )
    sub = decide(client_id, trust=trust, audience="users").claims.sub
    assert sub == f"service|{client_id}"
    assert sub.partition("|")[0] == "service"
