"""A private key is never shown: not printed, not pickled, not in a traceback, not published."""

import base64
import copy
import dataclasses
import gc
import json
import multiprocessing
import pickle
import traceback
import types
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from watchword.keys.issuer import Issuer
from watchword.keys.keyring import KeyEntry, Keyring
from watchword.keys.seal import Seal
from watchword.keys.sealing_key import SealingKey, new_sealing_key
from watchword.keystores.files import FileKeyStore
from watchword.keystores.memory import MemoryKeyStore
from watchword.tokens.private_key import PrivateKey

URL = "https://users.example"
ALGORITHMS = ["ES256", "ES384", "EdDSA", "Ed25519", "RS256", "PS256"]


def canaries(key: PrivateKey) -> list[str]:
    """Every form in which the secret numbers of a key could show."""
    material = key._material
    if isinstance(material, rsa.RSAPrivateKey):
        numbers = material.private_numbers()
        secret = [numbers.d, numbers.p, numbers.q]
    elif isinstance(material, ec.EllipticCurvePrivateKey):
        secret = [material.private_numbers().private_value]
    else:
        secret = [int.from_bytes(material.private_bytes_raw(), "big")]
    forms = ["BEGIN PRIVATE", "BEGIN EC", "BEGIN RSA"]
    for number in secret:
        raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
        encoded = base64.b64encode(raw).decode().rstrip("=")
        forms += [
            str(number),
            f"{number:x}",
            raw.hex(),
            encoded,
            encoded.translate(str.maketrans("+/", "-_")),
            repr(raw),
        ]
    body = b"".join(key.insecure_private_pem().splitlines()[1:-1]).decode()
    return [*forms, body[24:64]]


@pytest.fixture(scope="module", params=ALGORITHMS)
def issuer(request: pytest.FixtureRequest) -> Issuer:
    return Issuer(URL, MemoryKeyStore(), algorithm=request.param)


def test_a_canary_is_found_where_a_key_stands_in_clear(issuer: Issuer) -> None:
    key = issuer.keyring.active.key
    assert canaries(key)[-1] in key.insecure_private_pem().decode().replace("\n", "")
    if isinstance(key._material, ed25519.Ed25519PrivateKey):
        assert repr(key._material.private_bytes_raw()) in canaries(key)


@pytest.mark.threat(155)
def test_no_text_form_shows_a_private_key(issuer: Issuer) -> None:
    entry = issuer.keyring.active
    objects: list[object] = [
        entry.key,
        entry,
        issuer.keyring,
        issuer,
        issuer.jwk_set(),
        issuer._keys,
        issuer._keys._store,
        issuer._current,
    ]
    texts = [
        form(thing) for thing in objects for form in (repr, str, ascii, "{}".format, "{!r:.9999}".format)
    ]
    texts += [repr(dataclasses.asdict(Keyring())), repr([f.name for f in dataclasses.fields(KeyEntry)])]
    for text in texts:
        assert not [form for form in canaries(entry.key) if form in text]


@pytest.mark.threat(155)
def test_nothing_that_holds_a_private_key_can_be_pickled_or_copied_into_json(issuer: Issuer) -> None:
    for thing in (issuer.keyring.active.key, issuer.keyring.active, issuer.keyring, issuer, issuer._current):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError):
                pickle.dumps(thing, protocol)
        with pytest.raises(TypeError):
            json.dumps(thing)
    with pytest.raises(TypeError):
        copy.copy(issuer)
    with pytest.raises(TypeError):
        vars(issuer.keyring.active.key)


