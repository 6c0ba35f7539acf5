"""Credentials beside the document: two secrets at most, each with its end; one source for each service."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.errors import RegistrationRefused
from watchword.tokens.jwk import PublicKey
from watchword.tokens.private_key import PrivateKey
from watchword.trust.registration import Registration, in_force

from .conftest import document, service

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
ONE, TWO, THREE = (PublicKey.from_jwk(PrivateKey.generate("ES256").public_jwk()) for _ in range(3))
BARE = replace(service("posts"), secret_sha256=(), jwks=None, jwks_uri=None)


def secrets(registration: Registration, now: float) -> list[str]:
    return [credential.id for credential in registration.credentials if credential.valid(now)]


@pytest.mark.threat(173)
def test_an_old_secret_is_valid_until_its_end_and_not_a_moment_longer():
    first = Registration("posts").with_secret(A, 100)
    both = first.rotated(B, 200, 300)
    assert secrets(both, 299.9) == [A, B]
    assert secrets(both, 300) == [B]
    trust = in_force(document(BARE), [both]).services["posts"]
    assert trust.secret_sha256 == (A, B)
    assert (trust.valid(A, 299.9), trust.valid(A, 300), trust.valid(B, 10**9)) == (True, False, True)


@pytest.mark.threat(173)
def test_two_secrets_are_valid_at_most_and_both_can_be_ended_at_once():
    both = Registration("posts").with_secret(A, 100).rotated(B, 200, 300)
    with pytest.raises(RegistrationRefused, match="two secrets of posts are valid already"):
        both.rotated(C, 250, 350)
    assert secrets(both.rotated(C, 250, 250), 250) == [C]
    assert secrets(both.rotated(C, 300, 350), 300) == [B, C]


@pytest.mark.threat(173)
def test_keys_overlap_and_one_that_stays_never_ends():
    first = Registration("posts").with_keys([ONE, TWO], 100)
    other = first.with_other_keys([TWO, THREE], 200, 300)
    assert sorted(secrets(other, 299)) == sorted(map(str, (ONE.kid, TWO.kid, THREE.kid)))
    assert sorted(secrets(other, 300)) == sorted(map(str, (TWO.kid, THREE.kid)))
    trust = in_force(document(BARE), [other]).services["posts"]
    assert trust.jwks is not None
    assert len(trust.jwks.keys) == 3
    back = other.with_other_keys([ONE], 250, 260)  # one that was about to end is wanted again
    assert secrets(back, 1_000) == [ONE.kid]


def test_what_is_registered_stays_of_its_kind():
    for registration, deed in (
        (Registration("posts").with_secret(A, 1), lambda r: r.with_secret(B, 2)),
        (Registration("posts").with_secret(A, 1), lambda r: r.with_keys([ONE], 2)),
        (Registration("posts").with_keys([ONE], 1), lambda r: r.rotated(A, 2, 3)),
        (Registration("posts").with_secret(A, 1), lambda r: r.with_other_keys([ONE], 2, 3)),
        (Registration("posts"), lambda r: r.rotated(A, 2, 3)),
    ):
        with pytest.raises(RegistrationRefused):
            deed(registration)


@pytest.mark.threat(102)
def test_a_document_with_credentials_of_its_own_takes_none_from_beside_it():
    own = service("posts", secret_sha256=(A,))
    registered = Registration("posts").with_secret(B, 1)
    assert in_force(document(own), [registered]).services["posts"].secret_sha256 == (A,)
    disabled = replace(registered, disabled_since=5.0)
    assert in_force(document(own), [disabled]).services["posts"].disabled


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 100)), max_size=12))
@pytest.mark.threat(173)
def test_whatever_is_rotated_never_are_three_secrets_valid(steps):
    now, registration = 0.0, Registration("posts").with_secret("0" * 64, 0)
    for number, (pause, overlap) in enumerate(steps):
        now += pause
        try:
            registration = registration.rotated(f"{number:064x}", now, now + overlap)
        except RegistrationRefused:
            assert len(secrets(registration, now)) == 2
        assert 1 <= len(secrets(registration, now)) <= 2
