"""What is sealed opens as what it was sealed as, under the key that sealed it, and otherwise not at all."""

import pickle
import random
import traceback

import pytest

from watchword.errors import SealBroken, SealingKeyUnusable
from watchword.keys.seal import RecordName, Seal
from watchword.keys.sealing_key import SealingKey, new_sealing_key
from watchword.tokens import base64url

SECRET = b"the secret of the record, long enough"
NAME = RecordName("key", "here", "tokens", "kid-1", "ES256", 7)
KEY = SealingKey.from_text(new_sealing_key())
SEAL = Seal(KEY)


def variables(error: BaseException) -> str:
    """Return what a traceback with variables shows of every frame below the test's own."""
    frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack[1:]
    return "\n".join(f"{name} = {value}" for frame in frames for name, value in (frame.locals or {}).items())


def test_a_record_opens_as_what_it_was_sealed_as() -> None:
    for size in (0, 1, 31, 5_000):
        secret = random.Random(size).randbytes(size)
        assert SEAL.open(NAME, SEAL.close(NAME, secret)) == secret
        assert SEAL.open(NAME, SEAL.close(NAME, secret, beside=b"x"), beside=b"x") == secret


@pytest.mark.threat(150)
def test_every_single_bit_counts() -> None:
    record = SEAL.close(NAME, SECRET)
    for index in range(len(record)):
        for bit in range(8):
            changed = bytearray(record)
            changed[index] ^= 1 << bit
            with pytest.raises((SealBroken, SealingKeyUnusable)):
                SEAL.open(NAME, bytes(changed))


@pytest.mark.threat(150, 152)
def test_a_record_that_was_cut_or_made_longer_is_refused() -> None:
    record = SEAL.close(NAME, SECRET)
    for size in range(len(record)):
        with pytest.raises(SealBroken):
            SEAL.open(NAME, record[:size])
    with pytest.raises(SealBroken):
        SEAL.open(NAME, record + b"\0")


@pytest.mark.threat(150, 151, 161)
@pytest.mark.parametrize(
    "other",
    [
        NAME._replace(kind="export"),
        NAME._replace(store="elsewhere"),
        NAME._replace(purpose="audit"),
        NAME._replace(kid="kid-2"),
        NAME._replace(algorithm="ES384"),
        NAME._replace(generation=6),
        NAME._replace(store="her", purpose="etokens"),
        NAME._replace(kid='kid-1","ES256'),
    ],
)
def test_a_record_is_refused_under_any_other_name(other: RecordName) -> None:
    with pytest.raises(SealBroken):
        SEAL.open(other, SEAL.close(NAME, SECRET))
    with pytest.raises(SealBroken):
        SEAL.open(NAME, SEAL.close(other, SECRET))


def test_what_stands_beside_is_bound() -> None:
    record = SEAL.close(NAME, b"", beside=b"state 1")
    with pytest.raises(SealBroken):
        SEAL.open(NAME, record, beside=b"state 2")


@pytest.mark.threat(152)
def test_no_nonce_and_no_record_key_comes_twice() -> None:
    records = [SEAL.close(NAME, SECRET) for _ in range(2_000)]
    assert len({record[15:27] for record in records}) == len(records)  # nonces of the wrapped keys
    assert len({record[27:59] for record in records}) == len(records)  # wrapped keys
    assert len({record[75:87] for record in records}) == len(records)  # nonces of the secrets


@pytest.mark.threat(153)
def test_another_sealing_key_is_told_by_name_and_opens_nothing() -> None:
    other = SealingKey.from_text(new_sealing_key())
    with pytest.raises(SealingKeyUnusable) as refused:
        Seal(other).open(NAME, SEAL.close(NAME, SECRET))
    assert KEY.name in str(refused.value)
    assert other.name in str(refused.value)


@pytest.mark.threat(153)
def test_while_the_sealing_key_changes_both_open_and_the_new_one_closes() -> None:
    other = SealingKey.from_text(new_sealing_key())
    both = Seal(other, KEY)
    assert both.open(NAME, SEAL.close(NAME, SECRET)) == SECRET
    assert Seal(other).open(NAME, both.close(NAME, SECRET)) == SECRET


@pytest.mark.threat(154)
@pytest.mark.parametrize(
    ("key", "word"),
    [
        (bytes(32), "zeros"),
        (b"\xff" * 32, "pattern"),
        (bytes(range(32)), "pattern"),
        (bytes(range(0, 256, 8)), "pattern"),
        (b"\x01\x02" * 16, "pattern"),
        (b"correct horse battery staple 123", "readable"),
        (random.Random(1).randbytes(16), "found 16"),
        (random.Random(1).randbytes(33), "found 33"),
        (b"", "found 0"),
    ],
)
def test_a_key_that_chance_has_not_made_is_refused(key: bytes, word: str) -> None:
    with pytest.raises(SealingKeyUnusable, match=word):
        SealingKey(key)
    text = base64url.encode(key).decode()
    if key:
        with pytest.raises(SealingKeyUnusable) as refused:
            SealingKey.from_text(text)
        told = variables(refused.value)
        assert text not in told
        assert repr(key) not in told


@pytest.mark.parametrize("text", ["", "changeme", "x" * 44, "!" * 43, "é" * 43, "A" * 43 + "="])
def test_a_text_that_is_no_key_says_how_to_make_one(text: str) -> None:
    with pytest.raises(SealingKeyUnusable, match="watchword keys new-seal"):
        SealingKey.from_text(text)


def test_random_keys_are_taken() -> None:
    assert len({SealingKey.from_text(f" {new_sealing_key()}\n").id for _ in range(500)}) == 500


@pytest.mark.threat(155)
def test_a_sealing_key_neither_prints_nor_pickles() -> None:
    text = new_sealing_key()
    key = SealingKey.from_text(text)
    seal = Seal(key)
    for thing in (key, seal):
        with pytest.raises(TypeError):
            pickle.dumps(thing)
        shown = repr(thing) + str(thing)
        assert text not in shown
        assert base64url.decode(text.encode("ascii")).hex() not in shown


@pytest.mark.threat(155)
def test_no_traceback_with_variables_shows_what_could_not_be_opened() -> None:
    text = new_sealing_key()
    seal = Seal(SealingKey.from_text(text))
    record = bytearray(seal.close(NAME, SECRET))
    record[-1] ^= 1
    with pytest.raises(SealBroken) as refused:
        seal.open(NAME, bytes(record))
    told = variables(refused.value)
    assert "record = " in told
    assert text not in told
    assert "record_key" not in told
