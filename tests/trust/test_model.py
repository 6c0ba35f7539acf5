"""The document as a value: look-ups that do not grow, and nothing that changes it afterwards."""

import gc
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from watchword.trust.model import Service, TrustDocument, TrustedIssuer

from .conftest import document, rule, service


@pytest.fixture(scope="module")
def large() -> TrustDocument:
    """Ten thousand services, each with one rule."""
    return document(
        *(
            service(
                f"s{n}",
                "a",
                url=f"https://s{n}.example",
                allow=(rule(f"s{n + 1}", "a", name=f"services.s{n}.allow[0]"),),
            )
            for n in range(10_000)
        )
    )


def calls_of(look_up: Callable[[], Any]) -> int:
    """How many Python functions and builtins a look-up calls: work, without a clock."""
    count = 0

    def counting(_frame: object, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.collect()
    sys.setprofile(counting)
    try:
        look_up()
    finally:
        sys.setprofile(None)
    return count


def test_a_service_is_found_by_audience_and_by_resource_with_one_slash_forgiven() -> None:
    users = service("users", url="https://users.example/api/")
    trust = document(users, service("posts", url="https://posts.example"))
    assert trust.by_audience("users") is users
    assert trust.by_resource("https://users.example/api") is users
    assert trust.by_resource("https://users.example/api/") is users
    for other in ("https://users.example/api//", "https://users.example", "https://users.example/api/x", ""):
        assert trust.by_resource(other) is None, other
    assert trust.by_audience("Users") is None


def test_an_issuer_is_found_by_its_exact_iss() -> None:
    staff = TrustedIssuer("staff", "https://staff.example/", "https://x", "people", frozenset({"ES256"}))
    trust = TrustDocument(issuers={"staff": staff})
    assert trust.by_issuer("https://staff.example/") is staff
    assert trust.by_issuer("https://staff.example") is None


def test_rules_are_found_by_callee_and_caller_in_the_order_of_the_document() -> None:
    first, other, second = (
        rule("posts", "a"),
        rule("web", "a"),
        rule("posts", "b", name="services.users.allow[2]"),
    )
    trust = document(service("users", "a", "b", allow=(first, other, second)))
    assert trust.rules("users", "posts") == (first, second)
    assert trust.rules("posts", "users") == ()


def test_a_look_up_does_as_little_among_ten_thousand_services_as_among_one(large: TrustDocument) -> None:
    small = document(service("s0", "a", url="https://s0.example", allow=(rule("s1", "a"),)))
    for look_up in (
        lambda trust: trust.by_audience("s0"),
        lambda trust: trust.by_resource("https://s0.example/"),
        lambda trust: trust.by_issuer("https://nobody.example"),
        lambda trust: trust.rules("s0", "s1"),
    ):
        assert look_up(large) == look_up(small) or look_up(large)
        assert calls_of(lambda look_up=look_up: look_up(large)) == calls_of(
            lambda look_up=look_up: look_up(small)
        )


def test_nothing_changes_a_document_once_it_is_made() -> None:
    source: dict[str, Service] = {"users": service("users")}
    trust = TrustDocument(source)
    source["thief"] = service("thief")
    assert set(trust.services) == {"users"}
    with pytest.raises(TypeError):
        trust.services["thief"] = service("thief")  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        trust.services = {}  # type: ignore[misc]


def test_the_empty_document_knows_nobody() -> None:
    trust = TrustDocument()
    assert trust.by_audience("") is None
    assert trust.by_resource("") is None
    assert trust.rules("users", "posts") == ()
