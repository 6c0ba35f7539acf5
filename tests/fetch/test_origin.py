"""Origins are read so strictly that no second parser can disagree."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.errors import DestinationRefused
from watchword.fetch import Origin, demand_safe, is_loopback, origin_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://users.example", Origin("https", "users.example", 443)),
        ("HTTPS://Users.Example:443/x?y#z", Origin("https", "users.example", 443)),
        ("http://127.0.0.1:5001/users", Origin("http", "127.0.0.1", 5001)),
        ("http://[::1]:5001", Origin("http", "::1", 5001)),
        ("http://[0:0:0:0:0:0:0:1]:5001", Origin("http", "::1", 5001)),
        ("https://users_svc.internal?x=https://a@b", Origin("https", "users_svc.internal", 443)),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: Origin) -> None:
    assert origin_of(url) == origin


@pytest.mark.threat(237)
@pytest.mark.parametrize(
    "other",
    [
        "http://users.example/",
        "https://users.example:8443/",
        "https://users.example.attacker.example/",
        "https://a.users.example/",
        "https://users.example./",
    ],
)
def test_a_change_of_scheme_host_or_port_is_another_origin(other: str) -> None:
    assert origin_of(other) != origin_of("https://users.example/")


@pytest.mark.threat(237)
@pytest.mark.parametrize(
    "url",
    [
        "https://users.example@attacker.example/",
        "https://attacker.example\\@users.example/",
        "https://users.example\\.attacker.example/",
        "https://users.example%2eattacker.example/",
        "https://üsers.example/",
        "https://users.example\t/",
        " https://users.example/",
        "https://users.example/\n",
        "https:/users.example/",
        "https:users.example",
        "https://[::1",
        "https://[::1%25eth0]/",
        "https://[:::]/",
        "/users",
        "",
    ],
)
def test_what_parsers_read_differently_has_no_origin(url: str) -> None:
    with pytest.raises(DestinationRefused):
        origin_of(url)


@given(st.text(alphabet="htps:/\\@.[]#?%&ab01:\t\n -_é", max_size=40).map(lambda tail: f"http://{tail}"))
def test_what_has_an_origin_has_the_same_one_for_the_standard_library(url: str) -> None:
    try:
        origin = origin_of(url)
    except DestinationRefused:
        return
    parts = urlsplit(url)
    assert parts.username is None
    assert parts.password is None
    assert (parts.scheme, parts.port or 80) == (origin.scheme, origin.port)
    assert ":" in origin.host or parts.hostname == origin.host


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_is_known_by_name(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "10.0.0.1", "::2", "127.1", "0x7f.0.0.1", "example"])
def test_everything_else_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.threat(238)
def test_plain_http_is_for_loopback_and_for_listed_hosts() -> None:
    users = origin_of("http://users.internal:5001")
    demand_safe(origin_of("http://[::1]:5001"))
    demand_safe(users, ["users.internal"])
    demand_safe(users, ["users.internal:5001"])
    demand_safe(origin_of("https://anywhere.example"))
    for hosts in ((), ["posts.internal"], ["users.internal:80"], ["internal"]):
        with pytest.raises(DestinationRefused):
            demand_safe(users, hosts)
