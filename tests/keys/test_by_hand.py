"""What an operator may do to a keyring: no key signs before verifiers have it, unless somebody says so."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.errors import KeyNotReady, KeyringError, KeyUnknown, NoSuccessor
from watchword.keys.by_hand import Unready, activated, retired, revoked
from watchword.keys.keyring import Keyring, KeyState
from watchword.keys.rotation import NO_EVIDENCE, RotationPolicy, Wait, next_step, perform
from watchword.tokens.private_key import PrivateKey

KEYS = [PrivateKey.generate("ES256") for _ in range(6)]
FIRST, SECOND, *SPARE = KEYS
POLICY = RotationPolicy(active_for=10_000, cached_for=1_000, skew=100)
READY = POLICY.publish_for


def ring() -> Keyring:
    """One key signs since 0, another is prepared since 0."""
    return Keyring().prepare(FIRST, 0).activate(FIRST.kid, 0).prepare(SECOND, 0)


def states(keyring: Keyring) -> dict[str, str]:
    return {entry.kid: entry.state.value for entry in keyring.entries}


@pytest.mark.threat(164)
def test_a_key_signs_only_when_it_is_published_long_enough():
    with pytest.raises(KeyNotReady, match=r"is published for 17 min, .* for 18 min .*: wait another 100 s"):
        activated(ring(), SECOND.kid, POLICY, READY - 100)
    after = activated(ring(), SECOND.kid, POLICY, READY)
    assert states(after) == {FIRST.kid: "retired", SECOND.kid: "active"}


def test_only_a_prepared_key_can_be_activated():
    after = activated(ring(), SECOND.kid, POLICY, READY)
    for kid in (FIRST.kid, SECOND.kid):
        with pytest.raises(KeyringError, match="expected a prepared key"):
            activated(after, kid, POLICY, READY)
    with pytest.raises(KeyUnknown):
        activated(ring(), "nobody", POLICY, READY)


def test_the_reserve_takes_over_from_a_key_that_retires_and_a_prepared_one_is_gone():
    after = retired(ring(), FIRST.kid, POLICY, READY)
    assert states(after) == {FIRST.kid: "retired", SECOND.kid: "active"}
    assert states(retired(ring(), SECOND.kid, POLICY, 1)) == {FIRST.kid: "active"}
    with pytest.raises(KeyringError, match="found one that is retired"):
        retired(after, FIRST.kid, POLICY, READY)


def test_the_key_that_signs_does_not_retire_where_nobody_could_follow():
    with pytest.raises(KeyNotReady, match="wait another"):
        retired(ring(), FIRST.kid, POLICY, READY - 1)
    alone = Keyring().prepare(FIRST, 0).activate(FIRST.kid, 0)
    with pytest.raises(KeyNotReady, match="no other key is prepared"):
        retired(alone, FIRST.kid, POLICY, READY)


@pytest.mark.threat(170)
def test_the_reserve_takes_over_from_a_revoked_key_and_another_one_is_in_reserve():
    after = revoked(ring(), FIRST.kid, POLICY, READY, fresh=SPARE)
    assert states(after) == {FIRST.kid: "revoked", SECOND.kid: "active", SPARE[0].kid: "prepared"}
    assert FIRST.kid not in {key.kid for key in after.jwk_set().keys}


@pytest.mark.threat(170)
def test_where_nobody_could_follow_the_operator_chooses():
    with pytest.raises(NoSuccessor, match=r"--stop-issuing, .* for 100 s; or --activate-unpublished"):
        revoked(ring(), FIRST.kid, POLICY, READY - 100, fresh=SPARE)
    stopped = revoked(ring(), FIRST.kid, POLICY, READY - 100, fresh=SPARE, unready=Unready.STOP_ISSUING)
    assert states(stopped) == {FIRST.kid: "revoked", SECOND.kid: "prepared"}
    assert next_step(stopped, POLICY, NO_EVIDENCE, READY - 100) == Wait(READY)
    hasty = revoked(ring(), FIRST.kid, POLICY, READY - 100, fresh=SPARE, unready=Unready.ACTIVATE_UNPUBLISHED)
    assert states(hasty) == {FIRST.kid: "revoked", SECOND.kid: "active", SPARE[0].kid: "prepared"}


def test_a_keyring_with_one_key_alone_can_lose_it():
    alone = Keyring().prepare(FIRST, 0).activate(FIRST.kid, 0)
    stopped = revoked(alone, FIRST.kid, POLICY, 5, fresh=SPARE, unready=Unready.STOP_ISSUING)
    assert states(stopped) == {FIRST.kid: "revoked", SPARE[0].kid: "prepared"}
    hasty = revoked(alone, FIRST.kid, POLICY, 5, fresh=SPARE, unready=Unready.ACTIVATE_UNPUBLISHED)
    assert states(hasty) == {FIRST.kid: "revoked", SPARE[0].kid: "active", SPARE[1].kid: "prepared"}


def test_revoking_twice_says_that_it_is_done():
    after = revoked(ring(), FIRST.kid, POLICY, READY, fresh=SPARE)
    with pytest.raises(KeyringError, match="expected a key that is not revoked"):
        revoked(after, FIRST.kid, POLICY, READY, fresh=SPARE)


@pytest.mark.threat(164, 170)
@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["wait", "planner", "activate", "retire", "revoke"]),
            st.integers(0, 5),
            st.sampled_from([Unready.REFUSE, Unready.STOP_ISSUING]),
        ),
        max_size=40,
    )
)
def test_no_deeds_of_operator_and_planner_let_a_key_sign_too_soon_or_a_revoked_one_return(deeds):
    keyring, now = ring(), 0.0
    published = {entry.kid: entry.since for entry in keyring.entries}
    gone: set[str] = set()
    for deed, number, unready in deeds:
        kid = keyring.entries[number % len(keyring.entries)].kid
        fresh = [PrivateKey.generate("ES256") for _ in range(2)]
        try:
            if deed == "wait":
                now += 300 * number
            elif deed == "planner":
                step = next_step(keyring, POLICY, NO_EVIDENCE, now)
                keyring = perform(keyring, step, now, fresh[0])
            elif deed == "activate":
                keyring = activated(keyring, kid, POLICY, now)
            elif deed == "retire":
                keyring = retired(keyring, kid, POLICY, now)
            else:
                keyring = revoked(keyring, kid, POLICY, now, fresh=fresh, unready=unready)
                gone.add(kid)
        except KeyringError:
            continue
        for entry in keyring.entries:
            published.setdefault(entry.kid, now)
            if entry.state is KeyState.ACTIVE and entry.kid != FIRST.kid:
                assert now >= published[entry.kid] + READY
        assert not gone & {str(key.kid) for key in keyring.jwk_set().keys}
