"""What a verified token may do."""

import pytest

from watchword.errors import InsufficientScope, RoleRequired
from watchword.resource.authorize import demand
from watchword.testing.peers import IssuingPeer
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.verified import VerifiedToken
from watchword.tokens.verify import verify


@pytest.fixture
def token(issuer: IssuingPeer, clock: object) -> VerifiedToken:
    text = issuer.token(scope={"posts:read", "posts:write"}, roles=["editor"])
    policy = VerificationPolicy(issuer.url, "posts", ["ES256"])
    return verify(text, issuer.issuer.jwk_set(), policy, clock.now())  # type: ignore[attr-defined]


def test_a_token_that_holds_everything_passes(token: VerifiedToken) -> None:
    demand(token)
    demand(token, ["posts:read"])
    demand(token, ("posts:write", "posts:read"), role="editor")


def test_every_scope_is_needed_and_all_that_were_asked_for_are_named(token: VerifiedToken) -> None:
    with pytest.raises(InsufficientScope) as refused:
        demand(token, ["posts:read", "posts:delete"])
    assert refused.value.required == ("posts:delete", "posts:read")


@pytest.mark.parametrize("scope", ["posts", "posts:*", "POSTS:READ", "posts:read posts:write", ""])
def test_a_scope_is_compared_whole(token: VerifiedToken, scope: str) -> None:
    with pytest.raises(InsufficientScope):
        demand(token, [scope])


def test_a_role_is_compared_whole(token: VerifiedToken) -> None:
    for role in ("edit", "Editor", "admin", ""):
        with pytest.raises(RoleRequired):
            demand(token, role=role)


def test_one_text_is_no_list_of_scopes(token: VerifiedToken) -> None:
    with pytest.raises(TypeError):
        demand(token, "posts:read")
