"""What happened between two keyrings is told once, completely and in an order that can be read."""

import random

from watchword.keys.changes import KeyDeed, deeds
from watchword.keys.keyring import KeyEntry, Keyring, KeyState
from watchword.tokens.private_key import PrivateKey

A, B, C = (PrivateKey.generate() for _ in range(3))


def told(old: Keyring, new: Keyring) -> list[tuple[str, str]]:
    names = {A.kid: "a", B.kid: "b", C.kid: "c"}
    return [(deed.type.removeprefix("key."), names[deed.kid]) for deed in deeds(old, new)]


def test_each_step_of_a_life_is_told() -> None:
    start = Keyring().prepare(A, 1)
    assert told(Keyring(), start) == [("prepared", "a")]
    first = start.activate(A.kid, 2)
    assert told(start, first) == [("activated", "a")]
    both = first.prepare(B, 3)
    assert told(first, both) == [("prepared", "b")]
    second = both.activate(B.kid, 4)
    assert told(both, second) == [("retired", "a"), ("activated", "b")]
    assert told(second, second.remove(A.kid)) == [("removed", "a")]
    assert told(both, both.discard(B.kid)) == [("discarded", "b")]
    revoked = second.revoke(B.kid, 5)
    assert told(second, revoked) == [("revoked", "b")]
    assert told(revoked, revoked.remove(B.kid)) == [("removed", "b")]


def test_the_first_key_is_prepared_and_activated_at_once() -> None:
    assert told(Keyring(), Keyring().prepare(A, 1).activate(A.kid, 1)) == [
        ("prepared", "a"),
        ("activated", "a"),
    ]


def test_nothing_is_told_where_nothing_happened() -> None:
    keyring = Keyring().prepare(A, 1).activate(A.kid, 1).prepare(B, 2)
    assert deeds(keyring, Keyring(keyring.entries, version=9)) == []


def test_the_deeds_of_any_change_lead_from_the_old_keyring_to_the_new_one() -> None:
    state = {
        "key.prepared": KeyState.PREPARED,
        "key.activated": KeyState.ACTIVE,
        "key.retired": KeyState.RETIRED,
        "key.revoked": KeyState.REVOKED,
    }
    chance = random.Random(1)

    def any_keyring() -> dict[str, KeyState]:
        return {key.kid: chance.choice(list(KeyState)) for key in (A, B, C) if chance.random() < 0.7}

    def keyring(states: dict[str, KeyState]) -> Keyring | None:
        if sum(found is KeyState.ACTIVE for found in states.values()) > 1:
            return None
        return Keyring(tuple(KeyEntry(key, states[key.kid], 1.0) for key in (A, B, C) if key.kid in states))

    seen = 0
    while seen < 500:
        before, after = any_keyring(), any_keyring()
        old, new = keyring(before), keyring(after)
        if old is None or new is None:
            continue
        seen += 1
        done = deeds(old, new)
        assert len(set(done)) == len(done)
        for deed in done:
            if deed.type in state:
                before[deed.kid] = state[deed.type]
            else:
                assert before.pop(deed.kid) is KeyState.PREPARED or deed.type == "key.removed"
        assert before == after
    assert isinstance(done[0], KeyDeed)