@pytest.mark.threat(155, 156)
def test_no_traceback_with_variables_shows_a_private_key(issuer: Issuer) -> None:
    errors = []
    for deed in (
        lambda: issuer.issue("a", ["b"]),  # type: ignore[arg-type]
        lambda: issuer.remove_key(issuer.keyring.active.kid),
        lambda: issuer.activate_key(issuer.keyring.active.kid),
        lambda: issuer.keyring.active.key.sign("text"),  # type: ignore[arg-type]
        lambda: issuer.prepare_key("none"),
    ):
        with pytest.raises(Exception) as failed:  # noqa: PT011  # whatever it is, its variables must not show a key
            deed()
        errors.append(failed.value)
    for error in errors:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        text = "".join(told.format())
        assert not [form for form in canaries(issuer.keyring.active.key) if form in text]


@pytest.mark.threat(159)
def test_the_published_set_has_no_private_member(issuer: Issuer) -> None:
    published = json.dumps(issuer.jwk_set().to_dict())
    (jwk,) = json.loads(published)["keys"]
    assert set(jwk) <= {"kty", "crv", "n", "e", "x", "y", "use", "kid", "alg"}
    assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & set(jwk)
    assert not [form for form in canaries(issuer.keyring.active.key) if form in published]
    assert b"PRIVATE" not in issuer.public_pem()


def send_new_keys(pipe) -> None:
    pipe.send([PrivateKey.generate(alg).kid for alg in ("ES256", "EdDSA", "RS256")])


@pytest.mark.threat(160)
def test_processes_after_a_fork_make_different_keys() -> None:
    PrivateKey.generate()  # the generator has run before the fork
    context = multiprocessing.get_context("fork")
    kids: list[str] = []
    for _ in range(2):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=send_new_keys, args=(theirs,))
        process.start()
        assert ours.poll(60)
        kids += ours.recv()
        process.join(30)
    assert len(set(kids)) == 6


def send_token_ids(pipe, issuer: Issuer) -> None:
    pipe.send([issuer.issue("a", "b") for _ in range(20)])


@pytest.mark.threat(160)
def test_processes_after_a_fork_make_different_tokens() -> None:
    issuer = Issuer(URL, MemoryKeyStore())
    issuer.issue("a", "b")
    context = multiprocessing.get_context("fork")
    tokens: list[str] = []
    for _ in range(2):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=send_token_ids, args=(theirs, issuer))
        process.start()
        assert ours.poll(60)
        tokens += ours.recv()
        process.join(30)
    ids = {json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["jti"] for token in tokens}
    assert len(ids) == 40


def reachable(thing: object) -> list[bytes]:
    """Return every text and byte string that an object keeps alive, our own modules and types left out."""
    seen: set[int] = set()
    found: list[bytes] = []
    todo = [thing]
    while todo:
        current = todo.pop()
        if id(current) in seen or isinstance(current, type | types.ModuleType | types.FrameType):
            continue
        seen.add(id(current))
        if isinstance(current, bytes | bytearray):
            found.append(bytes(current))
        elif isinstance(current, str):
            found.append(current.encode("utf-8", "replace"))
        elif isinstance(current, types.FunctionType):
            todo += [cell.cell_contents for cell in current.__closure__ or ()]
        else:
            todo += gc.get_referents(current)
    return found


@pytest.mark.threat(162)
@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_in_use_is_an_object_of_the_library_and_no_bytes_of_it_stay_behind(
    tmp_path: Path, alg: str, sealed: bool
) -> None:
    seal = Seal(SealingKey.from_text(new_sealing_key())) if sealed else None
    Issuer(URL, FileKeyStore(tmp_path / "keys", seal=seal), algorithm=alg)
    store = FileKeyStore(tmp_path / "keys", seal=seal)
    issuer = Issuer(URL, store, algorithm=alg)
    issuer.issue("a", "b")
    issuer.prepare_key()
    kept = reachable([issuer, store])
    assert any(b"keyring.json" in content or b"kid" in content for content in kept)
    for entry in issuer.keyring.entries:
        der = entry.key.insecure_private_der()
        secret = der[36:60] if alg.startswith("ES") else der[16:40] if alg.startswith("Ed") else der[400:424]
        assert not [content for content in kept if secret in content]
        assert not [content for content in kept if b"PRIVATE" in content]
