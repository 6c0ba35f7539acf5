"""A keyring is a value: each key in one state of its life, at most one that signs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.errors import KeyringError, KeyUnknown, NoActiveKey
from watchword.keys.keyring import KeyEntry, Keyring, KeyState
from watchword.tokens.private_key import PrivateKey

KEYS = [PrivateKey.generate("EdDSA") for _ in range(5)]
A, B, C = KEYS[:3]


def states(keyring: Keyring) -> dict[str, str]:
    return {entry.kid: entry.state.value for entry in keyring.entries}


def test_a_key_is_prepared_then_active_then_retired_then_gone() -> None:
    keyring = Keyring().prepare(A, 1).activate(A.kid, 2).prepare(B, 3)
    assert states(keyring) == {A.kid: "active", B.kid: "prepared"}
    keyring = keyring.activate(B.kid, 4)
    assert states(keyring) == {A.kid: "retired", B.kid: "active"}
    assert [(entry.kid, entry.since) for entry in keyring.entries] == [(A.kid, 4), (B.kid, 4)]
    assert states(keyring.remove(A.kid)) == {B.kid: "active"}


def test_a_change_makes_a_new_keyring_and_leaves_the_old_one() -> None:
    before = Keyring().prepare(A, 1)
    before.activate(A.kid, 2)
    assert states(before) == {A.kid: "prepared"}


def test_two_active_keys_or_one_kid_twice_are_no_keyring() -> None:
    with pytest.raises(KeyringError, match="at most one active"):
        Keyring((KeyEntry(A, KeyState.ACTIVE, 1), KeyEntry(B, KeyState.ACTIVE, 1)))
    with pytest.raises(KeyringError, match="each kid once"):
        Keyring().prepare(A, 1).prepare(A, 2)


def test_an_empty_keyring_has_no_active_key() -> None:
    with pytest.raises(NoActiveKey):
        _ = Keyring().active
    with pytest.raises(KeyUnknown):
        Keyring().named("x")


def test_the_active_key_is_published_first_and_a_revoked_one_not_at_all() -> None:
    entries = (
        KeyEntry(A, KeyState.RETIRED, 1),
        KeyEntry(B, KeyState.ACTIVE, 1),
        KeyEntry(C, KeyState.REVOKED, 1),
    )
    assert [key.kid for key in Keyring(entries).jwk_set().keys] == [B.kid, A.kid]


@given(
    st.lists(
        st.tuples(st.sampled_from(["prepare", "activate", "remove"]), st.sampled_from(KEYS)), max_size=30
    )
)
@settings(max_examples=150, deadline=None)
def test_no_order_of_changes_breaks_the_rules_of_a_keys_life(deeds: list[tuple[str, PrivateKey]]) -> None:
    keyring = Keyring()
    had_active = False
    for now, (deed, key) in enumerate(deeds):
        before = states(keyring).get(key.kid)
        try:
            if deed == "prepare":
                keyring = keyring.prepare(key, now)
            elif deed == "activate":
                keyring = keyring.activate(key.kid, now)
            else:
                keyring = keyring.remove(key.kid)
        except (KeyringError, KeyUnknown):
            assert states(keyring).get(key.kid) == before
            allowed = {"prepare": {None}, "activate": {"prepared"}, "remove": {"retired", "revoked"}}[deed]
            assert before not in allowed
            continue
        after = states(keyring)
        assert sum(state == "active" for state in after.values()) <= 1
        if deed == "activate":
            assert (before, after[key.kid]) == ("prepared", "active")
            had_active = True
        assert not had_active or "active" in after.values()
