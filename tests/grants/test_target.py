"""Which service a token is for: exact names, one service, one audience."""

import pytest

from watchword.errors import InvalidScope, InvalidTarget
from watchword.grants.parameters import Parameters
from watchword.grants.target import requested_scope, target
from watchword.trust.model import TrustDocument


def named(world: TrustDocument, *pairs: tuple[str, str]) -> str:
    return target(Parameters(list(pairs)), world).client_id


def test_audience_and_resource_find_the_same_service(world: TrustDocument) -> None:
    assert named(world, ("audience", "users")) == "users"
    assert named(world, ("resource", "https://users.example")) == "users"
    assert named(world, ("resource", "https://users.example/")) == "users"
    assert named(world, ("audience", "users"), ("resource", "https://users.example")) == "users"
    assert named(world, ("audience", "users"), ("audience", "users")) == "users"


@pytest.mark.threat(109)
@pytest.mark.parametrize(
    "pair",
    [
        ("audience", "Users"),
        ("audience", "users "),
        ("audience", "users\x00"),
        ("audience", "us\u0435rs"),  # a Cyrillic letter
        ("audience", "https://users.example"),
        ("audience", "*"),
        ("audience", "users posts"),
        ("resource", "users"),
        ("resource", "https://users.example/admin"),
        ("resource", "https://users.example//"),
        ("resource", "https://users.example:443"),
        ("resource", "https://users.example.evil"),
        ("resource", "https://users.exampl"),
        ("resource", "HTTPS://users.example"),
        ("resource", "https://users.example#posts"),
    ],
)
def test_a_target_is_an_exact_name_and_nothing_near_it(world: TrustDocument, pair: tuple[str, str]) -> None:
    with pytest.raises(InvalidTarget, match="no service"):
        named(world, pair)


@pytest.mark.threat(124)
def test_ten_audiences_give_no_token_for_ten_services(world: TrustDocument) -> None:
    with pytest.raises(InvalidTarget, match="one audience"):
        named(world, *[("audience", name) for name in ("users", "posts", "billing")])
    with pytest.raises(InvalidTarget, match="one audience"):
        named(world, ("audience", "users"), ("resource", "https://posts.example"))


def test_no_target_is_an_invalid_target(world: TrustDocument) -> None:
    with pytest.raises(InvalidTarget, match="expected an audience"):
        named(world, ("scope", "users:read"))


def test_no_scope_asked_means_what_the_rules_give() -> None:
    assert requested_scope(Parameters([])) is None
    assert requested_scope(Parameters([("scope", "a b")])) == {"a", "b"}


@pytest.mark.parametrize("text", [" a", "a ", "a  b", "a\tb", "a\nb", 'a"b', "a\\b", "a\x00", "ä", " "])
def test_a_scope_with_anything_but_scope_tokens_is_refused(text: str) -> None:
    with pytest.raises(InvalidScope):
        requested_scope(Parameters([("scope", text)]))
