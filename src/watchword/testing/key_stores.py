"""What every key store must do; an adapter's test is a subclass with one method.

```python
class TestFileKeyStore(KeyStoreBehaviour):
    def open(self, place: Path) -> KeyStore:
        return FileKeyStore(place / "keys")
```
"""

import base64
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from watchword.errors import KeyringConflict, KeyringError
from watchword.keys.keyring import Keyring
from watchword.keys.store import KeyStore
from watchword.tokens.private_key import PrivateKey

ALGORITHMS = ("ES256", "ES384", "EdDSA", "Ed25519", "RS256", "PS256")
_WRITERS = 8


class KeyStoreBehaviour:
    """The contract of `watchword.keys.store.KeyStore`, one behaviour per test."""

    survives = True
    """Whether a store opened again at the same place still has its keyring."""

    sealed = False
    """Whether nothing that the store writes shows a key to somebody without the sealing key."""

    def open(self, place: Path) -> KeyStore:
        """Return a store at this place, an empty folder of the test's own; called several times."""
        raise TypeError("an adapter's test says how its store is opened")

    def test_a_new_store_has_an_empty_keyring_of_version_zero(self, tmp_path: Path) -> None:
        _expect(self.open(tmp_path).load() == Keyring(), "an empty keyring of version 0")

    def test_what_was_saved_comes_back_with_states_and_times(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        first, second, third = PrivateKey.generate(), PrivateKey.generate("EdDSA"), PrivateKey.generate()
        keyring = Keyring().prepare(first, 1.5).activate(first.kid, 2.5).prepare(second, 3)
        keyring = keyring.activate(second.kid, 4).prepare(third, 5)
        stored = store.save(keyring)
        reader = self.open(tmp_path) if self.survives else store
        _expect(_told(stored) == _told(reader.load()), "what was saved")
        _expect(_told(stored)[1:] == _told(keyring)[1:], "the same entries as were given")
        states = [entry.state.value for entry in reader.load().entries]
        _expect(states == ["retired", "active", "prepared"], "the states in the order of the keys")

    @pytest.mark.parametrize("alg", ALGORITHMS)
    def test_a_key_of_every_algorithm_still_signs(self, tmp_path: Path, alg: str) -> None:
        store = self.open(tmp_path)
        key = PrivateKey.generate(alg)
        store.save(Keyring().prepare(key, 1).activate(key.kid, 1))
        found = (self.open(tmp_path) if self.survives else store).load().active.key
        _expect((found.alg, found.kid) == (alg, key.kid), "the algorithm and kid that were saved")
        key.public.check(alg)(found.sign(b"as before"), b"as before")

    def test_the_version_counts_saves(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        keyring = store.save(store.save(Keyring()))
        _expect((keyring.version, store.load().version) == (2, 2), "version 2 after two saves")

    def test_a_stale_keyring_is_refused_and_nothing_changes(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        other = self.open(tmp_path) if self.survives else store
        seen = store.save(Keyring())
        theirs = other.save(seen.prepare(PrivateKey.generate(), 1))
        with pytest.raises(KeyringConflict):
            store.save(seen.prepare(PrivateKey.generate(), 2))
        _expect(_told(store.load()) == _told(theirs), "the keyring of whoever saved first")

    def test_a_keyring_from_the_future_is_refused(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        with pytest.raises(KeyringConflict):
            store.save(Keyring(version=7))
        _expect(store.load().version == 0, "version 0")

    def test_of_many_writers_exactly_one_wins_each_version(self, tmp_path: Path) -> None:
        stores = (
            [self.open(tmp_path) for _ in range(_WRITERS)]
            if self.survives
            else [self.open(tmp_path)] * _WRITERS
        )
        start = stores[0].save(Keyring())
        candidates = [start.prepare(PrivateKey.generate(), 1) for _ in stores]
        with ThreadPoolExecutor(_WRITERS) as pool:
            outcomes = list(pool.map(_attempt, [store.save for store in stores], candidates))
        won = [keyring for keyring in outcomes if keyring is not None]
        _expect(len(won) == 1, f"one winner, found {len(won)}")
        _expect(_told(stores[0].load()) == _told(won[0]), "the winner's keyring")

    def test_a_removed_key_is_gone(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        old, new = PrivateKey.generate(), PrivateKey.generate()
        keyring = store.save(
            Keyring().prepare(old, 1).activate(old.kid, 1).prepare(new, 2).activate(new.kid, 2)
        )
        store.save(keyring.remove(old.kid))
        found = (self.open(tmp_path) if self.survives else store).load()
        _expect([entry.kid for entry in found.entries] == [new.kid], "only the new key")

    def test_a_key_can_come_back_after_it_was_removed(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        key, new = PrivateKey.generate(), PrivateKey.generate()
        keyring = store.save(
            Keyring().prepare(key, 1).activate(key.kid, 1).prepare(new, 2).activate(new.kid, 2)
        )
        store.save(store.save(keyring.remove(key.kid)).prepare(key, 3))
        found = (self.open(tmp_path) if self.survives else store).load().named(key.kid).key
        key.public.check(key.alg)(found.sign(b"again"), b"again")

    def test_a_save_without_a_change_keeps_every_key_and_counts(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        keyring = store.save(_three_keys(), by="operator|7")
        again = store.save(keyring, by="operator|7")
        found = (self.open(tmp_path) if self.survives else store).load()
        _expect(_told(found)[1:] == _told(keyring)[1:], "the same keys")
        _expect(again.version == found.version == keyring.version + 1, "the next version")

    def test_what_was_loaded_before_is_the_same_object(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.save(_three_keys())
        _expect(store.load() is store.load(), "a keyring that is not read again")

    def test_no_key_is_there_twice(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        keyring = store.save(_three_keys())
        with pytest.raises(KeyringError):
            store.save(keyring.prepare(keyring.active.key, 9))
        _expect(_told(store.load()) == _told(keyring), "the keyring that was there")

    @pytest.mark.threat(163)
    @pytest.mark.parametrize("alg", ALGORITHMS)
    def test_a_sealed_place_shows_no_key_to_whoever_copies_it(self, tmp_path: Path, alg: str) -> None:
        if not self.sealed:
            return
        store = self.open(tmp_path)
        keys = [PrivateKey.generate(alg) for _ in range(2)]
        keyring = store.save(Keyring().prepare(keys[0], 1).activate(keys[0].kid, 2).prepare(keys[1], 3))
        store.save(keyring.activate(keys[1].kid, 4))
        copied = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        _expect(bool(copied), "something that was written")
        for key in keys:
            for path, content in copied.items():
                found = [form for form in clear_forms(key) if form in content]
                _expect(not found, f"no key in clear in {path.name}, found {found and found[0][:8]!r}…")

    @pytest.mark.threat(155)
    def test_the_store_shows_no_key(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        key = PrivateKey.generate("EdDSA")
        store.save(Keyring().prepare(key, 1))
        secret = b"".join(key.insecure_private_pem().splitlines()[1:-1]).decode()
        _expect(secret not in repr(store) + str(store), "a repr without the key")
        if self.survives:
            with pytest.raises(TypeError):
                pickle.dumps(store)


def clear_forms(key: PrivateKey) -> list[bytes]:
    """Return runs of bytes of which at least one stands wherever the key stands in clear."""
    der = key.insecure_private_der()
    middle = der[len(der) // 2 :][:24]
    # the secret number is between the fixed head and, where there is one, the public key
    start = 36 if key.alg.startswith("ES") else 16
    secret = der[start : start + 24]
    pem = b"".join(key.insecure_private_pem().splitlines()[1:-1])
    return [
        b"PRIVATE KEY",
        secret,
        middle if not key.alg.startswith("E") else secret,
        secret.hex().encode(),
        pem[48:80],
        base64.b64encode(secret),
        base64.urlsafe_b64encode(secret),
    ]


def _three_keys() -> Keyring:
    first, second, third = PrivateKey.generate(), PrivateKey.generate("EdDSA"), PrivateKey.generate()
    keyring = Keyring().prepare(first, 1).activate(first.kid, 2).prepare(second, 3).activate(second.kid, 4)
    return keyring.prepare(third, 5)


def _attempt(save: Callable[[Keyring], Keyring], keyring: Keyring) -> Keyring | None:
    try:
        return save(keyring)
    except KeyringConflict:
        return None


def _told(keyring: Keyring) -> tuple[object, ...]:
    entries = [
        (entry.kid, entry.key.alg, entry.state, entry.since, entry.key.public) for entry in keyring.entries
    ]
    return (keyring.version, *entries)


def _expect(held: bool, what: str) -> None:
    if not held:
        raise AssertionError(f"expected {what}")
